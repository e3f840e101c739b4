"""The kernel against its reference model, on whatever hypothesis can think of."""

import itertools
import os
from copy import deepcopy
from dataclasses import replace
from typing import Any

import asyncpg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import LIVE, Oracle, Pool

from asking import (
    Json,
    adjust,
    ask,
    close,
    codes,
    confirm,
    define,
    expire,
    hold,
    linked,
    move,
    release,
    release_elsewhere,
    reopen,
    resize,
    take,
    touch,
    wait,
)
from capacity_gateway.kernel.database import Database

PLAIN = {"competition:p": Pool(20), "competition:q": Pool(7), "competition:unlimited": Pool(None)}
QUEUES = {
    "competition:p": Pool(3),
    "competition:queue": Pool(2, waitlist=True),
    "competition:second": Pool(3, waitlist=True),
    "competition:fleeting": Pool(3, waitlist=True, fleeting=True),
}
PEOPLE = "ABCD"
CLAIMS = [f"{person}{n}" for person in PEOPLE for n in (1, 2)]
TIMES = {"as_of", "recorded_at", "effective_at", "created_at", "since", "confirmed_at", "expires_at"}
TIMES |= {"clock", "earliest_release_at", "opened_at", "closed_at", "expired_at"}
OWN = {"hash", "tenant_id"}

BEGUN = [
    [[take("A1", 2, "competition:queue", holder="A")]],
    [[take("B1", 1, "competition:queue", holder="B", or_wait=True)]],
    [[take("C1", 2, "competition:queue", holder="C", or_wait=True)]],
    [[take("D1", 1, "competition:queue", holder="D", or_wait=True)]],
    [[hold("D2", 3, "competition:second", holder="D")]],
    [[take("A2", 1, "competition:second", holder="A", or_wait=True)]],
    [[take("B2", 2, "competition:fleeting", holder="B")]],
    [[hold("C2", 2, "competition:fleeting", holder="C", or_wait=True)]],
]
"""With this the queues are queues."""

numbers = itertools.count()

few = st.integers(1, 3)
some = st.integers(1, 12)
some_or_many = st.integers(0, 12) | st.sampled_from([2**31 - 1, 2**31 - 2])
claims = st.sampled_from(CLAIMS)
rarely = st.sampled_from([False] * 9 + [True])
often = st.booleans()


@st.composite
def arrivals(
    draw: st.DrawFn, pools: st.SearchStrategy[str], *ttls: float, claims: st.SearchStrategy[str] = claims
) -> Json:
    """Somebody comes to a pool, perhaps to one where he is already, and perhaps ready to wait."""
    claim, pool = draw(claims), draw(pools)
    holder, verb = claim[0], draw(st.sampled_from([hold, take, take, wait]))
    more: Json = {"ttl_seconds": draw(st.sampled_from(ttls))} if verb is hold else {}
    command: Json = verb(
        claim,
        draw(few),
        pool,
        holder=holder,
        or_wait=draw(often),
        rank=draw(st.integers(0, 1)),
        exclusive=draw(st.sampled_from([None, holder, f"{pool}|{holder}"])),
        needs_pool_id="competition:p" if draw(rarely) else None,
        mind_lapse=draw(often),
        **more,
    )
    return command


def commands(*ttls: float) -> st.SearchStrategy[Json]:
    """Any command to plain pools; holds last one of these times."""
    pools = st.sampled_from(list(PLAIN))
    return st.one_of(
        arrivals(pools, *ttls),
        st.builds(wait, claims, some, pools),
        st.builds(hold, claims, some, pools | st.none(), st.sampled_from(ttls), overbook=rarely),
        st.builds(take, claims, some, pools | st.none(), overbook=rarely),
        st.builds(take, claims, some_or_many, pools),
        st.builds(confirm, claims, some | st.none()),
        st.builds(release, claims, some | st.none()),
        st.builds(adjust, claims, st.integers(0, 12)),
        st.builds(adjust, claims, st.integers(-5, 5), relative=st.just(value=True)),
        st.builds(move, claims, pools),
        st.builds(release_elsewhere, st.sampled_from(PEOPLE), pools),
        st.builds(
            resize,
            st.integers(0, 25) | st.none(),
            pools,
            unlimited=rarely,
            oversell_max=st.integers(0, 3) | st.none(),
            allow_below_use=often,
        ),
        st.builds(close, pools),
        st.builds(reopen, pools),
        st.builds(reopen, pools),
        st.builds(expire, pools),
    )


