"""What if: another limit is tried by the real engine, looked at, and undone."""

import asyncio
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from capacity_gateway.demo import place, pool
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.commands import Attribution, Command, Take
from capacity_gateway.kernel.outcomes import CapacityChange
from capacity_gateway.kernel.vocabulary import PoolKind
from conftest import TENANT, Gateway

SESSION = PoolKind.SESSION
ADA = ("ada", "admin")
WORKSHOP = {"kind": "SESSION", "ref": "demo-workshop"}
KEYNOTE = {"kind": "SESSION", "ref": "demo-keynote"}
WHAT_IF = """
query ($changes: [QuotaChangeInput!]!) {
  whatIf(changes: $changes) {
    __typename
    ... on WhatIf {
      pools {
        before { ...Numbers }
        after { ...Numbers }
        entries { version reason change subjectTitle actor }
        offers { title quantity state pool { ref } }
        waiting { title position }
      }
    }
    ... on CapacityError { code message }
    ... on QuotaBelowUseError { inUse requestedQuota pool { quota } }
    ... on InvalidInputError { field }
    ... on GatewayBusyError { outcome }
  }
}
fragment Numbers on Pool { ref quota held confirmed available version waitlist { waiting offered } }
"""
SET_QUOTA = """
mutation ($input: SetQuotaInput!) {
  setQuota(input: $input) {
    __typename
    ... on PoolSuccess { pool { ref quota held confirmed available version waitlist { waiting offered } } }
  }
}
"""


@pytest.fixture(autouse=True)
async def sessions(capacity: Capacity) -> None:
    """Two of the demo's sessions: a workshop of 4 places with 3 who wait, and a keynote of 30 with 15 free."""
    commands: list[Command] = [
        pool(SESSION, "demo-workshop", "Workshop", 4, offer_seconds=300),
        pool(SESSION, "demo-keynote", "Keynote", 30, offer_seconds=300),
        *(place(Take, SESSION, "demo-workshop", number, or_wait=True) for number in range(1, 8)),
        replace(place(Take, SESSION, "demo-keynote", 1), quantity=15),
    ]
    for command in commands:
        outcome = await capacity.submit(TENANT, [command], Attribution(operation="test", actor=None), CapacityChange)
        assert isinstance(outcome, CapacityChange)


async def what_if(
    gateway: Gateway, *changes: dict[str, Any], login: tuple[str, str | None] = ADA, **claims: Any
) -> Any:
    """What would become of these changes."""
    return await gateway.send(WHAT_IF, {"changes": list(changes)}, gateway.login(*login, **claims))


async def everything(owner: asyncpg.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, with the transactions that wrote them; and where the sequences stand."""
    tables = await owner.fetch("SELECT relname, relkind FROM pg_class WHERE relnamespace = 'capacity'::regnamespace")
    found = {}
    for table in tables:
        if table["relkind"] in (b"r", b"S"):
            system = "xmin, ctid, " if table["relkind"] == b"r" else ""
            rows = await owner.fetch(f"SELECT {system}t::text FROM capacity.{table['relname']} AS t ORDER BY t::text")
            found[table["relname"]] = [tuple(row) for row in rows]
    return found


async def test_raising_a_limit_shows_the_offers_that_would_go_out(gateway: Gateway) -> None:
    """To whom, in the queue's order; who would wait still, with his place then; and the entries of all that."""
    told = await what_if(gateway, WORKSHOP | {"quota": 6})

    (pool,) = told["pools"]
    assert pool["before"] | {"version": 0} == {
        "ref": "demo-workshop", "quota": 4, "held": 0, "confirmed": 4, "available": 0, "version": 0,
        "waitlist": {"waiting": 3, "offered": 0},
    }  # fmt: skip
    assert pool["after"] | {"version": 0} == {
        "ref": "demo-workshop", "quota": 6, "held": 2, "confirmed": 4, "available": 0, "version": 0,
        "waitlist": {"waiting": 1, "offered": 2},
    }  # fmt: skip
    assert [(entry["reason"], entry["change"]) for entry in pool["entries"]] == [
        ("QUOTA_CHANGE", 2),
        ("OFFER", -1),
        ("OFFER", -1),
    ]
    assert pool["entries"][0]["actor"] == "ada"
    assert pool["after"]["version"] == pool["before"]["version"] + 3
    offer = {"quantity": 1, "state": "HELD", "pool": {"ref": "demo-workshop"}}
    assert pool["offers"] == [offer | {"title": "Guest 5"}, offer | {"title": "Guest 6"}]
    assert pool["waiting"] == [{"title": "Guest 7", "position": 1}]


@pytest.mark.parametrize(
    "changes",
    [
        [WORKSHOP | {"quota": 6}],
        [WORKSHOP | {"unlimited": True}],
        [KEYNOTE | {"quota": 10, "allowBelowUse": True}],
        [KEYNOTE | {"quota": 10}],
        [KEYNOTE | {"quota": 28}, WORKSHOP | {"quota": 6}],
        [KEYNOTE | {"quota": -1}],
        [WORKSHOP | {"ref": "nothing", "quota": 1}],
    ],
)
async def test_what_if_changes_nothing(
    gateway: Gateway, owner: asyncpg.Connection, changes: list[dict[str, Any]]
) -> None:
    """No row of any table is written anew: no version, no clock, no claim, no key; and no sequence moves."""
    before = await everything(owner)
    await what_if(gateway, *changes)

    assert await everything(owner) == before


@pytest.mark.parametrize(
    "change",
    [
        WORKSHOP | {"quota": 5},
        WORKSHOP | {"quota": 0, "allowBelowUse": True},
        WORKSHOP | {"unlimited": True},
        KEYNOTE | {"quota": 500, "oversellMax": 7},
    ],
)
async def test_what_it_shows_is_what_the_change_then_does(gateway: Gateway, change: dict[str, Any]) -> None:
    """The same engine on the same numbers, so the pool stands afterwards as was said."""
    told = await what_if(gateway, change)
    done = await gateway.send(SET_QUOTA, {"input": change | {"idempotencyKey": "k"}}, gateway.login(*ADA))

    assert done["pool"] == told["pools"][0]["after"]


async def test_places_may_move_between_pools(gateway: Gateway) -> None:
    """Two from the keynote to the workshop: both pools are shown, in the order of the changes."""
    told = await what_if(gateway, WORKSHOP | {"quota": 6}, KEYNOTE | {"quota": 28})

    assert [(pool["before"]["quota"], pool["after"]["quota"]) for pool in told["pools"]] == [(4, 6), (30, 28)]
    assert [len(pool["offers"]) for pool in told["pools"]] == [2, 0]


async def test_a_refusal_is_the_changes_own(gateway: Gateway) -> None:
    """Below what is in use, with true numbers; of several changes the first refusal stands for all."""
    told = await what_if(gateway, WORKSHOP | {"quota": 6}, KEYNOTE | {"quota": 10})

    assert told.pop("message")
    assert told == {
        "__typename": "QuotaBelowUseError", "code": "QUOTA_BELOW_USE", "inUse": 15, "requestedQuota": 10,
        "pool": {"quota": 30},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        (WORKSHOP | {"quota": -1}, {"code": "INVALID_INPUT", "field": "quota"}),
        (WORKSHOP | {"quota": 1, "unlimited": True}, {"code": "INVALID_INPUT", "field": "quota"}),
        (WORKSHOP | {"ref": "nothing", "quota": 1}, {"code": "NOT_FOUND"}),
        (WORKSHOP | {"ref": "", "quota": 1}, {"code": "INVALID_INPUT", "field": "ref"}),
    ],
)
async def test_a_bad_input_is_refused(gateway: Gateway, change: dict[str, Any], refused: dict[str, str]) -> None:
    """As `setQuota` refuses it."""
    told = await what_if(gateway, change)

    assert refused.items() <= told.items()


