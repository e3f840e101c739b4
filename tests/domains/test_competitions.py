"""Competitions: studios reserve, directors approve, what is not used comes back."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import asyncpg
import pytest

from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.commands import Attribution, Take
from capacity_gateway.kernel.outcomes import CapacityChange
from capacity_gateway.kernel.vocabulary import LedgerReason, PoolKind
from conftest import TENANT, Gateway, running

Ask = Callable[..., Coroutine[Any, Any, Any]]

LARGEST = 2**31 - 1

INPUTS = {
    "createCompetition": "CreateCompetitionInput",
    "requestReservation": "RequestReservationInput",
    "approve": "ApproveInput",
    "refund": "RefundInput",
    "submitSummary": "SubmitSummaryInput",
    "adjustReservation": "AdjustReservationInput",
    "moveReservation": "MoveReservationInput",
    "requestSpaces": "RequestSpacesInput",
    "backfill": "BackfillInput",
    "setQuota": "SetQuotaInput",
    "closePool": "PoolRefInput",
    "openPool": "PoolRefInput",
}
REFUSALS = {
    "InsufficientCapacityError": "pool { available version } judgedVersion requested available cause",
    "InvalidTransitionError": "pool { available } from attempted allowed",
    "NotFoundError": "ref",
    "InvalidInputError": "field",
    "PoolClosedError": "pool { closedAt } opensAt",
    "RefundExceedsClaimError": "pool { available } requested refundable",
    "QuotaBelowUseError": "pool { quota } inUse requestedQuota",
    "IdempotencyConflictError": "firstSeenAt",
    "GatewayBusyError": "outcome",
}
LACKING = {
    "createCompetition": ("Insufficient", "InvalidTransition", "PoolClosed", "RefundExceeds", "QuotaBelowUse"),
    "requestReservation": ("Insufficient", "InvalidTransition", "RefundExceeds", "QuotaBelowUse"),
    "refund": ("Insufficient", "PoolClosed", "QuotaBelowUse"),
    "setQuota": ("Insufficient", "PoolClosed", "RefundExceeds"),
    "closePool": ("Insufficient", "PoolClosed", "RefundExceeds"),
    "openPool": ("Insufficient", "PoolClosed", "RefundExceeds"),
}
POOL_OPERATIONS = ("createCompetition", "setQuota", "closePool", "openPool")


def document(operation: str) -> str:
    """A mutation that selects all that a test may ask about."""
    lacking = LACKING.get(operation, ("RefundExceeds", "QuotaBelowUse"))
    refusals = "\n".join(
        f"... on {name} {{ {fields} }}" for name, fields in REFUSALS.items() if not name.startswith(lacking)
    )
    success = "... on PoolSuccess { pool { id title quota oversellMax closedAt } }"
    if operation not in POOL_OPERATIONS:
        success = """... on ReservationSuccess {
          overbookedBy
          reservation { id status spacesConfirmed spacesApproved entriesUsed pendingSpaces approvedBy }
        }"""
    return f"""
    mutation ($input: {INPUTS.get(operation, "ReservationRefInput")}!) {{
      {operation}(input: $input) {{
        __typename
        ... on CapacityChange {{
          replayed pool {{ ref available version }}
          entries {{ version change reason note actor subject pool {{ ref }} }}
        }}
        {success}
        ... on CapacityError {{ code message retry retryAfterMs replayed }}
        {refusals}
      }}
    }}"""


@pytest.fixture
def ask(gateway: Gateway) -> Ask:
    """Send a mutation whose input has these fields; by default as a director."""

    async def send(operation: str, headers: dict[str, str] | None = None, **given: Any) -> Any:
        return await gateway.send(document(operation), {"input": given}, headers)

    return send


@pytest.fixture
def open_competition(ask: Ask) -> Ask:
    """Make a competition, `c` unless named, with reservations that wait: so many spaces by id."""

    async def make(quota: int, ref: str = "c", oversell_max: int = 0, **spaces: int) -> None:
        made = await ask("createCompetition", id=ref, name=ref.upper(), quota=quota, oversellMax=oversell_max)
        assert made["__typename"] == "PoolSuccess"
        requests = [
            ask("requestReservation", id=name, competitionId=ref, studioId=f"of-{name}"[:255], spacesRequested=asked)
            for name, asked in spaces.items()
        ]
        for requested in await asyncio.gather(*requests):
            assert requested["__typename"] == "ReservationSuccess"

    return make


@pytest.fixture
def approved(ask: Ask, open_competition: Ask) -> Ask:
    """Make a competition, `c` unless named, with reservations that are approved: so many spaces by id."""

    async def make(quota: int, ref: str = "c", **spaces: int) -> None:
        await open_competition(quota, ref, **spaces)
        for name, granted in spaces.items():
            answer = await ask("approve", reservationId=name, spacesConfirmed=granted)
            assert answer["__typename"] == "ReservationSuccess"

    return make


@pytest.fixture
def persist(ask: Ask) -> Ask:
    """Ask, and ask again while the gateway is busy, as the refusal advises."""

    async def send(operation: str, **given: Any) -> Any:
        while True:
            answer = await ask(operation, **given)
            if answer["__typename"] != "GatewayBusyError":
                return answer
            assert answer["retry"] == "SAME_KEY"

    return send


@pytest.fixture
def legacy(capacity: Capacity) -> Ask:
    """Bring in an approved reservation as the legacy left it: its counter moved, with no ledger entry."""

    async def bring_in(name: str, spaces: int, ref: str = "c") -> None:
        command = Take(
            kind=PoolKind.COMPETITION,
            pool_id=f"competition:{ref}",
            claim_id=name,
            holder=f"studio-{name}",
            subject=name,
            quantity=spaces,
            reason=LedgerReason.RESERVATION_APPROVAL,
            to_stage="APPROVED",
            facts={"spaces_requested": spaces, "approval": spaces},
            tally="spaces_approved",
            unledgered=True,
        )
        by = Attribution(operation="import", actor="legacy")
        assert isinstance(await capacity.record(TENANT, command, by, CapacityChange), CapacityChange)

    return bring_in


@pytest.fixture(autouse=True)
async def books(gateway: Gateway, request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """After every test every counter, ledger, claim and chain agree, unless the test brings in what does not."""
    yield
    if not {"legacy", "owner"} & set(request.fixturenames):
        page = await gateway.send("{ reconcile { edges { node { pool { id } discrepancy problems { message } } } } }")
        assert [edge["node"] for edge in page["edges"] if edge["node"]["problems"] or edge["node"]["discrepancy"]] == []


async def numbers(gateway: Gateway, ref: str = "c") -> tuple[int, int]:
    """What a competition has left, and how many entries it has."""
    pool = await gateway.send(
        "query ($ref: ID!) { capacity(kind: COMPETITION, ref: $ref) { available version } }", {"ref": ref}
    )
    return pool["available"], pool["version"]


async def reservation(gateway: Gateway, name: str) -> tuple[str, int]:
    """The status of a reservation, and what it holds."""
    found = await gateway.send("query ($id: ID!) { reservation(id: $id) { status spacesConfirmed } }", {"id": name})
    return found["status"], found["spacesConfirmed"]


async def history(gateway: Gateway, name: str) -> list[tuple[int, str]]:
    """Change and reason of all entries of a reservation, oldest first."""
    found = await gateway.send(
        "query ($id: ID!) { reservation(id: $id) { ledger { edges { node { change reason } } } } }", {"id": name}
    )
    return [(edge["node"]["change"], edge["node"]["reason"]) for edge in reversed(found["ledger"]["edges"])]


def moved(answer: Any) -> list[tuple[str, int, str]]:
    """Pool, change and reason of the entries of a success."""
    return [(entry["pool"]["ref"], entry["change"], entry["reason"]) for entry in answer["entries"]]


# ------------------------------------------------------------------ approve


async def test_an_approval_takes_the_spaces_and_writes_one_entry(gateway: Gateway, open_competition: Ask) -> None:
    """The thinnest path: from a mutation to a ledger row."""
    await open_competition(100, r=40)

    answer = await gateway.send(document("approve"), {"input": {"reservationId": "r", "spacesConfirmed": 40}})

    assert answer == {
        "__typename": "ReservationSuccess",
        "replayed": False,
        "overbookedBy": 0,
        "pool": {"ref": "c", "available": 60, "version": 1},
        "entries": [
            {
                "version": 1,
                "change": -40,
                "reason": "RESERVATION_APPROVAL",
                "note": None,
                "actor": "dora",
                "subject": "r",
                "pool": {"ref": "c"},
            }
        ],
        "reservation": {
            "id": "r",
            "status": "APPROVED",
            "spacesConfirmed": 40,
            "spacesApproved": 40,
            "entriesUsed": None,
            "pendingSpaces": None,
            "approvedBy": "dora",
        },
    }


async def test_a_request_takes_nothing(gateway: Gateway, open_competition: Ask) -> None:
    """A pending reservation is a wish: no entry, nothing taken, however large."""
    await open_competition(10, r=5000)

    assert await numbers(gateway) == (10, 0)
    assert await reservation(gateway, "r") == ("PENDING", 0)


async def test_fewer_or_more_than_asked_for_may_be_approved(ask: Ask, open_competition: Ask) -> None:
    """The director decides the number."""
    await open_competition(100, a=40, b=40)

    fewer = await ask("approve", reservationId="a", spacesConfirmed=1)
    more = await ask("approve", reservationId="b", spacesConfirmed=99)

    assert [answer["reservation"]["spacesConfirmed"] for answer in (fewer, more)] == [1, 99]
    assert more["pool"]["available"] == 0


async def test_more_than_is_left_is_refused_with_the_true_numbers(gateway: Gateway, ask: Ask, approved: Ask) -> None:
    """The refusal names what was asked for and what there was; nothing changes."""
    await approved(150, r=100)
    await ask("requestReservation", id="late", competitionId="c", studioId="s", spacesRequested=100)

    answer = await ask("approve", reservationId="late", spacesConfirmed=100)

    assert answer == {
        "__typename": "InsufficientCapacityError",
        "code": "INSUFFICIENT_CAPACITY",
        "message": "100 were asked for and 50 are available",
        "retry": "NEW_KEY",
        "retryAfterMs": None,
        "replayed": False,
        "pool": {"available": 50, "version": 1},
        "judgedVersion": 1,
        "requested": 100,
        "available": 50,
        "cause": "CONFIRMED",
    }
    assert await numbers(gateway) == (50, 1)
    assert await reservation(gateway, "late") == ("PENDING", 0)


async def test_after_a_refusal_without_a_key_one_may_simply_try_again(ask: Ask, approved: Ask) -> None:
    """Natural identity remembers successes only."""
    await approved(100, r=100)
    await ask("requestReservation", id="late", competitionId="c", studioId="s", spacesRequested=10)
    refused = await ask("approve", reservationId="late", spacesConfirmed=10)
    await ask("refund", reservationId="r", spaces=10, idempotencyKey="k")

    granted = await ask("approve", reservationId="late", spacesConfirmed=10)

    assert refused["__typename"] == "InsufficientCapacityError"
    assert granted["__typename"] == "ReservationSuccess"


async def test_approving_the_same_number_again_is_a_replay_with_the_first_entry(
    ask: Ask, open_competition: Ask
) -> None:
    """Done already is a success, with a new key too, and shows what was done then."""
    await open_competition(50, r=50)
    first = await ask("approve", reservationId="r", spacesConfirmed=50)

    again = await ask("approve", reservationId="r", spacesConfirmed=50, idempotencyKey="new")

    assert again == {**first, "replayed": True}


async def test_approving_another_number_is_refused(gateway: Gateway, ask: Ask, approved: Ask) -> None:
    """The portal that this replaces lied with a success; here the state is named and nothing changes."""
    await approved(600, r=50)

    answer = await ask("approve", reservationId="r", spacesConfirmed=80)

    assert answer == {
        "__typename": "InvalidTransitionError",
        "code": "INVALID_TRANSITION",
        "message": "Cannot approve: it must be PENDING (currently APPROVED)",
        "retry": "NEVER",
        "retryAfterMs": None,
        "replayed": False,
        "pool": {"available": 550},
        "from": "APPROVED",
        "attempted": "approve",
        "allowed": ["PENDING"],
    }
    assert await numbers(gateway) == (550, 1)


async def test_approving_again_compares_with_what_was_approved_not_with_the_rest(ask: Ask, approved: Ask) -> None:
    """After a refund of 30 the approval of 100 is still the approval of 100."""
    await approved(600, r=100)
    await ask("refund", reservationId="r", spaces=30, idempotencyKey="k")

    same = await ask("approve", reservationId="r", spacesConfirmed=100)
    rest = await ask("approve", reservationId="r", spacesConfirmed=70)

    assert (same["replayed"], moved(same), same["reservation"]["spacesConfirmed"]) == (
        True,
        [("c", -100, "RESERVATION_APPROVAL")],
        70,
    )
    assert rest["__typename"] == "InvalidTransitionError"


@pytest.mark.parametrize(("ending", "status"), [("cancelReservation", "CANCELLED"), ("rejectReservation", "REJECTED")])
async def test_what_has_ended_is_not_approved(ask: Ask, open_competition: Ask, ending: str, status: str) -> None:
    """A cancelled or rejected reservation stays so."""
    await open_competition(600, r=50)
    await ask(ending, reservationId="r")

    answer = await ask("approve", reservationId="r", spacesConfirmed=50)

    assert (answer["__typename"], answer["from"]) == ("InvalidTransitionError", status)


async def test_an_unknown_reservation_is_not_found(ask: Ask) -> None:
    """The refusal names what was asked for."""
    answer = await ask("approve", reservationId="nowhere", spacesConfirmed=1)

    assert (answer["__typename"], answer["ref"], answer["retry"]) == ("NotFoundError", "nowhere", "NEVER")


async def test_of_two_directors_on_one_pool_exactly_one_succeeds(
    gateway: Gateway, ask: Ask, open_competition: Ask, pause: Any
) -> None:
    """150 free, two approvals of 100 at once, 200 times: never oversold, never both refused."""

    async def approve(name: str) -> Any:
        await pause(random.uniform(0, 0.002))  # noqa: S311 - jitter
        return await ask("approve", reservationId=name, spacesConfirmed=100)

    for number in range(200):
        ref = f"c{number}"
        await open_competition(150, ref, **{f"{ref}-a": 100, f"{ref}-b": 100})

        answers = await asyncio.gather(approve(f"{ref}-a"), approve(f"{ref}-b"))

        refused, granted = sorted(answers, key=lambda answer: answer["__typename"])
        assert (granted["__typename"], granted["pool"]["available"]) == ("ReservationSuccess", 50)
        assert (refused["__typename"], refused["requested"], refused["available"]) == (
            "InsufficientCapacityError",
            100,
            50,
        )
        assert await numbers(gateway, ref) == (50, 1)


async def test_of_twenty_at_once_as_many_succeed_as_fit(gateway: Gateway, persist: Ask, open_competition: Ask) -> None:
    """20 times 10 of 150: fifteen succeed, nothing is left, fifteen entries."""
    names = [f"r{number}" for number in range(20)]
    await open_competition(150, **dict.fromkeys(names, 10))

    answers = await asyncio.gather(*(persist("approve", reservationId=name, spacesConfirmed=10) for name in names))

    assert Counter(answer["__typename"] for answer in answers) == {
        "ReservationSuccess": 15,
        "InsufficientCapacityError": 5,
    }
    assert await numbers(gateway) == (0, 15)


async def test_a_double_click_takes_once_and_answers_twice(gateway: Gateway, ask: Ask, open_competition: Ask) -> None:
    """Both see the approved state, though only 50 were left; the second is told that it was done already."""
    await open_competition(50, r=50)

    answers = await asyncio.gather(*(ask("approve", reservationId="r", spacesConfirmed=50) for _ in range(2)))

    first, second = sorted(answers, key=lambda answer: answer["replayed"])
    assert (first["replayed"], second) == (False, {**first, "replayed": True})
    assert await numbers(gateway) == (0, 1)


async def test_a_double_click_on_two_gateways_takes_once(
    gateway: Gateway, owner_url: str, open_competition: Ask
) -> None:
    """Nothing is remembered in a process: the database alone decides."""
    await open_competition(50, r=50)
    asked = {"input": {"reservationId": "r", "spacesConfirmed": 50, "idempotencyKey": "click"}}

    async with running(owner_url) as other:
        answers = await asyncio.gather(*(g.send(document("approve"), asked) for g in (gateway, other)))

    assert sorted(answer["replayed"] for answer in answers) == [False, True]
    assert await numbers(gateway) == (0, 1)


async def test_approve_racing_cancel_ends_in_one_of_two_true_states(
    gateway: Gateway, ask: Ask, open_competition: Ask
) -> None:
    """Approved with its spaces taken or cancelled with none: never cancelled with spaces outstanding."""
    for number in range(10):
        ref, name = f"c{number}", f"r{number}"
        await open_competition(100, ref, **{name: 60})

        await asyncio.gather(
            ask("approve", reservationId=name, spacesConfirmed=60), ask("cancelReservation", reservationId=name)
        )

        left, _ = await numbers(gateway, ref)
        net = sum(change for change, _ in await history(gateway, name))
        assert (await reservation(gateway, name), left - 100, net) in (
            (("APPROVED", 60), -60, -60),
            (("CANCELLED", 0), 0, 0),
        )


# ------------------------------------------------------------------ refund


async def test_a_refund_gives_back_some(gateway: Gateway, ask: Ask, approved: Ask) -> None:
    """The entry carries reason, note, actor and subject; the reservation keeps the rest."""
    await approved(600, r=100)

    answer = await ask("refund", reservationId="r", spaces=75, note="a smaller team", idempotencyKey="k")

    assert answer["entries"] == [
        {
            "version": 2,
            "change": 75,
            "reason": "SUMMARY_REFUND",
            "note": "a smaller team",
            "actor": "dora",
            "subject": "r",
            "pool": {"ref": "c"},
        }
    ]
    assert await reservation(gateway, "r") == ("APPROVED", 25)


async def test_a_refund_twice_at_once_with_one_key_gives_back_once(gateway: Gateway, ask: Ask, approved: Ask) -> None:
    """One entry, the counter moved once, and the other answer is the same as a replay."""
    await approved(600, r=100)

    answers = await asyncio.gather(*(ask("refund", reservationId="r", spaces=75, idempotencyKey="k") for _ in range(2)))

    first, second = sorted(answers, key=lambda answer: answer["replayed"])
    assert (first["replayed"], second) == (False, {**first, "replayed": True})
    assert await numbers(gateway) == (575, 2)


async def test_a_refund_twice_at_once_with_two_keys_gives_back_no_more_than_is_held(
    gateway: Gateway, ask: Ask, approved: Ask
) -> None:
    """The second is refused with what is left to give back."""
    await approved(600, r=100)

    answers = await asyncio.gather(
        *(ask("refund", reservationId="r", spaces=75, idempotencyKey=key) for key in ("one", "two"))
    )

    refused, granted = sorted(answers, key=lambda answer: answer["__typename"])
    assert granted["__typename"] == "ReservationSuccess"
    assert (refused["__typename"], refused["requested"], refused["refundable"]) == ("RefundExceedsClaimError", 75, 25)
    assert await numbers(gateway) == (575, 2)


async def test_refunds_never_add_up_to_more_than_the_claim(gateway: Gateway, ask: Ask, approved: Ask) -> None:
    """60 of 100, then 50: refused with 40 refundable, and nothing changes."""
    await approved(600, r=100)
    await ask("refund", reservationId="r", spaces=60, idempotencyKey="one")

    answer = await ask("refund", reservationId="r", spaces=50, idempotencyKey="two")

    assert answer == {
        "__typename": "RefundExceedsClaimError",
        "code": "REFUND_EXCEEDS_CLAIM",
        "message": "50 were to be given back and 40 can be",
        "retry": "NEVER",
        "retryAfterMs": None,
        "replayed": False,
        "pool": {"available": 560},
        "requested": 50,
        "refundable": 40,
    }
    assert await history(gateway, "r") == [(-100, "RESERVATION_APPROVAL"), (60, "SUMMARY_REFUND")]


async def test_after_all_is_given_back_nothing_more_can_be(ask: Ask, approved: Ask) -> None:
    """The last space comes back once."""
    await approved(600, r=10)

    full = await ask("refund", reservationId="r", spaces=10, idempotencyKey="one")
    more = await ask("refund", reservationId="r", spaces=1, idempotencyKey="two")

    assert (full["pool"]["available"], full["reservation"]["spacesConfirmed"]) == (600, 0)
    assert (more["__typename"], more["refundable"]) == ("RefundExceedsClaimError", 0)


async def test_a_refund_beyond_the_total_is_refused(
    gateway: Gateway, ask: Ask, open_competition: Ask, owner: asyncpg.Connection
) -> None:
    """A legacy claim for which no counter ever moved has nothing to give back: 600 of 600 stays 600."""
    await open_competition(600, r=50)
    await owner.execute("UPDATE capacity.claim SET state = 'confirmed', stage = 'APPROVED', confirmed_at = now()")

    answer = await ask("refund", reservationId="r", spaces=50, idempotencyKey="k")

    assert (answer["__typename"], answer["refundable"]) == ("RefundExceedsClaimError", 0)
    assert await numbers(gateway) == (600, 0)
    assert await reservation(gateway, "r") == ("APPROVED", 50)


async def test_a_refund_has_one_of_three_reasons(ask: Ask, approved: Ask) -> None:
    """And the entry has it; a reason that belongs to something else is invalid input."""
    await approved(600, r=100)

    answers = {
        reason.value: await ask("refund", reservationId="r", spaces=1, reason=reason.value, idempotencyKey=reason.value)
        for reason in LedgerReason
    }

    right = ("SUMMARY_REFUND", "RESERVATION_CANCELLATION", "MANUAL_ADJUSTMENT")
    assert [moved(answers.pop(reason)) for reason in right] == [[("c", 1, reason)] for reason in right]
    assert {(answer["__typename"], answer["field"]) for answer in answers.values()} == {("InvalidInputError", "reason")}


async def test_a_pending_reservation_has_nothing_to_refund(ask: Ask, open_competition: Ask) -> None:
    """The refusal says in which states there is."""
    await open_competition(600, r=10)

    answer = await ask("refund", reservationId="r", spaces=1, idempotencyKey="k")

    assert (answer["__typename"], answer["from"], answer["allowed"]) == (
        "InvalidTransitionError",
        "PENDING",
        ["APPROVED", "SUMMARIZED", "INVOICED", "CLOSED"],
    )


# ------------------------------------------------------------------ summaries


@pytest.mark.parametrize(("used", "back"), [(0, [100]), (60, [40]), (99, [1]), (100, [])])
async def test_a_summary_gives_back_what_is_unused(
    gateway: Gateway, ask: Ask, approved: Ask, used: int, back: list[int]
) -> None:
    """With reason SUMMARY_REFUND, and no entry where all is used."""
    await approved(600, r=100)

    answer = await ask("submitSummary", reservationId="r", entriesUsed=used)

    assert moved(answer) == [("c", change, "SUMMARY_REFUND") for change in back]
    assert answer["reservation"]["entriesUsed"] == used
    assert await reservation(gateway, "r") == ("SUMMARIZED", used)
    assert (await numbers(gateway))[0] == 600 - used


async def test_using_more_than_confirmed_is_refused_with_the_true_numbers(
    gateway: Gateway, ask: Ask, approved: Ask
) -> None:
    """No tolerance: the portal's five uncharged entries were drift."""
    await approved(600, r=100)

    answer = await ask("submitSummary", reservationId="r", entriesUsed=101)

    assert (answer["__typename"], answer["field"]) == ("InvalidInputError", "entriesUsed")
    assert answer["message"] == "entriesUsed is 101, but only 100 are confirmed"
    assert await reservation(gateway, "r") == ("APPROVED", 100)


