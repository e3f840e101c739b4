-- name: erase(tenant, holder, email, names, after, size)^
-- Of so many claims after one, takes from those of a holder, or with an e-mail address, the title and the facts of these
-- names; says how many had any, and which claim was the last that was looked at. No entry's hash is made of either.
WITH page AS (
    SELECT c.id, c.title, c.facts, c.holder FROM capacity.claim AS c
    WHERE c.tenant_id = :tenant AND c.id > :after
    ORDER BY c.id
    LIMIT :size
), erased AS (
    UPDATE capacity.claim AS c SET title = NULL, facts = c.facts - :names::text[]
    FROM page
    WHERE c.tenant_id = :tenant AND c.id = page.id
        AND (c.title IS NOT NULL OR c.facts ?| :names::text[])
        AND (c.holder = :holder OR EXISTS (
            SELECT FROM unnest(:names::text[]) AS n (name) WHERE c.facts ->> n.name = :email
        ))
    RETURNING 1
)
SELECT (SELECT count(*) FROM erased) AS erased, (SELECT max(page.id) FROM page) AS last;
