"""What webhooks are told, in which order, and what becomes of it when it fails."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import orjson
import pytest

from asking import ask, define, release, take
from capacity_gateway.deliveries import Deliveries
from capacity_gateway.kernel.database import Database
from capacity_gateway.kernel.webhooks import GIVE_UP_SECONDS, Webhooks
from capacity_gateway.posting import Poster
from conftest import TENANT
from receiving import Receiver, receiving

KEY = b"a key for tests"


@pytest.fixture
def webhooks(database: Database) -> Webhooks:
    """The webhooks of this test's database."""
    return Webhooks(database, KEY, anywhere=True)


@pytest.fixture
async def poster() -> AsyncIterator[Poster]:
    """Posts to anywhere."""
    async with Poster(timeout_seconds=30, anywhere=True) as poster:
        yield poster


@pytest.fixture
async def running(webhooks: Webhooks, poster: Poster) -> AsyncIterator[None]:
    """Delivers while the test runs."""
    task = asyncio.create_task(Deliveries(webhooks, poster, retry_seconds=0.01).run())
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Takes whatever it is sent."""
    async with receiving() as receiver:
        yield receiver


async def made(webhooks: Webhooks, receiver: Receiver, **given: Any) -> str:
    """Make a webhook; its secret."""
    wanted = {"kinds": None, "reasons": None, "since": None} | given
    secret = await webhooks.make(TENANT, "w", receiver.url, **wanted)
    assert isinstance(secret, str)
    return secret


async def row(owner: asyncpg.Connection) -> dict[str, Any]:
    """The webhook as it is kept."""
    return dict(await owner.fetchrow("SELECT * FROM capacity.webhook") or {})


async def settled(owner: asyncpg.Connection, condition: str, webhook_id: str = "w") -> None:
    """Wait until a webhook's row is so."""
    async with asyncio.timeout(30):
        while not await owner.fetchval(f"SELECT {condition} FROM capacity.webhook WHERE id = $1", webhook_id):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


def versions(told: list[dict[str, Any]], pool: str = "competition:p") -> list[int]:
    """The versions of one pool, in the order in which they were told."""
    return [each["data"]["entry"]["version"] for each in told if each["data"]["pool"]["id"] == pool]


@pytest.mark.usefixtures("running")
async def test_every_change_is_told_as_it_is_in_the_ledger(
    webhooks: Webhooks, receiver: Receiver, database: Database, owner: asyncpg.Connection
) -> None:
    """Only what comes after the webhook was made; signed, and with the entry's hash as its id."""
    await ask(database, define(100), take("a", 10))
    secret = await made(webhooks, receiver)
    await ask(database, take("b", 20), release("a", 4))
    await receiver.until(lambda: len(receiver.messages) == 2)

    entries = await owner.fetch("SELECT * FROM capacity.ledger WHERE version > 1 ORDER BY version")
    first, second = receiver.firsts(secret)
    assert [message.id for message in receiver.messages] == [entry["hash"] for entry in entries]
    assert (first["type"], second["type"]) == ("capacity.reservation_approval", "capacity.release")
    assert first["data"]["entry"].items() >= {"version": 2, "confirmedChange": 20, "claimId": "b"}.items()
    assert first["data"]["pool"] == {
        "id": "competition:p",
        "kind": "COMPETITION",
        "ref": "p",
        "title": None,
        "quota": 100,
        "held": 0,
        "confirmed": 30,
        "available": 70,
        "version": 2,
    }
    assert second["data"]["pool"]["available"] == 74
    assert (first["data"]["holder"], first["data"]["offer"]) == ("holder of b", None)


@pytest.mark.usefixtures("running")
async def test_only_what_is_asked_for_is_told(webhooks: Webhooks, receiver: Receiver, database: Database) -> None:
    """Pools of some kinds, entries for some reasons; what is passed over is not pending."""
    secret = await made(webhooks, receiver, kinds=["competition"], reasons=["RELEASE"])
    for command in (define(100), take("a", 10), release("a", 4), take("b", 1), release("b")):
        await ask(database, command)
    await receiver.until(lambda: len(receiver.messages) == 2)

    assert versions(receiver.firsts(secret)) == [2, 4]


@pytest.mark.usefixtures("running")
async def test_what_fails_is_sent_again_in_order(
    webhooks: Webhooks, receiver: Receiver, database: Database, owner: asyncpg.Connection
) -> None:
    """Each twice here, for every second answer is lost; nothing is sent before what came earlier was acknowledged."""
    receiver.answer = lambda _: (204, 500)[len(receiver.messages) % 2]
    secret = await made(webhooks, receiver)
    await ask(database, define(100), *(take(f"a{n}", 1) for n in range(5)))
    await receiver.until(lambda: len(receiver.messages) == 10)

    assert [m.read(secret)["data"]["entry"]["version"] for m in receiver.messages] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    await settled(owner, "attempts = 0 AND failing_since IS NULL")
    assert (await row(owner)).items() >= {"last_failure": "STATUS", "last_status": 500}.items()


