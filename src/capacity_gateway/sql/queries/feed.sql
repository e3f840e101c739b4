-- name: watch(watched, size)
-- What is new for whoever watches, a row for each tenant.
SELECT w.tenant, w.due, w.changes, w.offers FROM capacity.watch(:watched::jsonb, :size) AS w;
