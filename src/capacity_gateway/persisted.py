"""Persisted documents: a client sends the hash of a document instead of its text, by Apollo's protocol.

What is not known by its hash is sent once more with its text, and remembered. Where trusted documents are configured,
there are no others: they are known from the start, and nothing else is run.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
from cross_web import HTTPException

from capacity_gateway.documents import Document, read_document
from capacity_gateway.schema import schema
from capacity_gateway.settings import Limits

REMEMBERED_MAX = 1000  # documents of at most 64 KB, the length of a body


class PersistedDocuments:
    """Documents by the SHA-256 of their texts."""

    def __init__(self, limits: Limits, trusted: Path | None = None, own: Iterable[str] = ()) -> None:
        """Trust what a folder of `.graphql` files, or a JSON object of texts by their hashes, holds; and our own.

        Raises:
            ValueError: when that is not what the path has, or a hash is not its text's.
        """
        self._limits = limits
        self._trusted = None
        if trusted is not None:
            self._trusted = read_trusted(trusted) | {sha256(text): text for text in own}
        self._remembered: OrderedDict[str, str] = OrderedDict()

    def trusts(self, text: str) -> bool:
        """Whether a document may be run at all."""
        return self._trusted is None or sha256(text) in self._trusted

    def text(self, query: Any, extensions: Any) -> Any:
        """The document that a request has or names; `query` itself where it names none.

        Raises:
            HTTPException: PERSISTED_QUERY_NOT_FOUND, for the client to send the text; 400 for a hash of another text.
        """
        named = extensions.get("persistedQuery") if isinstance(extensions, dict) else None
        if named is None:
            return query
        match named:
            case {"version": 1, "sha256Hash": str(digest)}:
                return self._recall(digest) if query is None else self._remember(digest, query)
        raise HTTPException(400, "BAD_REQUEST")

    def _recall(self, digest: str) -> str:
        known = self._remembered if self._trusted is None else self._trusted
        if digest not in known:
            raise HTTPException(200, "PERSISTED_QUERY_NOT_FOUND")  # not 4xx: Apollo's clients go on from a 200
        if self._trusted is None:
            self._remembered.move_to_end(digest)
        return known[digest]

    def _remember(self, digest: str, query: Any) -> Any:
        if not isinstance(query, str) or sha256(query) != digest:
            raise HTTPException(400, "BAD_REQUEST")
        document = read_document(schema(), query, self._limits)
        if self._trusted is None and isinstance(document, Document) and not document.errors:
            self._remembered[digest] = query
            self._remembered.move_to_end(digest)
            if len(self._remembered) > REMEMBERED_MAX:
                self._remembered.popitem(last=False)
        return query


def sha256(text: str) -> str:
    """A text's hash in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def read_trusted(path: Path) -> dict[str, str]:
    """The documents of a folder or a JSON file, by their hashes; ValueError where there are none."""
    if path.is_dir():
        texts = [file.read_text() for file in sorted(path.glob("**/*.graphql"))]
    else:
        found = orjson.loads(path.read_bytes())
        if not isinstance(found, dict) or any(sha256(str(text)) != digest for digest, text in found.items()):
            raise ValueError(f"{path} is no JSON object of documents by the SHA-256 of their texts")
        texts = list(found.values())
    if not texts:
        raise ValueError(f"there are no documents in {path}")
    return {sha256(text): text for text in texts}
