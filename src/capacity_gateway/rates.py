"""How often one may ask, and how many sockets one may have at a time, as this process counts them."""

import math
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from limits import RateLimitItem
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

from capacity_gateway.kernel.context import Caller

COUNTERS_MAX = 20_000  # of 300 bytes


class RateLimit:
    """So many calls in so much time, for each holder and operation. A call costs 3 µs; with no limit, nothing."""

    def __init__(self, rate: RateLimitItem) -> None:
        self._rate = rate
        self._limiter = FixedWindowRateLimiter(Counters())

    def wait_seconds(self, caller: Caller, address: str, operation: str) -> int:
        """Count a call; 0 where it may go on, else in how many seconds the next one may."""
        who = name_of(caller, address)
        if self._limiter.hit(self._rate, who, operation):
            return 0
        return max(1, math.ceil(self._limiter.get_window_stats(self._rate, who, operation).reset_time - time.time()))


class Places:
    """So many at a time under each name."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[str] = Counter()

    @contextmanager
    def place(self, name: str = "") -> Iterator[bool]:
        """Take a place for as long as this lasts; whether there was one."""
        free = self._taken[name] < self._most
        self._taken[name] += free
        try:
            yield free
        finally:
            self._taken[name] -= free
            if not self._taken[name]:
                del self._taken[name]


def name_of(caller: Caller, address: str) -> str:
    """Under which name a caller's calls and sockets are counted: the holder's, or the address of who has none."""
    return f"{caller.tenant}\n{caller.holder}" if caller.holder is not None else f"{caller.tenant}\n\n{address}"


class Counters(Storage):
    """Counters that live equally long, so that the oldest are dropped from the front: no thread has to look for them.

    Of the library's own storage a thread goes through all counters a hundred times a second, and keeps them all.
    """

    def __init__(self) -> None:
        super().__init__(None)
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    @property
    def base_exceptions(self) -> type[Exception]:
        """What may go wrong: nothing."""
        return ValueError

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count; when there are too many counters, the oldest is forgotten."""
        now = time.time()
        until, count = self._counts.get(key, (0.0, 0))
        if until <= now:
            self._counts.pop(key, None)
            while self._counts and (len(self._counts) >= COUNTERS_MAX or next(iter(self._counts.values()))[0] <= now):
                self._counts.popitem(last=False)
            until, count = now + expiry, 0
        self._counts[key] = until, count + amount
        return count + amount

    def get(self, key: str) -> int:
        """How often was counted."""
        until, count = self._counts.get(key, (0.0, 0))
        return count if until > time.time() else 0

    def get_expiry(self, key: str) -> float:
        """When the counter ends, in seconds since 1970."""
        return self._counts.get(key, (time.time(), 0))[0]

    def check(self) -> bool:
        """It is there."""
        return True

    def reset(self) -> int:
        """Forget all; how many there were."""
        number = len(self._counts)
        self._counts.clear()
        return number

    def clear(self, key: str) -> None:
        """Forget one."""
        self._counts.pop(key, None)
