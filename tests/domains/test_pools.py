"""Pools of any kind: their numbers, their ledgers, their history, and what they cost to read."""

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.commands import Attribution, Hold, Take
from capacity_gateway.kernel.outcomes import CapacityChange
from capacity_gateway.kernel.vocabulary import LedgerReason, PoolKind
from conftest import TENANT, Gateway, listening, running
from invariants import check_invariants

Do = Callable[..., Coroutine[Any, Any, Any]]

DOCUMENTS = {
    operation: f"mutation ($input: {given}!) {{ {operation}(input: $input) {{ __typename }} }}"
    for operation, given in {
        "createCompetition": "CreateCompetitionInput",
        "definePool": "DefinePoolInput",
        "requestReservation": "RequestReservationInput",
        "approve": "ApproveInput",
        "refund": "RefundInput",
        "moveReservation": "MoveReservationInput",
        "cancelReservation": "ReservationRefInput",
        "setQuota": "SetQuotaInput",
        "backfill": "BackfillInput",
    }.items()
}
LEDGER = """
query ($first: Int! = 50, $after: String, $filter: LedgerFilter) {
  ledger(kind: COMPETITION, ref: "c", first: $first, after: $after, filter: $filter) {
    totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    edges { cursor node { version } }
  }
}
"""


@pytest.fixture
def do(gateway: Gateway) -> Do:
    """Send a mutation with these input fields, which must succeed."""

    async def send(operation: str, headers: dict[str, str] | None = None, **given: Any) -> None:
        answer = await gateway.send(DOCUMENTS[operation], {"input": given}, headers)
        assert answer["__typename"].endswith("Success")

    return send


@pytest.fixture
def grant(do: Do) -> Do:
    """Request and approve so many spaces in a competition."""

    async def send(name: str, spaces: int, ref: str = "c", studio: str = "s") -> None:
        given = {"competitionId": ref, "studioId": studio, "studioName": f"Studio {studio}"}
        await do("requestReservation", id=name, spacesRequested=spaces, **given)
        await do("approve", reservationId=name, spacesConfirmed=spaces)

    return send


@pytest.fixture
async def history(do: Do, grant: Do) -> None:
    """A competition `c` with eight entries: approvals 1 to 4, refunds 5 to 7, and the quota raised."""
    await do("createCompetition", id="c", name="C", quota=600)
    for number in range(1, 5):
        await grant(f"r{number}", 10 * number)
    for number in range(1, 4):
        await do("refund", reservationId=f"r{number}", spaces=number, idempotencyKey=f"k{number}")
    await do("setQuota", kind="COMPETITION", ref="c", quota=700, idempotencyKey="k")


async def versions(gateway: Gateway, **variables: Any) -> list[int]:
    """The versions on a page of the ledger of `c`."""
    page = await gateway.send(LEDGER, variables)
    return [edge["node"]["version"] for edge in page["edges"]]


async def refused(gateway: Gateway, document: str) -> str:
    """The code of the only error of a query."""
    (error,) = (await gateway.post(document))["errors"]
    code: str = error["extensions"]["code"]
    return code


# ------------------------------------------------------------------ numbers


@pytest.mark.usefixtures("history")
async def test_a_pool_shows_its_numbers(gateway: Gateway) -> None:
    """What there is, what is taken, and where its ledger began and stands."""
    pool = await gateway.send(
        """{ capacity(kind: COMPETITION, ref: "c") {
          id kind ref title quota oversellMax held confirmed available version openingQuota closedAt
          waitlist { open } openedAt asOf
        } }"""
    )

    assert datetime.fromisoformat(pool.pop("openedAt")) < datetime.fromisoformat(pool.pop("asOf"))
    assert pool == {
        "id": "competition:c",
        "kind": "COMPETITION",
        "ref": "c",
        "title": "C",
        "quota": 700,
        "oversellMax": 0,
        "held": 0,
        "confirmed": 94,
        "available": 606,
        "version": 8,
        "openingQuota": 600,
        "closedAt": None,
        "waitlist": None,
    }


async def test_an_unlimited_pool_has_no_quota_and_nothing_left_to_count(gateway: Gateway, do: Do, grant: Do) -> None:
    """What is used is counted all the same, and compared where there is no available."""
    await do("definePool", kind="COMPETITION", ref="c", unlimited=True)
    await grant("r", 1000)

    pool = await gateway.send(
        """{ capacity(kind: COMPETITION, ref: "c") {
          quota available confirmed
          ledger { edges { node { availableAfter change } } }
          reconciliation { total actualAvailable expectedAvailable discrepancy isAccurate }
          at(time: "2999-01-01T00:00:00Z") { quota available confirmed }
        } }"""
    )

    assert pool == {
        "quota": None,
        "available": None,
        "confirmed": 1000,
        "ledger": {"edges": [{"node": {"availableAfter": None, "change": -1000}}]},
        "reconciliation": {
            "total": None,
            "actualAvailable": None,
            "expectedAvailable": None,
            "discrepancy": 0,
            "isAccurate": True,
        },
        "at": {"quota": None, "available": None, "confirmed": 1000},
    }