async def test_a_summary_twice_at_once_gives_back_once(gateway: Gateway, ask: Ask, approved: Ask) -> None:
    """The same number again is a replay; another number is refused."""
    await approved(600, r=100)

    answers = await asyncio.gather(*(ask("submitSummary", reservationId="r", entriesUsed=60) for _ in range(2)))
    other = await ask("submitSummary", reservationId="r", entriesUsed=50)

    first, second = sorted(answers, key=lambda answer: answer["replayed"])
    assert (first["replayed"], second) == (False, {**first, "replayed": True})
    assert (other["__typename"], other["from"]) == ("InvalidTransitionError", "SUMMARIZED")
    assert await numbers(gateway) == (540, 2)


async def test_a_summary_again_shows_the_summary_s_own_entry_only(ask: Ask, approved: Ask) -> None:
    """A refund before it has the same reason, and is not what the summary did."""
    await approved(600, r=100)
    await ask("refund", reservationId="r", spaces=10, idempotencyKey="k")
    first = await ask("submitSummary", reservationId="r", entriesUsed=60)

    again = await ask("submitSummary", reservationId="r", entriesUsed=60)

    assert again["entries"] == first["entries"]


@pytest.mark.parametrize("further", [[], ["markInvoiced"], ["markInvoiced", "closeReservation"]])
async def test_reopening_takes_back_what_the_summary_gave_back(
    gateway: Gateway, ask: Ask, approved: Ask, further: list[str]
) -> None:
    """From SUMMARIZED, INVOICED and CLOSED; the summary's number is forgotten."""
    await approved(600, r=100)
    await ask("submitSummary", reservationId="r", entriesUsed=60)
    for operation in further:
        await ask(operation, reservationId="r")

    answer = await ask("reopenSummary", reservationId="r", note="two more groups")

    assert moved(answer) == [("c", -40, "MANUAL_ADJUSTMENT")]
    assert answer["entries"][0]["note"] == "two more groups"
    assert (answer["reservation"]["status"], answer["reservation"]["entriesUsed"]) == ("APPROVED", None)
    assert await reservation(gateway, "r") == ("APPROVED", 100)


