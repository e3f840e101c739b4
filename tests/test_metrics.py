"""`/metrics` is well-formed, tells the truth, and is for who may watch."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import asyncpg
import httpx
import pytest
import structlog
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from asking import ask, define, hold, take
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.database import Database
from capacity_gateway.kernel.sweeper import Sweeper
from capacity_gateway.kernel.webhooks import Webhooks
from capacity_gateway.logs import name_request
from conftest import TENANT, Gateway, running

Series = tuple[str, frozenset[tuple[str, str]]]
WAITS = "SELECT true FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database() LIMIT 1"
SET_QUOTA = """
mutation ($key: String!, $quota: Int!) {
  setQuota(input: { kind: COMPETITION, ref: "p", quota: $quota, idempotencyKey: $key }) { __typename }
}
"""


async def scrape(gateway: Gateway, **headers: str) -> httpx.Response:
    """The metrics as they are told on this machine."""
    return await gateway.http.get("http://localhost/metrics", headers=headers)


def read(text: str) -> dict[Series, float]:
    """The value of each series; fails on what is not well-formed, and on a name that stands twice."""
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    assert [family.name for family in families if not family.documentation] == []
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every scrape looks at the pools anew."""
    monkeypatch.setattr("capacity_gateway.metrics.SURVEY_SECONDS", 0)


@pytest.fixture
async def values(gateway: Gateway) -> Callable[[], Any]:
    """What a scrape says, of a series by its name and labels: how much more than at the beginning."""
    before = read((await scrape(gateway)).text)

    async def now() -> Callable[..., float]:
        after = read((await scrape(gateway)).text)

        def more(name: str, **labels: str) -> float:
            series = (name, frozenset(labels.items()))
            return after[series] - before.get(series, 0)

        return more

    return now


async def test_what_is_counted_is_what_was_done(
    gateway: Gateway, database: Database, values: Callable[[], Any]
) -> None:
    """Outcomes by operation and type, also of what never reached the database; requests, transactions and documents."""
    await ask(database, define(100), take("a", 10))
    for key, quota in (("k1", 20), ("k1", 20), ("k2", 5), ("k1", 21), ("k3", -1), ("\t", 1)):
        await gateway.send(SET_QUOTA, {"key": key, "quota": quota})
    await gateway.post("{ nonsense }")

    more = await values()

    counted = {
        kind: more("capacity_outcomes_total", operation="setQuota", type=kind)
        for kind in ("OK", "REPLAYED", "QUOTA_BELOW_USE", "IDEMPOTENCY_CONFLICT", "INVALID_INPUT")
    }
    assert counted == {"OK": 1, "REPLAYED": 1, "QUOTA_BELOW_USE": 1, "IDEMPOTENCY_CONFLICT": 1, "INVALID_INPUT": 2}
    assert more("capacity_request_seconds_count", operation="mutation") == 6
    assert more("capacity_batch_commands_sum") == 5
    assert more("capacity_batch_seconds_count") == 5
    assert more("capacity_documents_total", cache="miss") >= 1


async def test_what_is_told_is_well_formed(gateway: Gateway, database: Database) -> None:
    """As strictly as promtool reads it: help, type and unit of each, once, before its samples; buckets that add up."""
    await ask(database, define(100), take("a", 10))
    await gateway.send(SET_QUOTA, {"key": "k1", "quota": 20})

    response = await scrape(gateway)

    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    described: list[str] = []
    for line in response.text.removesuffix("\n").split("\n"):
        if line.startswith("# "):
            found = re.fullmatch(r"# (HELP|TYPE) ([a-z_]+) (.+)", line)
            assert found, line
            described.append(f"{found[1]} {found[2]}")
        else:
            found = re.fullmatch(r'([a-z_]+)(\{([a-z_]+="[^"\\\n]*",?)+\})? [-+.e\dINFa]+', line)
            assert found, line
            assert found[1].startswith(described[-1].removeprefix("TYPE ")), line
    assert len(set(described)) == len(described)
    assert described[::2] == [each.replace("TYPE", "HELP") for each in described[1::2]]
    for family in text_string_to_metric_families(response.text):
        check_family(family)


def check_family(family: Metric) -> None:
    """A metric's name tells its unit and its kind; a histogram's buckets add up."""
    assert not re.search(r"_(milliseconds|ms|minutes|kilobytes|percent)$", family.name), family.name
    names = {sample.name for sample in family.samples}
    series = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in family.samples]
    assert len(set(series)) == len(series), family.name
    if family.type == "counter":
        assert names <= {f"{family.name}_total"}
    elif family.type == "histogram":
        assert names <= {f"{family.name}_{part}" for part in ("bucket", "sum", "count")}
        counts: dict[Any, list[float]] = {}
        for sample in family.samples:
            labels = frozenset((name, value) for name, value in sample.labels.items() if name != "le")
            if not sample.name.endswith("_sum"):
                counts.setdefault(labels, []).append(sample.value)
        assert all(each == sorted(each) and each[-1] == each[-2] for each in counts.values()), family.name
    else:
        assert (family.type, names <= {family.name}) == ("gauge", True), family.name