async def test_a_quota_may_be_lifted_and_set_again(gateway: Gateway, do: Do, grant: Do) -> None:
    """Through unlimited and back the books balance, and each instant reads its own quota."""
    await do("createCompetition", id="c", name="C", quota=600)
    await grant("r", 100)
    await do("setQuota", kind="COMPETITION", ref="c", unlimited=True, idempotencyKey="lift")
    await do("setQuota", kind="COMPETITION", ref="c", quota=150, idempotencyKey="set")

    pool = await gateway.send(
        """{ capacity(kind: COMPETITION, ref: "c") {
          available reconciliation { discrepancy chainIntact problems { message } }
          ledger { edges { node { quotaChange availableAfter recordedAt } } }
        } }"""
    )
    entries = [edge["node"] for edge in pool["ledger"]["edges"]]
    then = [
        await gateway.send(
            'query ($t: DateTime!) { capacity(kind: COMPETITION, ref: "c") { at(time: $t) { quota available } } }',
            {"t": entry["recordedAt"]},
        )
        for entry in entries
    ]

    assert pool["reconciliation"] == {"discrepancy": 0, "chainIntact": True, "problems": []}
    assert [(entry["quotaChange"], entry["availableAfter"]) for entry in entries] == [(150, 50), (-600, None), (0, 500)]
    assert [snapshot["at"]["quota"] for snapshot in then] == [150, None, 600]


async def test_a_limit_and_none_is_no_input(gateway: Gateway) -> None:
    """Neither both nor neither."""
    document = """mutation ($input: DefinePoolInput!) {
      definePool(input: $input) { ... on InvalidInputError { field } } }"""
    answers = [
        await gateway.send(document, {"input": {"kind": "COMPETITION", "ref": "c", **limits}})
        for limits in ({}, {"quota": 1, "unlimited": True}, {"quota": -1})
    ]

    assert answers == [{"field": "quota"}] * 3


# ------------------------------------------------------------------ pages of pools


async def test_pools_come_page_by_page_in_the_order_of_their_ids(gateway: Gateway, do: Do) -> None:
    """One kind or all; what is added behind the cursor is on the next page."""
    for ref in ("a", "c", "e"):
        await do("createCompetition", id=ref, name=ref, quota=1)
    await do("definePool", gateway.login("ada", "admin"), kind="SESSION", ref="s", quota=1)
    document = """query ($kind: PoolKind, $after: String) { pools(kind: $kind, first: 2, after: $after) {
      edges { node { id } } pageInfo { hasNextPage hasPreviousPage endCursor } } }"""

    first = await gateway.send(document, {"kind": "COMPETITION"})
    await do("createCompetition", id="b", name="b", quota=1)
    await do("createCompetition", id="d", name="d", quota=1)
    second = await gateway.send(document, {"kind": "COMPETITION", "after": first["pageInfo"]["endCursor"]})
    third = await gateway.send(document, {"after": second["pageInfo"]["endCursor"]})

    assert [[edge["node"]["id"] for edge in page["edges"]] for page in (first, second, third)] == [
        ["competition:a", "competition:c"],
        ["competition:d", "competition:e"],
        ["session:s"],
    ]
    assert [(p["pageInfo"]["hasNextPage"], p["pageInfo"]["hasPreviousPage"]) for p in (first, second, third)] == [
        (True, False),
        (False, True),
        (False, True),
    ]


async def test_reservations_come_page_by_page_in_the_order_they_came(gateway: Gateway, do: Do, grant: Do) -> None:
    """All, or those of one status."""
    await do("createCompetition", id="c", name="C", quota=600)
    for name in ("z", "y", "x"):
        await grant(name, 1)
    await do("cancelReservation", reservationId="y")
    document = """query ($after: String, $status: ReservationStatus) { competition(id: "c") {
      reservations(first: 2, after: $after, status: $status) {
        edges { node { id studioName } } pageInfo { hasNextPage endCursor } } } }"""

    first = (await gateway.send(document))["reservations"]
    second = (await gateway.send(document, {"after": first["pageInfo"]["endCursor"]}))["reservations"]
    approved = (await gateway.send(document, {"status": "APPROVED"}))["reservations"]

    assert [[edge["node"]["id"] for edge in page["edges"]] for page in (first, second, approved)] == [
        ["z", "y"],
        ["x"],
        ["z", "x"],
    ]
    assert [page["pageInfo"]["hasNextPage"] for page in (first, second, approved)] == [True, False, False]