async def test_reopening_is_refused_with_the_numbers_when_the_pool_has_filled_meanwhile(
    gateway: Gateway, ask: Ask, open_competition: Ask
) -> None:
    """40 came back, 30 of them went to another: 40 are wanted and 10 are there."""
    await open_competition(100, r=100, other=30)
    await ask("approve", reservationId="r", spacesConfirmed=100)
    await ask("submitSummary", reservationId="r", entriesUsed=60)
    await ask("approve", reservationId="other", spacesConfirmed=30)

    answer = await ask("reopenSummary", reservationId="r")

    assert (answer["__typename"], answer["requested"], answer["available"]) == ("InsufficientCapacityError", 40, 10)
    assert await reservation(gateway, "r") == ("SUMMARIZED", 60)


async def test_reopening_leaves_a_refund_alone(gateway: Gateway, ask: Ask, approved: Ask) -> None:
    """What a director gave back after the summary did not come back with it, and is not taken again."""
    await approved(600, r=100)
    await ask("submitSummary", reservationId="r", entriesUsed=60)
    await ask("refund", reservationId="r", spaces=10, idempotencyKey="k")

    answer = await ask("reopenSummary", reservationId="r")

    assert moved(answer) == [("c", -40, "MANUAL_ADJUSTMENT")]
    assert await reservation(gateway, "r") == ("APPROVED", 90)


async def test_a_reopened_summary_may_be_submitted_anew(ask: Ask, approved: Ask) -> None:
    """With another number."""
    await approved(600, r=100)
    await ask("submitSummary", reservationId="r", entriesUsed=60)
    await ask("reopenSummary", reservationId="r")

    answer = await ask("submitSummary", reservationId="r", entriesUsed=90)

    assert (moved(answer), answer["pool"]["available"]) == ([("c", 10, "SUMMARY_REFUND")], 510)


async def test_reopening_without_a_summary_is_refused(ask: Ask, approved: Ask) -> None:
    """There is nothing to undo."""
    await approved(600, r=100)

    answer = await ask("reopenSummary", reservationId="r")

    assert (answer["__typename"], answer["from"]) == ("InvalidTransitionError", "APPROVED")


async def test_invoicing_and_closing_move_no_capacity(gateway: Gateway, ask: Ask, approved: Ask) -> None:
    """SUMMARIZED, INVOICED, CLOSED: the workflow goes on, the ledger stays; each again is a replay."""
    await approved(600, r=100)
    early = await ask("markInvoiced", reservationId="r")
    await ask("submitSummary", reservationId="r", entriesUsed=60)

    answers = [
        await ask(operation, reservationId="r")
        for operation in ("markInvoiced", "markInvoiced", "closeReservation", "closeReservation")
    ]

    assert (early["__typename"], early["from"], early["allowed"]) == (
        "InvalidTransitionError",
        "APPROVED",
        ["SUMMARIZED"],
    )
    assert [(answer["reservation"]["status"], answer["replayed"], answer["entries"]) for answer in answers] == [
        ("INVOICED", False, []),
        ("INVOICED", True, []),
        ("CLOSED", False, []),
        ("CLOSED", True, []),
    ]
    assert await numbers(gateway) == (540, 2)


# ------------------------------------------------------------------ cancel and reject


