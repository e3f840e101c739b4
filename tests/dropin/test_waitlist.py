"""Waitlists, as the older service's clients use them, without the older service's bugs."""

import asyncio
from datetime import datetime

import asyncpg
import pytest

from conftest import Gateway
from domains.conftest import Do, assert_made, lapse
from dropin.conftest import ORGANIZATION, Old, cuid, full, login, session

pytestmark = pytest.mark.usefixtures("balanced", "event")

NO_OFFER = {"success": False, "message": "This offer is not available", "sessionId": "s"}


async def waitlist(old: Old, status: str | None = None) -> list[tuple[str, str, int]]:
    """Who is on it, what has become of him, and where he stands."""
    entries = await old("olga", "sessionWaitlist", sessionId="s", statusFilter=status)
    return [(entry["userId"].removeprefix("cmb").lstrip("0"), entry["status"], entry["position"]) for entry in entries]


async def token(old: Old, who: str) -> str:
    """What he may take up his offer with."""
    entry = await old(who, "myWaitlistEntry", sessionId="s")
    assert entry["status"] == "OFFERED", entry
    return str(entry["joinToken"])


def minutes(since: str, until: str) -> float:
    """From one time to another."""
    return (datetime.fromisoformat(until) - datetime.fromisoformat(since)).total_seconds() / 60


# ---------------------------------------------------------------- the old bugs


async def test_an_offer_holds_its_seat(do: Do, old: Old) -> None:
    """Old bug: a freed seat could be taken by anybody while somebody had been offered it."""
    await full(do, old, "a")

    cancelled = await old("x", "cancelSessionRsvp", sessionId="s")
    refused = await old("c", "rsvpToSession", sessionId="s")
    capacity = await old(None, "sessionCapacity", sessionId="s")

    assert cancelled["success"]
    assert (refused["success"], refused["rsvp"]) == (False, None)
    assert refused["message"] == "Session is full. Join the waitlist for a chance to get a spot."
    assert (capacity["availableSpots"], capacity["isAvailable"], capacity["currentAttendance"]) == (0, False, 0)
    accepted = await old("a", "acceptWaitlistOffer", sessionId="s", joinToken=await token(old, "a"))
    assert accepted == {"success": True, "message": "You have a spot now", "sessionId": "s"}


async def test_bulk_offers_go_to_as_many_as_there_are_seats(do: Do, old: Old) -> None:
    """Old bug: they sent one, however many were asked for. Three seats are free behind a group that wants four."""
    await session(do, 4)
    for who in "wxyz":
        await old(who, "rsvpToSession", sessionId="s")
    await do("group", "joinSession", sessionId="s", quantity=4, orWait=True)
    for who in "abcd":
        await old(who, "joinWaitlist", sessionId="s")
    for who in "wxy":
        await old(who, "cancelSessionRsvp", sessionId="s")

    sent = await old("olga", "bulkSendWaitlistOffers", sessionId="s", count=50)
    again = await old("olga", "bulkSendWaitlistOffers", sessionId="s", count=50)

    assert (sent["success"], sent["offersSent"]) == (True, 3)
    assert [entry[:2] for entry in await waitlist(old, "OFFERED")] == [
        ("a", "OFFERED"),
        ("b", "OFFERED"),
        ("c", "OFFERED"),
    ]
    assert (again["success"], again["offersSent"]) == (False, 0)
    assert again["message"].startswith("No available spots in session")


async def test_declining_ends_the_wait_and_says_so(do: Do, old: Old) -> None:
    """Old bugs: it said that one remained, one did not and could not join again, and nobody was offered the seat."""
    await full(do, old, "a", "b")
    await old("x", "cancelSessionRsvp", sessionId="s")

    declined = await old("a", "declineWaitlistOffer", sessionId="s")
    next_one = await waitlist(old)
    back = await old("a", "joinWaitlist", sessionId="s")

    assert declined["message"] == "Offer declined. You are no longer on the waitlist, and may join it again."
    assert next_one == [("b", "OFFERED", 0), ("a", "DECLINED", 0)]
    assert (back["success"], back["position"], back["entry"]["status"]) == (True, 1, "WAITING")
    assert await waitlist(old) == [("b", "OFFERED", 0), ("a", "WAITING", 1)]