# ------------------------------------------------------------------ the ledger


@pytest.mark.usefixtures("history")
async def test_the_ledger_is_newest_first(gateway: Gateway) -> None:
    """Versions without gaps, and how many there are in all."""
    page = await gateway.send(LEDGER)

    assert [edge["node"]["version"] for edge in page["edges"]] == [8, 7, 6, 5, 4, 3, 2, 1]
    assert page["totalCount"] == 8
    assert page["pageInfo"] == {
        "hasNextPage": False,
        "hasPreviousPage": False,
        "startCursor": page["edges"][0]["cursor"],
        "endCursor": page["edges"][-1]["cursor"],
    }


@pytest.mark.usefixtures("history")
async def test_an_entry_says_all_about_its_change(gateway: Gateway) -> None:
    """What it did, to whose share, by whom, why, under which key, and when."""
    await gateway.send(
        DOCUMENTS["refund"],
        {"input": {"reservationId": "r4", "spaces": 7, "note": "fewer groups", "idempotencyKey": "key"}},
    )
    page = await gateway.send(
        """{ ledger(kind: COMPETITION, ref: "c", first: 1) { edges { node {
          id version change quotaChange heldChange confirmedChange availableAfter reason claimId subject subjectTitle
          note actor idempotencyKey effectiveAt recordedAt pool { ref }
        } } } }"""
    )

    (entry,) = (edge["node"] for edge in page["edges"])
    assert entry.pop("effectiveAt") == entry.pop("recordedAt")
    assert entry == {
        "id": "competition:c/9",
        "version": 9,
        "change": 7,
        "quotaChange": 0,
        "heldChange": 0,
        "confirmedChange": -7,
        "availableAfter": 613,
        "reason": "SUMMARY_REFUND",
        "claimId": "r4",
        "subject": "r4",
        "subjectTitle": "Studio s",
        "note": "fewer groups",
        "actor": "dora",
        "idempotencyKey": "key",
        "pool": {"ref": "c"},
    }


@pytest.mark.usefixtures("history")
async def test_cursors_stay_true_while_entries_are_added(gateway: Gateway, do: Do) -> None:
    """Each page goes on behind the last, however many came in front; every entry is seen once."""
    seen, after = [], None
    for number in range(3):
        page = await gateway.send(LEDGER, {"first": 3, "after": after})
        seen += [edge["node"]["version"] for edge in page["edges"]]
        after = page["pageInfo"]["endCursor"]
        await do("refund", reservationId="r4", spaces=1, idempotencyKey=f"more{number}")

    assert seen == [8, 7, 6, 5, 4, 3, 2, 1]
    assert (page["pageInfo"]["hasNextPage"], page["pageInfo"]["hasPreviousPage"], page["totalCount"]) == (
        False,
        True,
        10,
    )


@pytest.mark.usefixtures("history")
async def test_every_filter_leaves_what_it_says(gateway: Gateway, do: Do) -> None:
    """Alone and together; with one there is no totalCount, and pages go on within it."""
    await do("refund", gateway.login("dave"), reservationId="r1", spaces=1, idempotencyKey="dave")
    times = await gateway.send('{ ledger(kind: COMPETITION, ref: "c") { edges { node { effectiveAt } } } }')
    at = [edge["node"]["effectiveAt"] for edge in reversed(times["edges"])]

    for only, expected in (
        ({}, [9, 8, 7, 6, 5, 4, 3, 2, 1]),
        ({"reasons": ["SUMMARY_REFUND"]}, [9, 7, 6, 5]),
        ({"reasons": ["SUMMARY_REFUND", "QUOTA_CHANGE"]}, [9, 8, 7, 6, 5]),
        ({"reasons": []}, []),
        ({"subject": "r1"}, [9, 5, 1]),
        ({"actor": "dave"}, [9]),
        ({"actor": "nobody"}, []),
        ({"since": at[6]}, [9, 8, 7]),
        ({"until": at[2]}, [2, 1]),
        ({"since": at[2], "until": at[5]}, [5, 4, 3]),
        ({"subject": "r1", "reasons": ["SUMMARY_REFUND"], "actor": "dora", "since": at[0]}, [5]),
    ):
        page = await gateway.send(LEDGER, {"filter": only})
        assert ([edge["node"]["version"] for edge in page["edges"]], page["totalCount"]) == (expected, None), only
    page = await gateway.send(LEDGER, {"filter": {"subject": "r1"}, "first": 2})
    assert await versions(gateway, filter={"subject": "r1"}, after=page["pageInfo"]["endCursor"]) == [1]


