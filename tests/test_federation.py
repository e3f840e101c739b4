"""The gateway as a subgraph: what a federation gateway may refer to, and what it composes with."""

from typing import Any

import pytest

from capacity_gateway.schema import subgraph_sdl
from conftest import Gateway, listening, running
from domains.conftest import Do, do

__all__ = ["do"]

ENTITIES = """
query ($representations: [_Any!]!) {
  _entities(representations: $representations) {
    __typename
    ... on Event { id name pool { available } }
    ... on Session { id title event { id } }
    ... on TicketType { id price }
    ... on Booth { id }
    ... on Competition { id }
    ... on Pool { id quota }
    ... on Reservation { id spacesRequested }
    ... on Registration { id holder user { id } }
  }
}
"""
MALFORMED: list[Any] = [
    1,
    "Event",
    [],
    {},
    {"id": "e"},
    {"__typename": "Event"},
    {"__typename": "Event", "id": None},
    {"__typename": "Event", "id": ["e"]},
    {"__typename": 1, "id": "e"},
    {"__typename": "Nothing", "id": "e"},
    {"__typename": "Query", "id": "e"},
    {"__typename": "Claim", "id": "e"},
    {"__typename": "User", "id": "ann"},
    {"__typename": "PoolKind", "id": "e"},
    {"__typename": "String", "id": "e"},
]


def refer(**ids: str) -> dict[str, Any]:
    """Variables that refer to an entity of each of these types."""
    return {"representations": [{"__typename": name, "id": id_} for name, id_ in ids.items()]}


@pytest.fixture
async def made(do: Do) -> dict[str, str]:
    """An id of each type of entity."""
    ids = {"Event": "e", "Session": "s", "TicketType": "t", "Booth": "b", "Competition": "c", "Reservation": "r"}
    for operation, given in (
        ("createEvent", {"id": "e", "name": "E", "quota": 10}),
        ("createSession", {"id": "s", "eventId": "e", "title": "S", "quota": 1}),
        ("createTicketType", {"id": "t", "eventId": "e", "name": "T", "price": 500}),
        ("createBooth", {"id": "b", "eventId": "e", "name": "B"}),
        ("createCompetition", {"id": "c", "name": "C", "quota": 600}),
        ("requestReservation", {"id": "r", "competitionId": "c", "studioId": "s", "spacesRequested": 9}),
    ):
        assert "code" not in await do("ada", operation, **given)
    registration = await do("ann", "register", eventId="e")
    return ids | {"Pool": "event:e", "Registration": registration["registration"]["id"]}


async def test_every_entity_is_found_by_its_id(gateway: Gateway, made: dict[str, str]) -> None:
    """By whoever may see it: here an admin."""
    found = await gateway.send(ENTITIES, refer(**made), headers=gateway.login("ada", "admin"))

    assert [(entity["__typename"], entity["id"]) for entity in found] == list(made.items())
    assert found[0]["pool"] == {"available": 9}
    assert found[-1]["user"] == {"id": "ann"}


async def test_what_is_not_there_or_not_the_caller_s_to_see_is_null(gateway: Gateway, made: dict[str, str]) -> None:
    """By the same rules as elsewhere; the rest of the answer stands."""
    strangers = [gateway.login("bob", None), gateway.login("ada", "admin", tenant="another"), {}]
    seen = [
        [entity and entity["__typename"] for entity in await gateway.send(ENTITIES, refer(**made), headers=headers)]
        for headers in strangers
    ]
    public = ["Event", "Session", "TicketType", "Booth", "Competition", None, "Pool", None]

    assert seen == [public, [None] * 8, public]
    assert await gateway.send(ENTITIES, refer(Event="f", Pool="e", Reservation=made["Registration"])) == [None] * 3


async def test_entities_are_read_together(owner_url: str, made: dict[str, str]) -> None:
    """Fifty cost as many statements as one; what is not there is looked for like the rest."""
    counts = []
    async with listening(owner_url) as (gateway, statements):
        for names in (["e"], ["e", *(f"e{number}" for number in range(49))]):
            statements.clear()
            found = await gateway.send(
                ENTITIES, {"representations": [{"__typename": "Event", "id": name} for name in names]}
            )
            assert (len(found), found[0]["id"]) == (len(names), "e")
            counts.append(len(statements))

    assert counts[0] == counts[1] < 10


async def test_what_refers_to_no_entity_is_bad_user_input(gateway: Gateway, do: Do) -> None:
    """And never a bug; the rest of the answer stands."""
    competition = {"__typename": "Competition", "id": "c"}
    assert "code" not in await do("ada", "createCompetition", id="c", name="C", quota=1)
    for representation in MALFORMED:
        answer = await gateway.post(ENTITIES, {"representations": [competition, representation]})

        (error,) = answer["errors"]
        assert (error["path"], error["extensions"]["code"]) == (["_entities", 1], "BAD_USER_INPUT"), representation
        assert answer["data"] == {"_entities": [competition, None]}


async def test_a_login_that_does_not_hold_finds_no_entity(gateway: Gateway) -> None:
    """As everywhere but in the operations of the older service."""
    answer = await gateway.post(ENTITIES, refer(Event="e"), headers={"authorization": "Bearer nonsense"})

    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_federation_gateway_gets_the_schema_without_a_login(owner_url: str) -> None:
    """In production too, where nobody else is shown it."""
    async with running(owner_url, production=True) as gateway:
        for headers in ({}, {"authorization": "Bearer nonsense"}):
            answer = await gateway.send("{ _service { sdl } }", headers=headers)
            assert answer == {"sdl": subgraph_sdl()}
