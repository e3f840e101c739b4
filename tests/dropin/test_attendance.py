"""Virtual attendance, as the older service's clients join and leave, also out of their offline queue."""

import asyncio

import asyncpg
import pytest

from conftest import Gateway
from domains.conftest import Do, lapse
from dropin.conftest import Old, cuid, full, session

pytestmark = pytest.mark.usefixtures("balanced", "event")

STREAM_FULL = "This event has reached its maximum viewer limit."
SESSION_FULL = "This session is full. Please join the waitlist."


async def watching(old: Old, ref: str = "s") -> int:
    """How many watch a session; asked by nobody in particular."""
    stats = await old(None, "virtualAttendanceStats", sessionId=ref)
    return int(stats["currentViewers"])


async def seats(old: Old, ref: str = "s") -> int:
    """How many seats of a session are taken."""
    return int((await old(None, "sessionCapacity", sessionId=ref))["currentAttendance"])


async def test_joining_twice_is_one_attendance(do: Do, old: Old) -> None:
    """From a new tab, by a double click, out of the queue; old bug: each was a viewer."""
    await session(do, None)

    first = await old("a", "joinVirtualSession", sessionId="s", deviceType="mobile", userAgent="Mozilla/5.0")
    clicks = await asyncio.gather(*(old("a", "joinVirtualSession", sessionId="s") for _ in range(5)))

    assert (first["success"], first["message"], first["attendance"]["deviceType"]) == (True, "Joined", "mobile")
    assert {(click["message"], click["attendance"]["id"]) for click in clicks} == {
        ("Already joined", first["attendance"]["id"])
    }
    assert (first["attendance"]["userId"], first["attendance"]["eventId"]) == (cuid("a"), "e")
    assert (await watching(old), await seats(old)) == (1, 1)


async def test_of_two_on_the_last_place_one_gets_it(do: Do, old: Old) -> None:
    """At once, at one below the limit; old bug: both."""
    await session(do, None)
    await old("x", "joinVirtualSession", sessionId="s")
    for _ in range(10):
        answers = await asyncio.gather(*(old(who, "joinVirtualSession", sessionId="s") for who in "ab"))

        assert sorted(answer["message"] for answer in answers) == ["Joined", STREAM_FULL]
        assert await watching(old) == 2
        for who in "ab":
            await old(who, "leaveVirtualSession", sessionId="s")


async def test_why_one_may_not_join_is_data(do: Do, old: Old) -> None:
    """In the older service's words and order, for none of them is an error to its clients."""
    await session(do, 1, "closed-group", requiresRegistration=True)
    await session(do, 0)
    await session(do, 5, "past", endsAt="2020-01-01T00:00:00+00:00")
    unknown, stranger, no_seat, late = [
        await old("a", "joinVirtualSession", sessionId=ref) for ref in ("none", "closed-group", "s", "past")
    ]

    refused = {"success": False, "attendance": None}
    assert unknown == {**refused, "message": "Session not found"}
    assert stranger == {**refused, "message": "You must be registered for this event to join"}
    assert no_seat == {**refused, "message": SESSION_FULL}
    assert late == {**refused, "message": "This session has ended"}
    assert await old(None, "joinVirtualSession", sessionId="s") == {"error": "401: Authentication required"}


async def test_who_watches_two_sessions_counts_once(do: Do, old: Old) -> None:
    """Old bug: an event's viewers were counted in rows. Whichever he leaves first, he counts until he left both."""
    for ref in "st":
        await session(do, None, ref)
    await old("b", "joinVirtualSession", sessionId="s")
    for ref in "st":
        assert (await old("a", "joinVirtualSession", sessionId=ref))["success"]

    event = await old(None, "eventVirtualAttendanceStats", eventId="e")
    refused = await old("c", "joinVirtualSession", sessionId="s")
    await old("a", "leaveVirtualSession", sessionId="s")
    still = await old("c", "joinVirtualSession", sessionId="s")
    await old("a", "leaveVirtualSession", sessionId="t")
    free = await old("c", "joinVirtualSession", sessionId="s")

    assert (event["totalViews"], event["uniqueViewers"], event["currentViewers"]) == (3, 2, 2)
    assert [stats["currentViewers"] for stats in event["sessionStats"]] == [2, 1]
    assert refused["message"] == still["message"] == STREAM_FULL
    assert free["success"]


