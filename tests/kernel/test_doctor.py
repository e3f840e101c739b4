"""The doctor finds what makes an installation unfit, and says nothing of a sound one."""

from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from asking import ask, define, take
from capacity_gateway.kernel.database import Database
from capacity_gateway.kernel.doctor import Check, examine
from capacity_gateway.kernel.migrations import migrate


async def problems(owner: asyncpg.Connection, database: Database, *, ahead: float = 0) -> dict[str, list[str]]:
    """What is wrong, by the name of the check; nothing of what is well."""
    clock = timedelta(seconds=ahead)
    checks = examine(owner, database, None, threshold=5, seal_key=None, now=lambda: datetime.now(UTC) + clock)
    found: dict[str, list[str]] = {}
    async for check in checks:
        if check.problems:
            found[check.name] = found.get(check.name, []) + check.problems
    return found


async def test_a_sound_installation_is_sound(owner: asyncpg.Connection, database: Database) -> None:
    """Fresh, or with a history, of several tenants."""
    await ask(database, define(100), take("a", 10))
    await ask(database, define(100), take("b", 10), tenant="another")

    assert await problems(owner, database) == {}


UNFIT = {
    "a foreign trigger": (
        (
            "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
            " CREATE TRIGGER meddling BEFORE UPDATE ON capacity.pool FOR EACH ROW EXECUTE FUNCTION meddle()"
        ),
        ("schema", "the trigger meddling on capacity.pool is not the gateway's"),
    ),
    "a foreign rule": (
        "CREATE RULE quiet AS ON DELETE TO capacity.claim DO INSTEAD NOTHING",
        ("schema", "the rule quiet on capacity.claim is not the gateway's"),
    ),
    "a further policy": (
        "CREATE POLICY everybody ON capacity.claim USING (true)",
        ("schema", "the policy everybody on capacity.claim is not the gateway's"),
    ),
    "row-level security off": (
        "ALTER TABLE capacity.ledger DISABLE ROW LEVEL SECURITY",
        ("schema", "row-level security is not forced on capacity.ledger"),
    ),
    "a key dropped": (
        "ALTER TABLE capacity.ledger DROP CONSTRAINT ledger_key",
        ("schema", "the index ledger_key is missing: what must be once may be twice"),
    ),
    "the last line dropped": (
        "ALTER TABLE capacity.pool DROP CONSTRAINT pool_within_quota",
        ("schema", "the check pool_within_quota is missing: the last line against overselling"),
    ),
    "an unknown version": (
        "UPDATE capacity.migration SET checksum = 'another' WHERE name = 'functions'",
        ("schema", "not applied yet: functions; run capacity-gateway migrate"),
    ),
    "a ledger that may be changed": (
        "GRANT UPDATE ON capacity.ledger TO capacity_app",
        ("role", "the role capacity_app may UPDATE entries of the ledger"),
    ),
    "seals that may be made": (
        "GRANT INSERT ON capacity.seal TO capacity_app",
        ("role", "the role capacity_app may INSERT seals"),
    ),
}


@pytest.mark.parametrize(("statement", "found"), UNFIT.values(), ids=UNFIT)
async def test_what_makes_it_unfit_is_named(
    owner: asyncpg.Connection, database: Database, statement: str, found: tuple[str, str]
) -> None:
    """In a sentence, under the check that found it."""
    await owner.execute(statement)

    name, problem = found
    assert await problems(owner, database) == {name: [problem]}


async def test_clocks_that_are_apart_are_named(owner: asyncpg.Connection, database: Database) -> None:
    """Logins end by the one, holds by the other."""
    assert list(await problems(owner, database, ahead=1)) == []
    assert await problems(owner, database, ahead=-60) == {
        "clock": ["the database's clock and this machine's are 60 s apart"]
    }


async def test_drift_orphans_and_broken_chains_are_named(owner: asyncpg.Connection, database: Database) -> None:
    """Of every tenant; a claim whose entry is gone is an orphan."""
    await ask(database, define(100), take("a", 10), take("b", 10))
    await ask(database, define(100), take("c", 10), tenant="another")
    await owner.execute("UPDATE capacity.pool SET confirmed = confirmed + 6 WHERE tenant_id = 'another'")
    await owner.execute("DELETE FROM capacity.ledger WHERE claim_id = 'a'")

    found = await problems(owner, database)

    assert found == {
        "drift": [
            "competition:p: the counter differs from the ledger by -10",
            "competition:p: the counter differs from the ledger by -6",
        ],
        "orphans": ["competition:p: claim a holds 10 with no ledger entry"],
        "chains": [
            "competition:p: an entry before version 2 is missing",
            "competition:p: the hash of version 2 does not follow",
            "competition:p: the running sum of version 2 does not follow",
        ],
    }


async def test_growth_is_told(owner: asyncpg.Connection, database: Database) -> None:
    """Entries in all, of the last day and of the last week, and since when."""
    await ask(database, define(100), take("a", 10), take("b", 10))
    before = "recorded_at = recorded_at - interval '3 days', effective_at = effective_at - interval '3 days'"
    await owner.execute(f"UPDATE capacity.ledger SET {before} WHERE version = 1")

    checks: list[Check] = [
        check async for check in examine(owner, database, None, threshold=5, seal_key=None) if check.name == "growth"
    ]

    (figures,) = [check.figures for check in checks]
    assert (figures["entries"], figures["last_day"], figures["last_week"]) == (2, 1, 2)


async def test_a_database_that_was_never_migrated_is_told_to_be_migrated(owner_url: str, database: Database) -> None:
    """And nothing else is asked of it."""
    owner = await asyncpg.connect(owner_url)
    await owner.execute("DROP SCHEMA capacity, portal CASCADE")

    assert list(await problems(owner, database)) == ["schema"]
    await owner.close()
    await migrate(owner_url)
