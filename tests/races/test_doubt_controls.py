"""Makes mistakes on purpose in how doubts are settled, and sees the checks fail."""

from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
from doubts import busy_and_then_free, cut_commits, cut_while_at_work

from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.combiner import Combiner
from capacity_gateway.kernel.commands import Refuse
from capacity_gateway.kernel.database import CONNECTION_LOST
from capacity_gateway.kernel.outcomes import GatewayBusyError
from capacity_gateway.kernel.pools import Json

pytestmark = pytest.mark.controls

KNOWN = "SELECT count(*) > 0 FROM capacity.idempotency WHERE key = $1"


async def test_doubt_settled_by_reading_denies_what_happens_later(
    owner: asyncpg.Connection, owner_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is not there yet, for its transaction is still at work."""
    send = Combiner.apply

    async def look_it_up(self: Combiner, name: str, commands: list[Json], *, until: float) -> list[Json]:
        try:
            return await send(self, name, commands, until=until)
        except CONNECTION_LOST:
            reader = await asyncpg.connect(owner_url)
            known = await reader.fetchval(KNOWN, commands[0]["key"])
            await reader.close()
            if known:
                return await send(self, name, commands, until=until)
            raise asyncpg.QueryCanceledError from None  # which means: not applied

    monkeypatch.setattr(Combiner, "apply", look_it_up)

    assert any(sentence.startswith("S7") for sentence in await cut_while_at_work(owner_url))


async def test_a_new_key_on_a_retry_applies_twice(owner_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done, and not heard of, is done once more."""
    send, sent = Combiner.apply, set[str]()

    async def under_a_new_key(self: Combiner, name: str, commands: list[Json], *, until: float) -> list[Json]:
        key = commands[0]["key"]
        if key in sent:
            commands = [command | {"key": f"{key} again"} for command in commands]
        sent.add(key)
        return await send(self, name, commands, until=until)

    monkeypatch.setattr(Combiner, "apply", under_a_new_key)

    assert any(sentence.startswith("S3") for sentence in await cut_commits(owner_url))


async def test_a_busy_that_is_kept_under_its_key_is_final(owner_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same key can never be applied again."""
    door = Capacity.submit

    async def keep(self: Capacity, tenant: str, commands: Any, by: Any, success: Callable[..., Any]) -> Any:
        answer = await door(self, tenant, commands, by, success)
        if isinstance(answer, GatewayBusyError):
            says = {"message": answer.message, "outcome": "NOT_APPLIED"}
            kept = Refuse(definition={"refusal": "GatewayBusyError", "says": says})
            await door(self, tenant, [kept], by, success)
        return answer

    monkeypatch.setattr(Capacity, "submit", keep)

    assert any("when the lock was free" in sentence for sentence in await busy_and_then_free(owner_url))
