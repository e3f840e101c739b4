-- Takes a pool's ledger as it is, if it does not follow from its opening or from its last seal: the new seal, still to be
-- signed, with all faults so far; null where it does. A seal that does not hold counts for nothing; `signed` says whether
-- its signature holds.
CREATE OR REPLACE FUNCTION capacity.seal_ledger(
    p capacity.pool, at timestamptz, signed boolean, p_actor text, p_note text
) RETURNS capacity.seal
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    s capacity.seal := capacity.last_seal(p);
    faults jsonb := '[]';           -- the new ones
    found record;
BEGIN
    IF s.version IS NOT NULL AND (NOT signed OR s.hash <> capacity.seal_hash(s)) THEN
        faults := s.faults || jsonb_build_object('kind', 'SEAL_BROKEN', 'version', s.version);
        s := NULL;
    END IF;
    found := capacity.verify(p, capacity.first_checkpoint(p, s), 2147483647);
    faults := faults || found.faults;
    IF faults = '[]' THEN
        RETURN NULL;
    END IF;
    s.faults := coalesce(s.faults, '[]') || faults;
    s.tenant_id := p.tenant_id;
    s.pool_id := p.id;
    s.sealed_at := at;
    s.version := greatest(p.version, found.last_version);
    SELECT count(*), coalesce(sum(l.quota_change), 0), coalesce(sum(l.held_change), 0),
        coalesce(sum(l.confirmed_change), 0)
    INTO s.entries, s.quota_sum, s.held_sum, s.confirmed_sum
    FROM capacity.ledger AS l
    WHERE l.tenant_id = p.tenant_id AND l.pool_id = p.id;
    s.actor := p_actor;
    s.note := p_note;
    s.hash := capacity.seal_hash(s);
    s.signature := '';
    INSERT INTO capacity.seal SELECT s.*;
    DELETE FROM capacity.checkpoint WHERE tenant_id = p.tenant_id AND pool_id = p.id;  -- the next follows from the seal
    RETURN s;
END $$;