@pytest.mark.usefixtures("history")
async def test_a_page_has_1_to_100_rows(gateway: Gateway) -> None:
    """Every list says so."""
    for field in (
        'ledger(kind: COMPETITION, ref: "c", first: {0})',
        "ledgerActivity(first: {0})",
        "pools(first: {0})",
        "competitions(first: {0})",
        "myClaims(first: {0})",
        "reconcile(first: {0})",
    ):
        for size in (1, 100):
            assert "errors" not in await gateway.post(f"{{ {field.format(size)} {{ edges {{ cursor }} }} }}")
        for size in (0, -1, 101, 2147483647):
            assert await refused(gateway, f"{{ {field.format(size)} {{ totalCount }} }}") == "BAD_USER_INPUT", field


@pytest.mark.usefixtures("history")
async def test_what_is_no_cursor_is_bad_user_input(gateway: Gateway) -> None:
    """Nor is one of another list."""
    cursor = (await gateway.send("{ ledgerActivity(first: 1) { pageInfo { endCursor } } }"))["pageInfo"]["endCursor"]
    for wrong in ("", "x", "ä", "W10=", "bnVsbA==", "eyJhIjogMX0=", cursor):
        document = f'{{ ledger(kind: COMPETITION, ref: "c", after: "{wrong}") {{ totalCount }} }}'
        assert await refused(gateway, document) == "BAD_USER_INPUT", wrong
        document = f'{{ pools(after: "{wrong}") {{ totalCount }} }}'
        assert await refused(gateway, document) == "BAD_USER_INPUT", wrong


@pytest.mark.usefixtures("history")
async def test_the_hashes_follow_by_the_formula_that_is_given(gateway: Gateway) -> None:
    """From exported fields alone, by whoever has them."""
    pool = await gateway.send(
        """{ capacity(kind: COMPETITION, ref: "c") { id openingQuota ledger { edges { node {
          version quotaChange heldChange confirmedChange availableAfter reason claimId subject actor idempotencyKey
          effectiveAt recordedAt hash
        } } } } }"""
    )

    before = hashlib.sha256(f"{pool['id']}\n{pool['openingQuota']}".encode()).hexdigest()
    for edge in reversed(pool["ledger"]["edges"]):
        *fields, found = edge["node"].values()
        text = "\n".join(["" if value is None else str(value) for value in (before, pool["id"], *fields)])
        before = hashlib.sha256(text.encode()).hexdigest()
        assert before == found


async def test_the_activity_is_the_latest_of_all_pools(gateway: Gateway, do: Do, grant: Do) -> None:
    """Newest first over pools, filtered, with cursors that stay true; a move's two entries have one time."""
    for ref in ("c", "d"):
        await do("createCompetition", id=ref, name=ref, quota=600)
    await grant("a", 10, "c")
    await grant("b", 20, "d")
    await do("moveReservation", reservationId="a", toCompetitionId="d", idempotencyKey="k")
    document = """query ($after: String, $filter: LedgerFilter) {
      ledgerActivity(first: 2, after: $after, filter: $filter, kind: COMPETITION) {
        totalCount pageInfo { hasNextPage endCursor } edges { node { id change } } } }"""

    first = await gateway.send(document)
    await do("refund", reservationId="b", spaces=1, idempotencyKey="k")
    second = await gateway.send(document, {"after": first["pageInfo"]["endCursor"]})
    moves = await gateway.send(document, {"filter": {"subject": "a", "reasons": ["MOVE_IN"]}})

    assert [{edge["node"]["id"] for edge in page["edges"]} for page in (first, second, moves)] == [
        {"competition:c/2", "competition:d/2"},
        {"competition:d/1", "competition:c/1"},
        {"competition:d/2"},
    ]
    assert (first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"], first["totalCount"]) == (
        True,
        False,
        None,
    )


# ------------------------------------------------------------------ one's own


async def test_my_claims_are_live_and_newest_first(gateway: Gateway, do: Do, grant: Do) -> None:
    """Over all pools, waiting ones too; what has ended is gone; others' are not there."""
    for ref in ("c", "d"):
        await do("createCompetition", id=ref, name=ref, quota=600)
    await grant("one", 10, "c")
    await grant("two", 20, "d")
    await grant("other", 20, "d", studio="t")
    await grant("over", 5, "d")
    await do("cancelReservation", reservationId="over")
    waiting = {"id": "three", "competitionId": "d", "studioId": "s", "spacesRequested": 7}
    await do("requestReservation", **waiting)
    headers = gateway.login("stella", "studio", studioId="s")
    document = """query ($after: String) { myClaims(first: 2, after: $after) {
      edges { node { id state quantity holder subject pool { ref } } } pageInfo { hasNextPage endCursor } } }"""

    first = await gateway.send(document, headers=headers)
    second = await gateway.send(document, {"after": first["pageInfo"]["endCursor"]}, headers)
    sessions = await gateway.send("{ myClaims(kind: SESSION) { edges { cursor } } }", headers=headers)

    assert [edge["node"] for page in (first, second) for edge in page["edges"]] == [
        {"id": name, "state": state, "quantity": size, "holder": "s", "subject": name, "pool": {"ref": ref}}
        for name, state, size, ref in (
            ("three", "WAITING", 7, "d"),
            ("two", "CONFIRMED", 20, "d"),
            ("one", "CONFIRMED", 10, "c"),
        )
    ]
    assert sessions == {"edges": []}