async def test_an_event_without_a_limit_has_none(do: Do, old: Old) -> None:
    """Its viewers are counted all the same."""
    await do("ada", "createEvent", id="free", name="Free")
    await session(do, None, "f", eventId="free")

    for number in range(5):
        assert (await old(f"p{number}", "joinVirtualSession", sessionId="f"))["success"]

    assert await watching(old, "f") == 5


async def test_who_has_a_seat_keeps_it(do: Do, old: Old) -> None:
    """Old bug: the same person was counted as an RSVP and as a viewer. Leaving does not give up the RSVP."""
    await session(do, 1)
    await old("a", "rsvpToSession", sessionId="s")

    joined = await old("a", "joinVirtualSession", sessionId="s")
    counted = await seats(old)
    other = await old("b", "joinVirtualSession", sessionId="s")
    await old("a", "leaveVirtualSession", sessionId="s")

    assert (joined["success"], counted, other["message"]) == (True, 1, SESSION_FULL)
    assert (await watching(old), await seats(old)) == (0, 1)


async def test_who_watches_may_keep_the_seat(do: Do, old: Old, owner: asyncpg.Connection) -> None:
    """An RSVP makes it one for good: neither leaving nor silence ends it."""
    await session(do, 1)
    await old("a", "joinVirtualSession", sessionId="s")

    rsvp = await old("a", "rsvpToSession", sessionId="s")
    again = await old("a", "rsvpToSession", sessionId="s")
    await old("a", "leaveVirtualSession", sessionId="s")
    await lapse(owner, cuid("a"))

    assert (rsvp["message"], again["message"]) == ("RSVP confirmed", "Already RSVPed")
    assert (await watching(old), await seats(old)) == (0, 1)


async def test_who_watches_may_register_with_the_seat(do: Do, old: Old, owner: asyncpg.Connection) -> None:
    """The viewer's seat becomes one for good, as by an RSVP; he does not wait for it."""
    await session(do, 1)
    await old("a", "joinVirtualSession", sessionId="s")

    registered = await do("service", "register", eventId="e", holder=cuid("a"), sessionIds=["s"])
    again = await do("service", "register", eventId="e", holder=cuid("a"), sessionIds=["s"])
    await old("a", "leaveVirtualSession", sessionId="s")
    await lapse(owner, cuid("a"))

    assert (registered["__typename"], again["replayed"]) == ("RegistrationSuccess", True)
    assert (await old("a", "rsvpToSession", sessionId="s"))["message"] == "Already RSVPed"
    assert (await watching(old), await seats(old)) == (0, 1)


async def test_who_waits_does_not_get_round_the_queue(do: Do, old: Old) -> None:
    """Nor does he lose his place; an offer is taken up for good by watching."""
    await full(do, old, "a")

    waiting = await old("a", "joinVirtualSession", sessionId="s")
    await old("x", "cancelSessionRsvp", sessionId="s")
    outsider = await old("b", "joinVirtualSession", sessionId="s")
    joined = await old("a", "joinVirtualSession", sessionId="s")
    await old("a", "leaveVirtualSession", sessionId="s")

    assert (waiting["message"], outsider["message"], joined["success"]) == (SESSION_FULL, SESSION_FULL, True)
    assert (await old("a", "myWaitlistEntry", sessionId="s"))["status"] == "ACCEPTED"
    assert await seats(old) == 1


# ---------------------------------------------------------------- leaving, late and repeatedly


async def test_leaving_gives_the_place_to_the_next(do: Do, old: Old) -> None:
    """With how long one has watched; twice is once, and who was never there left nothing."""
    await session(do, 1)
    joined = await old("a", "joinVirtualSession", sessionId="s")

    left = await old("a", "leaveVirtualSession", sessionId="s")
    twice = await old("a", "leaveVirtualSession", sessionId="s")
    never = await old("b", "leaveVirtualSession", sessionId="s")

    assert (left["success"], left["message"], left["watchDurationSeconds"]) == (True, "Left", 0)
    assert left["attendance"]["id"] == joined["attendance"]["id"]
    assert left["attendance"]["leftAt"] is not None
    assert twice == left
    assert (never["success"], never["message"]) == (False, "No active session found")
    assert (await old("b", "joinVirtualSession", sessionId="s"))["success"]


