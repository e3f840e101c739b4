"""GraphiQL, self-hosted: a page that opens with an example per tab and a demo token filled in."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template

CONSOLE = Path(__file__).parent / "console"

ASSETS = CONSOLE / "graphiql"
"""The folder to serve below /graphql/assets, cached for ever: the page asks for files by their digest."""

# The editor and the menus place themselves by inline styles, and the style sheet contains its images.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What the page may load: only its own origin's files and answers, and no inline script."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """An operation to start from, and the role that may run it."""

    title: str
    role: str
    document: str
    variables: dict[str, object]


def _read(file: Path) -> Example:
    document = file.read_text("utf-8")
    heading = re.match(r"# (?P<title>.+) \((?P<role>\w+)\)\n", document)
    if not heading:
        raise ValueError(f"{file.name} must start with “# Title (role)”")
    variables = file.with_suffix(".json")
    return Example(
        title=heading["title"],
        role=heading["role"],
        document=document,
        variables=json.loads(variables.read_text("utf-8")) if variables.exists() else {},
    )


EXAMPLES: Sequence[Example] = tuple(_read(file) for file in sorted(CONSOLE.glob("examples/*.graphql")))
"""The files of console/examples in order; the comment on top is for whoever reads the tab."""


def page(tokens: Mapping[str, str]) -> str:
    """The GraphiQL page: one tab per example, the demo token of its role as its authorization header.

    Args:
        tokens: A JWT by role. The examples of a role that is missing here get no header.

    Returns:
        HTML that loads nothing but files below /graphql/assets, and talks to the path it came from.
    """
    tabs = [
        {
            "query": example.document,
            "variables": _pretty(example.variables) if example.variables else "",
            "headers": _pretty({"authorization": f"Bearer {tokens[example.role]}"}) if example.role in tokens else "",
        }
        for example in EXAMPLES
    ]
    # JSON may write any character as an escape, and without "<" nothing can end the script element.
    examples = json.dumps({"tabs": tabs, "tokens": dict(tokens)}).replace("<", r"\u003c")
    return _template().substitute(examples=examples)


@cache
def _template() -> Template:
    html = (CONSOLE / "graphiql.html").read_text("utf-8")
    return Template(re.sub(r"/graphql/assets/([\w./-]+)", _with_digest, html))


def _with_digest(url: re.Match[str]) -> str:
    return f"{url[0]}?{hashlib.sha256((ASSETS / url[1]).read_bytes()).hexdigest()[:12]}"


def _pretty(value: Mapping[str, object]) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
