"""Databases come to today's schema by themselves, and the schema keeps its promises."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from capacity_gateway.kernel import migrations
from capacity_gateway.kernel.database import APPLICATION_ROLE, SQL, Database
from capacity_gateway.kernel.migrations import migrate

EVERYTHING = [*sorted(file.stem for file in (SQL / "tables").glob("*.sql")), "functions"]


@pytest.fixture
async def empty_url(server: str) -> AsyncIterator[str]:
    """The address, as its owner, of a database with nothing in it."""
    name = f"nothing_{os.getpid()}"
    connection = await asyncpg.connect(server)
    await connection.execute(f"CREATE DATABASE {name}")
    yield urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture
def sql(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the SQL files that a test may change, and that is migrated by."""
    copy = tmp_path / "sql"
    shutil.copytree(SQL, copy)
    monkeypatch.setattr(migrations, "SQL", copy)
    return copy


async def test_an_empty_database_is_brought_up_to_date(empty_url: str) -> None:
    """Tables in the order of their names, then the functions."""
    assert await migrate(empty_url) == EVERYTHING


async def test_migrating_again_does_nothing(empty_url: str) -> None:
    """Nothing is due."""
    await migrate(empty_url)

    assert await migrate(empty_url) == []


async def test_of_four_starters_at_once_one_migrates_and_all_succeed(empty_url: str) -> None:
    """The others wait, and find nothing due."""
    applied = await asyncio.gather(*(migrate(empty_url) for _ in range(4)))

    assert sorted(applied) == [[], [], [], EVERYTHING]


async def test_a_migration_that_has_changed_since_is_refused(owner_url: str, sql: Path) -> None:
    """They only go forward; the message names it."""
    first = sql / "tables" / f"{EVERYTHING[0]}.sql"
    first.write_text(first.read_text() + "-- an afterthought\n")

    with pytest.raises(RuntimeError, match=f"{EVERYTHING[0]} has changed"):
        await migrate(owner_url)


async def test_a_new_migration_is_applied_to_what_is_there(owner_url: str, sql: Path) -> None:
    """Only the new one, and the role may read the new table."""
    (sql / "tables" / "9999_next.sql").write_text("CREATE TABLE capacity.next (tenant_id text NOT NULL);")

    applied = await migrate(owner_url)

    assert applied == ["9999_next"]


async def test_a_migration_that_fails_leaves_nothing_behind(
    owner_url: str, owner: asyncpg.Connection, sql: Path
) -> None:
    """Neither its first half nor its name."""
    (sql / "tables" / "9999_next.sql").write_text("CREATE TABLE capacity.next (id text); SELECT 1 / 0;")

    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(owner_url)

    assert await owner.fetchval("SELECT to_regclass('capacity.next')") is None
    assert await owner.fetchval("SELECT count(*) FROM capacity.migration WHERE name = '9999_next'") == 0


async def test_functions_are_applied_again_when_one_changes(
    owner_url: str, owner: asyncpg.Connection, sql: Path
) -> None:
    """They are what their files say, whatever was there before; one that is gone goes."""
    file = sql / "functions" / "opening_hash.sql"
    file.write_text(file.read_text().replace("sha256(", "sha512("))
    (sql / "functions" / "open_snapshot.sql").unlink()

    applied = await migrate(owner_url)

    assert applied == ["functions"]
    assert len(await owner.fetchval("SELECT capacity.opening_hash('p', 1)")) == 128
    assert await owner.fetchval("SELECT count(*) FROM pg_proc WHERE proname = 'open_snapshot'") == 0


async def test_no_function_is_defined_twice(owner: asyncpg.Connection) -> None:
    """One file each, and each file defines the function that it is named after."""
    rows = await owner.fetch("SELECT proname FROM pg_proc WHERE pronamespace = 'capacity'::regnamespace")

    assert sorted(row["proname"] for row in rows) == sorted(file.stem for file in (SQL / "functions").glob("*.sql"))