async def test_the_last_who_waits_may_leave(do: Do, old: Old) -> None:
    """Old bug: an error after it was done."""
    await full(do, old, "a")

    left = await old("a", "leaveWaitlist", sessionId="s")
    twice = await old("a", "leaveWaitlist", sessionId="s")

    assert left == twice == {"success": True, "message": "You have left the waitlist"}
    assert await waitlist(old) == [("a", "LEFT", 0)]


async def test_more_seats_than_waiters_are_no_error(do: Do, old: Old) -> None:
    """Old bug: raising the capacity with nobody waiting was an error after it was done."""
    await full(do, old)

    raised = await old("olga", "updateSessionCapacity", sessionId="s", capacity=3)

    assert raised == {
        "sessionId": "s",
        "maximumCapacity": 3,
        "currentAttendance": 1,
        "availableSpots": 2,
        "isAvailable": True,
        "offersAutomaticallySent": 0,
    }


async def test_more_seats_are_offered_to_as_many_as_wait(do: Do, old: Old) -> None:
    """Old bug: one offer, whatever came free, and live ones were forgotten. 9 attend, the tenth seat is offered."""
    await session(do, 10)
    for number in range(10):
        await old(f"x{number}", "rsvpToSession", sessionId="s")
    for who in "abcdef":
        await old(who, "joinWaitlist", sessionId="s")
    await old("x0", "cancelSessionRsvp", sessionId="s")

    raised = await old("olga", "updateSessionCapacity", sessionId="s", capacity=13)
    same = await old("olga", "updateSessionCapacity", sessionId="s", capacity=13)
    bulk = await old("olga", "bulkSendWaitlistOffers", sessionId="s", count=50)

    assert (raised["offersAutomaticallySent"], raised["currentAttendance"], raised["availableSpots"]) == (3, 9, 0)
    assert same["offersAutomaticallySent"] == 0
    assert [who for who, *_ in await waitlist(old, "OFFERED")] == ["a", "b", "c", "d"]
    assert [who for who, *_ in await waitlist(old, "WAITING")] == ["e", "f"]
    assert bulk["message"].startswith("No available spots in session")


async def test_raising_the_capacity_says_the_same_to_its_key(do: Do, old: Old) -> None:
    """Sent again later, the answer counts the offers of the first time."""
    await full(do, old, "a", "b")

    first = await old("olga", "updateSessionCapacity", key="k", sessionId="s", capacity=2)
    await old("a", "declineWaitlistOffer", sessionId="s")
    again = await old("olga", "updateSessionCapacity", key="k", sessionId="s", capacity=2)

    assert first["offersAutomaticallySent"] == again["offersAutomaticallySent"] == 1


async def test_no_limit_appears_by_itself(do: Do, old: Old, owner: asyncpg.Connection) -> None:
    """Old bug: reading the capacity of a session without a limit, or joining it, made one of 100."""
    await session(do, None)

    before = await old(None, "sessionCapacity", sessionId="s")
    for number in range(101):
        assert (await old(f"p{number}", "rsvpToSession", sessionId="s"))["success"]
    refused = await old("late", "joinWaitlist", sessionId="s")
    after = await old(None, "sessionCapacity", sessionId="s")

    assert (before["maximumCapacity"], before["availableSpots"], before["isAvailable"]) == (2**31 - 1, 2**31 - 1, True)
    assert (after["maximumCapacity"], after["currentAttendance"], after["isAvailable"]) == (2**31 - 1, 101, True)
    assert refused == {"error": "400: Session has available spots. No need to join waitlist."}
    assert await owner.fetchval("SELECT quota FROM capacity.pool WHERE id = 'session:s'") is None


async def test_nobody_promotes_himself_to_vip(do: Do, old: Old) -> None:
    """Old bug: priorityTierOverride was anybody's. It is an organizer's; for others it goes by their tickets' names."""
    await full(do, old, "a")

    pushy = await old("b", "joinWaitlist", sessionId="s", priorityTierOverride="VIP")
    olga = await old("olga", "joinWaitlist", sessionId="s", priorityTierOverride="VIP")

    assert (pushy["priorityTier"], pushy["position"]) == ("STANDARD", 2)
    assert (olga["priorityTier"], olga["position"]) == ("VIP", 1)


