"""The portal's own SQL, as the report has it, on the views."""

from typing import Any

import asyncpg
import pytest

from asking import TENANT, adjust, ask_one, backfill, close, define, resize, take
from capacity_gateway.demo import load_demo
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.database import Database, application_url

LONDON = "79cef00c-e163-449c-9f3c-d021fbb4d672"
ORPHAN = "6a570147-57a0-4f50-8b89-f3044b28c4dc"

# Text for text out of the report that this project began with.
DRIFT = """
SELECT * FROM (
  SELECT
    c.id,
    c.name,
    c.available_reservation_tokens - (c.total_reservation_tokens + COALESCE(SUM(cl.change_amount), 0)) as discrepancy
  FROM competitions c
  LEFT JOIN capacity_ledger cl ON cl.competition_id = c.id
  WHERE c.tenant_id = '00000000-0000-0000-0000-000000000001'
  GROUP BY c.id
) WHERE ABS(discrepancy) > 5;
"""
DAILY = """
SELECT
  c.name,
  ABS(c.available_reservation_tokens - (c.total_reservation_tokens + COALESCE(SUM(cl.change_amount), 0))) as discrepancy
FROM competitions c
LEFT JOIN capacity_ledger cl ON cl.competition_id = c.id
GROUP BY c.id
HAVING ABS(discrepancy) > 5;
"""
GROWTH = """
SELECT COUNT(*) as total_entries,
       MIN(created_at) as oldest,
       MAX(created_at) as newest
FROM capacity_ledger;
"""
ORPHANS = """
SELECT COUNT(*) as orphaned_approvals
FROM reservations r
LEFT JOIN capacity_ledger cl ON cl.reservation_id = r.id AND cl.reason = 'reservation_approval'
WHERE r.status IN ('approved', 'summarized', 'invoiced', 'closed')
  AND r.spaces_confirmed IS NOT NULL
  AND cl.id IS NULL;
"""
HISTORY = """
SELECT * FROM capacity_ledger
WHERE competition_id = ? ORDER BY created_at DESC LIMIT 100;
"""
TRAIL = """
SELECT * FROM capacity_ledger WHERE reservation_id = ?;
"""
RECONCILIATION = """
SELECT
  c.total_reservation_tokens,
  c.available_reservation_tokens,
  COALESCE(SUM(cl.change_amount), 0) as ledger_net
FROM competitions c
LEFT JOIN capacity_ledger cl ON cl.competition_id = c.id
GROUP BY c.id;
"""
MISSING_ENTRY = """
INSERT INTO capacity_ledger (
  id,
  tenant_id,
  competition_id,
  reservation_id,
  change_amount,
  reason,
  created_at,
  created_by
)
SELECT
  gen_random_uuid(),
  r.tenant_id,
  r.competition_id,
  r.id,
  -r.spaces_confirmed,
  'reservation_approval',
  r.approved_at,
  r.approved_by
FROM reservations r
WHERE r.id = '6a570147-57a0-4f50-8b89-f3044b28c4dc';
"""
"""What the report would have run by hand; `backfill` does it."""


async def portal(owner_url: str, statement: str, *values: object, tenant: str = TENANT) -> list[tuple[Any, ...]]:
    """The rows of the portal's own statement, as the application role of a tenant; its ? is PostgreSQL's $1."""
    connection = await asyncpg.connect(await application_url(owner_url))
    try:
        await connection.execute("SELECT capacity.enter_portal($1)", tenant)
        return [tuple(row) for row in await connection.fetch(statement.replace("?", "$1").strip().rstrip(";"), *values)]
    finally:
        await connection.close()


@pytest.fixture
async def demo_url(owner_url: str, capacity: Capacity) -> str:
    """The address of a database with the report's competitions."""
    await load_demo(capacity, TENANT)
    return owner_url


async def test_the_portal_s_statements_say_what_the_report_says(demo_url: str) -> None:
    """London is off by 50, by one approval with no entry; 24 entries; the history with the latest first."""
    history = await portal(demo_url, HISTORY, LONDON)

    assert await portal(demo_url, DRIFT) == [(LONDON, "EMPWR Dance - London", -50)]
    assert await portal(demo_url, ORPHANS) == [(1,)]
    assert [str(value) for value in (await portal(demo_url, GROWTH))[0]] == [
        "24",
        "2025-10-26 00:44:12",
        "2025-10-30 05:29:38",
    ]
    assert [(row[4], row[5]) for row in history] == [
        (-7, "reservation_approval"),
        (145, "summary_refund"),
        (-150, "reservation_approval"),
    ]
    assert [row[4] for row in await portal(demo_url, TRAIL, history[0][3])] == [-7]
    assert sorted(await portal(demo_url, RECONCILIATION)) == [
        (600, 90, -510),
        (600, 499, -101),
        (600, 538, -12),
        (600, 576, -24),
        (600, 600, 0),
    ]


async def test_a_backfill_shows_as_the_approval_that_it_stands_for(demo_url: str, database: Database) -> None:
    """With the time of the approval; then the monitors find nothing."""
    await ask_one(database, backfill(ORPHAN))

    assert await portal(demo_url, ORPHANS) == [(0,)]
    assert await portal(demo_url, DRIFT) == []
    assert [(str(row[7]), *row[4:6]) for row in await portal(demo_url, TRAIL, ORPHAN)] == [
        ("2025-10-28 23:06:28", -50, "reservation_approval")
    ]


async def test_what_moves_no_space_is_no_entry_there(owner_url: str, database: Database) -> None:
    """The portal's total and available move together when the quota does, and its ledger says nothing."""
    taken = [take("r", 30), adjust("r", 20), resize(200), close()]
    for command in [define(100), *taken]:
        assert (await ask_one(database, command))["code"] == "OK"

    assert await portal(owner_url, DRIFT) == []
    assert [row[4:6] for row in await portal(owner_url, HISTORY, "p")] == [
        (10, "cd_adjustment_decrease"),
        (-30, "reservation_approval"),
    ]


async def test_the_second_form_of_the_daily_check_is_no_postgresql(demo_url: str, portal_url: str) -> None:
    """Its HAVING names a column of the answer, which fails on the portal's own tables as it does here."""
    theirs = await asyncpg.connect(portal_url)
    with pytest.raises(asyncpg.UndefinedColumnError):
        await theirs.fetch(DAILY)
    await theirs.close()
    with pytest.raises(asyncpg.UndefinedColumnError):
        await portal(demo_url, DAILY)


async def test_no_tenant_sees_another_s_through_them(demo_url: str) -> None:
    """Nor does anybody see anything who has not said whose."""
    for view in ("competitions", "reservations", "capacity_ledger"):
        count = f"SELECT count(*) FROM {view}"
        assert (await portal(demo_url, count))[0][0] > 0
        assert await portal(demo_url, count, tenant="elsewhere") == await portal(demo_url, count, tenant="") == [(0,)]


async def test_nobody_writes_through_them(demo_url: str) -> None:
    """What the report would have inserted by hand is refused."""
    with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.ObjectNotInPrerequisiteStateError)):
        await portal(demo_url, MISSING_ENTRY)
    assert await portal(demo_url, ORPHANS) == [(1,)]
