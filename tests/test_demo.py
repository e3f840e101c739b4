"""The demo: the report that this project began with, replayed, and every figure of it asked for."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from capacity_gateway.demo import PENDING_RESERVATION, REPLAY, load_demo
from capacity_gateway.kernel.capacity import Capacity
from conftest import TENANT, Gateway

LONDON = "79cef00c-e163-449c-9f3c-d021fbb4d672"
ORPHAN = "6a570147-57a0-4f50-8b89-f3044b28c4dc"
APPROVED_AT = "2025-10-28T23:06:28.000000+00:00"

RECONCILE = """
{ reconcile(kind: COMPETITION) { edges { node {
  pool { title version } total actualAvailable expectedAvailable discrepancy isAccurate ledgerEntryCount chainIntact
  orphans { claimId subject quantity since } problems { kind delta }
} } } }
"""
BACKFILL = """
mutation ($input: BackfillInput!) { backfill(input: $input) { ... on ReservationSuccess {
  replayed pool { available version }
  entries { version change reason subject subjectTitle actor note availableAfter effectiveAt recordedAt }
  reservation { status spacesConfirmed }
} } }
"""

Backfill = Callable[[], Coroutine[Any, Any, Any]]


@pytest.fixture
async def loaded(capacity: Capacity) -> int:
    """How many changes loading the demo made."""
    return await load_demo(capacity, TENANT)


@pytest.fixture
def backfill(gateway: Gateway, loaded: int) -> Backfill:
    """Write the orphan's entry."""
    assert loaded

    async def send() -> Any:
        return await gateway.send(BACKFILL, {"input": {"reservationId": ORPHAN, "note": "approved by the old portal"}})

    return send


async def reconciled(gateway: Gateway) -> dict[str, dict[str, Any]]:
    """The reconciliations by the pools' titles."""
    page = await gateway.send(RECONCILE)
    return {edge["node"]["pool"]["title"]: edge["node"] for edge in page["edges"]}


async def london(gateway: Gateway, fields: str) -> Any:
    """Fields of London's pool."""
    return await gateway.send(f'{{ capacity(kind: COMPETITION, ref: "{LONDON}") {{ {fields} }} }}')


async def misread(gateway: Gateway) -> list[dict[str, Any]]:
    """The operations of the replay at whose instant its pool does not read the file's figure."""
    document = (
        "query ($ref: ID!, $t: DateTime!) { capacity(kind: COMPETITION, ref: $ref) { at(time: $t) { available } } }"
    )
    wrong = []
    for operation in json.loads(REPLAY.read_text())["operations"]:
        asked = {"ref": operation["competition"], "t": operation["at"]}
        if (await gateway.send(document, asked))["at"]["available"] != operation["available_after"]:
            wrong.append(operation)
    return wrong


@pytest.mark.usefixtures("loaded")
async def test_reconcile_answers_the_report_s_summary_line_for_line(gateway: Gateway) -> None:
    """Total, available, calculated, discrepancy and entries of all five, and London's orphan."""
    found = await reconciled(gateway)

    figures = ("total", "actualAvailable", "expectedAvailable", "discrepancy", "ledgerEntryCount", "isAccurate")
    assert {title: tuple(line[name] for name in figures) for title, line in found.items()} == {
        "EMPWR Dance - London": (600, 538, 588, -50, 3, False),
        "EMPWR Dance - St. Catharines #1": (600, 90, 90, 0, 10, True),
        "EMPWR Dance - St. Catharines #2": (600, 576, 576, 0, 8, True),
        "QA Automation Event": (600, 499, 499, 0, 3, True),
        "EMPWR Dance Championships - St. Catharines 2025": (600, 600, 600, 0, 0, True),
    }
    assert {title: line["orphans"] for title, line in found.items() if line["orphans"]} == {
        "EMPWR Dance - London": [{"claimId": ORPHAN, "subject": ORPHAN, "quantity": 50, "since": APPROVED_AT}]
    }
    assert {title: line["problems"] for title, line in found.items() if line["problems"]} == {
        "EMPWR Dance - London": [{"kind": "DRIFT", "delta": -50}, {"kind": "ORPHAN", "delta": -50}]
    }
    assert all(line["chainIntact"] for line in found.values())


