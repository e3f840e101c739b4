"""Refusals that are found by reading, before the kernel is asked: with a key they are final, like any other."""

from typing import Any

import asyncpg
import pytest

from domains.conftest import Do, assert_made

pytestmark = pytest.mark.usefixtures("event", "balanced")


async def make(do: Do, operation: str, **given: Any) -> None:
    """Make something that was not there."""
    assert_made(await do("olga", operation, **given))


@pytest.mark.parametrize(
    ("operation", "given", "made"),
    [
        (
            "setQuota",
            {"kind": "BOOTH", "ref": "b", "quota": 1},
            ("createBooth", {"id": "b", "eventId": "e", "name": "B"}),
        ),
        ("closePool", {"kind": "BOOTH", "ref": "b"}, ("createBooth", {"id": "b", "eventId": "e", "name": "B"})),
        ("createBooth", {"eventId": "f", "name": "B"}, ("createEvent", {"id": "f", "name": "F"})),
        ("createSession", {"eventId": "f", "title": "S"}, ("createEvent", {"id": "f", "name": "F"})),
        ("createTicketType", {"eventId": "f", "name": "T"}, ("createEvent", {"id": "f", "name": "F"})),
        (
            "createBreakoutRoom",
            {"sessionId": "s", "title": "R"},
            ("createSession", {"id": "s", "eventId": "e", "title": "S"}),
        ),
    ],
)
async def test_what_was_not_there_stays_so_for_a_key(do: Do, operation: str, given: Any, made: Any) -> None:
    """Though it has been made since; a new key finds it."""
    first = await do("olga", operation, **given, idempotencyKey="k")
    await make(do, made[0], **made[1])

    again, anew = [await do("olga", operation, **given, idempotencyKey=key) for key in ("k", "l")]

    assert (first["__typename"], first["replayed"]) == ("NotFoundError", False)
    assert again == first | {"replayed": True}
    assert_made(anew)


@pytest.mark.parametrize("operation", ["confirmTickets", "releaseTickets", "refundTickets"])
async def test_an_order_that_is_not_there_stays_so_for_a_key(do: Do, operation: str) -> None:
    """Another order under that key is a conflict."""
    answers = [await do("olga", operation, orderId=order, idempotencyKey="k") for order in ("none", "none", "another")]

    assert [(a["__typename"], a["replayed"]) for a in answers] == [
        ("NotFoundError", False),
        ("NotFoundError", True),
        ("IdempotencyConflictError", False),
    ]


async def test_a_lease_that_is_not_there_stays_so_for_a_key(do: Do) -> None:
    """Nor is a registration."""
    for operation, given in (("leave", {"leaseId": "none"}), ("cancelRegistration", {"registrationId": "none"})):
        answers = [await do("ann", operation, **given, idempotencyKey="k") for _ in range(2)]

        assert [(a["__typename"], a["replayed"]) for a in answers] == [
            ("NotFoundError", False),
            ("NotFoundError", True),
        ]


async def test_a_limit_for_one_holder_is_told_again_with_its_pool_as_it_is_now(do: Do) -> None:
    """The numbers of the refusal stay; those of the pool are today's."""
    await make(do, "createTicketType", id="t", eventId="e", name="T", quota=9, maxPerOrder=2)
    lines = [{"ticketTypeId": "t", "quantity": 3}]
    first = await do("ann", "holdTickets", eventId="e", lines=lines, idempotencyKey="k")
    await do("bob", "holdTickets", eventId="e", lines=[{"ticketTypeId": "t", "quantity": 1}], idempotencyKey="b")

    again = await do("ann", "holdTickets", eventId="e", lines=lines, idempotencyKey="k")

    assert (first["__typename"], first["limit"], first["current"]) == ("PerHolderLimitError", 2, 3)
    assert again == first | {"replayed": True, "pool": again["pool"]}
    assert (first["pool"]["held"], again["pool"]["held"]) == (0, 1)


async def test_without_a_key_nothing_is_remembered(do: Do, owner: asyncpg.Connection) -> None:
    """One simply asks again."""
    refused = await do("olga", "createSession", eventId="f", title="S")
    await make(do, "createEvent", id="f", name="F")

    assert refused["__typename"] == "NotFoundError"
    assert_made(await do("olga", "createSession", eventId="f", title="S"))
    assert await owner.fetchval("SELECT count(*) FROM capacity.idempotency") == 0