async def test_the_application_role_is_weak(owner: asyncpg.Connection) -> None:
    """No superuser, no way around row-level security, nothing it could make."""
    role = await owner.fetchrow("SELECT * FROM pg_roles WHERE rolname = $1", APPLICATION_ROLE)

    assert role is not None
    powers = ("rolsuper", "rolbypassrls", "rolcreatedb", "rolcreaterole", "rolreplication")
    assert [role[power] for power in powers] == [False] * 5


async def test_the_application_role_owns_nothing(owner: asyncpg.Connection) -> None:
    """Nor is it a member of a role that does."""
    owned = await owner.fetchval(
        "SELECT count(*) FROM pg_shdepend WHERE refobjid = to_regrole($1) AND deptype = 'o'", APPLICATION_ROLE
    )
    memberships = await owner.fetchval(
        "SELECT count(*) FROM pg_auth_members WHERE member = to_regrole($1)", APPLICATION_ROLE
    )

    assert (owned, memberships) == (0, 0)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE capacity.mine ()",
        "DROP TABLE capacity.pool",
        "ALTER TABLE capacity.pool NO FORCE ROW LEVEL SECURITY",
    ],
)
async def test_the_application_role_changes_no_schema(database: Database, statement: str) -> None:
    """Migrations run as the owner."""
    async with database.connection() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)


async def test_the_application_role_cannot_pretend_that_a_migration_was_applied(owner: asyncpg.Connection) -> None:
    """The record of migrations is the owner's."""
    assert not await owner.fetchval("SELECT has_table_privilege($1, 'capacity.migration', 'INSERT')", APPLICATION_ROLE)


async def test_the_application_role_has_its_timeouts(database: Database) -> None:
    """Lock before statement before the gateway's deadline, and each commit on the disk."""
    names = (
        "lock_timeout",
        "statement_timeout",
        "idle_in_transaction_session_timeout",
        "synchronous_commit",
        "default_transaction_isolation",
        "TimeZone",
    )

    async with database.connection() as connection:
        settings = [await connection.fetchval("SELECT current_setting($1)", name) for name in names]

    assert settings == ["800ms", "2s", "1500ms", "on", "read committed", "UTC"]


async def test_the_database_is_fit_to_keep_promises(database: Database) -> None:
    """Nothing to complain about on a server as the gateway starts it."""
    assert await database.unsafe_settings() == []


async def test_every_index_begins_with_the_tenant(owner: asyncpg.Connection) -> None:
    """Primary keys too; but for the list of tenants and the record of migrations."""
    rows = await owner.fetch(
        "SELECT i.indexrelid::regclass::text AS index, a.attname AS first"
        " FROM pg_index AS i INNER JOIN pg_class AS c ON c.oid = i.indrelid"
        " LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
        " WHERE c.relnamespace = 'capacity'::regnamespace AND c.relname NOT IN ('tenant', 'migration')"
    )

    assert [row["index"] for row in rows if row["first"] != "tenant_id"] == []
    assert len(rows) > 4


async def test_every_table_has_a_primary_key_and_forced_row_level_security(owner: asyncpg.Connection) -> None:
    """So that even the owner of a table sees one tenant only."""
    rows = await owner.fetch(
        "SELECT relname, relrowsecurity AND relforcerowsecurity AS forced,"
        " EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indisprimary) AS keyed,"
        " EXISTS (SELECT FROM pg_policy WHERE polrelid = c.oid) AS policed"
        " FROM pg_class AS c WHERE relnamespace = 'capacity'::regnamespace AND relkind = 'r'"
    )

    assert {row["relname"] for row in rows if not (row["forced"] and row["policed"])} == {"tenant", "migration"}
    assert [row["relname"] for row in rows if not row["keyed"]] == []


async def test_there_is_no_trigger(owner: asyncpg.Connection) -> None:
    """No rule of the business hides behind a statement."""
    rows = await owner.fetch("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")

    assert rows == []
