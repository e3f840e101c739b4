-- Closing, re-opening, and setting a limit that is none before or after: they move no number, and are entries all the same.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- Nobody reads by it, and everything written by it holds without it.
-- squawk-ignore ban-drop-constraint
ALTER TABLE capacity.ledger DROP CONSTRAINT ledger_changes_something;