async def test_a_ticket_says_where_one_waits(do: Do, old: Old) -> None:
    """A VIP ticket before a gold one before any other; who has come first, within a tier."""
    for ref, name in (("v", "VIP Pass"), ("g", "Gold"), ("n", "Normal")):
        assert_made(await do("ada", "createTicketType", id=ref, eventId="e", name=name, quota=9, price=0))
    for who, ticket in (("ned", "n"), ("gil", "g"), ("vic", "v")):
        given = {"eventId": "e", "ticketTypeId": ticket, "holder": cuid(who)}
        assert (await do("service", "register", **given))["__typename"] == "RegistrationSuccess"
    await full(do, old, "ned", "gil", "vic")

    tiers = [entry["priorityTier"] for entry in await old("olga", "sessionWaitlist", sessionId="s")]

    assert await waitlist(old) == [("vic", "WAITING", 1), ("gil", "WAITING", 2), ("ned", "WAITING", 3)]
    assert tiers == ["VIP", "PREMIUM", "STANDARD"]


async def test_there_is_one_notion_of_full(do: Do, old: Old) -> None:
    """Old bug: full for who would RSVP, and free seats for who would wait."""
    await session(do, 20)
    early = await old("early", "joinWaitlist", sessionId="s")
    for number in range(20):
        assert (await old(f"p{number}", "rsvpToSession", sessionId="s"))["success"]

    refused = await old("a", "rsvpToSession", sessionId="s")
    waiting = await old("a", "joinWaitlist", sessionId="s")
    capacity = await old(None, "sessionCapacity", sessionId="s")

    assert early == {"error": "400: Session has 20 available spots. No need to join waitlist."}
    assert (refused["success"], waiting["success"], waiting["position"]) == (False, True, 1)
    assert (capacity["maximumCapacity"], capacity["currentAttendance"], capacity["waitlistCount"]) == (20, 20, 1)


async def test_ids_are_whatever_the_platform_makes_them(do: Do, old: Old) -> None:
    """Old bug: user ids had to begin with usr_, and the platform's are cuids."""
    await full(do, old, "a", "b")

    removed = await old("olga", "removeFromWaitlist", sessionId="s", userId=cuid("a"), reason="asked us to")
    twice = await old("olga", "removeFromWaitlist", sessionId="s", userId=cuid("a"))
    stranger = await old("olga", "removeFromWaitlist", sessionId="s", userId="clx9x7k2b0000qzrm")

    assert removed == twice == {"success": True, "message": "User removed from waitlist"}
    assert stranger == {"error": "404: User is not on the waitlist"}
    assert await waitlist(old) == [("b", "WAITING", 1), ("a", "LEFT", 0)]


async def test_positions_have_no_gaps(do: Do, old: Old) -> None:
    """Old bug: who left took his number with him. 1, 2, 3 … whatever happens before."""
    await full(do, old, *"abcde")

    await old("b", "leaveWaitlist", sessionId="s")
    await old("x", "cancelSessionRsvp", sessionId="s")
    positions = [await old(who, "myWaitlistPosition", sessionId="s") for who in "acde"]

    assert [(p["position"], p["total"], p["status"]) for p in positions] == [
        (0, 3, "OFFERED"),
        (1, 3, "WAITING"),
        (2, 3, "WAITING"),
        (3, 3, "WAITING"),
    ]
    assert [p["estimatedWaitMinutes"] for p in positions] == [None, 10, 20, 30]
    assert await old("stranger", "myWaitlistPosition", sessionId="s") is None


async def test_tiers_stand_in_their_order(do: Do, old: Old) -> None:
    """Old bug: the list had them by their letters, STANDARD before PREMIUM."""
    await full(do, old, "ann")
    for who, tier in (("ben", "PREMIUM"), ("cy", "VIP")):
        await do("ada", "joinSession", sessionId="s", holder=cuid(who), orWait=True, tier=tier)

    assert [who for who, *_ in await waitlist(old)] == ["cy", "ben", "ann"]


