"""How often one may ask: counted for each holder and operation, and answered in the form that is expected there."""

import asyncio
import time
from typing import Any

import pytest
from pydantic import ValidationError

from capacity_gateway.kernel.context import Caller
from capacity_gateway.rates import COUNTERS_MAX, RateLimit
from capacity_gateway.settings import Settings
from conftest import running
from subscribing import serving

CREATE = 'mutation { createCompetition(input: {id: "c", name: "C", quota: 600}) { __typename } }'
CLOSE = """mutation { closePool(input: { kind: COMPETITION, ref: "c" }) {
  __typename ... on CapacityError { code retry retryAfterMs } ... on GatewayBusyError { outcome }
} }"""
COUNT = "{ pools { totalCount } }"
MINE = '{ myRegistrationForEvent(eventId: "e") { id } }'


async def test_a_mutation_too_many_is_refused_as_busy(owner_url: str) -> None:
    """GatewayBusyError, not applied, to be sent again with the same key when the time has come."""
    async with running(owner_url, rate_limit="2/hour") as gateway:
        await gateway.send(CREATE)
        answers = [await gateway.send(CLOSE) for _ in range(3)]

        assert [answer["__typename"] for answer in answers] == ["PoolSuccess", "PoolSuccess", "GatewayBusyError"]
        assert answers[2] | {"retryAfterMs": 0} == {
            "__typename": "GatewayBusyError",
            "code": "GATEWAY_BUSY",
            "retry": "SAME_KEY",
            "retryAfterMs": 0,
            "outcome": "NOT_APPLIED",
        }
        assert 3_590_000 < answers[2]["retryAfterMs"] <= 3_600_000
        assert (await gateway.send('{ competition(id: "c") { pool { version } } }'))["pool"]["version"] == 1


async def test_a_query_too_many_is_busy(owner_url: str) -> None:
    """A top-level BUSY with the time to wait, as other busy reads have it."""
    async with running(owner_url, rate_limit="1/min") as gateway:
        await gateway.send(COUNT)
        (error,) = (await gateway.post(COUNT))["errors"]

    assert error["extensions"]["code"] == "BUSY"
    assert 50_000 < error["extensions"]["retryAfterMs"] <= 60_000


async def test_older_clients_are_told_in_their_own_words(owner_url: str) -> None:
    """429, and in how many seconds to try again."""
    async with running(owner_url, rate_limit="1/day") as gateway:
        await gateway.post(MINE)
        (error,) = (await gateway.post(MINE))["errors"]

    assert error["message"] in {f"429: Rate limit exceeded. Try again in {n} seconds." for n in range(86_390, 86_401)}


async def test_nobody_uses_up_what_is_somebody_elses(owner_url: str) -> None:
    """Each holder, each tenant and each operation has its own; who has no login is counted by address."""
    async with running(owner_url, rate_limit="1/hour") as gateway:
        askers = [gateway.login("a"), gateway.login("b"), gateway.login("a", tenant="other"), {}]
        found = [await gateway.post(COUNT, headers=asker) for asker in askers]
        found += [await gateway.post("{ ledgerActivity { totalCount } }", headers=gateway.login("a", "admin"))]
        again = [await gateway.post(COUNT, headers=asker) for asker in askers]

    assert ["errors" in answer for answer in found + again] == [False] * 5 + [True] * 4


async def test_the_limit_holds_over_sockets(owner_url: str) -> None:
    """What is asked there counts together with what is posted."""
    async with serving(owner_url, rate_limit="2/hour") as served:
        await served.gateway.send(COUNT)
        async with served.client() as client:
            assert await (await client.ask(COUNT)).event() is not None
            message = await (await client.ask(COUNT)).message()

    assert message["payload"]["errors"][0]["extensions"]["code"] == "BUSY"


async def test_the_time_to_wait_is_enough(owner_url: str) -> None:
    """Who waits for that long may ask again."""
    async with running(owner_url, rate_limit="1/s") as gateway:
        await gateway.send(COUNT)
        (error,) = (await gateway.post(COUNT))["errors"]
        await asyncio.sleep(error["extensions"]["retryAfterMs"] / 1000)
        assert "errors" not in await gateway.post(COUNT)


def test_counting_takes_bounded_memory() -> None:
    """Of ever more holders the oldest are forgotten, and a call is cheap."""
    limit = RateLimit(Settings(rate_limit="5/day").rate())  # type: ignore[arg-type]
    began = time.process_time()
    for number in range(2 * COUNTERS_MAX):
        assert limit.wait_seconds(Caller(tenant="t", holder=str(number)), "", "register") == 0
    counters: Any = limit._limiter.storage  # noqa: SLF001 - to look behind it

    assert counters.reset() <= COUNTERS_MAX
    assert (time.process_time() - began) / (2 * COUNTERS_MAX) < 0.0001


@pytest.mark.parametrize("rate", ["off", "100/s", "5/min", "10/hour", "7/day"])
def test_a_rate_is_a_setting(rate: str) -> None:
    """As numbers a second, minute, hour or day."""
    assert (Settings(rate_limit=rate).rate() is None) == (rate == "off")


@pytest.mark.parametrize("rate", ["", "100", "100/fortnight", "-1/s", "x/s", "0/s"])
def test_what_is_no_rate_is_refused(rate: str) -> None:
    """Before anything is started."""
    with pytest.raises(ValidationError):
        Settings(rate_limit=rate)
