-- Makes this session one for the portal's own SQL, as a tenant. Its checks group by the key of competitions and name other
-- columns too, which PostgreSQL allows of a table with a primary key alone, so competitions become one, as they are now:
-- call this again to see them anew. The ledger and the reservations are views.
CREATE OR REPLACE FUNCTION capacity.enter_portal(p_tenant text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM set_config('capacity.tenant', p_tenant, false), set_config('search_path', 'portal', false);
    SET LOCAL client_min_messages = warning;
    DROP TABLE IF EXISTS pg_temp.competitions;
    CREATE TEMPORARY TABLE competitions (LIKE portal.competitions, PRIMARY KEY (id));
    INSERT INTO pg_temp.competitions SELECT c.* FROM portal.competitions AS c;
END $$;