# ---------------------------------------------------------------- joining and leaving


@pytest.mark.parametrize("how", ["LEFT", "DECLINED", "EXPIRED"])
async def test_who_was_on_it_may_join_again(do: Do, old: Old, owner: asyncpg.Connection, how: str) -> None:
    """At the tail, with one entry that counts."""
    await full(do, old, "a", "b")
    if how == "LEFT":
        await old("a", "leaveWaitlist", sessionId="s")
    else:
        await old("x", "cancelSessionRsvp", sessionId="s")
    if how == "DECLINED":
        await old("a", "declineWaitlistOffer", sessionId="s")
    if how == "EXPIRED":
        await lapse(owner, cuid("a"))
    assert ("a", how, 0) in await waitlist(old)

    back = await old("a", "joinWaitlist", sessionId="s")

    assert back["entry"]["status"] == "WAITING"
    assert [who for who, *_ in await waitlist(old)] == ["b", "a"]


async def test_two_clicks_are_one_entry(do: Do, old: Old) -> None:
    """At once, and one after the other."""
    await full(do, old)

    clicks = await asyncio.gather(*(old("a", "joinWaitlist", sessionId="s") for _ in range(5)))

    assert len({click["id"] for click in clicks}) == 1
    assert {click["position"] for click in clicks} == {1}
    assert sorted(click["message"] for click in clicks) == ["Already on the waitlist"] * 4 + ["Joined the waitlist"]


async def test_who_has_a_seat_need_not_wait(do: Do, old: Old) -> None:
    """Nor can he: it would be a second one."""
    await full(do, old)

    answer = await old("x", "joinWaitlist", sessionId="s")

    assert answer == {"error": "400: You have a spot in this session. No need to join waitlist."}


async def test_leaving_the_waitlist_gives_up_no_seat(do: Do, old: Old) -> None:
    """A left it and has a seat since: that is another matter."""
    await full(do, old, "a")
    await old("a", "leaveWaitlist", sessionId="s")
    await old("x", "cancelSessionRsvp", sessionId="s")
    assert (await old("a", "rsvpToSession", sessionId="s"))["success"]

    await old("a", "leaveWaitlist", sessionId="s")

    assert (await old("a", "rsvpToSession", sessionId="s"))["message"] == "Already RSVPed"
    assert await old("x", "leaveWaitlist", sessionId="s") == {"error": "404: Not on waitlist"}


async def test_one_must_be_registered(do: Do, old: Old) -> None:
    """Where the session says so; the old texts."""
    await session(do, 0, requiresRegistration=True)

    assert await old("a", "joinWaitlist", sessionId="s") == {
        "error": "403: You must be registered for this event to join the waitlist"
    }
    assert await old("a", "rsvpToSession", sessionId="s") == {
        "error": "403: You must be registered for this event to RSVP"
    }


async def test_a_session_without_a_waitlist_has_none(do: Do, old: Old) -> None:
    """It says so."""
    await session(do, 0, waitlist=False)

    assert await old("a", "joinWaitlist", sessionId="s") == {"error": "400: This session has no waitlist"}


# ---------------------------------------------------------------- offers and their tokens


async def test_accepting_twice_is_once(do: Do, old: Old) -> None:
    """The same success, one seat, one entry in the ledger."""
    await full(do, old, "a")
    await old("x", "cancelSessionRsvp", sessionId="s")
    joined = await token(old, "a")

    answers = await asyncio.gather(
        *(old("a", "acceptWaitlistOffer", sessionId="s", joinToken=joined) for _ in range(4))
    )
    capacity = await old(None, "sessionCapacity", sessionId="s")

    assert answers == [{"success": True, "message": "You have a spot now", "sessionId": "s"}] * 4
    assert capacity["currentAttendance"] == 1
    entry = await old("a", "myWaitlistEntry", sessionId="s")
    assert (entry["status"], entry["joinToken"]) == ("ACCEPTED", None)
    assert entry["offerSentAt"] <= entry["offerRespondedAt"]


