"""RSVPs, as the older service's clients make them."""

import asyncio

import pytest

from domains.conftest import Do
from dropin.conftest import Old, cuid, session

pytestmark = pytest.mark.usefixtures("balanced", "event")

FULL = "Session is full. Join the waitlist for a chance to get a spot."


async def test_of_two_on_the_last_seat_one_gets_it(do: Do, old: Old) -> None:
    """At once; the other one is told that it is full."""
    for number in range(10):
        await session(do, 1, f"s{number}")

        answers = await asyncio.gather(*(old(who, "rsvpToSession", sessionId=f"s{number}") for who in "ab"))

        assert sorted(answer["message"] for answer in answers) == ["RSVP confirmed", FULL]
        assert (await old(None, "sessionCapacity", sessionId=f"s{number}"))["currentAttendance"] == 1


async def test_two_clicks_are_one_rsvp(do: Do, old: Old) -> None:
    """Both succeed, with the same one."""
    await session(do, 1)

    clicks = await asyncio.gather(*(old("a", "rsvpToSession", sessionId="s") for _ in range(6)))

    assert len({click["rsvp"]["id"] for click in clicks}) == 1
    assert sorted(click["message"] for click in clicks) == ["Already RSVPed"] * 5 + ["RSVP confirmed"]
    rsvp = clicks[0]["rsvp"]
    assert (rsvp["userId"], rsvp["eventId"], rsvp["status"], rsvp["cancelledAt"]) == (cuid("a"), "e", "CONFIRMED", None)


async def test_who_cancelled_does_not_get_round_the_limit(do: Do, old: Old) -> None:
    """A cancelled, B took the seat: A is refused. With room again, his RSVP has the time that it had at first."""
    await session(do, 1)
    first = await old("a", "rsvpToSession", sessionId="s")
    await old("a", "cancelSessionRsvp", sessionId="s")
    await old("b", "rsvpToSession", sessionId="s")

    refused = await old("a", "rsvpToSession", sessionId="s")
    await old("b", "cancelSessionRsvp", sessionId="s")
    back = await old("a", "rsvpToSession", sessionId="s")

    assert refused == {"success": False, "message": FULL, "rsvp": None}
    assert back["rsvp"]["rsvpAt"] == first["rsvp"]["rsvpAt"]
    assert back["rsvp"]["id"] != first["rsvp"]["id"]


async def test_cancelling_twice_is_once(do: Do, old: Old) -> None:
    """Who never had a seat has none to cancel."""
    await session(do, 1)
    await old("a", "rsvpToSession", sessionId="s")

    first = await old("a", "cancelSessionRsvp", sessionId="s")
    twice = await old("a", "cancelSessionRsvp", sessionId="s")

    assert (first, twice["success"]) == ({"success": True, "message": "RSVP cancelled"}, True)
    assert await old("b", "cancelSessionRsvp", sessionId="s") == {"error": "404: No active RSVP found for this session"}
    assert await old("a", "cancelSessionRsvp", sessionId="none") == {"error": "404: Session not found"}


async def test_a_cancellation_sent_again_with_its_key_ends_no_newer_rsvp(do: Do, old: Old) -> None:
    """It answers as the first time."""
    await session(do, 1)
    await old("a", "rsvpToSession", sessionId="s")
    first = await old("a", "cancelSessionRsvp", key="CancelSessionRsvp_1", sessionId="s")
    await old("a", "rsvpToSession", sessionId="s")

    again = await old("a", "cancelSessionRsvp", key="CancelSessionRsvp_1", sessionId="s")

    assert (first["success"], again["success"]) == (True, True)
    assert (await old("a", "rsvpToSession", sessionId="s"))["message"] == "Already RSVPed"


async def test_a_key_of_another_request_is_refused(do: Do, old: Old) -> None:
    """In words that the registration form does not take for a duplicate."""
    await session(do, 1)
    await session(do, 1, "t")
    await old("a", "rsvpToSession", key="k", sessionId="s")

    answer = await old("a", "rsvpToSession", key="k", sessionId="t")

    assert answer == {"error": "422: This idempotency key has been used for another input"}


async def test_who_waits_has_no_rsvp(do: Do, old: Old) -> None:
    """He is told that he waits; with an offer, an RSVP takes it up."""
    await session(do, 1)
    await old("x", "rsvpToSession", sessionId="s")
    await old("a", "joinWaitlist", sessionId="s")

    waiting = await old("a", "rsvpToSession", sessionId="s")
    await old("x", "cancelSessionRsvp", sessionId="s")
    offered = await old("a", "rsvpToSession", sessionId="s")

    assert waiting == {"success": False, "message": f"{FULL} You are on it.", "rsvp": None}
    assert offered["success"]


async def test_my_schedule_has_the_sessions_with_a_seat(do: Do, old: Old) -> None:
    """In the order they begin; where nobody said when, the event's times stand in, or when it was made."""
    times = {"startsAt": "2026-12-01T10:00:00+00:00", "endsAt": "2026-12-01T11:00:00+00:00"}
    later = {"startsAt": "2026-12-01T12:00:00+00:00", "endsAt": "2026-12-01T13:00:00+00:00"}
    await session(do, 5, "b", **later)
    await session(do, 5, "a", **times, sessionType="TALK", speakers="Ada, Grace")
    await session(do, 5, "c", **times)
    await session(do, 5, "timeless")
    for ref in ("b", "a", "c", "timeless"):
        await old("ann", "rsvpToSession", sessionId=ref)
    await old("ann", "cancelSessionRsvp", sessionId="c")

    schedule = await old("ann", "mySchedule", eventId="e")

    assert [item["sessionId"] for item in schedule] == ["timeless", "a", "b"]
    assert schedule[1] == {
        "rsvpId": schedule[1]["rsvpId"],
        "rsvpStatus": "CONFIRMED",
        "rsvpAt": schedule[1]["rsvpAt"],
        "sessionId": "a",
        "title": "A",
        "startTime": "2026-12-01T10:00:00.000000+00:00",
        "endTime": "2026-12-01T11:00:00.000000+00:00",
        "sessionType": "TALK",
        "speakers": "Ada, Grace",
    }
    assert schedule[0]["startTime"] == schedule[0]["endTime"] <= schedule[0]["rsvpAt"]
    assert await old("ben", "mySchedule", eventId="e") == []
