"""The write combiner: what shares a transaction, what must not, and who is disturbed by whom."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import asyncpg
import orjson
import pytest

from asking import TENANT, Json, adjust, ask, codes, define, keyed, numbers, release, take
from capacity_gateway.kernel import combiner as limits
from capacity_gateway.kernel.combiner import Combiner, Overloaded
from capacity_gateway.kernel.database import Database, Lane, NoConnection, application_url
from invariants import check_invariants

STALLED = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'ClientWrite'"

P, Q, R, S = (f"competition:{name}" for name in "pqrs")


class WatchedLane(Lane):
    """A lane that keeps what is sent over it."""

    def __init__(self, lane: Lane, batches: list[list[Json]]) -> None:
        self.lane = lane
        self.batches = batches

    async def apply(self, tenant: str, commands: str, *, historic: bool = False) -> list[str]:
        """Send a batch on."""
        self.batches.append(orjson.loads(commands))
        return await self.lane.apply(tenant, commands, historic=historic)


class Watched(Database):
    """The real database, which keeps the batches that it was sent."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.batches: list[list[Json]] = []

    @asynccontextmanager
    async def lane(self) -> AsyncIterator[Lane]:
        """One of the database's lanes, which tells of its batches."""
        async with self.database.lane() as lane:
            yield WatchedLane(lane, self.batches)

    async def end_stalled(self) -> int:
        """Likewise."""
        return await self.database.end_stalled()

    @property
    def claims(self) -> list[list[str]]:
        """The claims of each batch."""
        return [[command["claim_id"] for command in batch] for batch in self.batches]


@pytest.fixture
async def watched(database: Database) -> Watched:
    """The database, with four pools."""
    await ask(database, *(define(1000, pool) for pool in (P, Q, R, S)))
    return Watched(database)


@pytest.fixture
def combiner(watched: Watched) -> Combiner:
    """A combiner over it."""
    return Combiner(watched)


def send(combiner: Combiner, *commands: Json, seconds: float = 3, tenant: str = TENANT) -> asyncio.Task[list[Json]]:
    """A request on its way."""
    until = asyncio.get_running_loop().time() + seconds
    return asyncio.create_task(combiner.apply(tenant, list(commands), until=until))


@asynccontextmanager
async def locked(owner_url: str, *pools: str) -> AsyncIterator[None]:
    """These pools are somebody else's for as long as this lasts."""
    connection = await asyncpg.connect(owner_url)
    for pool in pools:
        await connection.execute("SELECT pg_advisory_lock(hashtextextended($1 || E'\\n' || $2, 0))", TENANT, pool)
    yield
    await connection.close()


async def all_of(tasks: Iterable[asyncio.Task[list[Json]]]) -> list[list[Json]]:
    """The answers to all of them."""
    return list(await asyncio.gather(*tasks))


async def in_flight(watched: Watched, count: int) -> None:
    """Until so many batches have been sent."""
    for _ in range(1000):
        if len(watched.batches) >= count:
            return
        await asyncio.sleep(0.005)
    raise TimeoutError


async def test_what_arrives_while_a_batch_is_in_flight_shares_the_next(
    combiner: Combiner, watched: Watched, owner_url: str, owner: asyncpg.Connection
) -> None:
    """The first is sent at once; the fifty behind it are one transaction, in the order they came."""
    async with locked(owner_url, P):
        tasks = [send(combiner, take("first", 1, P))]
        await in_flight(watched, 1)
        tasks += [send(combiner, take(f"c{n}", 1, P)) for n in range(50)]
        await asyncio.sleep(0.05)

    answers = await all_of(tasks)
    assert watched.claims == [["first"], [f"c{n}" for n in range(50)]]
    assert [answer[0]["pool"]["version"] for answer in answers] == list(range(1, 52))
    assert [answer[0]["claim"]["id"] for answer in answers[1:]] == watched.claims[1]
    assert await check_invariants(owner) == []


async def test_a_request_that_finds_a_lane_free_is_sent_at_once(combiner: Combiner, watched: Watched) -> None:
    """There is no timer: by the next turn of the event loop it is on its way."""
    task = send(combiner, take("a", 1, P))
    for _ in range(3):
        await asyncio.sleep(0)

    assert watched.claims == [["a"]]
    await task