async def test_an_offer_that_has_run_out_cannot_be_accepted(do: Do, old: Old, owner: asyncpg.Connection) -> None:
    """By the database's clock, though nothing has swept it away; the next in line has it."""
    await full(do, old, "a", "b")
    await old("x", "cancelSessionRsvp", sessionId="s")
    joined = await token(old, "a")
    await lapse(owner, cuid("a"))

    assert await old("a", "acceptWaitlistOffer", sessionId="s", joinToken=joined) == NO_OFFER
    assert await waitlist(old) == [("b", "OFFERED", 0), ("a", "EXPIRED", 0)]


async def test_a_wrong_token_is_not_told_why(do: Do, old: Old, owner: asyncpg.Connection, gateway: Gateway) -> None:
    """Superseded, another's, another session's, forged, a login: the same words, and nothing changes."""
    await full(do, old, "a", "b")
    await session(do, 1, "t")
    await old("x", "rsvpToSession", sessionId="t")
    await old("a", "joinWaitlist", sessionId="t")
    await old("x", "cancelSessionRsvp", sessionId="t")
    await old("x", "cancelSessionRsvp", sessionId="s")
    superseded = await token(old, "a")
    elsewhere = (await old("a", "myWaitlistEntry", sessionId="t"))["joinToken"]
    await lapse(owner, cuid("a"))
    foreign = await token(old, "b")
    await old("a", "joinWaitlist", sessionId="s")
    await old("b", "declineWaitlistOffer", sessionId="s")
    right = await token(old, "a")
    bearer = login(gateway, "a")["authorization"].removeprefix("Bearer ")

    for wrong in (superseded, foreign, elsewhere, right[:-1], right.upper(), bearer, "", "\u00e9"):
        assert await old("a", "acceptWaitlistOffer", sessionId="s", joinToken=wrong) == NO_OFFER
    assert await old("b", "acceptWaitlistOffer", sessionId="s", joinToken=right) == NO_OFFER
    assert (await old("a", "acceptWaitlistOffer", sessionId="s", joinToken=right))["success"]


async def test_a_used_token_does_not_bring_the_seat_back(do: Do, old: Old) -> None:
    """Accepted, and the seat given back: over."""
    await full(do, old, "a")
    await old("x", "cancelSessionRsvp", sessionId="s")
    joined = await token(old, "a")
    await old("a", "acceptWaitlistOffer", sessionId="s", joinToken=joined)
    await old("a", "cancelSessionRsvp", sessionId="s")

    assert await old("a", "acceptWaitlistOffer", sessionId="s", joinToken=joined) == NO_OFFER


async def test_an_offer_token_is_no_login(do: Do, old: Old, gateway: Gateway) -> None:
    """As a bearer it is nobody."""
    await full(do, old, "a")
    await old("x", "cancelSessionRsvp", sessionId="s")
    bearer = {"authorization": f"Bearer {await token(old, 'a')}"}
    mine = '{ myWaitlistEntry(sessionId: "s") { id } }'

    answer = await gateway.post(mine, headers=bearer)

    assert answer["data"] == {"myWaitlistEntry": None}
    assert answer["errors"][0]["message"] == "401: Authentication required"


async def test_a_token_is_shown_to_the_holder_of_the_offer_alone(do: Do, old: Old, gateway: Gateway) -> None:
    """Not to the organizer who sees the entry."""
    await full(do, old, "a")
    await old("x", "cancelSessionRsvp", sessionId="s")
    document = '{ sessionWaitlist(sessionId: "s") { userId joinToken } }'

    entries = await gateway.send(document, headers=login(gateway, "olga"))

    assert entries == [{"userId": cuid("a"), "joinToken": None}]