@pytest.mark.parametrize(("ending", "status"), [("cancelReservation", "CANCELLED"), ("rejectReservation", "REJECTED")])
async def test_ending_an_approved_reservation_gives_back_all_once(
    gateway: Gateway, ask: Ask, approved: Ask, ending: str, status: str
) -> None:
    """Twice at once: one entry of what is outstanding, and the second answer is a replay."""
    await approved(600, r=100)
    await ask("refund", reservationId="r", spaces=30, idempotencyKey="k")

    answers = await asyncio.gather(*(ask(ending, reservationId="r", note="injured") for _ in range(2)))

    first, second = sorted(answers, key=lambda answer: answer["replayed"])
    assert (moved(first), first["entries"][0]["note"]) == ([("c", 70, "RESERVATION_CANCELLATION")], "injured")
    assert (first["replayed"], second) == (False, {**first, "replayed": True})
    assert await reservation(gateway, "r") == (status, 0)
    assert await numbers(gateway) == (600, 3)


async def test_a_cancellation_again_shows_its_own_entry_only(ask: Ask, approved: Ask) -> None:
    """A refund before it may have the same reason, and is not what the cancellation did."""
    await approved(600, r=100)
    await ask("refund", reservationId="r", spaces=30, reason="RESERVATION_CANCELLATION", idempotencyKey="k")
    first = await ask("cancelReservation", reservationId="r")

    again = await ask("cancelReservation", reservationId="r")

    assert again["entries"] == first["entries"]


@pytest.mark.parametrize("ending", ["cancelReservation", "rejectReservation"])
async def test_ending_a_pending_reservation_moves_nothing(
    gateway: Gateway, ask: Ask, open_competition: Ask, ending: str
) -> None:
    """There was nothing to give back."""
    await open_competition(600, r=100)

    answer = await ask(ending, reservationId="r")

    assert (answer["replayed"], answer["entries"]) == (False, [])
    assert await numbers(gateway) == (600, 0)


@pytest.mark.parametrize("further", [[], ["markInvoiced"], ["closeReservation"]])
async def test_cancelling_after_the_summary_gives_back_what_is_used(
    ask: Ask, approved: Ask, further: list[str]
) -> None:
    """The portal released nothing then."""
    await approved(600, r=100)
    await ask("submitSummary", reservationId="r", entriesUsed=60)
    for operation in further:
        await ask(operation, reservationId="r")

    answer = await ask("cancelReservation", reservationId="r")

    assert (moved(answer), answer["pool"]["available"]) == ([("c", 60, "RESERVATION_CANCELLATION")], 600)


async def test_a_summarized_reservation_is_not_rejected(ask: Ask, approved: Ask) -> None:
    """It can be cancelled; a no comes before the summary."""
    await approved(600, r=100)
    await ask("submitSummary", reservationId="r", entriesUsed=60)

    answer = await ask("rejectReservation", reservationId="r")

    assert (answer["__typename"], answer["from"], answer["allowed"]) == (
        "InvalidTransitionError",
        "SUMMARIZED",
        ["PENDING", "APPROVED"],
    )


async def test_what_is_cancelled_is_not_rejected_nor_the_other_way_round(ask: Ask, open_competition: Ask) -> None:
    """Each is done again only by itself."""
    await open_competition(600, a=1, b=1)
    await ask("cancelReservation", reservationId="a")
    await ask("rejectReservation", reservationId="b")

    rejected = await ask("rejectReservation", reservationId="a")
    cancelled = await ask("cancelReservation", reservationId="b")

    assert (rejected["__typename"], rejected["from"]) == ("InvalidTransitionError", "CANCELLED")
    assert (cancelled["__typename"], cancelled["from"]) == ("InvalidTransitionError", "REJECTED")


# ------------------------------------------------------------------ adjust


@pytest.mark.parametrize(
    ("number", "entries", "ever"),
    [
        (130, [("c", -30, "ADJUSTMENT_INCREASE")], 130),
        (70, [("c", 30, "ADJUSTMENT_DECREASE")], 100),
        (0, [("c", 100, "ADJUSTMENT_DECREASE")], 100),
        (100, [], 100),
    ],
)
async def test_an_adjustment_brings_to_another_number(
    gateway: Gateway, ask: Ask, approved: Ask, number: int, entries: list[Any], ever: int
) -> None:
    """Up, down, to nothing, or to what it is; spacesApproved sums up what was ever approved."""
    await approved(600, r=100)

    answer = await ask("adjustReservation", reservationId="r", spacesConfirmed=number, idempotencyKey="k")

    assert moved(answer) == entries
    assert answer["reservation"]["spacesApproved"] == ever
    assert await reservation(gateway, "r") == ("APPROVED", number)
    assert (await numbers(gateway))[0] == 600 - number


async def test_an_adjustment_beyond_what_is_left_is_refused(gateway: Gateway, ask: Ask, approved: Ask) -> None:
    """Only the difference is wanted: 70 of 50."""
    await approved(150, r=100)

    answer = await ask("adjustReservation", reservationId="r", spacesConfirmed=170, idempotencyKey="k")

    assert (answer["__typename"], answer["requested"], answer["available"]) == ("InsufficientCapacityError", 70, 50)
    assert await reservation(gateway, "r") == ("APPROVED", 100)


async def test_two_adjustments_at_once_are_done_one_after_the_other(gateway: Gateway, ask: Ask, approved: Ask) -> None:
    """An adjustment names the number, so whichever comes last stands, and the counter agrees."""
    await approved(600, r=100)

    await asyncio.gather(
        *(
            ask("adjustReservation", reservationId="r", spacesConfirmed=number, idempotencyKey=str(number))
            for number in (20, 40, 60, 80)
        )
    )

    _, holds = await reservation(gateway, "r")
    assert holds in (20, 40, 60, 80)
    assert (await numbers(gateway))[0] == 600 - holds


async def test_only_an_approved_reservation_is_adjusted(ask: Ask, open_competition: Ask) -> None:
    """A pending one is approved instead."""
    await open_competition(600, r=100)

    answer = await ask("adjustReservation", reservationId="r", spacesConfirmed=50, idempotencyKey="k")

    assert (answer["__typename"], answer["from"], answer["allowed"]) == (
        "InvalidTransitionError",
        "PENDING",
        ["APPROVED"],
    )


# ------------------------------------------------------------------ move


async def test_a_move_writes_an_entry_on_both_sides(
    gateway: Gateway, ask: Ask, approved: Ask, open_competition: Ask
) -> None:
    """All it holds leaves the one and arrives in the other, in one step; the answer shows where it is now."""
    await approved(600, r=100)
    await open_competition(100, "d")

    answer = await ask(
        "moveReservation", reservationId="r", toCompetitionId="d", note="another weekend", idempotencyKey="k"
    )

    assert moved(answer) == [("c", 100, "MOVE_OUT"), ("d", -100, "MOVE_IN")]
    assert {entry["note"] for entry in answer["entries"]} == {"another weekend"}
    assert answer["pool"] == {"ref": "d", "available": 0, "version": 1}
    assert await numbers(gateway, "c") == (600, 2)
    assert await reservation(gateway, "r") == ("APPROVED", 100)
    assert await history(gateway, "r") == [(-100, "RESERVATION_APPROVAL"), (100, "MOVE_OUT"), (-100, "MOVE_IN")]


async def test_a_move_to_where_there_is_no_room_is_refused(
    gateway: Gateway, ask: Ask, approved: Ask, open_competition: Ask
) -> None:
    """With the numbers of the competition that is short, and nothing leaves the other."""
    await approved(600, r=100)
    await open_competition(99, "d")

    answer = await ask("moveReservation", reservationId="r", toCompetitionId="d", idempotencyKey="k")

    assert (answer["__typename"], answer["requested"], answer["available"]) == ("InsufficientCapacityError", 100, 99)
    assert [await numbers(gateway, ref) for ref in "cd"] == [(500, 1), (99, 0)]


async def test_a_move_to_where_it_is_is_a_replay(gateway: Gateway, ask: Ask, approved: Ask) -> None:
    """It is there already."""
    await approved(600, r=100)

    answer = await ask("moveReservation", reservationId="r", toCompetitionId="c", idempotencyKey="k")

    assert (answer["replayed"], answer["entries"]) == (True, [])
    assert await numbers(gateway) == (500, 1)


async def test_a_pending_reservation_moves_without_an_entry(gateway: Gateway, ask: Ask, open_competition: Ask) -> None:
    """What was never taken is not shifted, however little room there is."""
    await open_competition(600, r=100)
    await open_competition(10, "d")

    answer = await ask("moveReservation", reservationId="r", toCompetitionId="d", idempotencyKey="k")

    assert (answer["pool"]["ref"], answer["entries"]) == ("d", [])
    assert [await numbers(gateway, ref) for ref in "cd"] == [(600, 0), (10, 0)]


async def test_a_move_to_nowhere_names_the_competition(gateway: Gateway, ask: Ask, approved: Ask) -> None:
    """And not the reservation, which is there."""
    await approved(600, r=100)

    answer = await ask("moveReservation", reservationId="r", toCompetitionId="nowhere", idempotencyKey="k")

    assert (answer["__typename"], answer["ref"]) == ("NotFoundError", "nowhere")
    assert await numbers(gateway) == (500, 1)


async def test_moves_in_opposite_directions_do_not_wait_for_each_other_for_ever(
    gateway: Gateway, persist: Ask, approved: Ask
) -> None:
    """Pools are locked in one order: what crosses is done, and both pools are full again afterwards."""
    await approved(100, "c", a=100)
    await approved(100, "d", b=40)

    there, back = await asyncio.gather(
        persist("moveReservation", reservationId="a", toCompetitionId="d", idempotencyKey="a"),
        persist("moveReservation", reservationId="b", toCompetitionId="c", idempotencyKey="b"),
    )

    assert {there["__typename"], back["__typename"]} <= {"ReservationSuccess", "InsufficientCapacityError"}
    assert sum([(await numbers(gateway, ref))[0] for ref in "cd"]) == 60


# ------------------------------------------------------------------ further spaces