NEW, FIRST, LAST = "?new", "?first", "?last"
"""Instead of a number: a claim that there is not yet, and the first and the last of somebody's that is in force."""


def meant(oracle: Oracle, requests: list[list[Json]]) -> list[list[Json]]:
    """The same with the claims that are meant, as things stand."""

    def claim(word: str) -> str:
        own = [name for name in oracle.claims if name[0] == word[0]]
        in_force = [name for name in own if oracle.claims[name].state in LIVE] or own or [f"{word[0]}0"]
        return {NEW: f"{word[0]}{len(own) + 1}", FIRST: in_force[0], LAST: in_force[-1]}.get(word[1:], word)

    return [[c | {"claim_id": claim(c["claim_id"])} if "claim_id" in c else c for c in r] for r in requests]


def queueing(*ttls: float) -> st.SearchStrategy[Json]:
    """Any command to small pools, most of which have a queue; holds last one of these times."""
    pools, when = st.sampled_from(list(QUEUES)), {"if_live": often, "unless_waiting": often}
    claims = st.sampled_from([f"{person}{which}" for person in PEOPLE for which in (LAST, LAST, FIRST)])
    return st.one_of(
        *[arrivals(pools, *ttls, claims=st.sampled_from([f"{person}{NEW}" for person in PEOPLE]))] * 5,
        arrivals(pools, *ttls, claims=claims),
        st.builds(take, claims, few, st.none(), or_wait=often),
        st.builds(confirm, claims, few | st.none()),
        st.builds(touch, claims, st.sampled_from(ttls)),
        *[st.builds(release, claims, **when)] * 2,
        st.builds(release, claims, few),
        st.builds(release_elsewhere, st.sampled_from(PEOPLE), pools, unless_waiting=often),
        st.builds(adjust, claims, st.integers(0, 4)),
        st.builds(adjust, claims, st.integers(-2, 2), relative=st.just(value=True)),
        *[st.builds(move, claims, pools, **when)] * 2,
        st.builds(resize, st.integers(0, 5), pools, oversell_max=st.integers(0, 1), allow_below_use=often),
        st.builds(close, pools),
        *[st.builds(reopen, pools)] * 3,
        st.builds(expire, pools),
    )


def requests(one: st.SearchStrategy[Json], *, most: int) -> st.SearchStrategy[list[list[Json]]]:
    """Requests of one batch, some of several linked commands, with nobody named twice."""
    batch = st.lists(st.tuples(one, st.booleans()), min_size=1, max_size=most, unique_by=_person)
    return batch.map(_grouped)


def _person(pair: tuple[Json, bool]) -> Any:
    person = pair[0].get("claim_id") or pair[0].get("holder")
    return person[0] if person else id(pair[0])


def _grouped(pairs: list[tuple[Json, bool]]) -> list[list[Json]]:
    grouped: list[list[Json]] = []
    for command, is_linked in pairs:
        if grouped and is_linked:
            grouped[-1].append(command)
        else:
            grouped.append([command])
    return grouped


def comparable(value: Any) -> Any:
    """An outcome without what differs from run to run: of times only whether they are there."""
    if isinstance(value, dict):
        return {k: v is not None if k in TIMES else comparable(v) for k, v in value.items() if k not in OWN}
    return [comparable(inner) for inner in value] if isinstance(value, list) else value


async def state(owner: asyncpg.Connection, tenant: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, list[str]]]:
    """The pools' numbers, the claims and the queues, as they are in the database."""
    pools = await owner.fetch("SELECT * FROM capacity.pool WHERE tenant_id = $1", tenant)
    claims = await owner.fetch("SELECT * FROM capacity.claim WHERE tenant_id = $1 ORDER BY rank, place", tenant)
    names = ("quota", "held", "confirmed", "version", "waiting", "offered")
    return (
        {p["id"]: tuple(p[name] for name in names) for p in pools},
        {c["id"]: (c["pool_id"], c["state"], c["quantity"], c["offered"]) for c in claims},
        {p["id"]: [c["id"] for c in claims if (c["pool_id"], c["state"]) == (p["id"], "waiting")] for p in pools},
    )


