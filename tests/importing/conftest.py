"""Older systems, as they are found: a database with the portal's tables, filled from the report's replay."""

import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from capacity_gateway.demo import REPLAY
from capacity_gateway.importing.replay import tables_of
from conftest import database_of

_numbers = itertools.count(1)

PORTAL = """
CREATE TABLE competitions (
    id uuid PRIMARY KEY, tenant_id uuid NOT NULL, name varchar(255) NOT NULL,
    total_reservation_tokens integer DEFAULT 600, available_reservation_tokens integer DEFAULT 600, created_at timestamp
);
CREATE TABLE reservations (
    id uuid PRIMARY KEY, tenant_id uuid NOT NULL, studio_id varchar, studio_name varchar, competition_id uuid,
    spaces_requested integer NOT NULL, spaces_confirmed integer DEFAULT 0, status varchar(50) DEFAULT 'pending',
    approved_at timestamp, approved_by uuid, created_at timestamp
);
CREATE TABLE capacity_ledger (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), tenant_id uuid NOT NULL, competition_id uuid, reservation_id uuid,
    change_amount integer NOT NULL, reason varchar(50) NOT NULL, notes text, created_at timestamp, created_by uuid
);
"""


def portal_rows() -> dict[str, list[dict[str, Any]]]:
    """The portal's tables as the replay leaves them."""
    return tables_of(json.loads(REPLAY.read_text()))


@pytest.fixture
async def portal_url(server: str) -> AsyncIterator[str]:
    """The address of a portal's database, filled from the replay."""
    owner = await asyncpg.connect(server)
    name = f"portal_{next(_numbers)}_{owner.get_server_pid()}"
    await owner.execute(f"CREATE DATABASE {name}")
    url = database_of(server, name)
    portal = await asyncpg.connect(url)
    await portal.execute(PORTAL)
    tables = portal_rows()
    for table, rows in tables.items():
        for row in rows:
            given = {key: value for key, value in row.items() if not (table == "capacity_ledger" and key == "id")}
            given["tenant_id"] = tables["competitions"][0]["tenant_id"]
            await portal.execute(
                f"INSERT INTO {table} ({', '.join(given)})"
                f" SELECT {', '.join(given)} FROM jsonb_populate_record(NULL::{table}, $1)",
                json.dumps(given),
            )
    await portal.close()
    yield url
    await owner.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await owner.close()
