"""Overload: what would be turned away in the end is turned away before anything is done for it.

To find out that a change must wait costs nearly as much as to make it, so at three times the load that a process can
bear it did nothing else (measured: no change at all came through). What is turned away here costs 25 µs.
"""

from collections.abc import Mapping

import orjson

from capacity_gateway.answers import JSON, Answer
from capacity_gateway.documents import Document
from capacity_gateway.kernel import measures
from capacity_gateway.kernel.combiner import Combiner
from capacity_gateway.login import Login

CROWD = 768  # requests at work in this process; from then on those for a crowded pool are turned away
THRONG = 2000  # likewise; from then on all are
ANSWERS_MAX = 200  # of documents; as many documents are remembered


class Overload:
    """Knows the documents that have been told that the gateway is busy, and tells it to the next who send them."""

    def __init__(self, login: Login, combiner: Combiner | None) -> None:
        self._login = login
        self._combiner = combiner
        self._answers: dict[tuple[str, str], tuple[str | None, str, Answer]] = {}
        """By document and `Accept`; with the operation's name, and its mutation's."""

    def learn(self, text: str, accept: str, document: Document, told: Answer) -> None:
        """Keep what a document was told when it was turned away: whatever its variables, it is always the same."""
        if document.directives or (text, accept) in self._answers:
            return
        if len(self._answers) >= ANSWERS_MAX:
            del self._answers[next(iter(self._answers))]
        self._answers[text, accept] = document.name, document.action, told

    def answer(self, headers: Mapping[str, str], body: bytes, *, at_work: int) -> Answer | None:
        """The answer to a request that is turned away; None where it is not."""
        if self._combiner is None or not self._answers:
            return None
        kind, _, _ = headers.get("content-type", "").partition(";")
        caller = self._login.remembered(headers.get("authorization"))
        if kind.strip().lower() != JSON or caller is None:
            return None  # he is told more than this
        if at_work < THRONG and not self._combiner.is_crowded(caller.tenant, body):
            return None
        try:
            asked = orjson.loads(body)
            name, action, told = self._answers[asked["query"], headers.get("accept", "")]
            named = asked.get("operationName") in (None, name)
            by_hash = "persistedQuery" in (asked.get("extensions") or ())
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        if by_hash or not named:
            return None
        measures.count_outcome(action, "GATEWAY_BUSY")
        return told
