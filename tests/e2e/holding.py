"""A process of the application role that keeps a pool's lock, as a gateway would that stops in the middle of its work.

    python -m e2e.holding URL idle|unheard TENANT POOL

`idle` has begun a transaction and says nothing more; `unheard` does not take an answer that is too large to be sent
unless it is taken. It says `held` once it has the lock, and then waits to be frozen, cut off or killed.
"""

import asyncio
import sys

import asyncpg
import orjson

from asking import take

UNHEARD = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'ClientWrite'"
COMMANDS = 256  # whose outcomes are more than a socket holds


async def main(url: str, way: str, tenant: str, pool: str) -> None:
    """Keep the lock."""
    connection = await asyncpg.connect(url, server_settings={"statement_timeout": "0"})  # the machine may be busy
    watcher = await asyncpg.connect(url)
    if way == "idle":
        await connection.execute("BEGIN")
        await connection.execute("SELECT capacity.lock_pools($1, $2)", tenant, [pool])
    else:
        statement = await connection.prepare("SELECT outcome FROM capacity.apply($1, $2)")
        batch = [take(f"{pool} {n}", 1, pool, holder=f"{n}") | {"request": n} for n in range(COMMANDS)]
        connection._transport.pause_reading()  # type: ignore[attr-defined]  # noqa: SLF001 - it has no other way
        asyncio.create_task(statement.fetch(tenant, orjson.dumps(batch).decode()))  # noqa: RUF006 - never ends
        server = connection.get_server_pid()
        while not await watcher.fetchval(UNHEARD, server):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    sys.stdout.write("held\n")
    sys.stdout.flush()
    await asyncio.sleep(600)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
