"""The README is true: its examples run."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from graphql import parse, validate

from capacity_gateway.schema import schema
from pages import blocks

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def code(language: str) -> list[str]:
    """The README's code in a language."""
    return [text for name, text in blocks(README) if name == language]


@pytest.mark.parametrize("document", code("graphql"))
def test_its_documents_are_valid(document: str) -> None:
    """Whoever pastes one gets no validation error."""
    assert validate(schema()._schema, parse(document)) == []  # noqa: SLF001 - the built schema


def test_its_tree_is_the_tree() -> None:
    """Every file that the tree names exists, and every module stands in the tree."""
    tree = README.split("## Where things are")[1].split("```")[1]
    named = set(re.findall(r"[\w-]+\.(?:py|graphql)", tree))
    modules = {file.name for file in (ROOT / "src").rglob("*.py") if file.name != "__init__.py"}

    assert named - {"schema.graphql"} == modules
    assert (ROOT / "schema.graphql").exists()
    assert all((ROOT / "scripts" / name).exists() for name in re.findall(r"scripts/ +(.*)", tree)[0].split())


def test_its_guarantees_have_tests() -> None:
    """Every guarantee names a test that is there."""
    rows = re.findall(r"^\| \*\*([A-Z]\d+)\*\* \|.*\| (.*) \|$", README, flags=re.MULTILINE)
    there = {
        name for file in (ROOT / "tests").rglob("test_*.py") for name in re.findall(r"def (test_\w+)", file.read_text())
    }

    assert [name for name, _ in rows] == [
        *(f"S{n}" for n in range(1, 13)),
        *(f"E{n}" for n in range(1, 5)),
        *(f"L{n}" for n in range(1, 7)),
        *("A1", "G1", "G2", "O1", "O2"),
    ]
    for guarantee, tests in rows:
        named = set(re.findall(r"`(test_\w+)`", tests))
        assert named, guarantee
        assert named <= there, guarantee


def test_its_commands_exist() -> None:
    """Every command of the command line that the README names has help."""
    for command in sorted(set(re.findall(r"capacity-gateway (\w[\w-]+)", README))):
        done = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-m", "capacity_gateway", command, "--help"], capture_output=True, text=True, check=False
        )
        assert (done.returncode, command in done.stdout) == (0, True)


def test_adding_a_kind_is_what_it_says(tmp_path: Path) -> None:
    """The walk-through, carried out on a copy, gives a schema with the new mutation."""
    copy = tmp_path / "capacity_gateway"
    shutil.copytree(ROOT / "src" / "capacity_gateway", copy, ignore=shutil.ignore_patterns("__pycache__", "graphiql"))
    value, parking, line = code("python")
    ast.parse(parking)
    edit(copy / "kernel/vocabulary.py", "\n    def pool_id", f"{value}\n    def pool_id")
    edit(copy / "schema.py", '    "breakouts",\n', f'    "breakouts",\n{line}')
    (copy / "domains/parking.py").write_text(parking)

    done = subprocess.run(
        [sys.executable, "-c", "from capacity_gateway.schema import sdl; print(sdl())"],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "park(\n" in done.stdout
    assert "union ParkResult = Parked | InsufficientCapacityError" in done.stdout


def edit(file: Path, old: str, new: str) -> None:
    """Replace a text that stands in a file once."""
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))