@pytest.mark.usefixtures("running")
async def test_a_pool_that_fails_holds_up_no_other(webhooks: Webhooks, receiver: Receiver, database: Database) -> None:
    """Nor do its own later entries pass it."""
    receiver.answer = lambda message: 400 if b'"competition:p"' in message.body else 204
    secret = await made(webhooks, receiver)
    await ask(database, define(100), take("a", 1), take("b", 1), define(9, "competition:q"))
    for claim in ("c", "d", "e"):
        await ask(database, take(claim, 1, "competition:q"))
    await receiver.until(lambda: versions(receiver.firsts(secret), "competition:q") == [1, 2, 3])

    assert set(versions(receiver.firsts(secret))) == {1}


async def test_failures_are_further_and_further_apart(
    webhooks: Webhooks, receiver: Receiver, database: Database, owner: asyncpg.Connection, poster: Poster
) -> None:
    """Each pause is half to all of twice the one before, and an hour at most."""
    receiver.answer = lambda _: 500
    await made(webhooks, receiver)
    await ask(database, define(100), take("a", 1))
    deliveries = Deliveries(webhooks, poster, retry_seconds=100)
    pauses = []
    for attempts in range(1, 9):
        await deliveries.look()
        await asyncio.gather(*deliveries._tasks.values())  # noqa: SLF001 - all that look has begun
        pauses.append(
            float(await owner.fetchval("SELECT extract(epoch FROM next_attempt_at - now()) FROM capacity.webhook"))
        )
        assert (await row(owner))["attempts"] == attempts
        await owner.execute("UPDATE capacity.webhook SET next_attempt_at = now()")

    for pause, longest in zip(pauses, (100, 200, 400, 800, 1600, 3200, 3600, 3600), strict=True):
        assert longest / 2 - 30 < pause <= longest


@pytest.mark.parametrize("how", ["days of failures", "410"])
async def test_a_receiver_that_is_gone_is_left_alone(
    webhooks: Webhooks, receiver: Receiver, database: Database, owner: asyncpg.Connection, poster: Poster, how: str
) -> None:
    """After days of nothing but failures, or once it says so; resumed, it is told all that it has missed."""
    receiver.answer = lambda _: 410 if how == "410" else 500
    secret = await made(webhooks, receiver)
    await ask(database, define(100), take("a", 1))
    deliveries = Deliveries(webhooks, poster, retry_seconds=0.001)
    if how != "410":
        await owner.execute(
            "UPDATE capacity.webhook SET attempts = 7, failing_since = now() - make_interval(secs => $1)",
            GIVE_UP_SECONDS + 60,
        )
    await deliveries.look()
    await asyncio.gather(*deliveries._tasks.values())  # noqa: SLF001 - all that look has begun
    assert (await row(owner))["disabled_at"] is not None
    assert await webhooks.due(10) == []

    receiver.answer = lambda _: 204
    assert await webhooks.resume(TENANT, "w") is True
    await deliveries.look()
    await asyncio.gather(*deliveries._tasks.values())  # noqa: SLF001 - likewise
    assert versions(receiver.firsts(secret)) == [1]
    assert (await row(owner))["disabled_at"] is None


async def test_of_two_gateways_one_delivers(
    webhooks: Webhooks, receiver: Receiver, database: Database, poster: Poster
) -> None:
    """Three look at once, and all of what is new arrives once."""
    await made(webhooks, receiver)
    await ask(database, define(100), *(take(f"a{n}", 1) for n in range(30)))
    gateways = [Deliveries(webhooks, poster, retry_seconds=1) for _ in range(3)]
    await asyncio.gather(*(each.look() for each in gateways))
    await asyncio.gather(*(task for each in gateways for task in each._tasks.values()))  # noqa: SLF001 - likewise

    assert len({message.id for message in receiver.messages}) == len(receiver.messages) == 30


async def test_who_has_lost_his_lease_notes_nothing(
    webhooks: Webhooks, receiver: Receiver, database: Database, owner: asyncpg.Connection
) -> None:
    """Whether another gateway has taken over or the webhook was told to begin anew."""
    await ask(database, define(100))
    await made(webhooks, receiver)
    await ask(database, take("a", 1), take("b", 1))
    await webhooks.notice()
    lease = await webhooks.lease(TENANT, "w", seconds=60)
    assert lease is not None
    assert await webhooks.lease(TENANT, "w", seconds=60) is None
    assert await webhooks.note(lease, {"competition:p": 1}, lease_seconds=60) is True

    assert await webhooks.resume(TENANT, "w", after=("competition:p", 0)) is True
    assert await webhooks.note(lease, {"competition:p": 2}, lease_seconds=60) is False

    (news,) = await webhooks.news(lease, pools=8, size=20)
    assert [entry["version"] for entry in news.entries] == [1, 2]