@pytest.mark.usefixtures("loaded")
async def test_the_replay_s_own_expectations_hold(gateway: Gateway) -> None:
    """What the file expects is what the tests above say, so that neither can drift from the other."""
    for expected in json.loads(REPLAY.read_text())["expected"]:
        page = await gateway.send(
            "query ($ref: ID!) { reconcile(kind: COMPETITION, ref: $ref) { edges { node { total actualAvailable "
            "expectedAvailable discrepancy ledgerEntryCount orphans { claimId } } } } }",
            {"ref": expected["competition"]},
        )

        (line,) = (edge["node"] for edge in page["edges"])
        assert line == {
            "total": expected["total"],
            "actualAvailable": expected["available"],
            "expectedAvailable": expected["calculated"],
            "discrepancy": expected["discrepancy"],
            "ledgerEntryCount": expected["entries"],
            "orphans": [{"claimId": claim} for claim in expected["orphans"]],
        }
        assert line["expectedAvailable"] - line["total"] == expected["ledger_net"]


@pytest.mark.usefixtures("loaded")
async def test_london_s_ledger_and_its_counter_tell_two_stories(gateway: Gateway) -> None:
    """The last entry says 588 while the counter says 538."""
    pool = await london(
        gateway, "available ledger { edges { node { change reason availableAfter effectiveAt subject } } }"
    )

    entries = [edge["node"] for edge in pool["ledger"]["edges"]]
    assert (pool["available"], [entry["availableAfter"] for entry in entries]) == (538, [588, 595, 450])
    assert [(entry["change"], entry["reason"], entry["subject"][:8]) for entry in entries] == [
        (-7, "RESERVATION_APPROVAL", "fea43bcd"),
        (145, "SUMMARY_REFUND", "9bfcc05f"),
        (-150, "RESERVATION_APPROVAL", "9bfcc05f"),
    ]
    assert entries[0]["effectiveAt"] == "2025-10-30T05:29:38.000000+00:00"


async def test_a_backfill_clears_london_s_discrepancy_and_leaves_its_counter(
    gateway: Gateway, backfill: Backfill
) -> None:
    """Effective when it was approved, recorded now, by whoever did it."""
    answer = await backfill()

    (entry,) = answer["entries"]
    line = (await reconciled(gateway))["EMPWR Dance - London"]
    recorded_at = datetime.fromisoformat(entry.pop("recordedAt"))
    assert recorded_at > datetime.fromisoformat(APPROVED_AT) + timedelta(days=1)
    assert entry == {
        "version": 4,
        "change": -50,
        "reason": "BACKFILL",
        "subject": ORPHAN,
        "subjectTitle": "Dans Dancer",
        "actor": "dora",
        "note": "approved by the old portal",
        "availableAfter": 538,
        "effectiveAt": APPROVED_AT,
    }
    assert (answer["replayed"], answer["pool"]) == (False, {"available": 538, "version": 4})
    assert answer["reservation"] == {"status": "APPROVED", "spacesConfirmed": 50}
    assert (line["actualAvailable"], line["expectedAvailable"], line["discrepancy"]) == (538, 538, 0)
    assert (line["problems"], line["orphans"], line["chainIntact"]) == ([], [], True)


async def test_a_backfill_again_is_a_replay(gateway: Gateway, backfill: Backfill) -> None:
    """With the entry of the first time, and nothing changes."""
    first = await backfill()

    again = await backfill()

    assert again == {**first, "replayed": True}
    assert await london(gateway, "version available") == {"version": 4, "available": 538}


async def test_after_the_backfill_every_instant_reads_the_report_s_figure(gateway: Gateway, backfill: Backfill) -> None:
    """Each of the replay's operations, at its own time, in its own competition."""
    before = await misread(gateway)
    await backfill()

    assert {(operation["competition"], operation["at"]) for operation in before} == {
        (LONDON, operation["at"]) for operation in before
    }
    assert len(before) == 4
    assert await misread(gateway) == []


