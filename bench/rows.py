"""The rows of the table: what is promised, and whether it was kept."""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

Reached = dict[str, list[float]]
"""For each limit of a row, what each round came to."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One promise."""

    measure: str
    against: str
    promise: str
    """In the words of the issue."""
    limits: Mapping[str, float]
    """The least that keeps the promise, or the most; with a name each where there are several."""
    most: bool = False
    unit: str = "×"

    def cells(self, reached: Reached) -> list[str]:
        """The row with what was reached, the median and the range of the rounds, and whether that keeps the promise."""
        said, kept = [], True
        for name, limit in self.limits.items():
            values = reached.get(name)
            if not values:
                said.append(f"{name} not measured".strip())
                continue
            middle = statistics.median(values)
            kept = kept and (middle <= limit if self.most else middle >= limit)
            spread = f" ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else ""
            said.append(f"{name} **{middle:.2f} {self.unit}**{spread}".strip())
        verdict = ("yes" if kept else "no") if any(reached.values()) else ""
        return [self.measure, self.against, self.promise, "; ".join(said), verdict]


_REGISTER = "register on one hot event, GraphQL over HTTP, 64 connections, admitted/s"

ROWS = {
    "one-function": Row(
        measure=_REGISTER,
        against="pgbench, one function, 64 clients",
        promise="4 ×, aim at 6 ×",
        limits={"": 4},
    ),
    "naive": Row(
        measure="same",
        against="pgbench, naive transaction, 64 clients",
        promise="7 ×, aim at 12 ×",
        limits={"": 7},
    ),
    "postgraphile": Row(
        measure="same, at 64 and at 512",
        against="PostGraphile 5 with the same function, best pool",
        promise="4.5 ×, aim at 6 ×",
        limits={"at 64": 4.5, "at 512": 4.5},
    ),
    "batch": Row(
        measure="same",
        against="pgbench, batch of 1,000 (the limit of this database)",
        promise="0.2 ×, aim at 0.5 ×",
        limits={"": 0.2},
    ),
    "spread": Row(
        measure="register spread over 1,000 pools of one tenant, 64 connections",
        against="one transaction a mutation, same gateway",
        promise="3 ×",
        limits={"": 3},
    ),
    "tenants": Row(
        measure="200 tenants, 5 pools each, 64 connections",
        against="same",
        promise="1.2 ×, never slower",
        limits={"": 1.2},
    ),
    "alone": Row(
        measure="one caller alone, p50",
        against="same gateway without combiner",
        promise="≤ 1.05 ×",
        limits={"": 1.05},
        most=True,
    ),
    "cpu": Row(
        measure="gateway CPU a register, login and limits on, no database",
        against="bare Starlette JSON",
        promise="≤ 1.5 ×, aim at 1 ×",
        limits={"": 1.5},
        most=True,
    ),
    "no-database": Row(
        measure="requests/s, no database",
        against="Apollo Server / yoga",
        promise="2.5 × / 5 ×",
        limits={"Apollo Server": 2.5, "yoga": 5},
    ),
    "ledger": Row(
        measure="ledger page of 100, gateway CPU",
        against="Strawberry cached",
        promise="10 × less",
        limits={"": 10},
    ),
    "workers": Row(
        measure="two workers, 512 connections",
        against="one worker",
        promise="never slower on 2 cores, aim at 1.4 ×",
        limits={"": 1},
    ),
    "cold": Row(
        measure="64 connections hot, one cold pool beside it, p99 of the cold",
        against="itself when quiet",
        promise="≤ 3 ×",
        limits={"": 3},
        most=True,
    ),
    "memory": Row(
        measure="memory of a worker after 1 million mutations",
        against="after 10 thousand",
        promise="+ 20 MB",
        limits={"": 20},
        most=True,
        unit="MB",
    ),
    "growth": Row(
        measure="reconcile, keyset page, `at`, append: 10 M against 1 M entries",
        against="itself",
        promise="≤ 1.2 ×",
        limits={"reconcile": 1.2, "keyset page": 1.2, "`at`": 1.2, "append": 1.2},
        most=True,
    ),
}
"""The table of what was asked for, in its order."""
