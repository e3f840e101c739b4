"""Subscriptions as clients have them: over a WebSocket, and as server-sent events."""

import asyncio
import gc
import itertools
import socket
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import asyncpg
import httpx
import orjson
import pytest
import structlog
from graphql.execution.collect_fields import FieldDetails
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from capacity_gateway import streaming
from capacity_gateway.login import mint
from capacity_gateway.settings import Settings
from capacity_gateway.streaming import OPERATIONS_MAX
from conftest import NOBODY_READS, eventually
from subscribing import OFFERS, WATCH, Served, serving

CREATE = """
mutation ($ref: ID!, $quota: Int!) {
  createCompetition(input: { id: $ref, name: "P", quota: $quota }) { __typename }
}"""
REQUEST = """
mutation ($id: ID!, $studio: ID!, $spaces: Int!) {
  requestReservation(input: { id: $id, competitionId: "p", studioId: $studio, spacesRequested: $spaces }) { __typename }
}"""
APPROVE = """
mutation ($id: ID!, $spaces: Int!) {
  approve(input: { reservationId: $id, spacesConfirmed: $spaces }) { __typename ... on CapacityError { message } }
}"""
RESIZE = """
mutation ($quota: Int!) {
  setQuota(input: { kind: COMPETITION, ref: "p", quota: $quota, idempotencyKey: "to QUOTA" }) { __typename }
}"""
DEFINE = """
mutation ($title: String!) {
  definePool(input: { kind: EVENT, ref: "w", title: $title, quota: 1 }) { __typename }
}"""
GROW = """
mutation {
  setQuota(input: { kind: EVENT, ref: "w", quota: QUOTA, idempotencyKey: "to QUOTA" }) { __typename }
}"""
CONNECTIONS_END = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = 'capacity-gateway' AND datname = current_database()
"""


@pytest.fixture
async def served(owner_url: str) -> AsyncIterator[Served]:
    """A gateway that listens, with a competition `p` for 100."""
    async with serving(owner_url) as served:
        await served.gateway.send(CREATE, {"ref": "p", "quota": 100})
        yield served


async def approve(served: Served, reservation: str, spaces: int = 1, studio: str = "s") -> None:
    """Take some of the competition's spaces."""
    await served.gateway.send(REQUEST, {"id": reservation, "studio": studio, "spaces": spaces})
    answer = await served.gateway.send(APPROVE, {"id": reservation, "spaces": spaces})
    assert answer["__typename"] == "ReservationSuccess", answer


async def resize(served: Served, quota: int) -> None:
    """Change the competition's quota."""
    await served.gateway.send(RESIZE.replace("QUOTA", str(quota)), {"quota": quota})


# ------------------------------------------------------------------ what is told


async def test_it_begins_with_the_pool_as_it_is_and_tells_every_change(served: Served) -> None:
    """In order; and who comes back with a version begins with what he has missed."""
    async with served.client() as client:
        watching = await client.ask(WATCH)
        first = await watching.event()
        for n in range(3):
            await approve(served, f"r{n}", 10)
        events = await watching.until(3)
        back = await (await client.ask(WATCH, after=1)).until(3)

    numbers = {"id": "competition:p", "available": 100, "held": 0, "confirmed": 0, "version": 0}
    assert first == {"pool": numbers, "entry": None, "coalesced": 0}
    assert [(e["pool"]["version"], e["pool"]["available"], e["coalesced"]) for e in events] == [
        (1, 90, 1),
        (2, 80, 1),
        (3, 70, 1),
    ]
    assert events[0]["entry"] == {"version": 1, "change": -10, "reason": "RESERVATION_APPROVAL"}
    assert back == events[1:]


@pytest.mark.parametrize(
    "given",
    [{"after": -1}, {"after": 2}, {"ref": "nowhere"}, {"kind": "BOOTH"}, {"ref": "a\nb"}, {"ref": ""}],
    ids=repr,
)
async def test_what_cannot_be_watched_is_said(served: Served, given: dict[str, Any]) -> None:
    """A version that has never been, and a pool that is not there."""
    await approve(served, "r")
    async with served.client() as client:
        assert await (await client.ask(WATCH, **given)).error() == "BAD_USER_INPUT"


