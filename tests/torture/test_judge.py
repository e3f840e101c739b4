"""The judge sees what is wrong in a history: one that cannot convict proves nothing by acquitting."""

from collections.abc import Callable
from typing import Any

import pytest

from torture.clients import QUOTAS, Call, History, Json
from torture.judge import Left, judge

TENANT, POOL = "tenant-a", "event:e"
Change = Callable[["Case"], Any]


def shown(version: int, confirmed: int) -> Json:
    """A pool as answers show it."""
    return {"id": POOL, "version": version, "quota": QUOTAS[POOL], "held": 0, "confirmed": confirmed}


def entry(version: int, confirmed: int, key: str | None, at: float) -> Json:
    """An entry of the ledger."""
    return {
        "tenant_id": TENANT,
        "id": f"{POOL}/{version}",
        "quota_after": QUOTAS[POOL],
        "held_after": 0,
        "confirmed_after": confirmed,
        "operation": "register",
        "idempotency_key": key,
        "hash": f"hash {version}",
        "recorded_at": at,
    }


def success(version: int, confirmed: int, key: str, *, replayed: bool = False) -> Json:
    """A registration as it is answered."""
    told = {"id": f"{POOL}/{version}", "hash": f"hash {version}", "idempotencyKey": key}
    kind = "RegistrationSuccess"
    return {"__typename": kind, "replayed": replayed, "pool": shown(version, confirmed), "entries": [told]}


def answered(key: str, answer: Json, sent_at: float, who: str = "p", first: Call | None = None) -> Call:
    """A registration that was sent once, and answered within a second."""
    times = {"began_at": sent_at, "sent_at": sent_at, "heard_at": sent_at + 1}
    return Call(TENANT, who, "register", {}, key, told=["ANSWERED"], answer=answer, first=first, **times)


class Case:
    """Two who register, one who sends his key again, one who uses it as somebody else, one refused, one given up."""

    def __init__(self) -> None:
        self.first = answered("1", success(1, 29, "1"), 10)
        self.second = answered("2", success(2, 30, "2"), 20)
        self.again = answered("1", success(1, 29, "1", replayed=True) | {"pool": shown(2, 30)}, 30, first=self.first)
        conflict = {"__typename": "IdempotencyConflictError", "replayed": False}
        self.stolen = answered("1", conflict, 30, who="q", first=self.first)
        short = {"requested": 1, "available": 0, "judgedVersion": 2, "pool": {"id": POOL}}
        refusal = {"__typename": "InsufficientCapacityError", "message": "", "replayed": False}
        self.refused = answered("3", refusal | {"pool": shown(2, 30), "shortfalls": [short]}, 40)
        self.given_up = Call(TENANT, "p", "register", {}, "4", told=["NOT_APPLIED"], denied_at=50)
        ledger = [entry(1, 29, "1", 10.5), entry(2, 30, "2", 20.5)]
        self.left = Left({(TENANT, each["id"]): each for each in ledger}, set(), [])
        self.history = History()
        self.history.calls = [self.first, self.second, self.again, self.stolen, self.refused, self.given_up]

    def add(self, made: Json) -> None:
        """Put one more entry into the ledger."""
        self.left.ledger[TENANT, made["id"]] = made


def test_a_true_history_is_acquitted() -> None:
    """Nothing is wrong with it."""
    case = Case()

    assert judge(case.history, case.left) == []


CHANGES: dict[str, tuple[str, Change]] = {
    "an entry above the quota": ("S1", lambda c: c.add(entry(3, 31, None, 60))),
    "a pool shown with other numbers": ("S2", lambda c: c.second.answer["pool"].update(confirmed=29)),
    "an entry under a key that was told another": ("S3", lambda c: c.add(entry(3, 30, "2", 20.6))),
    "another answer to the same": ("S4", lambda c: c.again.answer.update(entries=[])),
    "the same answer, not called a replay": ("S4", lambda c: c.again.answer.update(replayed=False)),
    "a key of another that is answered": ("S5", lambda c: c.stolen.answer.update(__typename="RegistrationSuccess")),
    "an entry that was told and is gone": ("S6", lambda c: c.left.ledger.pop((TENANT, f"{POOL}/1"))),
    "an entry that was told otherwise": ("S6", lambda c: c.left.ledger[TENANT, f"{POOL}/1"].update(hash="other")),
    "an entry that nobody asked for": ("S7", lambda c: c.add(entry(3, 30, "5", 60))),
    "an entry of what was told to be not applied": ("S7", lambda c: c.add(entry(3, 30, "4", 49))),
    "a kept answer of what was told to be not applied": (
        "S7",
        lambda c: c.left.answers.add((TENANT, "register", "4")),
    ),
    "an entry from before it was told to be not applied": ("S7", lambda c: vars(c.second).update(denied_at=20.9)),
    "a refusal with a number that was not": ("S8", lambda c: c.refused.answer["shortfalls"][0].update(available=1)),
    "a refusal of what there was": ("S8", lambda c: c.refused.answer["shortfalls"][0].update(requested=0)),
    "an older version, later": ("S9", lambda c: c.refused.answer.update(pool=shown(1, 29))),
    "an entry from before it was asked for": ("S9", lambda c: c.left.ledger[TENANT, f"{POOL}/2"].update(recorded_at=5)),
    "a question that was never answered": ("L4", lambda c: c.history.doubtful.append(c.given_up)),
    "an error": ("G2", lambda c: c.history.unexpected.append("register was answered by 500")),
}


@pytest.mark.parametrize(("guarantee", "change"), CHANGES.values(), ids=CHANGES)
def test_the_judge_sees_what_is_wrong(guarantee: str, change: Change) -> None:
    """And says which guarantee that falsifies."""
    case = Case()
    change(case)

    assert guarantee in {sentence.split(":")[0].split(" or ")[0] for sentence in judge(case.history, case.left)}


def test_an_order_of_a_part_is_convicted() -> None:
    """All lines and the event, or none."""
    case = Case()
    entries = [{"id": f"{pool}/1", "hash": "h", "idempotencyKey": "9"} for pool in (POOL, "ticket_type:t1")]
    answer = {"__typename": "OrderSuccess", "replayed": False, "entries": entries}
    lines = [{"ticketTypeId": kind, "quantity": 1} for kind in ("t1", "t2")]
    case.history.calls.append(Call(TENANT, "p", "holdTickets", {"lines": lines}, "9", told=["ANSWERED"], answer=answer))

    assert any(sentence.startswith("S10") for sentence in judge(case.history, case.left))