def foreseen(oracle: Oracle) -> tuple[dict[str, Any], dict[str, Any], dict[str, list[str]]]:
    """The same, as they are in the model."""
    return oracle.numbers(), oracle.shares(), oracle.queues()


async def opened(database: Database, pools: dict[str, Pool]) -> tuple[str, Oracle]:
    """A tenant of its own with these pools, and the model of it."""
    tenant = f"tenant {next(numbers)}"
    for name, pool in pools.items():
        policy = {"waitlist": pool.waitlist, "offer_seconds": 0 if pool.fleeting else 60}
        await ask(database, define(pool.quota, name, **policy), tenant=tenant)
    return tenant, Oracle(deepcopy(pools))


def as_batch(given: list[list[Json]]) -> list[Json]:
    """Requests as one batch."""
    return [command for n, request in enumerate(given) for command in linked(*request, request=n)]


LONG = 14 if os.environ.get("CAPACITY_LONG") else 1
"""In the long form so many times the examples: over 20,000 requests in batches."""
EXHAUSTIVELY = settings(
    max_examples=150 * LONG,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


async def follow(
    database: Database, owner: asyncpg.Connection, pools: dict[str, Pool], history: list[list[list[Json]]]
) -> None:
    """Ask the kernel and the model one request after the other."""
    tenant, oracle = await opened(database, pools)
    for asked in (request for batch in history for request in batch):
        (request,) = meant(oracle, [asked])
        oracle.settle(request)

        assert codes(await ask(database, *linked(*request), tenant=tenant)) == oracle.request(request)
        assert await state(owner, tenant) == foreseen(oracle)


async def compare(
    database: Database, owner: asyncpg.Connection, pools: dict[str, Pool], history: list[list[list[Json]]]
) -> None:
    """Ask the kernel in batches and one by one, and the model."""
    together, oracle = await opened(database, pools)
    apart, _ = await opened(database, pools)
    for asked in history:
        batch = meant(oracle, asked)
        whole = await ask(database, *as_batch(batch), tenant=together)
        one_by_one = [o for request in batch for o in await ask(database, *linked(*request), tenant=apart)]

        assert comparable(whole) == comparable(one_by_one)
        assert codes(whole) == [code for request in batch for code in oracle.request(request)]
        assert await state(owner, together) == await state(owner, apart) == foreseen(oracle)


@EXHAUSTIVELY
@given(history=st.lists(requests(commands(0, 60), most=3), min_size=3, max_size=12))
async def test_whatever_is_asked_one_after_the_other_the_kernel_does_what_the_model_does(
    database: Database, owner: asyncpg.Connection, history: list[list[list[Json]]]
) -> None:
    """Codes, pools and claims are equal after every request, holds that run out among them."""
    await follow(database, owner, PLAIN, history)


@settings(EXHAUSTIVELY, max_examples=30 * LONG)
@given(history=st.lists(requests(queueing(0, 60, 60), most=2), min_size=30, max_size=40))
async def test_whatever_is_asked_of_queues_the_kernel_does_what_the_model_does(
    database: Database, owner: asyncpg.Connection, history: list[list[list[Json]]]
) -> None:
    """Queues are equal too, and who has an offer, while offers run out and pass on."""
    await follow(database, owner, QUEUES, BEGUN + history)


@EXHAUSTIVELY
@given(history=st.lists(requests(commands(60), most=6), min_size=1, max_size=5))
async def test_a_batch_answers_as_its_requests_would_one_by_one(
    database: Database, owner: asyncpg.Connection, history: list[list[list[Json]]]
) -> None:
    """Outcome by outcome, and in what it leaves; and as the model says."""
    await compare(database, owner, PLAIN, history)


@settings(EXHAUSTIVELY, max_examples=30 * LONG)
@given(history=st.lists(requests(queueing(60), most=4), min_size=8, max_size=10))
async def test_a_batch_to_queues_answers_as_its_requests_would_one_by_one(
    database: Database, owner: asyncpg.Connection, history: list[list[list[Json]]]
) -> None:
    """An offer that one request makes is there for the next."""
    lasting = {name: replace(pool, fleeting=False) for name, pool in QUEUES.items()}
    await compare(database, owner, lasting, BEGUN + history)