async def test_a_pool_of_another_tenant_is_not_there(served: Served) -> None:
    """And what happens in one of the same name is not told."""
    elsewhere = served.gateway.login("eve", tenant="elsewhere")
    async with served.client(elsewhere) as client:
        assert await (await client.ask(WATCH)).error() == "BAD_USER_INPUT"
        await served.gateway.send(CREATE, {"ref": "p", "quota": 7}, elsewhere)
        watching = await client.ask(WATCH)
        assert (await watching.event())["pool"]["available"] == 7
        await approve(served, "r")

        with pytest.raises(TimeoutError):
            await watching.event(seconds=0.5)


async def test_entries_are_for_who_may_read_the_ledger(served: Served) -> None:
    """The numbers are everybody's; an entry is null without an error for who may not read it."""
    logins = {
        "anonymous": {},
        "attendee": served.gateway.login("ann", role=None),
        "studio": served.gateway.login("stella", role="studio", studioId="s"),
        "another studio": served.gateway.login("sam", role="studio", studioId="t"),
        "director": served.gateway.login(),
    }
    seen = {}
    for who, login in logins.items():
        async with served.client(login) as client:
            watching = await client.ask(WATCH)
            await watching.event()
            await approve(served, f"r of {who}", studio="s")
            event = await watching.event()
            assert event["pool"]["available"] is not None
            seen[who] = event["entry"] is not None

    assert seen == {"anonymous": False, "attendee": False, "studio": True, "another studio": False, "director": True}


async def test_a_change_by_another_gateway_is_told(served: Served, owner_url: str) -> None:
    """Within about a tick."""
    async with serving(owner_url) as other, served.client() as client:
        watching = await client.ask(WATCH)
        await watching.event()
        await approve(other, "r")

        assert (await watching.event(seconds=5))["pool"]["version"] == 1


async def test_crowds_at_two_gateways_see_the_same(served: Served, owner_url: str) -> None:
    """While both of them write, without a gap and in order."""
    async with serving(owner_url) as other, served.client() as here, other.client() as there:
        watching = [await client.ask(WATCH) for client in (here, there) for _ in range(10)]
        for each in watching:
            assert (await each.event())["pool"]["version"] == 0
        await asyncio.gather(
            *(approve(served, f"a{n}") for n in range(15)), *(approve(other, f"b{n}") for n in range(15))
        )
        seen = await asyncio.gather(*(each.until(30) for each in watching))

    for events in seen:
        ends = [event["pool"]["version"] for event in events]
        assert ends == list(itertools.accumulate(event["coalesced"] for event in events))


async def test_what_is_asked_of_an_event_is_read_and_let_go_of(served: Served, owner: asyncpg.Connection) -> None:
    """Nobody who waits for the next event keeps a connection."""
    nested = WATCH.replace("version }", "version mine { id } ledger(first: 1) { edges { node { version } } } }", 1)
    async with served.client() as client:
        watching = [await client.ask(nested) for _ in range(20)]
        for each in watching:
            assert (await each.event())["pool"]["ledger"] == {"edges": []}
        late = [await client.ask(WATCH, after=0) for _ in range(20)]
        await approve(served, "r")
        for each in [*watching, *late]:
            assert (await each.event())["pool"]["version"] == 1
        await asyncio.sleep(0.2)

        await eventually(owner, NOBODY_READS)
        assert (await served.gateway.post("{ pools { totalCount } }"))["data"]


async def test_an_event_leaves_nothing_behind(served: Served) -> None:
    """However many there are: what it took to answer one is forgotten with it."""
    async with served.client() as client:
        watching = [await client.ask(WATCH) for _ in range(10)]
        left = []
        for version in (20, 40):
            for n in range(version - 20, version):
                await resize(served, n)
            for each in watching:
                await each.until(version)
            gc.collect()
            left.append(sum(type(each) is FieldDetails for each in gc.get_objects()))

    assert left[1] - left[0] < 100  # it was 2,400


