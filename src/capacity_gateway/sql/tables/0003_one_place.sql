-- A holder who may be in one pool of a kind at a time: what he has in another is found, and given back, under the lock.

SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '60s';

-- The claim is what the holder has in force of this kind outside of this pool.
ALTER TYPE capacity.command ADD ATTRIBUTE outside_pool_id text;
