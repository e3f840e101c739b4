"""The compose file, as far as it can be tried without a container engine."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[1] / "docker-compose.yml"


def test_file_is_valid_by_the_compose_specification() -> None:
    """The vendored schema of the compose specification accepts docker-compose.yml."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("secret", ["POSTGRES_PASSWORD", "CAPACITY_APP_PASSWORD", "CAPACITY_JWT_SECRET"])
def test_secret_must_be_given(secret: str) -> None:
    """Each secret is taken from the environment with :?, which refuses to start without it."""
    uses = re.findall(r"\$\{?" + secret + r"[^}]*\}?", FILE.read_text())
    assert set(uses) == {f"${{{secret}:?}}"}


def test_no_secret_is_written_down() -> None:
    """No value of a setting that is a secret, and no password in an address, is literal."""
    text = FILE.read_text()
    assert re.findall(r"(?:PASSWORD|SECRET): +(?!\$\{)\S+", text) == []
    assert re.findall(r"://[^:/\s]+:(?!\$\{)[^@\s]+@", text) == []