async def test_nothing_is_lost_when_connections_end(served: Served, owner: asyncpg.Connection) -> None:
    """The stream goes on from where it was."""
    async with served.client() as client:
        watching = await client.ask(WATCH)
        await watching.event()
        for n in range(10):
            await owner.execute(CONNECTIONS_END)
            await approve(served, f"r{n}")
        events = await watching.until(10)

    assert [event["pool"]["version"] for event in events] == list(range(1, 11))


SETTING_UP = [
    'mutation { createEvent(input: { id: "e", name: "E" }) { __typename } }',
    """mutation { createSession(input: { id: "s", eventId: "e", title: "S", quota: 1, requiresRegistration: false }) {
      __typename } }""",
    'mutation { createBooth(input: { id: "b", eventId: "e", name: "B", quota: 1 }) { __typename } }',
]
JOIN = 'mutation { joinSession(input: { sessionId: "s", orWait: true }) { __typename } }'
LEAVE = 'mutation { leaveSession(input: { sessionId: "s" }) { __typename } }'
ENTER = 'mutation { enterBooth(input: { boothId: "b" }) { __typename } }'
GO = 'mutation { leaveBooth(input: { boothId: "b" }) { __typename } }'


async def test_offers_of_every_kind_reach_their_holder(served: Served) -> None:
    """Alone; and again whoever subscribes anew while they hold."""
    send, logins = served.gateway.send, {who: served.gateway.login(who, role=None) for who in ("ann", "bob", "cy")}
    for document in SETTING_UP:
        await send(document, None, served.gateway.login("olga", role="organizer"))
    for who in ("ann", "bob", "cy"):
        assert (await send(JOIN, None, logins[who]))["__typename"] in ("SessionJoined", "SessionWaiting")
        assert (await send(ENTER, None, logins[who]))["__typename"] in ("BoothEntered", "BoothQueued")

    async with served.client(logins["bob"]) as bob, served.client(logins["cy"]) as cy:
        offers, none = await bob.ask(OFFERS), await cy.ask(OFFERS)
        await send(LEAVE, None, logins["ann"])
        seat = await offers.event()
        await send(GO, None, logins["ann"])
        place = await offers.event()
        again = await bob.ask(OFFERS)

        assert [offer["pool"]["id"] for offer in (seat, place)] == ["session:s", "booth:b"]
        assert [(offer["claim"]["holder"], offer["claim"]["state"]) for offer in (seat, place)] == [("bob", "HELD")] * 2
        assert [await again.event(), await again.event()] == [seat, place]
        with pytest.raises(TimeoutError):
            await none.event(seconds=0.5)


async def test_offers_need_a_login(served: Served) -> None:
    """Nothing is offered to nobody."""
    async with served.client({}) as client:
        assert await (await client.ask(OFFERS)).error() == "UNAUTHENTICATED"


# ------------------------------------------------------------------ who asks, and how much


async def test_queries_and_mutations_work_as_well(served: Served) -> None:
    """With the same checks, and a key is a key."""
    async with served.client() as client:
        query = await client.ask('{ capacity(kind: COMPETITION, ref: "p") { version } }')
        assert (await query.event())["version"] == 0
        assert (await query.message())["type"] == "complete"
        for _ in range(2):
            changing = await client.ask(RESIZE, quota=7)
            assert (await changing.event())["__typename"] == "PoolSuccess"
        assert (await (await client.ask(WATCH)).event())["pool"]["version"] == 1


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ("{", "GRAPHQL_PARSE_FAILED"),
        ("subscription { nothing }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ __typename } query Other { __typename }", "BAD_REQUEST"),
        ("subscription { a: waitlistOffer { expiresAt } b: waitlistOffer { expiresAt } }", "LIMIT_EXCEEDED"),
        ("subscription { waitlistOffer { expiresAt } capacityChanged { coalesced } }", "LIMIT_EXCEEDED"),
        ("{ " + " ".join(f"a{n}: __typename" for n in range(31)) + " }", "LIMIT_EXCEEDED"),
        ("{ " + "pools { edges { node { mine { pool " * 3 + "{ id }" + " } } } }" * 3 + " }", "LIMIT_EXCEEDED"),
    ],
    ids=["syntax", "schema", "two operations", "two offers", "two subscriptions", "aliases", "depth"],
)
async def test_documents_are_measured(served: Served, document: str, code: str) -> None:
    """As over HTTP; the socket lives on."""
    async with served.client() as client:
        assert await (await client.ask(document)).error() == code
        assert await (await client.ask("{ __typename }")).event() == "Query"


