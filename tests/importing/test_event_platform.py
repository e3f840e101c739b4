"""The event platform's tables: its clients go on where they stood."""

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from capacity_gateway.importing.bring import Plan, bring, plan_of, source_of
from capacity_gateway.importing.finding import Discrepancy
from conftest import TENANT, Gateway
from dropin.conftest import ORGANIZATION, clients, cuid, login
from dropin.documents import DOCUMENTS
from importing.test_portal import RECONCILE, Rows, write

NOW = datetime.now(UTC)
SOON, AGO = (NOW + timedelta(hours=4)).isoformat(), (NOW - timedelta(hours=1)).isoformat()
Old = Callable[..., Coroutine[Any, Any, Any]]


def waiter(who: str, status: str, position: int, **more: Any) -> dict[str, Any]:
    """A row of the waitlist."""
    row = {"id": f"swl_{who}", "session_id": "s", "user_id": cuid(who), "status": status, "position": position}
    return row | {"joined_at": AGO, "priority_tier": "STANDARD"} | more


def registration(ref: str, **more: Any) -> dict[str, Any]:
    """A row of the registrations."""
    row = {"id": f"reg_{ref}", "event_id": "e", "status": "confirmed", "ticket_code": f"TKT-{ref}"}
    return row | {"is_archived": "false", "user_id": cuid(ref)} | more


def rsvp(who: str, status: str = "CONFIRMED") -> dict[str, Any]:
    """A row of the RSVPs."""
    return {"id": f"srsvp_{who}", "session_id": "s", "user_id": cuid(who), "status": status, "rsvp_at": AGO}


def platform() -> Rows:
    """An event in full swing: a session of three with a seat free for an offer, and people who wait."""
    return {
        "events": [
            {
                "id": "e",
                "name": "Summit",
                "organization_id": ORGANIZATION,
                "owner_id": cuid("olga"),
                "max_attendees": 10,
                "virtual_settings": '{"max_concurrent_viewers": 2}',
                "start_date": SOON,
            }
        ],
        "sessions": [{"id": "s", "event_id": "e", "title": "Keynote", "max_participants": 3}],
        "session_capacity": [{"session_id": "s", "maximum_capacity": 3, "current_attendance": 2}],
        "session_rsvps": [rsvp("ann"), rsvp("ben", "CANCELLED")],
        "ticket_types": [
            {"id": "t", "event_id": "e", "name": "VIP", "price": 4900, "quantity_total": 20, "quantity_sold": 5}
            | {"quantity_reserved": 2}
        ],
        "registrations": [
            *(registration(who) for who in ("ann", "bob", "cat", "dan", "eve", "fay")),
            registration("gus", user_id="", guest_email="Gus@Example.org", guest_name="Gus Guest"),
            registration("hal", status="cancelled"),
            registration("ida", status="checked_in"),
            registration("old", is_archived="true"),
        ],
        "session_waitlist": [
            waiter("bob", "ACCEPTED", 0, offer_sent_at=AGO, offer_responded_at=AGO),
            waiter("cat", "OFFERED", 0, offer_sent_at=AGO, offer_expires_at=SOON),
            waiter("dan", "WAITING", 2),
            waiter("eve", "WAITING", 1),
            waiter("fay", "WAITING", 3, priority_tier="VIP"),
            waiter("gil", "DECLINED", 0, offer_sent_at=AGO, offer_responded_at=AGO),
            waiter("hal", "LEFT", 0, left_at=AGO),
        ],
    }


async def planned(folder: Path, tables: Rows) -> Plan:
    """What would come in."""
    return await plan_of(source_of(str(write(folder, tables)), None), TENANT)


@pytest.fixture
async def taken_over(tmp_path: Path, owner_url: str) -> list[str]:
    """The platform's pools, as they came in."""
    told: list[str] = []
    plan = await planned(tmp_path, platform())
    assert plan.findings == []
    await bring(owner_url, TENANT, plan, lambda history, new: told.extend([history.define.pool_id] * new))
    return told


@pytest.fixture
def old(gateway: Gateway, taken_over: list[str]) -> Old:
    """How the platform's clients ask, once the gateway has taken over."""
    assert sorted(taken_over) == ["event:e", "session:s", "stream:e", "ticket_type:t"]
    return clients(gateway)


async def test_the_books_balance(gateway: Gateway, taken_over: list[str]) -> None:
    """Everybody who has something has an entry for it."""
    page = await gateway.send(RECONCILE, headers=gateway.login("ada", "admin"))
    nodes = [edge["node"] for edge in page["edges"]]

    assert [(node["pool"]["title"], node["total"], node["actualAvailable"], node["problems"]) for node in nodes] == [
        ("Summit", 10, 2, []),
        ("Keynote", 3, 0, []),
        ("Summit", 2, 2, []),
        ("VIP", 20, 13, []),
    ]