async def test_further_spaces_are_asked_for_and_approved(gateway: Gateway, ask: Ask, approved: Ask) -> None:
    """Asking takes nothing; approving takes them and forgets the request."""
    await approved(600, r=100)

    asked = await ask("requestSpaces", reservationId="r", spaces=20, idempotencyKey="k")
    granted = await ask("approveSpaces", reservationId="r")

    assert (asked["entries"], asked["reservation"]["pendingSpaces"]) == ([], 20)
    assert moved(granted) == [("c", -20, "SPACE_REQUEST_APPROVED")]
    assert (granted["reservation"]["pendingSpaces"], granted["reservation"]["spacesApproved"]) == (None, 120)
    assert await reservation(gateway, "r") == ("APPROVED", 120)


async def test_a_second_request_for_spaces_replaces_the_first(ask: Ask, approved: Ask) -> None:
    """One request is open at a time."""
    await approved(600, r=100)
    await ask("requestSpaces", reservationId="r", spaces=20, idempotencyKey="one")
    await ask("requestSpaces", reservationId="r", spaces=5, idempotencyKey="two")

    granted = await ask("approveSpaces", reservationId="r")

    assert granted["reservation"]["spacesConfirmed"] == 105


async def test_spaces_approved_twice_at_once_are_taken_once(gateway: Gateway, ask: Ask, approved: Ask) -> None:
    """The second finds no request any more."""
    await approved(600, r=100)
    await ask("requestSpaces", reservationId="r", spaces=20, idempotencyKey="k")

    answers = await asyncio.gather(*(ask("approveSpaces", reservationId="r") for _ in range(2)))

    assert {answer["__typename"] for answer in answers} == {"ReservationSuccess", "InvalidTransitionError"}
    assert await numbers(gateway) == (480, 2)


async def test_denied_spaces_are_forgotten(gateway: Gateway, ask: Ask, approved: Ask) -> None:
    """No entry, and nothing is left to approve or to deny."""
    await approved(600, r=100)
    await ask("requestSpaces", reservationId="r", spaces=20, idempotencyKey="k")

    denied = await ask("denySpaces", reservationId="r")
    again = [await ask(operation, reservationId="r") for operation in ("denySpaces", "approveSpaces")]

    assert (denied["entries"], denied["reservation"]["pendingSpaces"]) == ([], None)
    assert [(a["__typename"], a["from"]) for a in again] == [("InvalidTransitionError", "APPROVED")] * 2
    assert await numbers(gateway) == (500, 1)


async def test_further_spaces_beyond_what_is_left_are_refused_and_stay_asked_for(ask: Ask, approved: Ask) -> None:
    """A refusal changes nothing: after a refund elsewhere the same request is granted."""
    await approved(150, r=100, other=40)
    await ask("requestSpaces", reservationId="r", spaces=20, idempotencyKey="k")

    refused = await ask("approveSpaces", reservationId="r")
    await ask("refund", reservationId="other", spaces=10, idempotencyKey="k")
    granted = await ask("approveSpaces", reservationId="r")

    assert (refused["__typename"], refused["requested"], refused["available"]) == ("InsufficientCapacityError", 20, 10)
    assert granted["reservation"]["spacesConfirmed"] == 120


async def test_a_pending_reservation_asks_for_no_further_spaces(ask: Ask, open_competition: Ask) -> None:
    """It has none yet."""
    await open_competition(600, r=100)

    answer = await ask("requestSpaces", reservationId="r", spaces=20, idempotencyKey="k")

    assert (answer["__typename"], answer["from"]) == ("InvalidTransitionError", "PENDING")


# ------------------------------------------------------------------ overbooking and quotas


async def test_a_director_may_overbook_knowingly(ask: Ask, open_competition: Ask) -> None:
    """The success says by how much; everybody else is refused until there is room again, and refunds still work."""
    await open_competition(100, r=110, late=1)

    answer = await ask("approve", reservationId="r", spacesConfirmed=110, allowOverbooking=True)
    late = await ask("approve", reservationId="late", spacesConfirmed=1)
    refund = await ask("refund", reservationId="r", spaces=4, idempotencyKey="k")

    assert (answer["overbookedBy"], answer["pool"]["available"]) == (10, -10)
    assert (late["__typename"], late["available"], late["message"]) == (
        "InsufficientCapacityError",
        -10,
        "1 were asked for and 0 are available",
    )
    assert (refund["overbookedBy"], refund["pool"]["available"]) == (6, -6)


async def test_overbooking_is_not_needed_where_there_is_room(ask: Ask, open_competition: Ask) -> None:
    """Allowed is not done: overbookedBy is 0 within the quota."""
    await open_competition(100, r=100)

    answer = await ask("approve", reservationId="r", spacesConfirmed=100, allowOverbooking=True)

    assert (answer["overbookedBy"], answer["pool"]["available"]) == (0, 0)


async def test_a_competition_may_be_oversold_by_its_own_rule(ask: Ask, open_competition: Ask) -> None:
    """Up to oversellMax beyond the quota and not one further, with overbookedBy in the success."""
    await open_competition(100, oversell_max=10, r=100, s=10, late=1)

    answers = [
        await ask("approve", reservationId=name, spacesConfirmed=spaces)
        for name, spaces in (("r", 100), ("s", 10), ("late", 1))
    ]

    assert [answer.get("overbookedBy") for answer in answers] == [0, 10, None]
    assert (answers[2]["__typename"], answers[2]["available"]) == ("InsufficientCapacityError", -10)


async def test_overbookings_at_once_are_all_counted(gateway: Gateway, persist: Ask, open_competition: Ask) -> None:
    """Ten directors who all overbook: the last one hears of all ten."""
    names = [f"r{number}" for number in range(10)]
    await open_competition(10, **dict.fromkeys(names, 5))

    answers = await asyncio.gather(
        *(persist("approve", reservationId=name, spacesConfirmed=5, allowOverbooking=True) for name in names)
    )

    assert sorted(answer["overbookedBy"] for answer in answers) == [0, 0, *range(5, 45, 5)]
    assert await numbers(gateway) == (-40, 10)


async def test_a_quota_below_use_is_refused(gateway: Gateway, ask: Ask, approved: Ask) -> None:
    """With what is in use; nothing changes."""
    await approved(600, r=510)

    answer = await ask("setQuota", kind="COMPETITION", ref="c", quota=500, idempotencyKey="k")

    assert (answer["__typename"], answer["inUse"], answer["requestedQuota"], answer["pool"]) == (
        "QuotaBelowUseError",
        510,
        500,
        {"quota": 600},
    )
    assert await numbers(gateway) == (90, 1)


async def test_a_quota_below_use_is_set_when_asked_for(ask: Ask, approved: Ask) -> None:
    """Nobody is thrown out: approvals are refused, refunds work, and raising it again restores."""
    await approved(600, r=510)
    await ask("requestReservation", id="late", competitionId="c", studioId="s", spacesRequested=1)

    lowered = await ask("setQuota", kind="COMPETITION", ref="c", quota=500, allowBelowUse=True, idempotencyKey="down")
    refused = await ask("approve", reservationId="late", spacesConfirmed=1)
    refund = await ask("refund", reservationId="r", spaces=5, idempotencyKey="k")
    raised = await ask("setQuota", kind="COMPETITION", ref="c", quota=600, idempotencyKey="up")
    granted = await ask("approve", reservationId="late", spacesConfirmed=1)

    assert (lowered["pool"]["available"], moved(lowered)) == (-10, [("c", -100, "QUOTA_CHANGE")])
    assert (refused["__typename"], refused["available"]) == ("InsufficientCapacityError", -10)
    assert (refund["pool"]["available"], raised["pool"]["available"]) == (-5, 95)
    assert granted["__typename"] == "ReservationSuccess"


async def test_a_quota_lowered_while_spaces_are_approved_never_ends_below_use(
    gateway: Gateway, persist: Ask, open_competition: Ask
) -> None:
    """Without allowBelowUse either the quota or the approval gives way."""
    await open_competition(100, r=80)

    await asyncio.gather(
        persist("approve", reservationId="r", spacesConfirmed=80),
        persist("setQuota", kind="COMPETITION", ref="c", quota=50, idempotencyKey="k"),
    )

    assert (await numbers(gateway))[0] in (20, 50)


# ------------------------------------------------------------------ closing and opening


async def test_a_closed_competition_lets_nobody_in(ask: Ask, open_competition: Ask) -> None:
    """No request, no approval, no raise; giving back works; opened again all is as before."""
    await open_competition(600, r=100, late=10)
    await ask("approve", reservationId="r", spacesConfirmed=100)

    closed = await ask("closePool", kind="COMPETITION", ref="c")
    refused = [
        await ask("requestReservation", competitionId="c", studioId="s", spacesRequested=1),
        await ask("approve", reservationId="late", spacesConfirmed=10),
        await ask("adjustReservation", reservationId="r", spacesConfirmed=101, idempotencyKey="up"),
    ]
    lowered = await ask("adjustReservation", reservationId="r", spacesConfirmed=90, idempotencyKey="down")
    refunded = await ask("refund", reservationId="r", spaces=10, idempotencyKey="k")
    opened = await ask("openPool", kind="COMPETITION", ref="c")
    granted = await ask("approve", reservationId="late", spacesConfirmed=10)

    assert closed["pool"]["closedAt"] is not None
    assert [(r["__typename"], r["code"], r["opensAt"]) for r in refused] == [
        ("PoolClosedError", "POOL_CLOSED", None)
    ] * 3
    assert refused[0]["pool"]["closedAt"] == closed["pool"]["closedAt"]
    assert (lowered["replayed"], refunded["replayed"]) == (False, False)
    assert (opened["pool"]["closedAt"], granted["__typename"]) == (None, "ReservationSuccess")


