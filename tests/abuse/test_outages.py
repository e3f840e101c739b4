"""While the database cannot be asked every read says so, in its own form; INTERNAL is for bugs."""

import asyncio
from typing import Any

import asyncpg
import pytest
from graphql import GraphQLField, get_named_type, is_leaf_type

from capacity_gateway.schema import schema
from conftest import Gateway, database_of
from documenting import literal, wanted

AT_A_TIME = 8  # as many as there are connections: each is to wait for the lock
READ = "{ pools { totalCount } }"
CREATE = 'mutation { createCompetition(input: { id: "c", name: "N", quota: 9, idempotencyKey: "k" }) { __typename } }'
RAISES = """
CREATE OR REPLACE FUNCTION capacity.open_snapshot(p_tenant text) RETURNS text[] LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'an outage' USING ERRCODE = '{state}'; END $$
"""
SLOW = RAISES.replace("RAISE EXCEPTION 'an outage' USING ERRCODE = '{state}'", "PERFORM pg_sleep(20)")
OUTAGES = {
    "25P03": "idle in transaction for too long",
    "25P04": "a transaction that took too long",
    "25006": "a standby",
    "40001": "rolled back because of a neighbour",
    "40P01": "a deadlock",
    "53100": "a full disk",
    "53200": "no memory",
    "53300": "no connections left",
    "55P03": "a lock that cannot be had",
    "57014": "cancelled",
    "57P01": "ended by an administrator",
    "57P02": "ended by a crash",
    "57P03": "starting up",
    "57P04": "dropped",
    "57P05": "idle for too long",
    "58030": "a disk that cannot be read",
    "08006": "a lost connection",
}
"""What PostgreSQL calls them."""


def codes(answer: dict[str, Any]) -> set[str]:
    """The codes of an answer's errors."""
    return {error["extensions"]["code"] for error in answer.get("errors", ())}


@pytest.mark.parametrize("state", OUTAGES)
async def test_an_outage_is_busy(gateway: Gateway, owner: asyncpg.Connection, state: str) -> None:
    """Whatever PostgreSQL calls it."""
    await owner.execute(RAISES.format(state=state))

    assert codes(await gateway.post(READ)) == {"BUSY"}


async def test_a_slow_statement_is_busy(gateway: Gateway, owner: asyncpg.Connection) -> None:
    """It is ended after two seconds, and the connection can be used again."""
    await owner.execute(SLOW)

    assert codes(await gateway.post(READ)) == {"BUSY"}


async def test_a_database_that_lets_nobody_in_is_busy(
    gateway: Gateway, owner: asyncpg.Connection, owner_url: str
) -> None:
    """Also to changes. Nothing was sent, so the same may be sent again."""
    name = await owner.fetchval("SELECT current_database()")
    neighbour = await asyncpg.connect(database_of(owner_url, "postgres"))
    await neighbour.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    await neighbour.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
    await neighbour.close()

    read, change = await gateway.post(READ), await gateway.post(CREATE)

    assert codes(read) == {"BUSY"}
    assert change["data"]["createCompetition"]["__typename"] == "GatewayBusyError"


async def test_every_read_behind_a_lock_is_busy(gateway: Gateway, owner: asyncpg.Connection) -> None:
    """Every field of the schema that reads, under the name that its clients know: BUSY, or `503: ...`."""
    types = schema()._schema  # noqa: SLF001 - the built schema
    assert types.query_type is not None
    documents = [document(name, each) for name, each in types.query_type.fields.items() if not name.startswith("_")]
    admin = gateway.login("ada", "admin")
    answers = []
    async with owner.transaction():
        await owner.execute("LOCK TABLE capacity.claim, capacity.pool, capacity.ledger IN ACCESS EXCLUSIVE MODE")
        for start in range(0, len(documents), AT_A_TIME):
            asked = documents[start : start + AT_A_TIME]
            answers += await asyncio.gather(*(gateway.post(text, headers=admin) for text in asked))

    assert [answer for answer in answers if codes(answer) != {"BUSY"}] == []
    assert len(answers) > 20


def document(name: str, field: GraphQLField) -> str:
    """A query of one field, with an id in every place for one."""
    given = ", ".join(f"{arg}: {literal(argument, 'x')}" for arg, argument in field.args.items() if wanted(argument))
    selected = "" if is_leaf_type(get_named_type(field.type)) else " { __typename }"
    return f"{{ {name}{f'({given})' if given else ''}{selected} }}"
