"""The reference model: what commands do to pools and claims, one after the other, with nothing clever about it."""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

LARGEST = 2**31 - 1
TAKERS = {"wait": "waiting", "hold": "held", "take": "confirmed", "confirm": "confirmed"}
LIVE = {"waiting", "held", "confirmed"}
ENDED = {"released", "expired"}
FROM = {"wait": set[str](), "hold": {"waiting"}, "take": {"waiting"}, "confirm": {"held"}, "move": LIVE | ENDED}


@dataclass(frozen=True)
class Claim:
    """A share of a pool."""

    pool: str
    state: str = "none"
    quantity: int = 0
    due: bool = False

    def used(self, state: str, pool: str) -> int:
        """How many of a pool it has in a state."""
        return self.quantity if (self.state, self.pool) == (state, pool) else 0


@dataclass
class Pool:
    """A limit. Its counters are what the claims add up to."""

    quota: int | None
    beyond: int = 0
    closed: bool = False
    version: int = 0


@dataclass
class Oracle:
    """Every command sees all before it."""

    pools: dict[str, Pool]
    claims: dict[str, Claim] = field(default_factory=dict)

    def used(self, pool: str) -> tuple[int, int]:
        """Held and confirmed of a pool."""
        held, confirmed = ([c.used(state, pool) for c in self.claims.values()] for state in ("held", "confirmed"))
        return sum(held), sum(confirmed)

    def numbers(self) -> dict[str, tuple[int | None, int, int, int]]:
        """Of each pool: quota, held, confirmed, version."""
        return {name: (pool.quota, *self.used(name), pool.version) for name, pool in self.pools.items()}

    def shares(self) -> dict[str, tuple[str, str, int]]:
        """Of each claim: pool, state, quantity."""
        return {name: (claim.pool, claim.state, claim.quantity) for name, claim in self.claims.items()}

    def request(self, commands: list[dict[str, Any]]) -> list[str]:
        """The codes of one request: all of its commands stand, or none."""
        before = deepcopy((self.pools, self.claims))
        codes = [self.step(**command) for command in commands]
        if len(codes) > 1 and not {"OK", "DONE"}.issuperset(codes):
            self.pools, self.claims = before
            codes = ["LINKED" if code in ("OK", "DONE") else code for code in codes]
        return codes

    def settle(self, commands: list[dict[str, Any]]) -> None:
        """End the holds that are due in the pools that these commands touch."""
        touched = {command.get(name) for command in commands for name in ("pool_id", "to_pool_id")}
        alone = [self.claims.get(command.get("claim_id", "")) for command in commands if not command.get("pool_id")]
        touched |= {claim.pool for claim in alone if claim}
        for name, claim in self.claims.items():
            if claim.pool in touched and claim.state == "held" and claim.due:
                self.claims[name] = Claim(claim.pool, "expired")
                self.pools[claim.pool].version += 1

    def step(self, **command: Any) -> str:
        """Do one command, and count a version in every pool that it changes by a number."""
        before = self.numbers()
        code = self.claim(**command) if command.get("claim_id") else self.govern(**command)
        for name, now in self.numbers().items():
            self.pools[name].version += (now[0] or 0, *now[1:3]) != (before[name][0] or 0, *before[name][1:3])
        return code

    def govern(self, *, verb: str, pool_id: str, quota: int | None = None, **more: Any) -> str:
        """A command to a pool."""
        pool, use = self.pools[pool_id], sum(self.used(pool_id))
        if verb in ("close", "open"):
            done, pool.closed = pool.closed == (verb == "close"), verb == "close"
            return "DONE" if done else "OK"
        if verb == "expire":
            return "OK"
        new = None if more.get("unlimited") else pool.quota if quota is None else quota
        beyond = pool.beyond if more.get("oversell_max") is None else more["oversell_max"]
        was, limit = (LARGEST if pool.quota is None else pool.quota), (new or 0) + beyond
        worse = new is not None and (
            new < min(use, was) or (pool.quota is not None and limit < min(use, was + pool.beyond))
        )
        if worse and not more.get("allow_below_use"):
            return "QUOTA_BELOW_USE"
        done, pool.quota, pool.beyond = (new, beyond) == (pool.quota, pool.beyond), new, beyond
        return "DONE" if done else "OK"

    def claim(  # noqa: PLR0911 - one return a refusal
        self, *, verb: str, claim_id: str, pool_id: str | None = None, quantity: int | None = None, **more: Any
    ) -> str:
        """A command to a claim: what it has afterwards, and whether there is room for that."""
        was, to = self.claims.get(claim_id), more.get("to_pool_id")
        if was is None and pool_id is None:
            return "NOT_FOUND"
        if was and (was.state not in FROM.get(verb, LIVE) or was.pool != (pool_id or was.pool)):
            return "EXISTS" if pool_id else "HOLD_EXPIRED" if was.state == "expired" else "INVALID_TRANSITION"
        was = was or Claim(pool_id or "")
        if was.pool == to:
            return "DONE"
        asked = was.quantity if quantity is None else quantity
        left = {"move": was.quantity, "release": was.quantity - asked}.get(verb, asked)
        state = "released" if verb == "release" and quantity is None else TAKERS.get(verb, was.state)
        due = more["ttl_seconds"] == 0 if verb == "hold" else was.due
        now = Claim(to or was.pool, state, left + was.quantity * more.get("relative", False), due)
        growth = sum(now.used(s, now.pool) - was.used(s, now.pool) for s in ("held", "confirmed"))
        pool, use = self.pools[now.pool], sum(self.used(now.pool))
        if now.quantity < 0 or (verb == "confirm" and growth > 0):
            return "EXCEEDS_CLAIM"
        if pool.closed and (growth > 0 or verb in ("wait", "move")):
            return "POOL_CLOSED"
        limit = LARGEST if pool.quota is None or more.get("overbook") else min(LARGEST, pool.quota + pool.beyond)
        if growth > 0 and use + growth > limit:
            return "INSUFFICIENT"
        self.claims[claim_id] = now
        return "OK"