async def test_a_leave_sent_again_ends_no_newer_attendance(do: Do, old: Old) -> None:
    """With its key, up to three times, however late: it is answered as the first time."""
    await session(do, 1)
    await old("a", "joinVirtualSession", key="JoinVirtualSession_1", sessionId="s")
    first = await old("a", "leaveVirtualSession", key="LeaveVirtualSession_1", sessionId="s")
    newer = await old("a", "joinVirtualSession", sessionId="s")

    late = [await old("a", "leaveVirtualSession", key="LeaveVirtualSession_1", sessionId="s") for _ in range(3)]

    assert late == [first] * 3
    assert first["attendance"]["id"] != newer["attendance"]["id"]
    assert (await watching(old), await seats(old)) == (1, 1)


@pytest.mark.parametrize("gone", ["a moment", "for long"])
async def test_a_leave_that_first_arrives_late_ends_no_newer_attendance(
    do: Do, old: Old, owner: asyncpg.Connection, gone: str
) -> None:
    """It waited in the offline queue while its sender was back already; the leave after that one is heeded."""
    await session(do, 1)
    await old("a", "joinVirtualSession", sessionId="s")
    if gone == "for long":
        await lapse(owner, cuid("a"))
    newer = await old("a", "joinVirtualSession", sessionId="s")

    late = await old("a", "leaveVirtualSession", key="LeaveVirtualSession_1", sessionId="s")
    again = await old("a", "leaveVirtualSession", key="LeaveVirtualSession_1", sessionId="s")
    still = await watching(old)
    left = await old("a", "leaveVirtualSession", key="LeaveVirtualSession_2", sessionId="s")

    assert late == again
    assert (late["success"], late["attendance"]["id"], late["attendance"]["leftAt"]) == (
        True,
        newer["attendance"]["id"],
        None,
    )
    assert (still, left["message"], await watching(old)) == (1, "Left", 0)


async def test_a_join_sent_again_is_the_same_attendance(do: Do, old: Old) -> None:
    """With its key it is answered as the first time, though it has ended since; it brings nobody back."""
    await session(do, 1)
    first = await old("a", "joinVirtualSession", key="JoinVirtualSession_1", sessionId="s")
    await old("a", "leaveVirtualSession", key="LeaveVirtualSession_1", sessionId="s")

    late = await old("a", "joinVirtualSession", key="JoinVirtualSession_1", sessionId="s")

    assert (late["success"], late["attendance"]["id"]) == (True, first["attendance"]["id"])
    assert (await watching(old), await seats(old)) == (0, 0)


async def test_an_answer_to_a_key_outlasts_the_session(do: Do, old: Old, owner: asyncpg.Connection) -> None:
    """Joined in time and sent again after the end: joined. Sent for the first time after the end: too late."""
    await session(do, 1)
    await old("a", "joinVirtualSession", key="k1", sessionId="s")
    await owner.execute('UPDATE capacity.pool SET facts = facts || \'{"ends_at": "2020-01-01T00:00:00+00:00"}\'')

    again = await old("a", "joinVirtualSession", key="k1", sessionId="s")
    late = [await old("b", "joinVirtualSession", key="k2", sessionId="s") for _ in range(2)]

    assert again["success"]
    assert [answer["message"] for answer in late] == ["This session has ended"] * 2


# ---------------------------------------------------------------- leases


async def test_who_is_silent_is_gone_after_a_while(do: Do, old: Old, owner: asyncpg.Connection) -> None:
    """Old bug: a closed tab was counted for ever. A minute of silence is nothing; the lease is five."""
    await session(do, 1)
    await old("a", "joinVirtualSession", sessionId="s")

    await lapse(owner, cuid("a"), 60)
    patient = await watching(old)
    await lapse(owner, cuid("a"), 300)
    gone = await watching(old)
    late = await old("a", "leaveVirtualSession", sessionId="s")

    assert (patient, gone, await seats(old)) == (1, 0, 0)
    assert (late["success"], await watching(old)) == (True, 0)
    assert (await old("b", "joinVirtualSession", sessionId="s"))["success"]