@pytest.mark.parametrize(
    "again",
    [
        pytest.param(keyed(take("b", 1, Q), "k"), id="key"),
        pytest.param(take("a", 1, Q), id="claim"),
        pytest.param(take("b", 1, Q, exclusive="w"), id="exclusive word"),
        pytest.param(take("b", 1, P, holder="holder of a"), id="holder in a pool"),
        pytest.param(take("b", 1, Q, holder="holder of a", needs_pool_id=P), id="holder in a pool that is needed"),
    ],
)
async def test_what_is_each_others_business_shares_no_batch(
    combiner: Combiner, watched: Watched, owner_url: str, again: Json
) -> None:
    """Two with the same key, claim, word or holder in a pool go one after the other; their neighbours do not wait."""
    async with locked(owner_url, R, S):
        tasks = [send(combiner, take("r", 1, R)), send(combiner, take("s", 1, S))]
        await in_flight(watched, 2)
        one = keyed(take("a", 1, P, exclusive="w"), "k")
        tasks += [send(combiner, command) for command in (one, again, take("c", 1, P), take("d", 1, Q))]
        await asyncio.sleep(0.05)

    await all_of(tasks)
    assert sorted(watched.claims[2]) == ["a", "c", "d"]
    assert watched.claims[3:] == [[again["claim_id"]]]


async def test_a_double_click_is_applied_once(combiner: Combiner, watched: Watched, owner: asyncpg.Connection) -> None:
    """Twenty requests with one key at the same moment: one is applied, and all others are its replay."""
    answers = await all_of(send(combiner, keyed(take("a", 5, P), "k")) for _ in range(20))

    assert sorted(answer[0]["replayed"] for answer in answers) == [False] + [True] * 19
    assert {answer[0]["pool"]["confirmed"] for answer in answers} == {5}
    assert await check_invariants(owner) == []


async def test_linked_commands_stay_together_in_a_batch(
    combiner: Combiner, watched: Watched, owner_url: str, owner: asyncpg.Connection
) -> None:
    """A request that is refused leaves nothing behind, and its neighbours in the batch pass."""
    async with locked(owner_url, P, R):
        tasks = [send(combiner, take("p", 1, P)), send(combiner, take("r", 1, R))]
        await in_flight(watched, 2)
        tasks += [
            send(combiner, take("a", 600, P), take("b", 600, Q)),
            send(combiner, take("c", 600, P), take("d", 600, Q)),
            send(combiner, take("e", 300, P), take("f", 300, Q)),
        ]
        await asyncio.sleep(0.05)

    answers = await all_of(tasks)
    assert watched.claims[2:] == [["a", "b", "c", "d", "e", "f"]]
    assert [codes(answer) for answer in answers[2:]] == [
        ["OK", "OK"],
        ["INSUFFICIENT", "INSUFFICIENT"],
        ["OK", "OK"],
    ]
    assert await check_invariants(owner) == []


async def test_in_a_batch_that_raises_only_the_culprit_fails(
    combiner: Combiner, watched: Watched, owner_url: str, owner: asyncpg.Connection
) -> None:
    """A command that PostgreSQL cannot read is tried by itself, and so are its neighbours, which pass."""
    async with locked(owner_url, P):
        tasks = [send(combiner, take("first", 1, P))]
        await in_flight(watched, 1)
        tasks += [send(combiner, take(f"c{n}", 1, P)) for n in range(10)]
        culprit = send(combiner, take("culprit", 1, P) | {"quantity": "many"})
        tasks += [send(combiner, take(f"d{n}", 1, P)) for n in range(10)]
        await asyncio.sleep(0.05)

    answers = await all_of(tasks)
    with pytest.raises(asyncpg.InvalidTextRepresentationError):
        await culprit
    assert {code for answer in answers for code in codes(answer)} == {"OK"}
    assert [len(batch) for batch in watched.batches] == [1, 21] + [1] * 21
    assert await check_invariants(owner) == []


