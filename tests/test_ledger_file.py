"""A ledger as a file: downloaded by whoever may read it whole, and verified with no database."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asking import adjust, ask, ask_one, close, define, hold, release, reopen, resize, take
from capacity_gateway.kernel.database import Database
from capacity_gateway.ledger_file import FIELDS, HASHED, UnreadableLedger, verify
from conftest import Gateway

PATH = "/ledgers/competition/p"


@pytest.fixture(params=["csv", "jsonl"])
def form(request: pytest.FixtureRequest) -> str:
    """Either format."""
    return str(request.param)


@pytest.fixture
async def file(gateway: Gateway, database: Database, tmp_path: Path, form: str) -> Path:
    """A ledger with a bit of everything, as it is downloaded."""
    await ask(database, define(100))
    await ask(database, take("a", 30, subject='ü, "quoted"\nand on two lines', note="x\ny"), hold("b", 20))
    for command in (resize(unlimited=True), adjust("a", 40), resize(200), close(), reopen(), release("b")):
        assert (await ask_one(database, command))["code"] == "OK"
    response = await gateway.http.get(PATH, params={"format": form}, headers=gateway.login())
    assert response.status_code == 200
    path = tmp_path / f"ledger.{form}"
    path.write_bytes(response.content)
    return path


def rewritten(file: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> Path:
    """The file with its entries changed."""
    is_csv = file.suffix == ".csv"
    with file.open(newline="") as text:
        entries = change(list(csv.DictReader(text)) if is_csv else [json.loads(line) for line in text])
    with file.open("w", newline="") as text:
        if is_csv:
            lines = csv.DictWriter(text, FIELDS)
            lines.writeheader()
            lines.writerows(entries)
        else:
            text.writelines(json.dumps(entry) + "\n" for entry in entries)
    return file


def without(file: Path, version: int) -> Path:
    """The file without an entry."""
    return rewritten(file, lambda entries: [entry for entry in entries if int(entry["version"]) != version])


def altered(file: Path, version: int, name: str) -> Path:
    """The file with another value in a field of an entry."""

    def change(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        entry = entries[version - 1]
        entry[name] = 7 if isinstance(entry[name], int) else "7"
        return entries

    return rewritten(file, change)


def test_what_is_exported_can_be_verified(file: Path) -> None:
    """Every entry follows from the one before it, the first from the opening."""
    verdict = verify(file)

    assert (verdict.intact, verdict.pool, verdict.entries) == (True, "competition:p", 8)


@pytest.mark.parametrize("name", HASHED)
def test_no_hashed_field_can_be_altered_unseen(file: Path, name: str) -> None:
    """Whichever it is, the entry is named."""
    assert verify(altered(file, 2, name)).broken_at == 2


def test_a_missing_entry_is_named(file: Path) -> None:
    """In the middle by the version that follows; at the end by the hash that the last one must have."""
    last_hash = verify(file).last_hash

    assert verify(without(file, 8)).intact
    assert verify(file, last_hash).problem == f"it should follow, for the last hash is not {last_hash}"
    assert verify(without(file, 4)).problem == "version 4 is missing: 5 follows 3"


def test_another_opening_is_seen(file: Path) -> None:
    """The chain begins with it."""
    assert verify(altered(file, 1, "openingQuota")).broken_at == 1


@pytest.mark.parametrize(
    "text", ["version\n1\n", "{\n", '{"poolId": "x"}\n', "\xff\xfe", '{"poolId": 1, "openingQuota": "x"}\n']
)
def test_what_is_no_ledger_is_told(tmp_path: Path, text: str) -> None:
    """With the file's name."""
    file = tmp_path / "other"
    file.write_text(text, encoding="latin-1")

    with pytest.raises(UnreadableLedger, match="other"):
        verify(file)


async def test_a_ledger_of_several_pages_comes_whole(gateway: Gateway, database: Database, tmp_path: Path) -> None:
    """However long it is, in the order of its versions."""
    await ask(database, define(10_000))
    await ask(database, *(take(f"c{number}", 1) for number in range(2100)))
    response = await gateway.http.get(PATH, headers=gateway.login())
    (tmp_path / "long").write_bytes(response.content)

    assert verify(tmp_path / "long").entries == 2100


@pytest.mark.parametrize(
    ("path", "login", "status", "code"),
    [
        (PATH, None, 401, "UNAUTHENTICATED"),
        (PATH, ("ann", None), 403, "FORBIDDEN"),
        (PATH, ("sam", "studio"), 403, "FORBIDDEN"),
        ("/ledgers/competition/none", ("dora", "director"), 404, "NOT_FOUND"),
        ("/ledgers/competition/a%00b", ("dora", "director"), 404, "NOT_FOUND"),
        ("/ledgers/parking/p", ("dora", "director"), 400, "BAD_USER_INPUT"),
        (f"{PATH}?format=xml", ("dora", "director"), 400, "BAD_USER_INPUT"),
    ],
)
async def test_who_may_not_have_it_is_told_why(
    gateway: Gateway, database: Database, path: str, login: tuple[str, str | None] | None, status: int, code: str
) -> None:
    """The same rights as for reading a ledger whole in GraphQL."""
    await ask(database, define(100), take("a", 30))

    response = await gateway.http.get(path, headers=gateway.login(*login) if login else {})

    answer: dict[str, Any] = response.json()
    assert (response.status_code, answer["errors"][0]["extensions"]["code"]) == (status, code)


async def test_another_tenant_s_ledger_does_not_exist(gateway: Gateway, database: Database) -> None:
    """As everywhere."""
    await ask(database, define(100), take("a", 30))

    response = await gateway.http.get(PATH, headers=gateway.login("eve", "admin", tenant="elsewhere"))

    assert response.status_code == 404


async def test_a_file_is_called_what_it_is(gateway: Gateway, database: Database) -> None:
    """So that a browser keeps it under its pool's name; in an empty ledger there is nothing to verify."""
    await ask(database, define(100))

    response = await gateway.http.get(PATH, headers=gateway.login())

    assert response.headers["content-disposition"] == 'attachment; filename="competition-p.csv"'
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.text == ",".join(FIELDS) + "\n"