async def test_the_overnight_audit_reads_as_it_did(gateway: Gateway, backfill: Backfill) -> None:
    """At 30 October, 05:00: the report's column of what was available."""
    await backfill()

    page = await gateway.send(
        '{ pools(kind: COMPETITION) { edges { node { title at(time: "2025-10-30T05:00:00Z") { available } } } } }'
    )

    assert {edge["node"]["title"]: edge["node"]["at"]["available"] for edge in page["edges"]} == {
        "EMPWR Dance - London": 545,
        "EMPWR Dance - St. Catharines #1": 90,
        "EMPWR Dance - St. Catharines #2": 586,
        "QA Automation Event": 499,
        "EMPWR Dance Championships - St. Catharines 2025": 600,
    }


async def test_london_can_be_refunded_and_approved_like_any_other(gateway: Gateway, backfill: Backfill) -> None:
    """A discrepancy is no lock: the counter decides, and the ledger keeps its distance until the backfill."""
    document = "mutation ($i: RefundInput!) { refund(input: $i) { ... on ReservationSuccess { pool { available } } } }"
    given = {"reservationId": ORPHAN, "spaces": 20, "idempotencyKey": "k"}

    answer = await gateway.send(document, {"i": given})
    drift = (await reconciled(gateway))["EMPWR Dance - London"]["discrepancy"]
    await backfill()

    assert (answer["pool"]["available"], drift) == (558, -50)
    assert (await reconciled(gateway))["EMPWR Dance - London"]["discrepancy"] == 0


async def test_one_reservation_is_left_to_try_an_approval_with(gateway: Gateway, loaded: int) -> None:
    """Pending, of the demo's own studio, and it takes nothing."""
    assert loaded == 120
    found = await gateway.send(
        f'{{ reservation(id: "{PENDING_RESERVATION}") {{ status spacesRequested studioId competition {{ name }} }} }}'
    )

    assert found == {
        "status": "PENDING",
        "spacesRequested": 40,
        "studioId": "studio-demo",
        "competition": {"name": "EMPWR Dance Championships - St. Catharines 2025"},
    }


async def test_loading_again_changes_nothing(capacity: Capacity, owner: asyncpg.Connection, loaded: int) -> None:
    """Not a row, however much has happened since."""

    async def rows() -> list[asyncpg.Record]:
        return [
            row
            for table in ("pool", "claim", "ledger", "idempotency")
            for row in await owner.fetch(f"SELECT * FROM capacity.{table} ORDER BY 1, 2, 3")
        ]

    before = await rows()

    assert (loaded, await load_demo(capacity, TENANT)) == (120, 0)
    assert await rows() == before


async def test_what_was_done_since_survives_loading_again(
    gateway: Gateway, capacity: Capacity, backfill: Backfill
) -> None:
    """The next start does not undo the backfill."""
    await backfill()

    assert await load_demo(capacity, TENANT) == 0
    assert await london(gateway, "version available") == {"version": 4, "available": 538}


async def test_two_starts_at_once_load_it_once(gateway: Gateway, capacity: Capacity) -> None:
    """Each operation is one key."""
    changed = await asyncio.gather(*(load_demo(capacity, TENANT) for _ in range(2)))

    assert sum(changed) == 120
    assert await london(gateway, "version available") == {"version": 3, "available": 538}


async def test_the_demo_event_has_a_bit_of_every_kind(gateway: Gateway, loaded: int) -> None:
    """Half full, with a queue to look at, and its books balance."""
    page = await gateway.send(
        "{ reconcile { edges { node { total actualAvailable discrepancy problems { kind } pool {"
        " id waitlist { waiting } } } } } }",
        headers=gateway.login("ada", "admin"),
    )
    nodes = [edge["node"] for edge in page["edges"]]
    found = {
        node["pool"]["id"]: (node["total"], node["actualAvailable"], node["pool"]["waitlist"])
        for node in nodes
        if not node["pool"]["id"].startswith("competition:")
    }

    assert loaded
    assert found == {
        "booth:demo-booth": (4, 2, {"waiting": 0}),
        "breakout_room:demo-room": (8, 4, None),
        "event:demo-summit": (40, 20, None),
        "huddle:demo-huddle": (6, 3, None),
        "session:demo-keynote": (30, 15, {"waiting": 0}),
        "session:demo-workshop": (4, 0, {"waiting": 3}),
        "stream:demo-summit": (10, 5, None),
        "ticket_type:demo-early-bird": (20, 10, None),
    }
    assert [node["problems"] for node in nodes if not node["pool"]["id"].startswith("competition:79")] == [[]] * 12