async def test_waiting_for_a_lock_is_timed(
    gateway: Gateway, owner: asyncpg.Connection, database: Database, values: Callable[[], Any]
) -> None:
    """Beside the time that the transaction took in all."""
    await ask(database, define(100))

    answer: dict[str, str] = {}
    for number in range(20):  # on a busy machine the lock may be kept for longer than anybody waits
        async with owner.transaction():
            await owner.execute("SELECT FROM capacity.pool FOR UPDATE")
            waiting = asyncio.create_task(gateway.send(SET_QUOTA, {"key": f"k{number}", "quota": 20}))
            while not (waiting.done() or await owner.fetchval(WAITS)):  # noqa: ASYNC110 - the database tells nobody
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
        answer = await waiting
        if answer["__typename"] != "GatewayBusyError":
            break

    more = await values()
    assert answer["__typename"] == "PoolSuccess"
    assert 0.05 <= more("capacity_lock_wait_seconds_sum") <= more("capacity_batch_seconds_sum")


async def test_pools_are_told_by_kind(gateway: Gateway, database: Database, owner: asyncpg.Connection) -> None:
    """What they hold, how many are full or drift; no series is of one pool or one tenant."""
    await ask(database, define(100), take("a", 10), define(5, "competition:q"), hold("b", 5, "competition:q"))
    await ask(database, define(None), take("a", 2), tenant="elsewhere")
    await owner.execute("UPDATE capacity.pool SET confirmed = confirmed + 7 WHERE id = 'competition:p' AND quota = 100")

    told = read((await scrape(gateway)).text)

    expected = {
        "pools": 3,
        "full_pools": 1,
        "quota": 105,
        "taken": 22,
        "held": 5,
        "confirmed": 19,
        "drifting_pools": 1,
        "drift": 7,
        "largest_drift": 7,
        "ledger_entries": 3,
    }
    kind = frozenset({("kind", "competition")})
    assert {name: told[f"capacity_{name}", kind] for name in expected} == expected
    assert told["capacity_database_up", frozenset()] == 1


async def test_orphans_and_what_is_overdue_are_told(
    gateway: Gateway, database: Database, capacity: Capacity, owner: asyncpg.Connection
) -> None:
    """Claims with no entry behind them, since the last look; and for how long a hold has been left unsettled."""
    await ask(database, define(100), take("a", 10), hold("b", 5))
    await owner.execute("DELETE FROM capacity.ledger WHERE claim_id = 'a'")
    await owner.execute("UPDATE capacity.claim SET expires_at = clock_timestamp() - interval '60 s' WHERE id = 'b'")

    assert await Sweeper(database, capacity, idempotency_days=30).count_orphans() == 1

    told = read((await scrape(gateway)).text)
    kind = frozenset({("kind", "competition")})
    assert told["capacity_orphans", kind] == 1
    assert 60 <= told["capacity_overdue_seconds", kind] < 120


async def test_webhooks_are_told_of_together(gateway: Gateway, database: Database, owner: asyncpg.Connection) -> None:
    """How many there are, fail and are disabled; and what the others have still to be told, since when."""
    webhooks = Webhooks(database, b"k", anywhere=True)
    for tenant, webhook in ((TENANT, "a"), (TENANT, "b"), ("elsewhere", "c")):
        await ask(database, define(100, f"competition:{webhook}"), tenant=tenant)
        assert await webhooks.make(tenant, webhook, "http://nowhere", kinds=None, reasons=None, since=None)
        await ask(database, take(f"of {webhook}", 1, f"competition:{webhook}"), tenant=tenant)
    await webhooks.notice()
    await owner.execute("UPDATE capacity.webhook SET disabled_at = now() WHERE id = 'b'")
    await owner.execute("UPDATE capacity.webhook SET failing_since = now()")
    await owner.execute(
        "UPDATE capacity.ledger SET recorded_at = recorded_at - interval '60 s', effective_at = '-infinity'"
        " WHERE tenant_id = 'elsewhere'"
    )

    told = read((await scrape(gateway)).text)

    nothing = frozenset[tuple[str, str]]()
    names = ("webhooks", "webhooks_failing", "webhooks_disabled", "webhook_pending_entries")
    assert [told[f"capacity_{name}", nothing] for name in names] == [3, 2, 1, 3]
    assert 60 <= told["capacity_webhook_lag_seconds", nothing] < 120


