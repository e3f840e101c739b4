"""Overload: what would be turned away in the end is turned away before anything is done for it.

To find out that a change must wait costs nearly as much as to make it, so at three times the load that a process can
bear it did nothing else (measured: no change at all came through). Even to read who asks cost 70 µs, a quarter of a
registration: three times the load left two fifths of the peak. So what is sent as it was before is not read again.
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
HEADS_MAX = 4096  # of 500 bytes; as many logins are remembered


class Overload:
    """Knows the documents that have been told that the gateway is busy, and tells it to the next who send them."""

    def __init__(self, login: Login, combiner: Combiner | None) -> None:
        self._login = login
        self._combiner = combiner
        self._answers: dict[tuple[str, str], tuple[str | None, str, Answer]] = {}
        """By document and `Accept`; with the operation's name, and its mutation's."""

        self._heads: dict[bytes, tuple[Mapping[str, str], int]] = {}
        """What stood above a body that was turned away, byte by byte; with what it said, and the body's length."""

    def remember(self, data: bytes, headers: Mapping[str, str]) -> None:
        """Keep the head of a whole request that was turned away: who sends the very same needs no parser."""
        head, _, body = data.partition(b"\r\n\r\n")
        if headers.get("content-length") == str(len(body)):
            if len(self._heads) >= HEADS_MAX:
                del self._heads[next(iter(self._heads))]
            self._heads[head] = headers, len(body)

    def answer_again(self, data: bytes, *, at_work: int) -> Answer | None:
        """The answer to a whole request whose head is known; None where it is not, or is not turned away."""
        head, _, body = data.partition(b"\r\n\r\n")
        headers, length = self._heads.get(head, ({}, -1))
        return self.answer(headers, body, at_work=at_work) if length == len(body) else None

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