async def test_reading_the_statistics_keeps_ones_place(do: Do, old: Old, owner: asyncpg.Connection) -> None:
    """The older clients have no other heartbeat. Somebody else's reading, or with no login, is none."""
    await session(do, 2)
    for who in "ab":
        await old(who, "joinVirtualSession", sessionId="s")
        await lapse(owner, cuid(who), 200)

    assert (await old("a", "virtualAttendanceStats", sessionId="s"))["currentViewers"] == 2
    for who in "ab":
        await lapse(owner, cuid(who), 200)

    assert (await watching(old), await seats(old)) == (1, 1)
    assert (await old("a", "leaveVirtualSession", sessionId="s"))["message"] == "Left"


async def test_a_lease_is_not_written_at_every_reading(do: Do, old: Old, owner: asyncpg.Connection) -> None:
    """Every 15 seconds somebody reads; only after half of the lease it is renewed."""
    await session(do, 2)
    await old("a", "joinVirtualSession", sessionId="s")
    before = await owner.fetch("SELECT expires_at FROM capacity.claim ORDER BY id")

    for _ in range(3):
        await old("a", "virtualAttendanceStats", sessionId="s")

    assert await owner.fetch("SELECT expires_at FROM capacity.claim ORDER BY id") == before


async def test_of_two_sessions_the_one_that_is_left_counts(do: Do, old: Old, owner: asyncpg.Connection) -> None:
    """The one by which somebody was counted has run out in silence: the next sign of life counts him by the other."""
    for ref in "st":
        await session(do, None, ref)
        await old("a", "joinVirtualSession", sessionId=ref)
    await owner.execute(
        "UPDATE capacity.claim SET expires_at = expires_at - interval '1 hour' WHERE subject = 's' AND state = 'held'"
    )
    await lapse(owner, cuid("a"), 200)

    await old("a", "virtualAttendanceStats", sessionId="t")

    assert await owner.fetchval("SELECT held FROM capacity.pool WHERE id = 'stream:e'") == 1


# ---------------------------------------------------------------- numbers


async def test_the_statistics_are_of_people_and_of_visits(do: Do, old: Old, owner: asyncpg.Connection) -> None:
    """Two people, three visits, two at a time; on average as long as they lasted."""
    await session(do, None)
    await old("a", "joinVirtualSession", sessionId="s")
    await old("b", "joinVirtualSession", sessionId="s")
    await owner.execute("UPDATE capacity.claim SET created_at = created_at - interval '60 seconds'")
    await old("a", "leaveVirtualSession", sessionId="s")
    await old("a", "joinVirtualSession", sessionId="s")
    await old("a", "leaveVirtualSession", sessionId="s")

    stats = await old("a", "virtualAttendanceStats", sessionId="s")
    event = await old("a", "eventVirtualAttendanceStats", eventId="e")
    mine = await old("a", "myVirtualAttendance", eventId="e")

    assert stats.pop("avgWatchDurationSeconds") == pytest.approx(30, abs=2)
    assert stats == {"sessionId": "s", "totalViews": 3, "uniqueViewers": 2, "currentViewers": 1, "peakViewers": 2}
    assert (event["totalViews"], event["uniqueViewers"], event["currentViewers"]) == (3, 2, 1)
    assert [attendance["watchDurationSeconds"] for attendance in mine] == [0, pytest.approx(60, abs=2)]
    assert await old("c", "myVirtualAttendance", eventId="e") == []


async def test_without_anybody_the_numbers_are_zero(do: Do, old: Old) -> None:
    """And the average is none."""
    await session(do, None)

    assert await old(None, "virtualAttendanceStats", sessionId="s") == {
        "sessionId": "s",
        "totalViews": 0,
        "uniqueViewers": 0,
        "currentViewers": 0,
        "avgWatchDurationSeconds": None,
        "peakViewers": 0,
    }


async def test_no_tenant_sees_another(do: Do, old: Old, gateway: Gateway) -> None:
    """The same ids elsewhere are nothing."""
    await session(do, None)
    await old("a", "joinVirtualSession", sessionId="s")

    elsewhere = gateway.login(cuid("a"), None, tenant="elsewhere")
    stats = '{ virtualAttendanceStats(sessionId: "s") { totalViews } }'
    join = 'mutation { joinVirtualSession(sessionId: "s") { success message } }'

    assert (await gateway.post(stats, headers=elsewhere))["errors"][0]["message"] == "404: Session not found"
    assert await gateway.send(join, headers=elsewhere) == {"success": False, "message": "Session not found"}