async def test_mine_is_the_oldest_live_claim_in_a_pool(gateway: Gateway, do: Do, grant: Do) -> None:
    """And null for who has none."""
    await do("createCompetition", id="c", name="C", quota=600)
    for name in ("one", "two", "three"):
        await grant(name, 10)
    await do("cancelReservation", reservationId="one")
    document = '{ capacity(kind: COMPETITION, ref: "c") { mine { id } } }'

    mine = await gateway.send(document, headers=gateway.login("stella", "studio", studioId="s"))

    assert mine == {"mine": {"id": "two"}}
    assert await gateway.send(document) == {"mine": None}
    assert await gateway.send(document, headers={}) == {"mine": None}


# ------------------------------------------------------------------ as it stood

AT = """query ($time: DateTime!) { capacity(kind: COMPETITION, ref: "c") {
  at(time: $time) { time version quota held confirmed available } } }"""


async def at(gateway: Gateway, time: datetime) -> dict[str, Any]:
    """The competition `c` as it stood."""
    snapshot: dict[str, Any] = (await gateway.send(AT, {"time": time.isoformat()}))["at"]
    return snapshot


@pytest.mark.usefixtures("history")
async def test_a_pool_reads_as_it_stood_at_any_instant(gateway: Gateway) -> None:
    """From each entry's own microsecond on it counts, and not one earlier."""
    page = await gateway.send(
        '{ ledger(kind: COMPETITION, ref: "c") { edges { node { version availableAfter recordedAt } } } }'
    )
    before = (600, 0)
    for edge in reversed(page["edges"]):
        entry = edge["node"]
        moment = datetime.fromisoformat(entry["recordedAt"])

        just_before, then = [await at(gateway, moment - timedelta(microseconds=early)) for early in (1, 0)]

        assert (just_before["available"], just_before["version"]) == before
        assert datetime.fromisoformat(then["time"]) == moment
        before = (then["available"], then["version"])
        assert before == (entry["availableAfter"], entry["version"])


@pytest.mark.usefixtures("history")
async def test_before_its_opening_a_pool_reads_as_opened_and_in_the_future_as_now(gateway: Gateway) -> None:
    """The opening quota and version 0; and a time that is not past the database's clock."""
    asked = datetime.fromisoformat("2001-01-01T00:00:00+00:00"), datetime.fromisoformat("2999-01-01T00:00:00+00:00")

    past, future = [await at(gateway, time) for time in asked]

    assert past == {
        "time": "2001-01-01T00:00:00.000000+00:00",
        "version": 0,
        "quota": 600,
        "held": 0,
        "confirmed": 0,
        "available": 600,
    }
    assert datetime.fromisoformat(future.pop("time")) < asked[1]
    assert future == {"version": 8, "quota": 700, "held": 0, "confirmed": 94, "available": 606}


async def test_a_backfill_changes_what_the_past_reads(gateway: Gateway, capacity: Capacity, do: Do, grant: Do) -> None:
    """From when the spaces were approved on, though it is the last version; before that all is as it was."""
    await do("createCompetition", id="c", name="C", quota=600)
    legacy = datetime.fromisoformat("2025-10-28T23:06:28+00:00")
    take = Take(
        kind=PoolKind.COMPETITION,
        pool_id="competition:c",
        claim_id="orphan",
        holder="s",
        quantity=50,
        reason=LedgerReason.RESERVATION_APPROVAL,
        to_stage="APPROVED",
        facts={"spaces_requested": 50},
        effective_at=legacy,
        unledgered=True,
    )
    await capacity.record(TENANT, take, Attribution(operation="import", actor="legacy"), CapacityChange)
    await grant("r", 100)
    moments = [legacy - timedelta(microseconds=1), legacy, legacy + timedelta(days=1)]

    before = [(await at(gateway, time))["available"] for time in moments]
    await do("backfill", reservationId="orphan")
    after = [(await at(gateway, time))["available"] for time in moments]
    now = await at(gateway, datetime.fromisoformat("2999-01-01T00:00:00+00:00"))

    assert (before, after) == ([600, 600, 600], [600, 550, 550])
    assert (now["available"], now["version"]) == (450, 2)