async def test_closing_and_opening_again_are_replays(ask: Ask, open_competition: Ask) -> None:
    """The moment of the first closing stays; each is written down the first time."""
    await open_competition(600)

    closed = [await ask("closePool", kind="COMPETITION", ref="c") for _ in range(2)]
    opened = [await ask("openPool", kind="COMPETITION", ref="c") for _ in range(2)]

    assert [answer["replayed"] for answer in (*closed, *opened)] == [False, True, False, True]
    assert closed[0]["pool"] == closed[1]["pool"]
    reasons = [[entry["reason"] for entry in answer["entries"]] for answer in (*closed, *opened)]
    assert reasons == [["CLOSE"], [], ["OPEN"], []]


async def test_a_closed_competition_is_not_moved_to(
    gateway: Gateway, ask: Ask, approved: Ask, open_competition: Ask
) -> None:
    """And out of a closed one a reservation may go."""
    await approved(600, r=100)
    await open_competition(600, "d")
    await ask("closePool", kind="COMPETITION", ref="d")

    refused = await ask("moveReservation", reservationId="r", toCompetitionId="d", idempotencyKey="there")
    await ask("openPool", kind="COMPETITION", ref="d")
    await ask("closePool", kind="COMPETITION", ref="c")
    done = await ask("moveReservation", reservationId="r", toCompetitionId="d", idempotencyKey="again")

    assert (refused["__typename"], done["__typename"]) == ("PoolClosedError", "ReservationSuccess")
    assert [(await numbers(gateway, ref))[0] for ref in "cd"] == [600, 500]


# ------------------------------------------------------------------ creating and requesting again


async def test_creating_again_with_the_same_input_is_a_replay(ask: Ask) -> None:
    """Twice at once as well: one is made."""
    given = {"id": "c", "name": "C", "quota": 600}

    answers = await asyncio.gather(*(ask("createCompetition", **given) for _ in range(2)))

    assert sorted(answer["replayed"] for answer in answers) == [False, True]
    assert answers[0]["pool"] == answers[1]["pool"]


async def test_creating_again_with_other_input_is_refused(ask: Ask) -> None:
    """The id is taken."""
    given = {"id": "c", "name": "C", "quota": 600}
    await ask("createCompetition", **given)

    answers = [
        await ask("createCompetition", **given | other) for other in ({"name": "D"}, {"quota": 601}, {"oversellMax": 1})
    ]

    assert [(answer["__typename"], answer["field"]) for answer in answers] == [("InvalidInputError", "id")] * 3


async def test_creating_again_after_the_quota_has_changed_is_still_a_replay(ask: Ask) -> None:
    """What was asked for then was the same; the answer shows the pool as it is now."""
    given = {"id": "c", "name": "C", "quota": 600}
    await ask("createCompetition", **given)
    await ask("setQuota", kind="COMPETITION", ref="c", quota=700, idempotencyKey="k")

    answer = await ask("createCompetition", **given)

    assert (answer["replayed"], answer["pool"]["quota"]) == (True, 700)


async def test_without_an_id_each_competition_is_another(ask: Ask) -> None:
    """Unless the key is the same."""
    answers = [await ask("createCompetition", name="C", quota=1, idempotencyKey=key) for key in ("one", "two", "one")]

    one, two, again = (answer["pool"]["id"] for answer in answers)
    assert (one != two, one == again) == (True, True)


async def test_requesting_again_with_the_same_input_is_a_replay(ask: Ask, open_competition: Ask) -> None:
    """Twice at once as well: there is one reservation, and it goes on as it was."""
    await open_competition(600)
    given = {"id": "r", "competitionId": "c", "studioId": "s", "spacesRequested": 40}

    answers = await asyncio.gather(*(ask("requestReservation", **given) for _ in range(2)))
    await ask("approve", reservationId="r", spacesConfirmed=40)
    later = await ask("requestReservation", **given)

    assert sorted(answer["replayed"] for answer in answers) == [False, True]
    assert (later["replayed"], later["reservation"]["status"]) == (True, "APPROVED")


async def test_requesting_again_with_other_input_is_refused(ask: Ask, open_competition: Ask) -> None:
    """The id is taken, in another competition too."""
    await open_competition(600)
    await open_competition(600, "d")
    given = {"id": "r", "competitionId": "c", "studioId": "s", "spacesRequested": 40}
    await ask("requestReservation", **given)

    answers = [
        await ask("requestReservation", **given | other)
        for other in ({"studioId": "t"}, {"spacesRequested": 41}, {"studioName": "S"}, {"competitionId": "d"})
    ]

    assert [(answer["__typename"], answer["field"]) for answer in answers] == [("InvalidInputError", "id")] * 4


async def test_one_id_requested_in_two_competitions_at_once_is_had_by_one(ask: Ask, open_competition: Ask) -> None:
    """Different pools have different locks; the id is one all the same."""
    await open_competition(600)
    await open_competition(600, "d")
    given = {"id": "r", "studioId": "s", "spacesRequested": 40}

    answers = await asyncio.gather(*(ask("requestReservation", competitionId=ref, **given) for ref in "cd"))

    assert sorted(answer["__typename"] for answer in answers) == ["InvalidInputError", "ReservationSuccess"]


async def test_a_request_for_an_unknown_competition_names_it(ask: Ask) -> None:
    """And makes nothing."""
    answer = await ask("requestReservation", id="r", competitionId="nowhere", studioId="s", spacesRequested=1)

    assert (answer["__typename"], answer["ref"]) == ("NotFoundError", "nowhere")


# ------------------------------------------------------------------ backfill


async def test_a_backfill_writes_the_missing_entry_and_leaves_the_counter(
    gateway: Gateway, ask: Ask, open_competition: Ask, legacy: Ask
) -> None:
    """The discrepancy is cleared; with nothing missing it is a replay of the same entry."""
    await open_competition(600)
    await legacy("r", 50)
    asked = '{ reconcile(kind: COMPETITION, ref: "c") { edges { node { discrepancy problems { kind } } } } }'
    before = await gateway.send(asked)

    first = await ask("backfill", reservationId="r", note="approved by hand")
    again = await ask("backfill", reservationId="r", note="approved by hand")

    assert [edge["node"]["discrepancy"] for edge in before["edges"]] == [-50]
    assert (moved(first), first["pool"]["available"]) == ([("c", -50, "BACKFILL")], 550)
    assert again == {**first, "replayed": True}
    assert (await gateway.send(asked))["edges"] == [{"node": {"discrepancy": 0, "problems": []}}]


async def test_a_backfill_twice_at_once_writes_one_entry(
    gateway: Gateway, ask: Ask, open_competition: Ask, legacy: Ask
) -> None:
    """The second finds nothing missing."""
    await open_competition(600)
    await legacy("r", 50)

    answers = await asyncio.gather(*(ask("backfill", reservationId="r") for _ in range(2)))

    assert sorted(answer["replayed"] for answer in answers) == [False, True]
    assert await numbers(gateway) == (550, 1)


async def test_a_backfill_where_nothing_is_missing_changes_nothing(gateway: Gateway, ask: Ask, approved: Ask) -> None:
    """A success all the same."""
    await approved(600, r=50)

    answer = await ask("backfill", reservationId="r")

    assert (answer["__typename"], answer["replayed"], answer["entries"]) == ("ReservationSuccess", True, [])
    assert await numbers(gateway) == (550, 1)


async def test_an_orphan_that_was_refunded_can_still_be_backfilled(
    gateway: Gateway, ask: Ask, open_competition: Ask, legacy: Ask
) -> None:
    """What it took is written, though it has given some back since."""
    await open_competition(600)
    await legacy("r", 50)
    await ask("refund", reservationId="r", spaces=20, idempotencyKey="k")

    answer = await ask("backfill", reservationId="r")

    assert moved(answer) == [("c", -50, "BACKFILL")]
    assert sum(change for change, _ in await history(gateway, "r")) == -30


@pytest.mark.parametrize("ending", ["cancelReservation", "rejectReservation"])
async def test_an_orphan_that_has_ended_can_still_be_backfilled(
    gateway: Gateway, ask: Ask, open_competition: Ask, legacy: Ask, ending: str
) -> None:
    """Its giving back stands in the ledger without its taking, and nothing else can clear that."""
    await open_competition(600)
    await legacy("r", 50)
    await ask(ending, reservationId="r")

    answer = await ask("backfill", reservationId="r")

    assert answer["__typename"] == "ReservationSuccess"
    assert sum(change for change, _ in await history(gateway, "r")) == 0


# ------------------------------------------------------------------ bad numbers

FIELDS = {
    "createCompetition": ("quota", {"name": "C"}),
    "requestReservation": ("spacesRequested", {"competitionId": "c", "studioId": "s"}),
    "approve": ("spacesConfirmed", {"reservationId": "r"}),
    "refund": ("spaces", {"reservationId": "r", "idempotencyKey": "k"}),
    "submitSummary": ("entriesUsed", {"reservationId": "r"}),
    "adjustReservation": ("spacesConfirmed", {"reservationId": "r", "idempotencyKey": "k"}),
    "requestSpaces": ("spaces", {"reservationId": "r", "idempotencyKey": "k"}),
    "setQuota": ("quota", {"kind": "COMPETITION", "ref": "c", "idempotencyKey": "k"}),
}
MAY_BE_0 = {"createCompetition", "submitSummary", "adjustReservation", "setQuota"}


async def test_numbers_below_the_smallest_are_invalid_input(ask: Ask, open_competition: Ask) -> None:
    """0 where nothing would be asked for, and whatever is negative: the refusal names the field."""
    await open_competition(600, r=10)
    for operation, (field, more) in FIELDS.items():
        for wrong in (-5, -LARGEST - 1, *([] if operation in MAY_BE_0 else [0])):
            answer = await ask(operation, **more | {"idempotencyKey": f"k{wrong}", field: wrong})

            assert (answer["__typename"], answer["field"], answer["retry"]) == ("InvalidInputError", field, "NEVER")