async def test_two_handles_on_one_claim_are_sent_apart(
    combiner: Combiner, watched: Watched, owner_url: str, owner: asyncpg.Connection
) -> None:
    """To leave by the claim's id and to come again by its word at once is as one after the other, in some order."""
    await ask(watched.database, take("a", 1, P, exclusive="word"))
    async with locked(owner_url, Q, R):
        tasks = [send(combiner, take("q", 1, Q)), send(combiner, take("r", 1, R))]
        await in_flight(watched, 2)
        tasks += [send(combiner, release("a")), send(combiner, take("b", 1, P, exclusive="word", holder="holder of a"))]
        await asyncio.sleep(0.05)

    left, came = (await all_of(tasks))[2:]
    assert watched.claims[2] == ["a", "b"]
    live = await owner.fetch("SELECT id FROM capacity.claim WHERE exclusive = 'word' AND state = 'confirmed'")
    came_first = codes(came) == ["DONE"]
    assert (codes(left), [row["id"] for row in live]) == (["OK"], [] if came_first else ["b"])
    assert await check_invariants(owner) == []


async def test_one_request_has_no_two_commands_about_one_claim(
    combiner: Combiner, watched: Watched, owner: asyncpg.Connection
) -> None:
    """The second would undo what the first has written; that is a bug of whoever asks so, and changes nothing."""
    await ask(watched.database, take("a", 5, P))

    with pytest.raises(asyncpg.FeatureNotSupportedError):
        await send(combiner, adjust("a", 4), release("a", 1))
    assert await check_invariants(owner) == []


async def test_who_goes_away_while_he_waits_is_never_sent(combiner: Combiner, watched: Watched, owner_url: str) -> None:
    """His neighbours are, and his place in the queue is free."""
    async with locked(owner_url, P):
        first = send(combiner, take("first", 1, P))
        await in_flight(watched, 1)
        gone, stays = send(combiner, take("gone", 1, P)), send(combiner, take("stays", 1, P))
        await asyncio.sleep(0.05)
        gone.cancel()
        await asyncio.wait([gone])

    await all_of([first, stays])
    assert watched.claims == [["first"], ["stays"]]


async def test_who_goes_away_in_flight_does_not_disturb_the_rest(
    combiner: Combiner, watched: Watched, owner_url: str, owner: asyncpg.Connection
) -> None:
    """What was sent for him is applied all the same; the others of the batch get their answers."""
    async with locked(owner_url, P):
        async with locked(owner_url, Q, R):
            tasks = [send(combiner, take("q", 1, Q)), send(combiner, take("r", 1, R))]
            await in_flight(watched, 2)
            gone, stays = send(combiner, take("gone", 1, P)), send(combiner, take("stays", 1, P))
            await asyncio.sleep(0.05)
        await all_of(tasks)
        await in_flight(watched, 3)
        gone.cancel()

    (answer,) = await stays
    assert watched.claims[2] == ["gone", "stays"]
    assert numbers(answer)["confirmed"] == 2
    assert await check_invariants(owner) == []


async def test_who_waits_too_long_was_not_applied(combiner: Combiner, watched: Watched, owner_url: str) -> None:
    """Past his time in the queue he is told that nothing was sent, and nothing is; in flight, nobody can know."""
    async with locked(owner_url, P):
        in_doubt = send(combiner, take("in doubt", 1, P), seconds=0.2)
        await in_flight(watched, 1)
        late = send(combiner, take("late", 1, P), seconds=0.2)
        with pytest.raises(NoConnection):
            await late
        with pytest.raises(TimeoutError):
            await in_doubt
    await send(combiner, take("next", 1, P))

    assert watched.claims == [["in doubt"], ["next"]]


async def test_a_slow_pool_does_not_hold_up_its_neighbours(
    combiner: Combiner, watched: Watched, owner_url: str
) -> None:
    """A batch that cannot have one pool's lock is split by pool; the others go on, now and from then on."""
    async with locked(owner_url, P):
        async with locked(owner_url, R, S):
            tasks = [send(combiner, take("r", 1, R)), send(combiner, take("s", 1, S))]
            await in_flight(watched, 2)
            slow, quick = send(combiner, take("p", 1, P)), send(combiner, take("q", 1, Q))
            await asyncio.sleep(0.05)
        await all_of([*tasks, quick])
        assert sorted(watched.claims[2]) == ["p", "q"]
        with pytest.raises(asyncpg.LockNotAvailableError):
            await slow
        blocked = send(combiner, take("p again", 1, P))
        async with asyncio.timeout(0.5):
            await send(combiner, take("q again", 1, Q))

    assert codes(await blocked) == ["OK"]