async def test_a_bug_is_masked(served: Served, owner: asyncpg.Connection) -> None:
    """In a subscription and in a query; the log has the id that the caller is told."""
    await owner.execute("REVOKE SELECT ON capacity.pool FROM capacity_app")
    told = []
    with structlog.testing.capture_logs() as logs:
        async with served.client() as client:
            for document in (WATCH, "{ pools { totalCount } }"):
                message = await (await client.ask(document)).message()
                errors = message["payload"] if message["type"] == "error" else message["payload"]["errors"]
                assert errors[0]["extensions"]["code"] == "INTERNAL", errors
                assert "pool" not in errors[0]["message"]
                told.append(errors[0]["extensions"]["requestId"])
    assert told == [line["request_id"] for line in logs if line["event"] == "unexpected error"]
    assert len(set(told)) == 2


async def test_the_schema_is_not_shown_in_production(owner_url: str) -> None:
    """Over a socket either."""
    async with serving(owner_url, production=True) as served, served.client() as client:
        assert await (await client.ask("{ __schema { description } }")).error() == "INTROSPECTION_DISABLED"


async def test_a_login_that_does_not_hold_is_turned_away(served: Served) -> None:
    """With 4403, upon which clients log in anew."""
    for payload in ({"authorization": "Bearer x"}, {"Authorization": "Bearer x"}, {"authorization": 7}):
        async with served.socket(payload) as client:
            await client.wait_closed()
            assert client.close_code == 4403


async def test_a_socket_ends_with_its_login(served: Served) -> None:
    """With 4403; the one of another login lives on."""
    short = mint(served.gateway.settings, {"sub": "dora", "role": "director"}, ttl_seconds=-3)  # within the leeway
    async with served.client({"authorization": f"Bearer {short}"}) as client, served.client() as other:
        watching, longer = await client.ask(WATCH), await other.ask(WATCH)
        await watching.event()
        await longer.event()

        assert await client.closed() == 4403
        await approve(served, "r")
        assert (await longer.event())["pool"]["version"] == 1


async def test_an_operation_may_be_ended_and_its_id_used_again(served: Served) -> None:
    """Nothing comes for it any more."""
    async with served.client() as client:
        watching = await client.ask(WATCH)
        await watching.event()
        await watching.complete()
        await approve(served, "r")
        await client.send({"type": "subscribe", "id": watching.number, "payload": {"query": "{ __typename }"}})

        assert await watching.event() == "Query"


async def test_a_socket_has_so_many_operations_at_a_time(served: Served) -> None:
    """One more is refused until another one has ended."""
    async with served.client() as client:
        watching = [await client.ask(WATCH) for _ in range(OPERATIONS_MAX)]
        for each in watching:
            await each.event()
        assert await (await client.ask(WATCH)).error() == "LIMIT_EXCEEDED"

        await watching[0].complete()

        assert (await (await client.ask(WATCH)).event())["pool"]["version"] == 0


SUBSCRIBE = {"type": "subscribe", "id": "1", "payload": {"query": WATCH}}
INVALID: dict[str, Any] = {
    "no JSON": "{",
    "null": "null",
    "an array": "[]",
    "a number": "7",
    "a repeated name": '{"type": "ping", "type": "ping"}',
    "deep": '{"type": "ping", "payload": ' + "[" * 10_000 + "]" * 10_000 + "}",
    "no type": "{}",
    "a type that is none": '{"type": 7}',
    "an unknown type": orjson.dumps({"type": "x" * 1000}).decode(),
    "a payload that is none": orjson.dumps({"type": "ping", "payload": []}).decode(),
    "no id": orjson.dumps({"type": "subscribe", "payload": {"query": WATCH}}).decode(),
    "a long id": orjson.dumps(SUBSCRIBE | {"id": "x" * 65}).decode(),
    "no query": orjson.dumps(SUBSCRIBE | {"payload": {}}).decode(),
    "wrong variables": orjson.dumps(SUBSCRIBE | {"payload": {"query": WATCH, "variables": []}}).decode(),
    "a wrong name": orjson.dumps(SUBSCRIBE | {"payload": {"query": WATCH, "operationName": 1}}).decode(),
    "to complete nothing": '{"type": "complete"}',
    "bytes": b"{}",
}


