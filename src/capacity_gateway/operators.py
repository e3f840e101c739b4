"""The console: the page for those who run the gateway. All that it knows it asks of the GraphQL API."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from string import Template

CONSOLE = Path(__file__).parent / "console"

ASSETS = CONSOLE / "operators"
"""The folder to serve below /console/assets, in a folder named by its digest, so that it may be kept for ever."""

_FRAGMENTS = {file.stem: file.read_text("utf-8") for file in sorted(CONSOLE.glob("fragments/*.graphql"))}


def _whole(document: str) -> str:
    """A document with the fragments that it spreads."""
    return "\n".join([document, *(text for name, text in _FRAGMENTS.items() if f"...{name}\n" in document)])


DOCUMENTS = {file.stem: _whole(file.read_text("utf-8")) for file in sorted(CONSOLE.glob("documents/*.graphql"))}
"""What the page asks, by name. They are run also where only trusted documents are."""

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may load: its own origin's files and answers; nothing inline is run or styles anything."""


def page(tokens: Mapping[str, str]) -> str:
    """The page as HTML.

    Args:
        tokens: JWTs by role, to be offered for signing in.
    """
    # JSON may write any character as an escape, and without "<" nothing can end the script element.
    given = json.dumps({"tokens": dict(tokens), "documents": DOCUMENTS}).replace("<", r"\u003c")
    return _template().substitute(assets=f"/console/assets/{_digest()}", given=given)


@cache
def _template() -> Template:
    return Template((CONSOLE / "operators.html").read_text("utf-8"))


@cache
def _digest() -> str:
    files = sorted(file for file in ASSETS.rglob("*") if file.is_file())
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:12]
