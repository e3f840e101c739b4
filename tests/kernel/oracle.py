"""The reference model: what commands do to pools and claims, one after the other, with nothing clever about it."""

from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

LARGEST = 2**31 - 1
TAKERS = {"wait": "waiting", "hold": "held", "take": "confirmed", "confirm": "confirmed"}
LIVE = {"waiting", "held", "confirmed"}
ENDED = {"released", "expired"}
FROM = {"wait": set[str](), "hold": {"waiting"}, "take": {"waiting"}, "confirm": {"held"}, "touch": {"held"}}


@dataclass(frozen=True)
class Claim:
    """A share of a pool."""

    pool: str
    holder: str = ""
    word: str | None = None
    state: str = "none"
    quantity: int = 0
    due: bool = False
    offered: bool = False
    rank: int = 0
    place: int = 0

    def used(self, state: str, pool: str) -> int:
        """How many of a pool it has in a state."""
        return self.quantity if (self.state, self.pool) == (state, pool) else 0


@dataclass
class Pool:
    """A limit. Its counters are what the claims add up to."""

    quota: int | None
    waitlist: bool = False
    fleeting: bool = False
    """Its offers are due as soon as they are made."""
    beyond: int = 0
    closed: bool = False
    version: int = 0
    places: int = 0

    def limit(self, *, overbook: bool = False) -> int:
        """How many may be taken of it."""
        return LARGEST if self.quota is None or overbook else min(LARGEST, self.quota + self.beyond)