async def test_what_is_no_int_of_32_bits_is_no_valid_document(gateway: Gateway) -> None:
    """As a variable and in the document."""
    for operation, (field, more) in FIELDS.items():
        given = ", ".join(f'{n}: "{v}"' for n, v in more.items()).replace('"COMPETITION"', "COMPETITION")
        for wrong, literal in ((2147483648, "2147483648"), (1.5, "1.5"), ("7", '"7"')):
            answers = [
                await gateway.post(document(operation), {"input": {**more, field: wrong}}),
                await gateway.post(
                    f"mutation {{ {operation}(input: {{{given}, {field}: {literal}}}) {{ __typename }} }}"
                ),
            ]

            for answer in answers:
                assert answer["data"] is None
                assert [error["extensions"]["code"] for error in answer["errors"]] == ["GRAPHQL_VALIDATION_FAILED"]


async def test_the_largest_number_is_refused_with_true_numbers(
    gateway: Gateway, ask: Ask, open_competition: Ask
) -> None:
    """2147483647 is a number like any other, and there are not so many."""
    await open_competition(600, r=10, late=10)
    await ask("approve", reservationId="r", spacesConfirmed=10)
    await ask("requestSpaces", reservationId="r", spaces=LARGEST, idempotencyKey="spaces")

    answers = [
        await ask("approve", reservationId="late", spacesConfirmed=LARGEST),
        await ask("adjustReservation", reservationId="r", spacesConfirmed=LARGEST, idempotencyKey="adjust"),
        await ask("approveSpaces", reservationId="r"),
        await ask("refund", reservationId="r", spaces=LARGEST, idempotencyKey="refund"),
        await ask("submitSummary", reservationId="r", entriesUsed=LARGEST),
        await ask("approve", reservationId="late", spacesConfirmed=LARGEST, allowOverbooking=True),
    ]

    assert [answer["__typename"] for answer in answers] == [
        "InsufficientCapacityError",
        "InsufficientCapacityError",
        "InsufficientCapacityError",
        "RefundExceedsClaimError",
        "InvalidInputError",
        "InsufficientCapacityError",
    ]
    assert await numbers(gateway) == (590, 1)


async def test_sums_near_the_largest_number_do_not_wrap(ask: Ask, open_competition: Ask) -> None:
    """A full pool of 2147483647: one more is refused, even knowingly; a quota of 0 below that is a number too."""
    await open_competition(LARGEST, oversell_max=LARGEST, r=LARGEST, late=LARGEST)

    full = await ask("approve", reservationId="r", spacesConfirmed=LARGEST)
    more = [
        await ask("approve", reservationId="late", spacesConfirmed=1, allowOverbooking=allowed)
        for allowed in (False, True)
    ]
    none = await ask("setQuota", kind="COMPETITION", ref="c", quota=0, allowBelowUse=True, idempotencyKey="k")

    assert full["pool"]["available"] == 0
    assert [answer["__typename"] for answer in more] == ["InsufficientCapacityError"] * 2
    assert none["pool"]["available"] == -LARGEST


async def test_what_was_ever_approved_may_pass_the_largest_number(ask: Ask, open_competition: Ask) -> None:
    """Up, down and up again is nothing unusual; the sum of all that must not be the caller's trouble."""
    await open_competition(LARGEST, r=1)
    await ask("approve", reservationId="r", spacesConfirmed=LARGEST)
    await ask("adjustReservation", reservationId="r", spacesConfirmed=0, idempotencyKey="down")

    answer = await ask("adjustReservation", reservationId="r", spacesConfirmed=1, idempotencyKey="up")

    assert answer["reservation"]["spacesConfirmed"] == 1


# ------------------------------------------------------------------ ids and texts


async def test_what_is_no_id_is_invalid_input_that_names_the_field(gateway: Gateway) -> None:
    """1 to 255 printable characters; escapes of the document are looked through."""
    mutations = (
        ("id", 'createCompetition(input: {{id: "{0}", name: "C", quota: 1}})'),
        ("competitionId", 'requestReservation(input: {{competitionId: "{0}", studioId: "s", spacesRequested: 1}})'),
        ("studioId", 'requestReservation(input: {{competitionId: "c", studioId: "{0}", spacesRequested: 1}})'),
        ("reservationId", 'approve(input: {{reservationId: "{0}", spacesConfirmed: 1}})'),
        ("reservationId", 'refund(input: {{reservationId: "{0}", spaces: 1, idempotencyKey: "k"}})'),
        ("idempotencyKey", 'refund(input: {{reservationId: "r", spaces: 1, idempotencyKey: "{0}"}})'),
        (
            "toCompetitionId",
            'moveReservation(input: {{reservationId: "r", toCompetitionId: "{0}", idempotencyKey: "k"}})',
        ),
        ("reservationId", 'backfill(input: {{reservationId: "{0}"}})'),
        ("ref", 'setQuota(input: {{kind: COMPETITION, ref: "{0}", quota: 1, idempotencyKey: "k"}})'),
        ("ref", 'closePool(input: {{kind: COMPETITION, ref: "{0}"}})'),
    )
    for text in ("", "x" * 256, "a\\u0000b", "a\\nb", "a\\u007fb"):
        for number, (field, mutation) in enumerate(mutations):
            asked = mutation.format(text).replace('"k"', f'"{number}{len(text)}{text[-2:-1]}"')
            answer = await gateway.send(f"mutation {{ {asked} {{ ... on InvalidInputError {{ field }} }} }}")

            assert answer == {"field": field}


async def test_an_id_of_255_characters_is_one(ask: Ask, open_competition: Ask) -> None:
    """And so is a key."""
    longest = "ä" * 255
    await open_competition(10, **{longest: 1})

    answer = await ask("approve", reservationId=longest, spacesConfirmed=1, idempotencyKey=longest)

    assert answer["reservation"]["id"] == longest


async def test_what_is_no_text_is_invalid_input_that_names_the_field(gateway: Gateway) -> None:
    """Names and notes are at most 2,000 printable characters."""
    mutations = {
        "name": 'createCompetition(input: {{name: "{0}", quota: 1}})',
        "studioName": """requestReservation(
            input: {{competitionId: "c", studioId: "s", studioName: "{0}", spacesRequested: 1}})""",
        "note": """adjustReservation(
            input: {{reservationId: "r", spacesConfirmed: 1, note: "{0}", idempotencyKey: "{1}"}})""",
    }
    for number, text in enumerate(("a\\u0000b", "x" * 2001, "a\\u0007b")):
        for field, mutation in mutations.items():
            asked = mutation.format(text, number)
            answer = await gateway.send(f"mutation {{ {asked} {{ ... on InvalidInputError {{ field }} }} }}")

            assert answer == {"field": field}


async def test_a_note_may_have_lines(ask: Ask, approved: Ask) -> None:
    """Line feeds and tabs are text, and so are accents and other scripts."""
    await approved(10, r=10)
    note = "Pour l'été:\n\t3 élèves 北京 🩰"

    answer = await ask("refund", reservationId="r", spaces=3, note=note, idempotencyKey="k")

    assert answer["entries"][0]["note"] == note


async def test_a_note_may_be_as_people_type_it(ask: Ask, approved: Ask) -> None:
    """No-break spaces, joined emoji, the non-joiner of Persian, and the line ends of web forms."""
    await approved(10, r=10)
    notes = ["Studio\u00a0Ballet", "\N{WOMAN}\u200d\N{GIRL}", "\u0645\u06cc\u200c\u062e", "two\r\nlines"]

    answers = [
        await ask("refund", reservationId="r", spaces=1, note=note, idempotencyKey=str(number))
        for number, note in enumerate(notes)
    ]

    assert [answer["__typename"] for answer in answers] == ["ReservationSuccess"] * 4


async def test_a_lone_surrogate_is_no_document(gateway: Gateway) -> None:
    """No text has one, so there is nothing to name a field of."""
    for escape in ("\\ud800", "\\udc00\\ud800", "\\u{d800}"):
        answer = await gateway.post(f'mutation {{ backfill(input: {{reservationId: "{escape}"}}) {{ __typename }} }}')

        assert [error["extensions"]["code"] for error in answer["errors"]] == ["GRAPHQL_PARSE_FAILED"]


# ------------------------------------------------------------------ keys


async def test_the_same_key_with_another_input_is_a_conflict(ask: Ask, approved: Ask) -> None:
    """With the moment it was first used; the first answer stays."""
    await approved(600, r=100)
    first = await ask("refund", reservationId="r", spaces=10, idempotencyKey="k")

    other = await ask("refund", reservationId="r", spaces=11, idempotencyKey="k")
    again = await ask("refund", reservationId="r", spaces=10, idempotencyKey="k")

    assert (other["__typename"], other["retry"], other["replayed"]) == ("IdempotencyConflictError", "NEW_KEY", False)
    assert other["firstSeenAt"].endswith("+00:00")
    assert again == {**first, "replayed": True}


async def test_the_same_key_by_another_actor_is_a_conflict(gateway: Gateway, ask: Ask, approved: Ask) -> None:
    """Nobody reads another's answer with a guessed key."""
    await approved(600, r=100)
    await ask("refund", reservationId="r", spaces=10, idempotencyKey="k")

    other = await ask("refund", gateway.login("dave"), reservationId="r", spaces=10, idempotencyKey="k")

    assert other["__typename"] == "IdempotencyConflictError"


async def test_a_key_belongs_to_its_operation(ask: Ask, open_competition: Ask) -> None:
    """The same words for another operation are another key."""
    await open_competition(600, r=100)

    answers = [
        await ask("approve", reservationId="r", spacesConfirmed=100, idempotencyKey="k"),
        await ask("refund", reservationId="r", spaces=10, idempotencyKey="k"),
        await ask("adjustReservation", reservationId="r", spacesConfirmed=50, idempotencyKey="k"),
    ]

    assert [(answer["__typename"], answer["replayed"]) for answer in answers] == [("ReservationSuccess", False)] * 3


async def test_spelling_out_a_default_is_the_same_input(ask: Ask, approved: Ask) -> None:
    """A client may start to send what it left out before."""
    await approved(600, r=100)
    await ask("refund", reservationId="r", spaces=10, idempotencyKey="k")

    again = await ask("refund", reservationId="r", spaces=10, reason="SUMMARY_REFUND", note=None, idempotencyKey="k")

    assert again["replayed"] is True