@pytest.mark.parametrize("frame", INVALID.values(), ids=INVALID)
async def test_what_is_no_message_ends_the_socket(served: Served, frame: str | bytes) -> None:
    """With 4400, and nobody else's."""
    async with served.client() as other:
        async with served.client() as client:
            await client.socket.send(frame)
            assert await client.closed() == 4400
        assert await (await other.ask("{ __typename }")).event() == "Query"


async def test_what_is_out_of_turn_ends_the_socket(served: Served) -> None:
    """To ask before one is let in, to come in twice, to use an id twice, and to say nothing in a message too big."""
    init, subscribe = '{"type": "connection_init"}', orjson.dumps(SUBSCRIBE).decode()
    big = orjson.dumps(SUBSCRIBE | {"id": "x" * Settings().body_bytes_max}).decode()
    for frames, code in (
        ([subscribe], 4401),
        ([init, init], 4429),
        ([init, subscribe, subscribe], 4409),
        ([init, big], 1009),
    ):
        async with served.socket(payload=False) as client:
            for frame in frames:
                await client.send(frame)
            async with asyncio.timeout(10):
                await client.wait_closed()
            assert client.close_code == code


async def test_who_says_nothing_is_not_waited_for(owner_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """4408 after so many seconds without a login."""
    monkeypatch.setattr(streaming, "INIT_SECONDS", 0.2)
    async with serving(owner_url) as served, served.socket(payload=False) as client:
        async with asyncio.timeout(10):
            await client.wait_closed()
        assert client.close_code == 4408


async def test_a_socket_speaks_one_protocol(served: Served) -> None:
    """Any other, and none, is 4406."""
    for protocols in (["graphql-ws"], None):
        async with connect(f"ws://{served.address}/graphql", subprotocols=protocols, proxy=None) as client:  # type: ignore[arg-type]
            await client.wait_closed()
            assert client.close_code == 4406


async def test_pages_of_other_origins_open_no_socket(owner_url: str) -> None:
    """Those of the gateway's own and of configured ones do."""
    async with serving(owner_url, allowed_origins="https://*.example.org") as served:
        for origin, allowed in (
            (f"http://{served.address}", True),
            ("https://app.example.org", True),
            ("https://app.example.com", False),
            ("null", False),
        ):
            opened = False
            with suppress(InvalidStatus):
                async with served.client(additional_headers={"origin": origin}):
                    opened = True
            assert opened is allowed, origin


async def test_who_does_not_read_gets_the_newest_when_he_does(served: Served) -> None:
    """The gateway waits, with nothing queued but what the network holds, and tells others meanwhile."""
    ada = served.gateway.login("ada", role="admin")
    titles = " ".join(f"t{n}: title" for n in range(30))  # 60 KB
    wide = f'subscription {{ capacityChanged(kind: EVENT, ref: "w") {{ pool {{ version {titles} }} coalesced }} }}'
    await served.gateway.send(DEFINE, {"title": "x" * 2000}, ada)
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    narrow.connect(("127.0.0.1", served.port))
    narrow.setblocking(False)  # noqa: FBT003 - the standard library's own form
    async with served.socket(ada, sock=narrow, max_queue=1, ping_interval=None) as slow, served.client() as quick:
        assert orjson.loads(await slow.recv()) == {"type": "connection_ack"}
        await slow.send(orjson.dumps({"type": "subscribe", "id": "1", "payload": {"query": wide}}).decode())
        watching = await quick.ask(WATCH, kind="EVENT", ref="w")
        for n in range(200):
            await served.gateway.send(GROW.replace("QUOTA", str(n + 2)), None, ada)
        assert sum(event["coalesced"] for event in await watching.until(200)) == 200

        version, coalesced = 0, []
        while version < 200:
            event = orjson.loads(await slow.recv())["payload"]["data"]["capacityChanged"]
            coalesced.append(event["coalesced"])
            version += event["coalesced"]
            assert event["pool"]["version"] == version
    assert max(coalesced) > 10


# ------------------------------------------------------------------ server-sent events


async def events_of(lines: Any, wanted: int) -> list[Any]:
    """So many events of a stream, as (name, data)."""
    found, name = [], ""
    async for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data:"):
            found.append((name, orjson.loads(text) if (text := line.removeprefix("data:").strip()) else None))
            if len(found) == wanted:
                break
    return found


async def test_a_stream_tells_the_same(served: Served) -> None:
    """The pool as it is, every change, and what was missed."""
    async with served.stream(WATCH) as lines:
        (first,) = await events_of(lines, 1)
    await approve(served, "r")
    async with served.stream(WATCH, after=0) as lines:
        (second,) = await events_of(lines, 1)

    assert [name for name, _ in (first, second)] == ["next", "next"]
    assert [e["data"]["capacityChanged"]["coalesced"] for _, e in (first, second)] == [0, 1]


async def test_a_stream_of_a_query_is_complete_after_its_answer(served: Served) -> None:
    """So is one that cannot be run."""
    async with served.stream("{ __typename }") as lines:
        assert await events_of(lines, 2) == [("next", {"data": {"__typename": "Query"}}), ("complete", None)]
    async with served.stream(WATCH, ref="nowhere") as lines:
        (_, answer), end = await events_of(lines, 2)
        assert (answer["errors"][0]["extensions"]["code"], end) == ("BAD_USER_INPUT", ("complete", None))


async def test_a_stream_shows_that_it_lives(owner_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By comments, which clients leave out."""
    monkeypatch.setattr(streaming, "HEARTBEAT_SECONDS", 0.1)
    async with serving(owner_url) as served:
        await served.gateway.send(CREATE, {"ref": "p", "quota": 100})
        async with served.stream(WATCH) as lines:
            await events_of(lines, 1)
            assert [line async for _, line in azip(range(4), lines)].count(":") >= 1


async def azip(numbers: range, lines: Any) -> AsyncIterator[tuple[int, str]]:
    """So many lines."""
    for number in numbers:
        yield number, await anext(lines)


async def test_a_stream_is_cut_short_with_its_login(served: Served) -> None:
    """Without `complete`, upon which clients ask again; and then they are told to log in."""
    short = mint(served.gateway.settings, {"sub": "dora", "role": "director"}, ttl_seconds=-3)
    login = {"authorization": f"Bearer {short}"}
    async with served.stream(WATCH, login) as lines:
        assert [name for name, _ in await events_of(lines, 9)] == ["next"]
    async with served.stream(WATCH, login) as lines:
        (_, answer), _ = await events_of(lines, 2)
        assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize(
    ("method", "given", "status"),
    [
        ("GET", {"params": {"query": "mutation { __typename }"}}, 405),
        ("PUT", {"json": {"query": "{ __typename }"}}, 405),
        ("POST", {"content": "{ __typename }"}, 415),
        ("POST", {"json": []}, 400),
        ("POST", {"json": {"query": "{ __typename }"}, "headers": {"origin": "https://elsewhere.example"}}, 403),
        ("POST", {"json": {"query": "x" * Settings().body_bytes_max}}, 413),
    ],
)
async def test_what_is_no_request_opens_no_stream(
    served: Served, method: str, given: dict[str, Any], status: int
) -> None:
    """It is refused as it is elsewhere."""
    async with httpx.AsyncClient(trust_env=False) as http:
        response = await http.request(method, f"http://{served.address}/graphql/stream", **given)

    assert (response.status_code, list(response.json())) == (status, ["errors"])


async def test_who_leaves_leaves_nothing_behind(served: Served) -> None:
    """Streams and sockets that are gone are not watched for any more."""
    feed = served.gateway.app.state.feed
    for _ in range(3):
        async with served.stream(WATCH) as lines, served.client() as client:
            await events_of(lines, 1)
            await (await client.ask(WATCH)).event()
            assert feed.watched_pool(served.gateway.settings.default_tenant, "competition:p").watchers == 2

        ends = time.monotonic() + 5
        while feed.watched_pool(served.gateway.settings.default_tenant, "competition:p"):
            assert time.monotonic() < ends
            await asyncio.sleep(0.02)
