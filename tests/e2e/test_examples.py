"""The examples: each is run as its reader would run it, against a gateway with the demo."""

import asyncio
import os
import subprocess
import sys
from typing import Any

import pytest
from graphql import parse, validate

from capacity_gateway.schema import schema
from e2e.conftest import Start
from e2e.processes import ROOT

FOLDER = ROOT / "examples" / "python"
PENDING = "cccc0001-0000-4000-8000-000000000000"


async def example(name: str, url: str, token: str, *arguments: str) -> str:
    """What an example prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        FOLDER / name,
        *arguments,
        env={**os.environ, "CAPACITY_URL": url, "CAPACITY_TOKEN": token},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    printed, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return printed.decode().strip()


@pytest.mark.parametrize("operation", sorted(FOLDER.glob("operations/*")), ids=lambda file: file.stem)
def test_its_operations_are_valid(operation: Any) -> None:
    """In the schema as it is now."""
    assert validate(schema()._schema, parse(operation.read_text())) == []  # noqa: SLF001 - the built schema


async def test_a_reservation_is_approved_from_python(start: Start) -> None:
    """By the client that reads dictionaries and by the typed one: both act on a refusal and tell of a success."""
    gateway = start().ready()
    token = gateway.tokens()["director"]

    told = [
        await example(name, gateway.url, token, reservation, spaces)
        for reservation, spaces in (("nothing", "1"), (PENDING, "1000"), (PENDING, "40"))
        for name in ("with_gql.py", "with_types.py")
    ]

    approved = "40 spaces approved; 560 left of EMPWR Dance Championships - St. Catharines 2025"
    assert told == [*["There is no such thing here"] * 2, *["only 600 spaces left"] * 2, *[approved] * 2]