async def test_one_key_on_two_pools_at_once_is_applied_once(gateway: Gateway, ask: Ask, approved: Ask) -> None:
    """Different pools have different locks; the key is one all the same."""
    await approved(100, "c", a=50)
    await approved(100, "d", b=50)

    answers = await asyncio.gather(
        *(ask("refund", reservationId=name, spaces=10, idempotencyKey="k") for name in ("a", "b"))
    )

    assert sorted(answer["__typename"] for answer in answers) == ["IdempotencyConflictError", "ReservationSuccess"]
    assert sum([(await numbers(gateway, ref))[0] for ref in "cd"]) == 110


async def test_a_replay_shows_the_objects_as_they_are_now(ask: Ask, approved: Ask) -> None:
    """The entries are those of then, pool and reservation those of now."""
    await approved(600, r=100)
    first = await ask("refund", reservationId="r", spaces=10, idempotencyKey="one")
    await ask("refund", reservationId="r", spaces=20, idempotencyKey="two")

    again = await ask("refund", reservationId="r", spaces=10, idempotencyKey="one")

    assert again["entries"] == first["entries"]
    assert (again["pool"]["available"], again["reservation"]["spacesConfirmed"]) == (530, 70)


async def test_a_refusal_is_final_for_its_key(ask: Ask, approved: Ask) -> None:
    """With the same numbers, though there would be room by now; a new key succeeds."""
    await approved(100, r=95)
    await ask("requestReservation", id="late", competitionId="c", studioId="s", spacesRequested=10)
    first = await ask("approve", reservationId="late", spacesConfirmed=10, idempotencyKey="one")
    await ask("refund", reservationId="r", spaces=50, idempotencyKey="k")

    again = await ask("approve", reservationId="late", spacesConfirmed=10, idempotencyKey="one")
    granted = await ask("approve", reservationId="late", spacesConfirmed=10, idempotencyKey="two")

    assert (first["__typename"], first["available"]) == ("InsufficientCapacityError", 5)
    assert {**again, "pool": None} == {**first, "pool": None, "replayed": True}
    assert granted["__typename"] == "ReservationSuccess"


async def test_a_refused_input_is_final_for_its_key(ask: Ask, open_competition: Ask) -> None:
    """The same again is the same refusal; a corrected input needs another key."""
    await open_competition(600, r=10)
    first = await ask("approve", reservationId="r", spacesConfirmed=0, idempotencyKey="k")

    again = await ask("approve", reservationId="r", spacesConfirmed=0, idempotencyKey="k")
    corrected = await ask("approve", reservationId="r", spacesConfirmed=10, idempotencyKey="k")

    assert (first["__typename"], again) == ("InvalidInputError", {**first, "replayed": True})
    assert corrected["__typename"] == "IdempotencyConflictError"


async def test_a_refused_input_sent_twice_at_once_is_remembered_once(ask: Ask) -> None:
    """No pool is locked for it, and both get the one answer."""
    answers = await asyncio.gather(
        *(ask("approve", reservationId="r", spacesConfirmed=-1, idempotencyKey="k") for _ in range(4))
    )

    assert Counter((answer["__typename"], answer["replayed"]) for answer in answers) == {
        ("InvalidInputError", False): 1,
        ("InvalidInputError", True): 3,
    }


async def test_a_key_may_be_given_as_a_header(gateway: Gateway, ask: Ask, approved: Ask) -> None:
    """Alone it is the key, for operations whose input has no place for one too."""
    await approved(600, r=100)
    headers = {**gateway.login(), "x-idempotency-key": "h"}
    asked = {"reservationId": "r", "entriesUsed": 60}

    first = await ask("submitSummary", headers, **asked)
    again = await ask("submitSummary", headers, **asked)
    other = await ask("submitSummary", headers, **asked | {"entriesUsed": 50})
    backfill = await ask("backfill", headers, reservationId="r")

    assert again == {**first, "replayed": True}
    assert other["__typename"] == "IdempotencyConflictError"
    assert backfill["__typename"] == "ReservationSuccess"


async def test_a_key_in_header_and_input_must_be_the_same(gateway: Gateway, ask: Ask, approved: Ask) -> None:
    """Equal is fine; different is invalid input, and nothing is done or remembered."""
    await approved(600, r=100)
    headers = {**gateway.login(), "x-idempotency-key": "h"}

    different = await ask("refund", headers, reservationId="r", spaces=10, idempotencyKey="k")
    equal = await ask("refund", headers, reservationId="r", spaces=10, idempotencyKey="h")
    alone = await ask("refund", reservationId="r", spaces=10, idempotencyKey="k")

    assert (different["__typename"], different["field"]) == ("InvalidInputError", "idempotencyKey")
    assert (equal["replayed"], alone["replayed"]) == (False, False)
    assert await numbers(gateway) == (520, 3)


async def test_a_header_is_no_key_where_a_document_has_several_mutations(gateway: Gateway) -> None:
    """It cannot say which one it is for: the second of two equal operations would be a conflict."""
    made = 'createCompetition(input: {{id: "{0}", name: "C", quota: 1}}) {{ __typename }}'

    answer = await gateway.post(
        f"mutation {{ a: {made.format('a')} b: {made.format('b')} }}",
        headers={**gateway.login(), "x-idempotency-key": "h"},
    )

    assert "errors" in answer or {value["__typename"] for value in answer["data"].values()} == {"PoolSuccess"}


# ------------------------------------------------------------------ failure


async def test_a_connection_killed_before_the_commit_leaves_nothing(
    gateway: Gateway, persist: Ask, open_competition: Ask, owner: asyncpg.Connection, owner_url: str, pause: Any
) -> None:
    """Entry and counter are written, the backend dies: neither is there, and the same key does it once."""
    await open_competition(600, r=50)
    gate = await asyncpg.connect(owner_url)
    await gate.execute("BEGIN; LOCK TABLE capacity.idempotency IN SHARE MODE")
    approval = asyncio.create_task(persist("approve", reservationId="r", spacesConfirmed=50, idempotencyKey="k"))
    while not await owner.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'relation'"
    ):
        await pause(0.01)

    between = await numbers(gateway), await reservation(gateway, "r")
    await gate.close()
    answer = await approval

    assert between == ((600, 0), ("PENDING", 0))
    assert answer["__typename"] == "ReservationSuccess"
    assert await numbers(gateway) == (550, 1)


async def test_a_reservation_that_moves_while_its_old_pool_is_waited_for_is_found(
    gateway: Gateway, ask: Ask, open_competition: Ask, owner: asyncpg.Connection, pause: Any
) -> None:
    """The lost race is run again: the spaces come from where the reservation is by now."""
    await open_competition(600, r=50)
    await open_competition(600, "d")
    async with owner.transaction():
        await owner.execute("SELECT FROM capacity.pool WHERE ref = 'c' FOR UPDATE")
        approval = asyncio.create_task(ask("approve", reservationId="r", spacesConfirmed=50))
        while not await owner.fetchval("SELECT true FROM pg_stat_activity WHERE wait_event_type = 'Lock' LIMIT 1"):
            await pause(0.01)
        await owner.execute("UPDATE capacity.claim SET pool_id = 'competition:d'")

    answer = await approval

    assert answer["__typename"] == "ReservationSuccess"
    assert [await numbers(gateway, ref) for ref in "cd"] == [(600, 0), (550, 1)]


async def test_a_lock_that_cannot_be_had_in_time_is_a_typed_refusal(
    gateway: Gateway, ask: Ask, open_competition: Ask, owner: asyncpg.Connection
) -> None:
    """Known not to have happened, and the same key does it afterwards."""
    await open_competition(600, r=50)
    async with owner.transaction():
        await owner.execute("SELECT FROM capacity.pool FOR UPDATE")
        busy = await ask("approve", reservationId="r", spacesConfirmed=50, idempotencyKey="k")

    answer = await ask("approve", reservationId="r", spacesConfirmed=50, idempotencyKey="k")

    assert (busy["__typename"], busy["outcome"], busy["retry"], busy["retryAfterMs"]) == (
        "GatewayBusyError",
        "NOT_APPLIED",
        "SAME_KEY",
        250,
    )
    assert (answer["__typename"], answer["replayed"]) == ("ReservationSuccess", False)
    assert await numbers(gateway) == (550, 1)


async def test_fifty_mixed_changes_of_two_pools_all_end_and_the_books_balance(
    gateway: Gateway, persist: Ask, approved: Ask
) -> None:
    """Approvals, refunds and moves in opposite directions at once: no deadlock surfaces."""
    names = [f"r{number}" for number in range(10)]
    await approved(300, "c", **{f"c-{name}": 20 for name in names})
    await approved(300, "d", **{f"d-{name}": 20 for name in names})
    work: list[Coroutine[Any, Any, Any]] = []
    for name in names:
        work += [
            persist("refund", reservationId=f"c-{name}", spaces=5, idempotencyKey=f"1{name}"),
            persist("moveReservation", reservationId=f"c-{name}", toCompetitionId="d", idempotencyKey=f"2{name}"),
            persist("moveReservation", reservationId=f"d-{name}", toCompetitionId="c", idempotencyKey=f"3{name}"),
            persist("adjustReservation", reservationId=f"d-{name}", spacesConfirmed=15, idempotencyKey=f"4{name}"),
            persist("refund", reservationId=f"d-{name}", spaces=1, idempotencyKey=f"5{name}"),
        ]

    async with asyncio.timeout(10):
        answers = await asyncio.gather(*work)

    assert {answer["__typename"] for answer in answers} <= {"ReservationSuccess", "InsufficientCapacityError"}
    assert sum([(await numbers(gateway, ref))[0] for ref in "cd"]) == 600 - sum(
        [(await reservation(gateway, f"{ref}-{name}"))[1] for ref in "cd" for name in names]
    )