async def test_the_waitlist_keeps_its_order_and_tiers(old: Old) -> None:
    """The offer first, then VIP, then by position; what is over stays to be seen."""
    entries = await old("olga", "sessionWaitlist", sessionId="s")

    assert [(entry["userId"], entry["status"], entry["position"]) for entry in entries[:4]] == [
        (cuid("cat"), "OFFERED", 0),
        (cuid("fay"), "WAITING", 1),
        (cuid("eve"), "WAITING", 2),
        (cuid("dan"), "WAITING", 3),
    ]
    assert {entry["userId"]: entry["status"] for entry in entries[4:]} == {
        cuid("bob"): "ACCEPTED",
        cuid("gil"): "DECLINED",
        cuid("hal"): "LEFT",
    }


async def test_an_outstanding_offer_holds_and_can_be_accepted(old: Old) -> None:
    """With a token of the gateway's, for the old one is nobody's any more."""
    assert (await old("ida", "rsvpToSession", sessionId="s"))["success"] is False
    token = (await old("cat", "myWaitlistEntry", sessionId="s"))["joinToken"]

    assert (await old("cat", "acceptWaitlistOffer", sessionId="s", joinToken=token))["success"]


async def test_a_seat_that_comes_free_is_offered_to_the_next(old: Old) -> None:
    """Who is first by the platform's own order."""
    assert (await old("ann", "cancelSessionRsvp", sessionId="s"))["success"]

    assert (await old("fay", "myWaitlistPosition", sessionId="s"))["status"] == "OFFERED"


@pytest.mark.usefixtures("taken_over")
async def test_registrations_keep_their_codes_and_nobody_registers_twice(gateway: Gateway) -> None:
    """Users and guests; who was called off may come again."""
    register, given = DOCUMENTS["createRegistration"], {"eventId": "e", "registrationIn": {}}
    guest = {"email": "gus@example.org", "firstName": "Gus", "lastName": "Guest"}

    mine = await gateway.send(
        '{ myRegistrationForEvent(eventId: "e") { status ticketCode } }', headers=login(gateway, "ann")
    )
    again = await gateway.post(register, given, login(gateway, "ann"))
    guest_again = await gateway.post(register, given | {"registrationIn": guest}, {})
    called_off = await gateway.send(register, given, login(gateway, "hal"))

    assert mine == {"status": "confirmed", "ticketCode": "TKT-ann"}
    assert [answer["errors"][0]["message"] for answer in (again, guest_again)] == [
        "409: A registration already exists for this user or email."
    ] * 2
    assert called_off["status"] == "confirmed"


@pytest.mark.usefixtures("taken_over")
async def test_tickets_are_sold_on(gateway: Gateway) -> None:
    """What is sold and what pending orders reserve is not there any more."""
    types = await gateway.send('{ eventTicketTypes(eventId: "e") { quantityTotal quantityAvailable } }', headers={})

    assert types == [{"quantityTotal": 20, "quantityAvailable": 13}]


CASES: dict[str, tuple[str, dict[str, Any], set[Discrepancy]]] = {
    "two limits": ("session_capacity", {"maximum_capacity": 100}, {Discrepancy.LIMITS}),
    "counter": ("session_capacity", {"current_attendance": 9}, {Discrepancy.COUNTER}),
    "no event": ("ticket_types", {"event_id": "x"}, {Discrepancy.ORPHAN}),
    "oversold": ("ticket_types", {"quantity_sold": 30}, {Discrepancy.NEGATIVE}),
    "registered twice": ("registrations", {"user_id": cuid("bob")}, {Discrepancy.TWICE}),
    "status": ("registrations", {"status": "maybe"}, {Discrepancy.STATUS}),
    "tier": ("session_waitlist", {"priority_tier": "GOD"}, {Discrepancy.VALUE, Discrepancy.COUNTER}),
    "limit": ("events", {"max_attendees": -1}, {Discrepancy.VALUE}),
}


@pytest.mark.parametrize("case", CASES)
async def test_whatever_does_not_add_up_is_found(tmp_path: Path, case: str) -> None:
    """In the first row of a table."""
    table, change, kinds = CASES[case]
    tables = platform()
    tables[table][0] |= change

    assert {finding.kind for finding in (await planned(tmp_path, tables)).findings} == kinds


async def test_who_is_seated_twice_has_one_seat(tmp_path: Path) -> None:
    """By an RSVP and an accepted offer, or by an RSVP while still waiting."""
    tables = platform()
    tables["session_rsvps"] += [rsvp("bob"), rsvp("dan")]

    plan = await planned(tmp_path, tables)

    (session,) = [history for history in plan.histories if history.define.pool_id == "session:s"]
    holders = [claim["holder"] for claim in session.claims if claim["state"] in ("waiting", "held", "confirmed")]
    assert len(holders) == len(set(holders)) == 6
    assert {finding.kind for finding in plan.findings} == {
        Discrepancy.TWICE,
        Discrepancy.COUNTER,
        Discrepancy.NEGATIVE,
    }