async def test_an_organizer_may_raise_somebody_and_say_for_how_long(do: Do, old: Old) -> None:
    """Past a group that does not fit; with an offer already, it is given that much time from now."""
    await session(do, 2)
    for who in "xy":
        await old(who, "rsvpToSession", sessionId="s")
    await do("group", "joinSession", sessionId="s", quantity=2, orWait=True)
    await old("a", "joinWaitlist", sessionId="s")
    await old("b", "joinWaitlist", sessionId="s")
    none = await old("olga", "sendWaitlistOffer", sessionId="s", userId=cuid("a"))
    await old("x", "cancelSessionRsvp", sessionId="s")

    sent = await old("olga", "sendWaitlistOffer", sessionId="s", userId=cuid("b"), expiresMinutes=30)
    longer = await old("olga", "sendWaitlistOffer", sessionId="s", userId=cuid("b"), expiresMinutes=60)

    assert none == {"error": "400: No available spots in session"}
    assert (sent["status"], sent["userId"]) == ("OFFERED", cuid("b"))
    assert minutes(sent["offerSentAt"], sent["offerExpiresAt"]) == pytest.approx(30, abs=0.1)
    assert (longer["id"], longer["offerSentAt"]) == (sent["id"], sent["offerSentAt"])
    assert minutes(longer["offerSentAt"], longer["offerExpiresAt"]) == pytest.approx(60, abs=0.5)
    assert (await old("b", "acceptWaitlistOffer", sessionId="s", joinToken=await token(old, "b")))["success"]
    assert await old("olga", "sendWaitlistOffer", sessionId="s", userId=cuid("b")) == {
        "error": "409: User status is ACCEPTED, cannot send offer"
    }


@pytest.mark.parametrize("minutes", [0, -1, 1441, 2**31 - 1])
async def test_an_offer_holds_for_a_minute_to_a_day(do: Do, old: Old, minutes: int) -> None:
    """Anything else is refused."""
    await full(do, old, "a")
    wrong = {"error": "400: expiresMinutes must be between 1 and 1440"}

    assert await old("olga", "sendWaitlistOffer", sessionId="s", userId=cuid("a"), expiresMinutes=minutes) == wrong
    assert await old("olga", "bulkSendWaitlistOffers", sessionId="s", count=1, expiresMinutes=minutes) == wrong


async def test_bad_numbers_are_refused(do: Do, old: Old) -> None:
    """And change nothing."""
    await full(do, old)

    assert await old("olga", "updateSessionCapacity", sessionId="s", capacity=-1) == {
        "error": "400: Capacity cannot be negative"
    }
    assert await old("olga", "updateSessionCapacity", sessionId="s", capacity=0) == {
        "error": "400: Cannot set capacity (0) below current attendance (1)"
    }
    for count in (0, 51):
        assert await old("olga", "bulkSendWaitlistOffers", sessionId="s", count=count) == {
            "error": "400: count must be between 1 and 50"
        }
    assert await old("olga", "bulkSendWaitlistOffers", sessionId="s", count=1) == {
        "success": False,
        "offersSent": 0,
        "message": "No users in waitlist with WAITING status",
    }
    assert (await old("olga", "sessionWaitlist", sessionId="s", statusFilter="x"))["error"].startswith("400: ")
    assert (await old(None, "sessionCapacity", sessionId="s"))["maximumCapacity"] == 1


# ---------------------------------------------------------------- numbers


async def test_the_numbers_are_those_of_the_entries(do: Do, old: Old, owner: asyncpg.Connection) -> None:
    """One of each: who declined, let it run out, left, accepted, has an offer, and two who wait."""
    await full(do, old, *"abcdefg")
    await old("olga", "updateSessionCapacity", sessionId="s", capacity=2)
    await old("a", "declineWaitlistOffer", sessionId="s")
    await lapse(owner, cuid("b"))
    await old("c", "acceptWaitlistOffer", sessionId="s", joinToken=await token(old, "c"))
    await old("g", "leaveWaitlist", sessionId="s")
    await old("olga", "updateSessionCapacity", sessionId="s", capacity=3)
    await session(do, 5, "quiet")

    stats = await old("olga", "sessionWaitlistStats", sessionId="s")
    analytics = await old("olga", "eventWaitlistAnalytics", eventId="e")

    tiers = {"vip": 0, "premium": 0, "standard": 2, "redisVip": 0, "redisPremium": 0, "redisStandard": 2}
    totals = ("totalWaiting", "totalOffered", "totalAccepted", "totalDeclined", "totalExpired", "totalLeft")
    assert [stats[name] for name in totals] == [2, 1, 1, 1, 1, 1]
    assert stats["byPriority"] == tiers
    assert analytics.pop("averageWaitTimeMinutes") >= 0
    assert analytics == {
        "eventId": "e",
        "totalWaitlistEntries": 7,
        "activeWaitlistCount": 3,
        "totalOffersIssued": 4,
        "totalOffersAccepted": 1,
        "totalOffersDeclined": 1,
        "totalOffersExpired": 1,
        "acceptanceRate": 25,
        "declineRate": 25,
        "expiryRate": 25,
        "conversionRate": 14.29,
        "cachedAt": None,
        "bySession": [
            {"sessionId": "quiet", "sessionTitle": "QUIET", "waitlistCount": 0, "offersIssued": 0, "acceptanceRate": 0},
            {"sessionId": "s", "sessionTitle": "S", "waitlistCount": 2, "offersIssued": 4, "acceptanceRate": 25},
        ],
    }