async def test_a_database_that_is_away_is_told_as_such(gateway: Gateway, owner_url: str) -> None:
    """What the gateway knows by itself is told all the same."""
    await gateway.app.state.database._connections.close()  # noqa: SLF001 - as if it were away

    told = read((await scrape(gateway)).text)

    assert told["capacity_database_up", frozenset()] == 0
    assert ("capacity_queued_requests", frozenset()) in told


async def test_without_a_token_metrics_are_for_this_machine(gateway: Gateway) -> None:
    """Neither for what a proxy hands on, nor for a page under a foreign name that leads here."""
    foreign = await gateway.http.get("http://gateway.example.org/metrics")
    handed_on = await scrape(gateway, **{"x-forwarded-for": "203.0.113.7"})

    assert [answer.status_code for answer in (await scrape(gateway), foreign, handed_on)] == [200, 403, 403]


async def test_with_a_token_metrics_are_for_who_shows_it(owner_url: str) -> None:
    """From wherever that is, and in production too; nobody else gets any, not even here."""
    async with running(owner_url, metrics_token="t0ken", production=True) as gateway:  # noqa: S106 - for tests
        url = "http://gateway.example.org/metrics"
        shown = await gateway.http.get(url, headers={"authorization": "Bearer t0ken"})
        wrong = await gateway.http.get(url, headers={"authorization": "Bearer tOken"})

        assert [shown.status_code, wrong.status_code, (await scrape(gateway)).status_code] == [200, 403, 403]


async def test_requests_are_logged_where_it_is_wanted(owner_url: str, database: Database) -> None:
    """A line for each: an id, names of the schema, outcomes and times; nothing that a caller has sent."""
    await ask(database, define(100), take("a", 10))
    async with running(owner_url, log_requests=True) as gateway:
        with structlog.testing.capture_logs(processors=[name_request]) as logs:
            await gateway.send(SET_QUOTA, {"key": "secret-key", "quota": 20})
            await gateway.post("query ($email: String) { who: me(email: $email) }", {"email": "ann@example.org"})

    (first, second) = [line for line in logs if line["event"] == "request"]
    assert first.items() >= {"operation": "mutation", "fields": ["setQuota"], "status": 200}.items()
    assert first["outcomes"] == ["setQuota OK"]
    assert first["duration_ms"] > 0
    assert first["request_id"] != second["request_id"]
    assert not [word for word in ("secret-key", "ann@", "Bearer") if word in json.dumps(logs)]


@pytest.mark.parametrize("form", ["auto", "json", "text"])
def test_the_log_is_json_unless_text_is_wanted(form: str) -> None:
    """What is no terminal is a program, which reads an object a line; so is what libraries log."""
    code = "import logging, sys, structlog; from capacity_gateway.logs import write_logs; write_logs(sys.argv[1]);"
    code += "structlog.get_logger().warning('ours', n=1); logging.getLogger('asyncpg').warning('theirs')"
    done = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code, form], capture_output=True, text=True, check=True
    )

    ours, theirs = done.stderr.splitlines()
    if form == "text":
        assert re.search(r"\[.*warning.*\] .*ours.* .*n.*=.*1", ours)
        assert "theirs" in theirs
    else:
        assert json.loads(ours).items() >= {"event": "ours", "n": 1, "level": "warning"}.items()
        assert json.loads(theirs).items() >= {"event": "theirs", "level": "warning"}.items()


async def test_requests_are_not_logged_unless_it_is_wanted(gateway: Gateway) -> None:
    """Who serves thousands a second may not want as many lines."""
    with structlog.testing.capture_logs() as logs:
        await gateway.post("{ __typename }")

    assert logs == []


async def test_a_bug_is_logged_under_the_id_of_its_request(
    owner_url: str, database: Database, owner: asyncpg.Connection
) -> None:
    """The caller is told the id that all lines of the request carry; and bugs are counted."""
    await ask(database, define(100))
    await owner.execute("REVOKE SELECT ON capacity.ledger FROM capacity_app")
    async with running(owner_url, log_requests=True) as gateway:
        before = read((await scrape(gateway)).text)
        with structlog.testing.capture_logs(processors=[name_request]) as logs:
            answer = await gateway.post('{ a: capacity(kind: COMPETITION, ref: "p") { ledger { totalCount } } }')
        after = read((await scrape(gateway)).text)

    told = answer["errors"][0]["extensions"]["requestId"]
    assert [(line["event"], line["request_id"]) for line in logs] == [("unexpected error", told), ("request", told)]
    series = ("capacity_unexpected_errors_total", frozenset[tuple[str, str]]())
    assert after[series] - before[series] == 1
