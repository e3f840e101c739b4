"""The kernel against its reference model, on whatever hypothesis can think of."""

import itertools
from typing import Any

import asyncpg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import Oracle, Pool

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
    reopen,
    resize,
    take,
    wait,
)
from capacity_gateway.kernel.database import Database

POOLS = {"competition:p": 20, "competition:q": 7, "competition:unlimited": None}
CLAIMS = [f"c{n}" for n in range(7)]
TIMES = {"as_of", "recorded_at", "effective_at", "created_at", "since", "confirmed_at", "expires_at"}
TIMES |= {"clock", "opened_at", "closed_at", "expired_at"}
OWN = {"hash", "tenant_id", "earliest_release_at"}  # the last differs in a batch: a known fault, see test_apply

numbers = itertools.count()

few = st.integers(1, 12)
few_or_many = st.integers(0, 12) | st.sampled_from([2**31 - 1, 2**31 - 2])
claims = st.sampled_from(CLAIMS)
pools = st.sampled_from(list(POOLS))
rarely = st.sampled_from([False] * 9 + [True])


def commands(*ttls: float) -> st.SearchStrategy[Json]:
    """Any command; holds last one of these times."""
    return st.one_of(
        st.builds(wait, claims, few, pools),
        st.builds(hold, claims, few, pools | st.none(), st.sampled_from(ttls), overbook=rarely),
        st.builds(take, claims, few, pools | st.none(), overbook=rarely),
        st.builds(take, claims, few_or_many, pools),
        st.builds(confirm, claims, few | st.none()),
        st.builds(release, claims, few | st.none()),
        st.builds(adjust, claims, st.integers(0, 12)),
        st.builds(adjust, claims, st.integers(-5, 5), relative=st.just(value=True)),
        st.builds(move, claims, pools),
        st.builds(
            resize,
            st.integers(0, 25) | st.none(),
            pools,
            unlimited=rarely,
            oversell_max=st.integers(0, 3) | st.none(),
            allow_below_use=st.booleans(),
        ),
        st.builds(close, pools),
        st.builds(reopen, pools),
        st.builds(reopen, pools),
        st.builds(expire, pools),
    )


def requests(*ttls: float, most: int) -> st.SearchStrategy[list[list[Json]]]:
    """Requests of one batch, some of several linked commands, with no claim named twice."""
    one = commands(*ttls)
    batch = st.lists(st.tuples(one, st.booleans()), min_size=1, max_size=most, unique_by=_claim)
    return batch.map(_grouped)


def _claim(pair: tuple[Json, bool]) -> Any:
    return pair[0].get("claim_id", id(pair[0]))


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


async def state(owner: asyncpg.Connection, tenant: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The pools' numbers and the claims, as they are in the database."""
    pools = await owner.fetch("SELECT * FROM capacity.pool WHERE tenant_id = $1", tenant)
    claims = await owner.fetch("SELECT * FROM capacity.claim WHERE tenant_id = $1", tenant)
    return (
        {p["id"]: (p["quota"], p["held"], p["confirmed"], p["version"]) for p in pools},
        {c["id"]: (c["pool_id"], c["state"], c["quantity"]) for c in claims},
    )


async def opened(database: Database) -> tuple[str, Oracle]:
    """A tenant of its own with the three pools, and the model of it."""
    tenant = f"tenant {next(numbers)}"
    await ask(database, *(define(quota, pool) for pool, quota in POOLS.items()), tenant=tenant)
    return tenant, Oracle({pool: Pool(quota) for pool, quota in POOLS.items()})


def as_batch(given: list[list[Json]]) -> list[Json]:
    """Requests as one batch."""
    return [command for n, request in enumerate(given) for command in linked(*request, request=n)]


EXHAUSTIVELY = settings(
    max_examples=150,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@EXHAUSTIVELY
@given(history=st.lists(requests(0, 60, most=3), min_size=3, max_size=12))
async def test_whatever_is_asked_one_after_the_other_the_kernel_does_what_the_model_does(
    database: Database, owner: asyncpg.Connection, history: list[list[list[Json]]]
) -> None:
    """Codes, pools and claims are equal after every request, holds that run out among them."""
    tenant, oracle = await opened(database)
    for request in (request for batch in history for request in batch):
        oracle.settle(request)

        assert codes(await ask(database, *linked(*request), tenant=tenant)) == oracle.request(request)
        assert await state(owner, tenant) == (oracle.numbers(), oracle.shares())


@EXHAUSTIVELY
@given(history=st.lists(requests(60, most=7), min_size=1, max_size=5))
async def test_a_batch_answers_as_its_requests_would_one_by_one(
    database: Database, owner: asyncpg.Connection, history: list[list[list[Json]]]
) -> None:
    """Outcome by outcome, and in what it leaves; and as the model says."""
    together, oracle = await opened(database)
    apart, _ = await opened(database)
    for batch in history:
        whole = await ask(database, *as_batch(batch), tenant=together)
        one_by_one = [o for request in batch for o in await ask(database, *linked(*request), tenant=apart)]

        assert comparable(whole) == comparable(one_by_one)
        assert codes(whole) == [code for request in batch for code in oracle.request(request)]
        assert await state(owner, together) == await state(owner, apart) == (oracle.numbers(), oracle.shares())