async def test_a_hold_that_is_due_is_over_for_every_reader(
    gateway: Gateway, capacity: Capacity, do: Do, pause: Any
) -> None:
    """Expiry needs no sweeper: the read settles it, and its entry counts from when it ran out."""
    await do("createCompetition", id="c", name="C", quota=600)
    hold = Hold(
        kind=PoolKind.COMPETITION,
        pool_id="competition:c",
        claim_id="h",
        holder="dora",
        quantity=7,
        ttl_seconds=2,
    )
    await capacity.submit(TENANT, [hold], Attribution(operation="test", actor="dora"), CapacityChange)
    document = '{ capacity(kind: COMPETITION, ref: "c") { held available version mine { id state } } }'

    studio = gateway.login("ada", "studio", studioId="dora")

    held = await gateway.send(document, headers=studio)
    await pause(2.05)
    over = await gateway.send(document, headers=studio)
    page = await gateway.send('{ ledger(kind: COMPETITION, ref: "c") { edges { node { reason actor change } } } }')

    assert held == {"held": 7, "available": 593, "version": 1, "mine": {"id": "h", "state": "HELD"}}
    assert over == {"held": 0, "available": 600, "version": 2, "mine": None}
    assert page["edges"][0]["node"] == {"reason": "EXPIRY", "actor": None, "change": 7}


# ------------------------------------------------------------------ reconcile