@dataclass
class Oracle:
    """Every command sees all before it."""

    pools: dict[str, Pool]
    claims: dict[str, Claim] = field(default_factory=dict)
    waited: dict[str, list[int]] = field(default_factory=dict)
    """How many those wanted who waited when the request began."""

    def used(self, pool: str) -> tuple[int, int]:
        """Held and confirmed of a pool."""
        held, confirmed = ([c.used(state, pool) for c in self.claims.values()] for state in ("held", "confirmed"))
        return sum(held), sum(confirmed)

    def line(self, pool: str) -> list[str]:
        """Who waits, in order."""
        waiting = {n: c for n, c in self.claims.items() if (c.pool, c.state) == (pool, "waiting")}
        return sorted(waiting, key=lambda name: (waiting[name].rank, waiting[name].place))

    def fitting(self, pool: str) -> list[str]:
        """Those of them who could have what they wait for, were the pool empty."""
        limit = self.pools[pool].limit()
        return [name for name in self.line(pool) if self.claims[name].quantity <= limit]

    def numbers(self) -> dict[str, tuple[int | None, ...]]:
        """Of each pool: quota, held, confirmed, version, how many wait, and how many have an offer."""
        offers = [c.pool for c in self.claims.values() if c.offered and c.state == "held"]
        return {
            name: (pool.quota, *self.used(name), pool.version, len(self.line(name)), offers.count(name))
            for name, pool in self.pools.items()
        }

    def shares(self) -> dict[str, tuple[str, str, int, bool]]:
        """Of each claim: pool, state, quantity, and whether it is an offer, or one that ran out unsaid."""
        return {name: (claim.pool, claim.state, claim.quantity, claim.offered) for name, claim in self.claims.items()}

    def queues(self) -> dict[str, list[str]]:
        """Of each pool: who waits, in order."""
        return {name: self.line(name) for name in self.pools}

    def request(self, commands: list[dict[str, Any]]) -> list[str]:
        """The codes of one request: all of its commands stand, or none."""
        before = deepcopy((self.pools, self.claims))
        self.waited = {pool: [self.claims[name].quantity for name in self.line(pool)] for pool in self.pools}
        codes: list[str] = []
        for command in commands:
            codes.append(self.step(queued="waiting" in codes, **command))
            if codes[-1] in ("OK", "DONE") and self.state_of(command) == "waiting":
                codes[-1:] = [codes[-1], "waiting"]
        codes = [code for code in codes if code != "waiting"]
        if not {"OK", "DONE"}.issuperset(codes):
            self.pools, self.claims = before
            for command, code in zip(commands, codes, strict=True):
                if command.get("mind_lapse") and code == "HOLD_EXPIRED":
                    lapsed = self.lapsed(command["holder"], command["pool_id"])
                    self.claims |= {name: replace(self.claims[name], offered=False) for name in lapsed[:1]}
            return ["LINKED" if code in ("OK", "DONE") and len(codes) > 1 else code for code in codes]
        self.offer()
        return codes

    def settle(self, commands: list[dict[str, Any]]) -> None:
        """End the holds that are due in the pools that these commands touch, and offer what came free."""
        touched = {command.get(name) for command in commands for name in ("pool_id", "to_pool_id")}
        named = [self.find(c) for c in commands if not c.get("pool_id") or self.find(c) != c.get("claim_id")]
        touched |= {self.claims[name].pool for name in named if name in self.claims}
        touched |= {self.claims[name].pool for c in commands for name in self.elsewhere(c)}
        for name, claim in self.claims.items():
            if claim.pool in touched and claim.state == "held" and claim.due:
                self.claims[name] = replace(claim, state="expired", quantity=0)
                self.pools[claim.pool].version += claim.quantity > 0
        self.offer()

    def offer(self) -> None:
        """Hold for those first in line what they wait for, until it does not fit."""
        for name, pool in self.pools.items():
            while pool.waitlist and (line := self.fitting(name)):
                first = self.claims[line[0]]
                if first.quantity and (pool.closed or sum(self.used(name)) + first.quantity > pool.limit()):
                    break
                self.claims[line[0]] = replace(first, state="held", offered=True, due=pool.fleeting)
                pool.version += first.quantity > 0

    def find(self, command: dict[str, Any]) -> str:
        """The name of the claim that a command is about: the live one with its exclusive word, or that of its id."""
        word = command.get("exclusive")
        live = [name for name, c in self.claims.items() if word and c.word == word and c.state in LIVE]
        found: list[str] = [*live, *self.elsewhere(command), command.get("claim_id", "")]
        return found[0]

    def elsewhere(self, command: dict[str, Any]) -> list[str]:
        """The claims in force that the holder of a command has outside of the pool that it names."""
        here, holder = command.get("outside_pool_id"), command.get("holder")
        in_force = {n: c for n, c in self.claims.items() if c.state in ("held", "confirmed")}
        in_force = {n: c for n, c in in_force.items() if c.state == "confirmed" or not c.offered}
        return sorted(n for n, c in in_force.items() if here and c.holder == holder and c.pool != here)

    def state_of(self, command: dict[str, Any]) -> str | None:
        """The state of the claim that a command is about."""
        name = self.find(command)
        return self.claims[name].state if name in self.claims else None

    def lapsed(self, holder: str, pool: str) -> list[str]:
        """Offers that have run out, and nobody has said so."""
        expired = {n: c for n, c in self.claims.items() if c.state == "expired" and c.offered}
        return [name for name, c in expired.items() if (c.holder, c.pool) == (holder, pool)]

    def step(self, **command: Any) -> str:
        """Do one command, and count a version in every pool that it governs or changes by a number."""
        before = self.numbers()
        of_claim = command.get("claim_id") or command.get("outside_pool_id")
        code = self.claim(self.find(command), **command) if of_claim else self.govern(**command)
        for name, now in self.numbers().items():
            governs = command["verb"] in ("resize", "close", "open") and name == command["pool_id"] and code == "OK"
            self.pools[name].version += governs or now[:3] != before[name][:3]
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

    def claim(self, name: str, *, verb: str, pool_id: str | None = None, **more: Any) -> str:
        """A command to a claim: what it has afterwards, and whether there is room for that."""
        was = self.claims.get(name)
        code = self.standing(was, verb=verb, pool_id=pool_id, **more)
        if code == "DONE" and verb == "hold" and was and was.state == "held" and not was.offered:
            self.claims[name] = replace(was, due=was.due and more["ttl_seconds"] == 0)
        if code != "OK":
            return code
        rank = more.get("rank") or 0
        was = was or Claim(pool_id or "", more.get("holder", ""), more.get("exclusive"), rank=rank)
        now = self.afterwards(was, verb=verb, **more)
        growth = sum(now.used(s, now.pool) - was.used(s, now.pool) for s in ("held", "confirmed"))
        pool, use = self.pools[now.pool], sum(self.used(now.pool))
        if now.quantity < 0 or (verb == "confirm" and growth > 0):
            return "EXCEEDS_CLAIM"
        if pool.closed and (growth > 0 or verb in ("wait", "move")):
            return "POOL_CLOSED"
        behind = pool.waitlist and self.line(now.pool) and min(self.waited[now.pool], default=LARGEST) <= pool.limit()
        if growth > 0 and (behind or use + growth > pool.limit(overbook=more.get("overbook", False))):
            most = 1 if pool.quota is None else max(1, pool.quota + pool.beyond)
            if not (more.get("or_wait") and pool.waitlist and now.quantity <= most):
                return "INSUFFICIENT"
            now = replace(now, state="waiting", offered=False)
        if now.state == "waiting" and (was.state, was.pool) != ("waiting", now.pool):
            pool.places += 1
            now = replace(now, place=pool.places)
        self.claims[name] = now
        return "OK"

    def standing(  # noqa: PLR0911 - one return a rule
        self, was: Claim | None, *, verb: str, pool_id: str | None, **more: Any
    ) -> str:
        """May a command be carried out on a claim as it stands?"""
        if was is None:
            if pool_id is None:
                return "DONE" if more.get("outside_pool_id") else "NOT_FOUND"
            if more["queued"] and more.get("unless_waiting"):
                return "DONE"
            if more.get("mind_lapse") and self.lapsed(more["holder"], pool_id):
                return "HOLD_EXPIRED"
            has = {(c.pool, c.holder) for c in self.claims.values() if c.state == "confirmed"}
            needed = more.get("needs_pool_id")
            return "NOT_ELIGIBLE" if needed and (needed, more["holder"]) not in has else "OK"
        if more["queued"] and more.get("unless_waiting"):
            return "DONE"
        here, takes = pool_id in (None, was.pool), was.offered and was.state == "held" and verb in ("hold", "take")
        if more.get("exclusive") and was.word == more["exclusive"] and was.state in LIVE:
            return "ELSEWHERE" if not here else "OK" if takes else "DONE"
        if (more.get("if_live") and was.state in ENDED) or was.pool == more.get("to_pool_id"):
            return "DONE"
        lengthens_offer = verb == "touch" and was.offered and was.state == "held"
        if here and not lengthens_offer and (takes or was.state in FROM.get(verb, LIVE)):
            return "OK"
        ran_out = was.state == "expired" or (verb == "touch" and not lengthens_offer)
        return "EXISTS" if pool_id else "HOLD_EXPIRED" if ran_out else "INVALID_TRANSITION"

    @staticmethod
    def afterwards(was: Claim, *, verb: str, quantity: int | None = None, **more: Any) -> Claim:
        """A claim as a command would leave it, if there is room."""
        asked = was.quantity if quantity is None else quantity
        left = {"move": was.quantity, "touch": was.quantity, "release": was.quantity - asked}.get(verb, asked)
        if was.offered and verb in ("hold", "take", "confirm"):
            left = was.quantity  # an offer is taken up as it was made
        ends = verb == "release" and quantity is None
        return replace(
            was,
            pool=more.get("to_pool_id") or was.pool,
            state="released" if ends else TAKERS.get(verb, was.state),
            quantity=left + was.quantity * more.get("relative", False),
            due=more["ttl_seconds"] == 0 if verb in ("hold", "touch") else was.due,
            offered=was.offered and not ends and verb not in TAKERS,
        )