async def test_a_receiver_that_is_slow_holds_up_no_other(
    webhooks: Webhooks, receiver: Receiver, database: Database, owner: asyncpg.Connection
) -> None:
    """What it does not answer in time has failed, and others have long been told."""
    async with receiving() as slow, Poster(timeout_seconds=2, anywhere=True) as poster:
        slow.wait_seconds = 60
        await webhooks.make(TENANT, "slow", slow.url, kinds=None, reasons=None, since=None)
        secret = await made(webhooks, receiver)
        await ask(database, define(100), take("a", 1), take("b", 1))
        task = asyncio.create_task(Deliveries(webhooks, poster, retry_seconds=0.01).run())
        await receiver.until(lambda: versions(receiver.firsts(secret)) == [1, 2])
        await settled(owner, "last_failure = 'TIMEOUT'", "slow")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert slow.messages == []


async def test_what_a_gateway_has_delivered_is_noted_when_it_stops(
    webhooks: Webhooks, receiver: Receiver, database: Database, owner: asyncpg.Connection, poster: Poster
) -> None:
    """And the next one takes over at once."""
    await made(webhooks, receiver)
    await ask(database, define(100), *(take(f"a{n}", 1) for n in range(20)))
    receiver.wait_seconds = 0.1
    deliveries = asyncio.create_task(Deliveries(webhooks, poster, retry_seconds=1).run())
    await receiver.until(lambda: len(receiver.messages) >= 3)
    deliveries.cancel()
    await asyncio.gather(deliveries, return_exceptions=True)

    noted = await owner.fetchval("SELECT version FROM capacity.webhook_cursor")
    assert len(receiver.messages) - 1 <= noted <= len(receiver.messages)
    assert await webhooks.due(10) == [(TENANT, "w")]


async def test_a_ledger_that_lacks_entries_is_passed_over(
    webhooks: Webhooks, receiver: Receiver, database: Database, owner: asyncpg.Connection, poster: Poster
) -> None:
    """What is not there cannot be told; reconcile names it."""
    secret = await made(webhooks, receiver)
    await ask(database, define(100), *(take(f"a{n}", 1) for n in range(4)))
    await owner.execute("DELETE FROM capacity.ledger WHERE version IN (2, 4)")
    deliveries = Deliveries(webhooks, poster, retry_seconds=1)
    await deliveries.look()
    await asyncio.gather(*deliveries._tasks.values())  # noqa: SLF001 - all that look has begun

    assert versions(receiver.firsts(secret)) == [1, 3]
    assert await webhooks.due(10) == []


async def test_an_entry_that_is_committed_late_is_told(
    webhooks: Webhooks, receiver: Receiver, database: Database, owner_url: str, poster: Poster
) -> None:
    """Another pool's later one has been told by then."""
    await ask(database, define(100), define(9, "competition:q"))
    secret = await made(webhooks, receiver)
    deliveries = Deliveries(webhooks, poster, retry_seconds=1)
    late = await asyncpg.connect(owner_url)
    transaction = late.transaction()
    await transaction.start()
    commands = orjson.dumps([take("a", 1)]).decode()
    await late.fetch("SELECT outcome FROM capacity.apply($1, $2, false)", TENANT, commands)
    await ask(database, take("b", 1, "competition:q"))
    for commit in (False, True):
        if commit:
            await transaction.commit()
        await deliveries.look()
        await asyncio.gather(*deliveries._tasks.values())  # noqa: SLF001 - all that look has begun
        deliveries._look_again.clear()  # noqa: SLF001 - at once
    await late.close()

    assert [each["data"]["entry"]["id"] for each in receiver.firsts(secret)] == ["competition:q/1", "competition:p/1"]


async def test_what_no_clock_gives_away_is_told(
    webhooks: Webhooks,
    receiver: Receiver,
    database: Database,
    owner: asyncpg.Connection,
    poster: Poster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All pools are looked at from time to time, a page at a time: some entries come in with older times."""
    monkeypatch.setattr("capacity_gateway.kernel.webhooks.POOLS_AT_ONCE", 2)
    secret = await made(webhooks, receiver)
    for number in range(5):
        pool = f"competition:{number}"
        await ask(database, define(100, pool), take(f"a{number}", 1, pool))
    await owner.execute("UPDATE capacity.ledger SET (recorded_at, effective_at) = ('2000-01-01', '2000-01-01')")
    await webhooks.notice()
    assert await webhooks.due(10) == []

    deliveries = Deliveries(webhooks, poster, retry_seconds=1)
    await deliveries.look()
    await asyncio.gather(*deliveries._tasks.values())  # noqa: SLF001 - all that look has begun

    told = {each["data"]["pool"]["ref"] for each in receiver.firsts(secret)}
    assert (told, len(receiver.messages)) == ({"0", "1", "2", "3", "4"}, 5)
