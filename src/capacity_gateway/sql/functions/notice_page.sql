-- The same for so many of a tenant's pools after one, whenever they have changed. Answers which was the last; null = there
-- are no more, or there is no webhook.
CREATE OR REPLACE FUNCTION capacity.notice_page(p_tenant text, p_after text, p_size integer) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    page text[];
BEGIN
    PERFORM set_config('capacity.tenant', p_tenant, true);
    IF NOT EXISTS (SELECT FROM capacity.webhook AS w WHERE w.tenant_id = p_tenant) THEN
        RETURN NULL;
    END IF;
    page := ARRAY(
        SELECT p.id FROM capacity.pool AS p WHERE p.tenant_id = p_tenant AND p.id > p_after ORDER BY p.id LIMIT p_size
    );
    PERFORM capacity.notice(p_tenant, page);
    RETURN page[cardinality(page)];
END $$;
