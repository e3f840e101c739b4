"""Brings a database to today's schema: tables by forward-only migrations, functions as they are in their files."""

import hashlib
from urllib.parse import unquote, urlsplit

import asyncpg

from capacity_gateway.kernel.database import APPLICATION_ROLE, SQL, derived_password

_KEEP_RECORD = """
CREATE SCHEMA IF NOT EXISTS capacity;
CREATE TABLE IF NOT EXISTS capacity.migration (
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT migration_key PRIMARY KEY (name)
)
"""
_RECORD = """
INSERT INTO capacity.migration (name, checksum) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET checksum = excluded.checksum, applied_at = now()
"""


async def migrate(owner_url: str, application_url: str | None = None) -> list[str]:
    """Bring the database at `owner_url` up to date and make its application role.

    Of several starters at once one applies and all succeed.

    Args:
        owner_url: of a role that may create schemas and roles.
        application_url: names the application role and its password; without it the role is capacity_app.

    Returns:
        The names of what was applied; empty when nothing was due.

    Raises:
        RuntimeError: when a migration that was applied here has changed since: they only go forward.
    """
    connection = await asyncpg.connect(owner_url, timeout=5)
    try:
        await connection.execute("SELECT pg_advisory_lock(hashtextextended('capacity.migrate', 0))")
        await connection.execute(_KEEP_RECORD)
        applied = await _apply_tables(connection) + await _apply_functions(connection)
        role, password = APPLICATION_ROLE, derived_password(owner_url, APPLICATION_ROLE)
        if application_url and application_url != owner_url:
            parts = urlsplit(application_url)
            role, password = unquote(parts.username or role), unquote(parts.password or "") or None
        await connection.execute("SELECT capacity.admit_role($1, $2)", role, password)
        return applied
    finally:
        await connection.close()  # and with it the session's lock


async def pending(connection: asyncpg.Connection) -> list[str]:
    """The names of what `migrate` would apply."""
    if not await connection.fetchval("SELECT to_regclass('capacity.migration') IS NOT NULL"):
        return ["everything"]
    record = {row["name"]: row["checksum"] for row in await connection.fetch("SELECT * FROM capacity.migration")}
    tables = [file.stem for file in sorted((SQL / "tables").glob("*.sql")) if file.stem not in record]
    _, checksum = _functions()
    return tables if record.get("functions") == checksum else [*tables, "functions"]


async def _apply_tables(connection: asyncpg.Connection) -> list[str]:
    record = {row["name"]: row["checksum"] for row in await connection.fetch("SELECT * FROM capacity.migration")}
    applied = []
    for file in sorted((SQL / "tables").glob("*.sql")):
        text = file.read_text()
        checksum = hashlib.sha256(text.encode()).hexdigest()
        if record.get(file.stem, checksum) != checksum:
            raise RuntimeError(f"migration {file.stem} has changed since it was applied; add a new one instead")
        if file.stem not in record:
            async with connection.transaction():
                await connection.execute(text)
                await connection.execute(_RECORD, file.stem, checksum)
            applied.append(file.stem)
    return applied


async def _apply_functions(connection: asyncpg.Connection) -> list[str]:
    texts, checksum = _functions()
    known = await connection.fetchval("SELECT checksum FROM capacity.migration WHERE name = 'functions'")
    if known == checksum:
        return []
    async with connection.transaction():
        # All go and come again in one transaction, so that a signature may change and none is left behind.
        for row in await connection.fetch(
            "SELECT oid::regprocedure::text AS name FROM pg_proc WHERE pronamespace = 'capacity'::regnamespace"
        ):
            await connection.execute(f"DROP FUNCTION {row['name']} CASCADE")
        await connection.execute("SET LOCAL check_function_bodies = off")
        for text in texts:
            await connection.execute(text)
        await connection.execute(_RECORD, "functions", checksum)
    return ["functions"]


def _functions() -> tuple[list[str], str]:
    """The texts of all functions, and their checksum."""
    texts = [file.read_text() for file in sorted((SQL / "functions").glob("*.sql"))]
    return texts, hashlib.sha256("".join(texts).encode()).hexdigest()
