"""A ledger as a file: downloaded by whoever may read it whole, and verified with no database."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from asking import TENANT, adjust, ask, ask_one, close, define, hold, release, reopen, resize, take
from capacity_gateway.command_line.files import sentences_of
from capacity_gateway.kernel.database import Database
from capacity_gateway.kernel.repair import repair
from capacity_gateway.kernel.vocabulary import PoolKind
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


BROKEN = {
    "an entry deleted": "DELETE FROM capacity.ledger WHERE version = 2",
    "the last entries deleted": "DELETE FROM capacity.ledger WHERE version >= 6",
    "a version doubled": "ALTER TABLE capacity.ledger DROP CONSTRAINT ledger_key;"
    ' INSERT INTO capacity.ledger SELECT (jsonb_populate_record(l, \'{"hash": "a"}\')).* FROM capacity.ledger AS l'
    " WHERE version = 2",
    "an actor altered": "UPDATE capacity.ledger SET actor = 'somebody else' WHERE version = 3",
    "all deleted": "DELETE FROM capacity.ledger",
}
KEY = b"a key for tests"


@pytest.fixture
async def sealed(
    request: pytest.FixtureRequest, file: Path, gateway: Gateway, database: Database, owner: asyncpg.Connection
) -> Path:
    """The same after it was broken and repaired, and one more was taken."""
    await owner.execute(BROKEN[getattr(request, "param", "an entry deleted")])
    done = repair(owner, TENANT, PoolKind, seal_key=KEY, actor="olga", note="after a crash")
    assert [each.sealed_at async for each in done] == [8]
    await ask(database, take("c", 1))
    response = await gateway.http.get(PATH, params={"format": file.suffix[1:]}, headers=gateway.login())
    file.write_bytes(response.content)  # noqa: ASYNC240 - a few lines
    return file


@pytest.mark.parametrize("sealed", BROKEN, indirect=True)
def test_what_was_sealed_can_be_verified(sealed: Path) -> None:
    """By whom, when, what was wrong, and that it has not changed since; what came after follows from it."""
    verdict = verify(sealed, seal_key=KEY)

    assert (verdict.problem, verdict.broken_at) == (None, None)
    assert verdict.sealed
    assert (verdict.sealed.version, verdict.sealed.actor, verdict.sealed.signature_holds) == (8, "olga", True)
    assert verdict.sealed.faults
    assert verdict.entries > verdict.sealed.entries


def test_a_signature_is_checked_where_there_is_a_key(sealed: Path) -> None:
    """With another key it is a fault; with none, it is said that it was not looked at."""
    other, none = verify(sealed, seal_key=b"another"), verify(sealed)

    assert (other.problem, other.broken_at) == ("the seal is signed with another key", 8)
    assert none.intact
    assert none.sealed
    assert none.sealed.signature_holds is None


def test_nothing_that_was_sealed_can_be_altered_unseen(sealed: Path) -> None:
    """No field of an entry below the seal."""
    content = sealed.read_bytes()
    for name in (*HASHED, "hash", "heldAfter", "confirmedAfter"):
        sealed.write_bytes(content)
        assert not verify(altered(sealed, 3, name), seal_key=KEY).intact, name


def test_it_is_told_in_words(sealed: Path) -> None:
    """What was sealed, by whom, and whether its signature was looked at."""
    first, second, third = sentences_of(verify(sealed))

    assert first.startswith("7 entries up to version 8 were sealed at 2")
    assert first.endswith(
        " by olga as they stood: an entry before version 3 is missing; the hash of version 3 does not follow;"
        " the running sum of version 3 does not follow."
    )
    assert "its signature was not checked" in second
    assert re.match("[12] entries follow from the seal of version 8 of competition:p, the last hash is ", third)


def test_no_seal_hides_what_came_after_it(sealed: Path) -> None:
    """A missing entry is named, and one that was altered; likewise when the file ends too early."""
    entries = 8  # with the seal's row; one was missing

    assert verify(altered(sealed, entries + 1, "actor")).broken_at == 9
    assert verify(without(sealed, 9)).problem == "version 9 is missing: 10 follows 8"
    cut = verify(rewritten(sealed, lambda rows: rows[:4]))
    assert cut.problem == "what was sealed is not as it was: the seal's hash does not follow"


@pytest.mark.parametrize("change", [{"seal": "[]"}, {"hash": 1, "seal": "{}"}])
def test_a_seal_that_is_none_is_told(sealed: Path, change: dict[str, Any]) -> None:
    """As is an entry that is none."""
    rewritten(sealed, lambda rows: [rows[0] | change, *rows[1:]])

    with pytest.raises(UnreadableLedger, match="entry 1 is none"):
        verify(sealed, seal_key=KEY)


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
        entry[name] = 77 if isinstance(entry[name], int) else "77"
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
    for batch in range(7):  # all at once would take a busy machine longer than a statement may
        await ask(database, *(take(f"c{batch}/{number}", 1) for number in range(300)))
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