async def test_too_many_for_one_pool_are_turned_away_at_once(
    combiner: Combiner, watched: Watched, owner_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a full queue nobody waits; other pools are not concerned."""
    monkeypatch.setattr(limits, "QUEUE_OF_POOL_MAX", 30)
    async with locked(owner_url, P):
        tasks = [send(combiner, take("first", 1, P))]
        await in_flight(watched, 1)
        tasks += [send(combiner, take(f"c{n}", 1, P)) for n in range(30)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await send(combiner, take("too many", 1, P))
        await send(combiner, take("elsewhere", 1, Q))

    assert {code for answer in await all_of(tasks) for code in codes(answer)} == {"OK"}
    assert codes(await send(combiner, take("later", 1, P))) == ["OK"]


async def test_who_does_not_take_his_answer_loses_the_lock(
    combiner: Combiner, watched: Watched, owner_url: str, owner: asyncpg.Connection
) -> None:
    """A gateway that is frozen in the middle of a large answer, for which no timeout of the server counts."""
    frozen = await asyncpg.connect(await application_url(owner_url), server_settings={"statement_timeout": "0"})
    statement = await frozen.prepare("SELECT outcome FROM capacity.apply($1, $2)")
    batch = [take(f"f{n}", 1, P) | {"request": n} for n in range(limits.BATCH_MAX)]
    frozen._transport.pause_reading()  # type: ignore[attr-defined]  # noqa: SLF001
    answer = asyncio.create_task(statement.fetch(TENANT, orjson.dumps(batch).decode()))
    try:
        async with asyncio.timeout(30):
            while not await owner.fetchval(STALLED):  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.01)
        with pytest.raises(asyncpg.LockNotAvailableError):
            await send(combiner, take("waits", 1, P), seconds=30)
        assert codes(await send(combiner, take("passes", 1, P), seconds=30)) == ["OK"]
        frozen._transport.resume_reading()  # type: ignore[attr-defined]  # noqa: SLF001
        with pytest.raises((asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError)):
            await answer
    finally:
        frozen.terminate()


async def test_nothing_is_kept_of_who_is_turned_away(combiner: Combiner, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many tenants ask while there is no room."""
    monkeypatch.setattr(limits, "QUEUE_MAX", 0)

    with pytest.raises(Overloaded):
        await send(combiner, take("a", 1, P), tenant="passing by")
    assert combiner.is_idle()


async def test_a_tenant_that_asks_much_leaves_lanes_to_others(
    combiner: Combiner, watched: Watched, owner_url: str, owner: asyncpg.Connection
) -> None:
    """With all of one tenant's lanes blocked and more behind, another tenant's request passes at once."""
    await ask(watched.database, define(10, P), tenant="other")
    async with locked(owner_url, P, Q):
        tasks = [send(combiner, take(f"{pool} {n}", 1, pool)) for n in range(50) for pool in (P, Q, R)]
        await in_flight(watched, 2)
        async with asyncio.timeout(0.5):
            answer = await send(combiner, take("x", 1, P), tenant="other")
        assert codes(answer) == ["OK"]

    await all_of(tasks)
    assert await check_invariants(owner) == []


async def test_nothing_is_kept_of_tenants_that_have_gone(combiner: Combiner, watched: Watched) -> None:
    """Neither queues nor counts are left when all is answered."""
    for n in range(5):
        await ask(watched.database, define(10, P), tenant=f"t{n}")
    tasks = [send(combiner, take(f"c{n}", 1, P), tenant=f"t{n % 5}") for n in range(50)]
    tasks[7].cancel()
    await asyncio.wait(tasks)
    await asyncio.sleep(0.05)

    assert combiner.is_idle()
