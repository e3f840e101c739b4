"""What the gateway is built from: pinned, and not older than what is known to be mended."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.version import Version

ROOT = Path(__file__).parents[2]
FLOORS = {"strawberry-graphql": "0.315.7", "starlette": "0.49.1", "pyjwt": "2.15", "asyncpg": "0.30"}
CONSTRAINTS = ("constraints.txt", "constraints-run.txt")


@pytest.mark.parametrize(("package", "floor"), FLOORS.items())
def test_no_package_is_older_than_its_floor(package: str, floor: str) -> None:
    """As installed, as pinned for running and for working on it, and as a release may be."""
    assert Version(version(package)) >= Version(floor)
    for file in CONSTRAINTS:
        (pinned,) = re.findall(rf"^{package}(?:\[.*\])?==(\S+)", (ROOT / file).read_text(), re.MULTILINE)
        assert Version(pinned) >= Version(floor)
    (asked,) = re.findall(rf'"{package}(?:\[.*\])?>=([\d.]+)', (ROOT / "pyproject.toml").read_text())
    assert Version(asked) >= Version(floor)


@pytest.mark.parametrize("file", CONSTRAINTS)
def test_every_pin_has_its_hashes(file: str) -> None:
    """A package that is exchanged for another of the same version is not installed; and no registry is named."""
    text = (ROOT / file).read_text()
    pins = re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]

    assert len(pins) > 20
    assert [pin for pin in pins if not re.match(r"[\w.-]+==\S+", pin) or "--hash=sha256:" not in pin] == []
    assert "://" not in text
    assert "--require-hashes" in (ROOT / "scripts" / "setup").read_text()


def test_linting_looks_for_unsafe_code_and_migrations() -> None:
    """`scripts/lint` runs bandit and squawk."""
    lint = (ROOT / "scripts" / "lint").read_text()

    assert "check bandit" in lint
    assert "check squawk" in lint