async def test_organizers_alone_see_and_do_what_is_theirs(do: Do, old: Old, gateway: Gateway) -> None:
    """The event's owner and who organises for its organisation; nobody else, and nobody of another tenant."""
    await full(do, old, "a")
    document = '{ sessionWaitlist(sessionId: "s") { userId } }'
    forbidden, missing = "403: You are not an organizer of this session", "404: Session not found"

    async def seen_by(who: str, **claims: str) -> object:
        answer = await gateway.post(document, headers=login(gateway, who, **claims))
        return answer["errors"][0]["message"] if "errors" in answer else len(answer["data"]["sessionWaitlist"])

    assert await seen_by("ann") == forbidden
    assert await seen_by("otto", orgId="org_other", role="OWNER") == forbidden
    assert await seen_by("mo", orgId=ORGANIZATION, role="MEMBER") == forbidden
    assert await seen_by("adam", orgId=ORGANIZATION, role="ADMIN") == 1
    assert await seen_by("any", sub="olga") == 1
    assert await seen_by("olga", tenant="elsewhere") == missing
    for operation in ("removeFromWaitlist", "sendWaitlistOffer"):
        assert await old("a", operation, sessionId="s", userId=cuid("a")) == {"error": forbidden}
    assert await old("a", "bulkSendWaitlistOffers", sessionId="s", count=1) == {"error": forbidden}
    assert await old("a", "updateSessionCapacity", sessionId="s", capacity=9) == {"error": forbidden}
    assert await old("a", "eventWaitlistAnalytics", eventId="e") == {
        "error": "403: You are not an organizer of this event"
    }


# ---------------------------------------------------------------- keys


async def test_what_was_answered_to_a_key_stays(do: Do, old: Old) -> None:
    """Whatever has become of the matter since: a success is not taken back, and a refusal is not carried out later."""
    await full(do, old, "a")
    await old("x", "cancelSessionRsvp", sessionId="s")
    joined = await token(old, "a")
    early = await old("b", "leaveWaitlist", key="b", sessionId="s")
    wrong = await old("a", "acceptWaitlistOffer", key="wrong", sessionId="s", joinToken="x")
    right = await old("a", "acceptWaitlistOffer", key="right", sessionId="s", joinToken=joined)
    needed = await old("b", "joinWaitlist", key="join", sessionId="s")
    await old("a", "cancelSessionRsvp", sessionId="s")
    await old("b", "declineWaitlistOffer", sessionId="s")
    needless = await old("c", "joinWaitlist", key="c", sessionId="s")
    await old("x", "rsvpToSession", sessionId="s")

    assert needless == {"error": "400: Session has 1 available spots. No need to join waitlist."}
    assert await old("b", "leaveWaitlist", key="b", sessionId="s") == early == {"error": "404: Not on waitlist"}
    assert await old("a", "acceptWaitlistOffer", key="wrong", sessionId="s", joinToken=joined) == wrong == NO_OFFER
    assert await old("a", "acceptWaitlistOffer", key="right", sessionId="s", joinToken="x") == right
    assert (await old("b", "joinWaitlist", key="join", sessionId="s"))["id"] == needed["id"]
    assert await old("c", "joinWaitlist", key="c", sessionId="s") == needless
    assert await waitlist(old, "WAITING") == []