@pytest.mark.parametrize(
    ("login", "code"),
    [
        (("olga", "organizer"), None),
        (("otto", "organizer"), "FORBIDDEN"),
        (("dora", "director"), "FORBIDDEN"),
        (("stella", "studio"), "FORBIDDEN"),
        (("ann", None), "FORBIDDEN"),
    ],
)
async def test_who_may_change_a_pool_may_ask(gateway: Gateway, login: tuple[str, str | None], code: str | None) -> None:
    """Its organiser and an admin; a director asks about competitions only."""
    answer = await gateway.post(WHAT_IF, {"changes": [WORKSHOP | {"quota": 6}]}, gateway.login(*login))

    assert [error["extensions"]["code"] for error in answer.get("errors", [])] == ([code] if code else [])


async def test_another_tenants_pools_do_not_exist(gateway: Gateway) -> None:
    """Not even for its admin."""
    told = await what_if(gateway, WORKSHOP | {"quota": 6}, tenant="elsewhere")

    assert told["code"] == "NOT_FOUND"


async def test_it_is_of_few_changes(gateway: Gateway) -> None:
    """From 1 to 10."""
    for many in (0, 11):
        answer = await gateway.post(WHAT_IF, {"changes": [WORKSHOP] * many}, gateway.login(*ADA))
        assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_it_waits_for_the_pool_no_longer_than_a_change_would(gateway: Gateway, owner: asyncpg.Connection) -> None:
    """While somebody else has the lock it is busy, in time; and afterwards its own lock is gone."""
    async with owner.transaction():
        await owner.execute("SELECT FROM capacity.pool WHERE id = 'session:demo-keynote' FOR UPDATE")
        busy = await asyncio.wait_for(what_if(gateway, KEYNOTE | {"quota": 50}), timeout=3)
    assert (busy["code"], busy["outcome"]) == ("GATEWAY_BUSY", "NOT_APPLIED")

    told = await what_if(gateway, KEYNOTE | {"quota": 50})
    assert told["pools"][0]["after"]["quota"] == 50
    assert await owner.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0


async def test_it_may_be_asked_while_the_limit_changes(gateway: Gateway) -> None:
    """Neither holds up nor spoils the other: what was set is set."""
    changes = (
        gateway.send(SET_QUOTA, {"input": KEYNOTE | {"quota": 30 + n, "idempotencyKey": str(n)}}, gateway.login(*ADA))
        for n in range(1, 11)
    )
    questions = (what_if(gateway, KEYNOTE | {"quota": 500}) for _ in range(10))
    answers = await asyncio.gather(*changes, *questions)

    assert [answer["__typename"] for answer in answers] == ["PoolSuccess"] * 10 + ["WhatIf"] * 10
    (now,) = (await what_if(gateway, KEYNOTE))["pools"]
    assert now["before"]["version"] == max(done["pool"]["version"] for done in answers[:10])
    assert now["before"]["quota"] in range(31, 41)
