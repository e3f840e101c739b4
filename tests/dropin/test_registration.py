"""Registrations as clients of the older service send them, and its bugs that are gone."""

import asyncio
from typing import Any

import asyncpg
import pytest

from conftest import Gateway
from domains.conftest import Do, assert_made
from dropin.conftest import SECRET_WORDS, platform, weak_logins
from dropin.documents import DOCUMENTS

ANN = "cluser0000000000000000ann"
BOB = "cluser0000000000000000bob"
FULL = "409: This event has reached its maximum capacity."
REGISTERED = "409: A registration already exists for this user or email."

Headers = dict[str, str]


@pytest.fixture
async def event(do: Do) -> str:
    """The event `e`, with places for two."""
    assert_made(await do("olga", "createEvent", id="e", name="E", quota=2))
    return "e"


pytestmark = pytest.mark.usefixtures("event")


async def register(gateway: Gateway, headers: Headers, event: str = "e", key: str | None = None, **given: Any) -> Any:
    """The registration, or the message of why there is none."""
    headers = headers | ({} if key is None else {"x-idempotency-key": key})
    answer = await gateway.post(DOCUMENTS["createRegistration"], {"registrationIn": given, "eventId": event}, headers)
    if "errors" not in answer:
        return answer["data"]["createRegistration"]
    message: str = answer["errors"][0]["message"]
    assert answer["data"] is None
    assert not any(word in message.lower() for word in SECRET_WORDS)
    return message


async def mine(gateway: Gateway, headers: Headers) -> Any:
    """The caller's own registration."""
    return await gateway.send(DOCUMENTS["myRegistrationForEvent"], {"eventId": "e"}, headers)


async def confirmed(gateway: Gateway, event: str = "e") -> int:
    """How many are registered."""
    pool = await gateway.send("query ($e: ID!) { capacity(kind: EVENT, ref: $e) { confirmed } }", {"e": event}, {})
    count: int = pool["confirmed"]
    return count


def guest(email: str = "Gwen@Example.org") -> dict[str, str]:
    """The details of a guest."""
    return {"email": email, "firstName": "Gwen", "lastName": "Guest"}


async def test_a_user_registers_and_finds_the_registration(gateway: Gateway) -> None:
    """With its code for the door, in the older service's words."""
    made = await register(gateway, platform(gateway, ANN), userId=ANN)

    assert (made["status"], len(made["ticketCode"])) == ("confirmed", 10)
    assert await mine(gateway, platform(gateway, ANN)) == made | {"checkedInAt": None}
    assert await mine(gateway, platform(gateway, BOB)) is None


@pytest.mark.parametrize(
    "given", [{}, {"userId": "", "email": ""}, {"email": f"{ANN}@EXAMPLE.org ", "firstName": "Ann", "lastName": "A"}]
)
async def test_who_gives_no_more_than_his_own_address_registers_himself(gateway: Gateway, given: Any) -> None:
    """And finds it under his login."""
    made = await register(gateway, platform(gateway, ANN), **given)

    assert (await mine(gateway, platform(gateway, ANN)))["id"] == made["id"]


async def test_who_has_come_is_checked_in(gateway: Gateway, do: Do) -> None:
    """And the time is kept."""
    made = await register(gateway, platform(gateway, ANN), userId=ANN)
    await do("olga", "checkIn", registrationId=made["id"])

    found = await mine(gateway, platform(gateway, ANN))

    assert (found["status"], found["checkedInAt"][:2]) == ("checked_in", "20")


@pytest.mark.parametrize("login", ["none", "empty", "blank", "expired", "onboarding", "nonsense"])
async def test_without_a_login_one_is_a_guest(gateway: Gateway, login: str) -> None:
    """Whatever login that does not hold is shown: a guest registers, a user does not, and nobody's own is found."""
    headers = weak_logins(gateway)[login]

    assert await register(gateway, headers, userId=ANN) == "403: You can only register yourself"
    assert (await register(gateway, headers, **guest()))["status"] == "confirmed"
    assert await mine(gateway, headers) is None
    assert await confirmed(gateway) == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"userId": ANN, "email": "a@b.org"}, "400: Provide either user_id or guest details, not both."),
        ({"email": "a@b.org"}, "400: Guests need an email, a first name and a last name."),
        ({"firstName": "A", "lastName": "B"}, "400: Guests need an email, a first name and a last name."),
        ({}, "400: Guests need an email, a first name and a last name."),
        (guest("nowhere"), "400: guestEmail must be an e-mail address"),
        (guest("a@" + "b" * 300), "400: guestEmail must be an e-mail address"),
        (
            guest() | {"lastName": "x" * 3000},
            "400: guestName must be at most 2000 characters, and no control characters",
        ),
        ({"userId": ""}, "400: Guests need an email, a first name and a last name."),
    ],
)
async def test_a_guest_who_is_not_named_does_not_register(gateway: Gateway, given: Any, message: str) -> None:
    """Each wrong input has its text, and changes nothing."""
    assert await register(gateway, {}, **given) == message
    assert await confirmed(gateway) == 0