async def test_reconcile_goes_page_by_page_or_to_one_pool(gateway: Gateway, do: Do) -> None:
    """In the order of the pools' ids."""
    for ref in ("c", "d", "e"):
        await do("createCompetition", id=ref, name=ref, quota=600)
    document = """query ($kind: PoolKind, $ref: ID, $after: String) {
      reconcile(kind: $kind, ref: $ref, first: 2, after: $after) {
      edges { node { total pool { ref } } } pageInfo { hasNextPage endCursor } } }"""

    first = await gateway.send(document)
    second = await gateway.send(document, {"after": first["pageInfo"]["endCursor"]})
    one = await gateway.send(document, {"kind": "COMPETITION", "ref": "d"})
    none = await gateway.send(document, {"kind": "COMPETITION", "ref": "x"})

    assert [[edge["node"]["pool"]["ref"] for edge in page["edges"]] for page in (first, second, one, none)] == [
        ["c", "d"],
        ["e"],
        ["d"],
        [],
    ]
    assert (first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"]) == (True, False)


async def test_reconciling_a_ref_of_no_kind_is_bad_user_input(gateway: Gateway, do: Do) -> None:
    """It names no pool."""
    await do("createCompetition", id="c", name="C", quota=600)

    assert await refused(gateway, '{ reconcile(ref: "nowhere") { totalCount } }') == "BAD_USER_INPUT"


# ------------------------------------------------------------------ one snapshot


async def test_all_numbers_of_an_answer_are_of_one_instant(gateway: Gateway, do: Do, grant: Do) -> None:
    """Counter, ledger, claims and history agree in every answer while writers run."""
    await do("createCompetition", id="c", name="C", quota=600)
    await grant("r", 300)
    document = """{ capacity(kind: COMPETITION, ref: "c") {
      available version mine { id }
      reconciliation { actualAvailable expectedAvailable discrepancy ledgerEntryCount problems { message } }
      ledger(first: 1) { totalCount edges { node { version availableAfter } } }
      at(time: "2999-01-01T00:00:00Z") { available version }
    } again: capacity(kind: COMPETITION, ref: "c") { available }
      one: reservation(id: "r") { spacesConfirmed } }"""

    async def write(writer: int) -> None:
        for number in range(15):
            await do("refund", reservationId="r", spaces=1, idempotencyKey=f"{writer}-{number}")

    writers = asyncio.gather(*(write(writer) for writer in range(3)))
    seen = set()
    while not writers.done():
        data = (await gateway.post(document))["data"]
        pool = data["capacity"]
        left, version = pool["available"], pool["version"]
        assert pool["reconciliation"] == {
            "actualAvailable": left,
            "expectedAvailable": left,
            "discrepancy": 0,
            "ledgerEntryCount": version,
            "problems": [],
        }
        assert pool["ledger"] == {
            "totalCount": version,
            "edges": [{"node": {"version": version, "availableAfter": left}}],
        }
        assert pool["at"] == {"available": left, "version": version}
        assert (data["again"]["available"], data["one"]["spacesConfirmed"]) == (left, 600 - left)
        seen.add(version)
    await writers

    assert len(seen) > 1  # there were changes meanwhile


# ------------------------------------------------------------------ what a read costs

PAGE = """query ($first: Int!) { competitions(first: $first) { edges { node {
  name
  pool {
    available mine { id } ledger(first: 3) { edges { node { version pool { id } } } }
    at(time: "2999-01-01T00:00:00Z") { available } MORE
  }
  reservations(first: 3) { edges { node {
    id competition { id } ledger(first: 3) { edges { node { change pool { ref } } } }
  } } }
} } } }"""


@pytest.fixture
async def many(do: Do, grant: Do) -> None:
    """Fifty competitions, each with an approved reservation of studio `s`."""
    for number in range(50):
        await do("createCompetition", id=f"c{number}", name=f"C {number}", quota=600)
        await grant(f"r{number}", 10, f"c{number}")


@pytest.mark.usefixtures("many")
async def test_a_page_of_fifty_costs_as_many_statements_as_one_of_five(owner_url: str) -> None:
    """Pools, own claims, history, ledger, reconciliation and reservations, each for all in one statement."""
    counts = []
    async with listening(owner_url) as (gateway, statements):
        for first in (5, 50):
            statements.clear()
            page = await gateway.send(
                PAGE.replace("MORE", "reconciliation { discrepancy pool { id } }"), {"first": first}
            )
            assert len(page["edges"]) == first
            counts.append(len(statements))

    assert counts[0] == counts[1]
    assert 5 < counts[0] < 20


@pytest.mark.usefixtures("many")
async def test_a_page_costs_a_studio_no_more(owner_url: str) -> None:
    """Fewer rights are no more statements."""
    counts = []
    async with listening(owner_url) as (gateway, statements):
        for first in (5, 50):
            statements.clear()
            headers = gateway.login("stella", "studio", studioId="s")
            page = await gateway.send(PAGE.replace("MORE", ""), {"first": first}, headers)
            assert len(page["edges"]) == first
            counts.append(len(statements))

    assert counts[0] == counts[1]


# ------------------------------------------------------------------ busy


async def test_a_read_that_cannot_be_had_in_time_is_busy(owner_url: str, owner: asyncpg.Connection) -> None:
    """At top level, with how long to wait; afterwards it is answered."""
    name = await owner.fetchval("SELECT current_database()")
    await owner.execute(f"ALTER ROLE capacity_app IN DATABASE {name} SET lock_timeout = '100ms'")
    async with running(owner_url) as gateway:
        async with owner.transaction():
            await owner.execute("LOCK TABLE capacity.pool")
            busy = await gateway.post("{ pools { edges { cursor } } }")
        free = await gateway.post("{ pools { edges { cursor } } }")

    assert (busy["data"], [error["extensions"] for error in busy["errors"]]) == (
        None,
        [{"code": "BUSY", "retryAfterMs": 250}],
    )
    assert free == {"data": {"pools": {"edges": []}}}


async def test_all_of_an_answer_is_busy_when_one_read_is(owner_url: str, owner: asyncpg.Connection) -> None:
    """The snapshot is over; no field of it is a bug."""
    name = await owner.fetchval("SELECT current_database()")
    await owner.execute(f"ALTER ROLE capacity_app IN DATABASE {name} SET lock_timeout = '100ms'")
    async with running(owner_url) as gateway, owner.transaction():
        await owner.execute("LOCK TABLE capacity.ledger")
        answer = await gateway.post(
            '{ ledgerActivity { edges { cursor } } competition(id: "c") { id } reservation(id: "r") { id } }'
        )

    assert {error["extensions"]["code"] for error in answer["errors"]} == {"BUSY"}


# ------------------------------------------------------------------ who has places, and who waits

CLAIMS = """
query ($states: [ClaimState!], $first: Int! = 50, $after: String) {
  capacity(kind: COMPETITION, ref: "c") {
    claims(states: $states, first: $first, after: $after) {
      edges { node { id title quantity state } } pageInfo { hasNextPage endCursor }
    }
  }
}
"""
LINE = """
query ($first: Int! = 50, $after: String) {
  capacity(kind: COMPETITION, ref: "c") {
    line(first: $first, after: $after) { edges { node { id quantity } } pageInfo { hasNextPage endCursor } }
  }
}
"""


async def ids(gateway: Gateway, document: str, **variables: Any) -> list[list[str]]:
    """The ids on all pages of a pool's claims or line."""
    pages: list[list[str]] = []
    while True:
        (page,) = (await gateway.send(document, variables)).values()
        pages.append([edge["node"]["id"] for edge in page["edges"]])
        if not page["pageInfo"]["hasNextPage"]:
            return pages
        variables |= {"after": page["pageInfo"]["endCursor"]}


@pytest.mark.usefixtures("history")
async def test_a_pool_shows_its_claims_page_by_page(gateway: Gateway) -> None:
    """In the order they came, whatever has become of them."""
    assert await ids(gateway, CLAIMS, first=3) == [["r1", "r2", "r3"], ["r4"]]


@pytest.mark.usefixtures("history")
async def test_claims_are_chosen_by_their_state(gateway: Gateway, do: Do) -> None:
    """Who has places is told apart from who gave them back."""
    await do("cancelReservation", reservationId="r2", idempotencyKey="cancel")

    assert await ids(gateway, CLAIMS, states=["HELD", "CONFIRMED"]) == [["r1", "r3", "r4"]]
    assert await ids(gateway, CLAIMS, states=["RELEASED"]) == [["r2"]]
    assert await ids(gateway, CLAIMS, states=[]) == [[]]


async def test_the_line_of_a_pool_begins_with_the_next(gateway: Gateway, do: Do) -> None:
    """Those who wait, in the order of the queue, page by page."""
    await do("createCompetition", id="c", name="C", quota=600)
    for name in ("b", "c", "a"):
        await do("requestReservation", id=name, competitionId="c", studioId="s", spacesRequested=1)
    await do("approve", reservationId="b", spacesConfirmed=1)

    assert await ids(gateway, LINE, first=1) == [["c"], ["a"]]


@pytest.mark.usefixtures("history")
@pytest.mark.parametrize("field", ["claims", "line"])
async def test_claims_are_shown_to_who_may_read_the_whole_ledger(gateway: Gateway, field: str) -> None:
    """A studio sees its own by other ways, and nobody's here."""
    document = f'{{ capacity(kind: COMPETITION, ref: "c") {{ mayGovern {field} {{ totalCount }} }} }}'
    studio = await gateway.post(document, headers=gateway.login("s", "studio", studioId="s"))

    assert studio["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert studio["data"]["capacity"] == {"mayGovern": False, field: None}
    assert (await gateway.send(document))["mayGovern"]


# ------------------------------------------------------------------ repair


REPAIR = """
mutation ($key: String) {
  repairPool(input: { kind: COMPETITION, ref: "c", note: "a crash", idempotencyKey: $key }) {
    __typename
    ... on PoolSuccess {
      replayed pool { confirmed version } entries { version reason claimId confirmedChange actor note }
    }
    ... on InvalidTransitionError { from attempted message replayed }
  }
}
"""
APART = (
    "UPDATE capacity.pool SET confirmed = confirmed + 7",
    "UPDATE capacity.claim SET quantity = quantity + 2 WHERE id = 'r'",
)


@pytest.fixture
async def apart(do: Do, grant: Do, owner: asyncpg.Connection) -> None:
    """A competition of 600 with 40 granted, whose counter and whose claim have since moved by themselves."""
    await do("createCompetition", id="c", name="C", quota=600)
    await grant("r", 40)
    for statement in APART:
        await owner.execute(statement)


@pytest.mark.usefixtures("apart")
async def test_a_repair_brings_ledger_and_counter_to_the_claims_once(
    gateway: Gateway, owner: asyncpg.Connection
) -> None:
    """By an entry for the claim; with the key again it is the same answer, whatever has come apart since."""
    done = await gateway.send(REPAIR, {"key": "k"})

    assert (done["__typename"], done["replayed"], done["pool"]) == (
        "PoolSuccess",
        False,
        {"confirmed": 42, "version": 2},
    )
    (entry,) = done["entries"]
    assert entry == {
        "version": 2,
        "reason": "REPAIR",
        "claimId": "r",
        "confirmedChange": 2,
        "actor": "dora",
        "note": "a crash",
    }
    assert await check_invariants(owner) == []
    await owner.execute(APART[0])
    again = await gateway.send(REPAIR, {"key": "k"})
    assert (again["replayed"], again["entries"], again["pool"]["confirmed"]) == (True, done["entries"], 49)
    anew = [await gateway.send(REPAIR, {"key": key}) for key in ("l", None)]
    assert [(answer["replayed"], answer["pool"]["confirmed"]) for answer in anew] == [(False, 42), (True, 42)]
    assert [len(answer["entries"]) for answer in anew] == [1, 0]


@pytest.mark.usefixtures("apart")
async def test_a_ledger_that_does_not_follow_is_left_to_the_databases_owner(
    gateway: Gateway, owner: asyncpg.Connection
) -> None:
    """Who may not seal it changes nothing."""
    await owner.execute("UPDATE capacity.ledger SET actor = 'somebody else'")
    before = await owner.fetch("SELECT * FROM capacity.pool"), await owner.fetch("SELECT * FROM capacity.ledger")

    refused = await gateway.send(REPAIR, {"key": "k"})

    assert (refused["__typename"], refused["from"], refused["attempted"]) == (
        "InvalidTransitionError",
        "BROKEN",
        "repairPool",
    )
    assert (
        await owner.fetch("SELECT * FROM capacity.pool"),
        await owner.fetch("SELECT * FROM capacity.ledger"),
    ) == before
    assert await owner.fetchval("SELECT count(*) FROM capacity.seal") == 0
    assert (await gateway.send(REPAIR, {"key": "k"}))["replayed"] is True