@pytest.mark.parametrize("event", ["nowhere", "", "x" * 300, "a\nb"])
async def test_an_event_that_is_not_there_is_not_found(gateway: Gateway, event: str) -> None:
    """404."""
    assert await register(gateway, platform(gateway, ANN), event, userId=ANN) == "404: Event not found"


async def test_another_tenants_event_is_not_there(gateway: Gateway) -> None:
    """For reading neither."""
    stranger = platform(gateway, ANN, tenant="elsewhere")

    assert await register(gateway, stranger, userId=ANN) == "404: Event not found"
    assert await mine(gateway, stranger) is None


async def test_nobody_registers_another_user(gateway: Gateway) -> None:
    """But its organiser does."""
    organiser = platform(gateway, "olga", role="OWNER", orgId="any")

    assert (await register(gateway, platform(gateway, BOB), userId=ANN)).startswith("403: ")
    assert (await register(gateway, organiser, userId=ANN))["status"] == "confirmed"


async def test_a_user_registers_a_guest_as_anybody_may(gateway: Gateway) -> None:
    """Who gives another address than his own; his own registration is another one."""
    as_guest = await register(gateway, platform(gateway, ANN), **guest())
    own = await register(gateway, platform(gateway, ANN), userId=ANN)

    assert as_guest["status"] == own["status"] == "confirmed"
    assert (await mine(gateway, platform(gateway, ANN)))["id"] == own["id"]


async def test_a_full_event_has_reached_its_maximum_capacity(gateway: Gateway) -> None:
    """In the text that the registration form looks for, for users and guests."""
    for name in ("x", "y"):
        await register(gateway, platform(gateway, name), userId=name)

    assert await register(gateway, platform(gateway, ANN), userId=ANN) == FULL
    assert await register(gateway, {}, **guest()) == FULL


async def test_of_two_on_the_last_place_one_registers(gateway: Gateway, do: Do) -> None:
    """The other is told that the event is full; ten times over."""
    for number in range(10):
        assert_made(await do("olga", "createEvent", id=f"last{number}", name="Last", quota=1))
        answers = await asyncio.gather(
            *(register(gateway, platform(gateway, who), f"last{number}", userId=who) for who in (ANN, BOB))
        )
        assert sorted(answer if isinstance(answer, str) else "registered" for answer in answers) == [FULL, "registered"]


async def test_bug_a_double_registration_by_double_click(gateway: Gateway) -> None:
    """One is made, whatever is clicked twice; the other click hears that there is one, as of old."""
    clicks = await asyncio.gather(*(register(gateway, platform(gateway, ANN), userId=ANN) for _ in range(5)))
    as_guest = await asyncio.gather(*(register(gateway, {}, **guest()) for _ in range(5)))

    assert [sum(answer == REGISTERED for answer in answers) for answers in (clicks, as_guest)] == [4, 4]
    assert await confirmed(gateway) == 2


async def test_sent_again_with_its_key_it_is_answered_as_the_first_time(gateway: Gateway) -> None:
    """X-Idempotency-Key is honoured, for guests too; with another input it is a conflict."""
    user = [await register(gateway, platform(gateway, ANN), key="k", userId=ANN) for _ in range(2)]
    as_guest = [await register(gateway, {}, key="g", **guest()) for _ in range(2)]

    assert user[0] == user[1]
    assert as_guest[0] == as_guest[1]
    assert (await register(gateway, {}, key="g", **guest("other@example.org"))).startswith("422: ")


async def test_bug_a_cancelled_registration_blocks_a_new_one(gateway: Gateway, do: Do) -> None:
    """Who has called off registers anew, and is found anew."""
    first = await register(gateway, platform(gateway, ANN), userId=ANN)
    await do(ANN, "cancelRegistration", registrationId=first["id"])
    between = await mine(gateway, platform(gateway, ANN))

    second = await register(gateway, platform(gateway, ANN), userId=ANN)

    assert between is None
    assert second["id"] != first["id"]
    assert (await mine(gateway, platform(gateway, ANN)))["id"] == second["id"]


async def test_bug_capitals_make_another_guest(gateway: Gateway, owner: asyncpg.Connection) -> None:
    """An address is the same in any case; who merely knows it is shown nothing of the registration."""
    made = await register(gateway, {}, **guest("Gwen@Example.org"))

    again = await register(gateway, {}, **guest("  gwen@eXample.ORG "))

    assert again == REGISTERED
    assert made["id"] not in again
    assert await owner.fetchval("SELECT facts ->> 'email' FROM capacity.claim") == "gwen@example.org"


async def test_the_code_for_the_door_says_nothing_of_the_id(gateway: Gateway) -> None:
    """It is as hard to guess, and the same whenever it is read."""
    made = await register(gateway, platform(gateway, ANN), userId=ANN)

    assert made["ticketCode"].isalnum()
    assert made["ticketCode"].lower() not in made["id"].replace("-", "")
