"""Bringing old data in from the command line, and what docs/migrate.md says of it."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from e2e.processes import COMMAND, ROOT, environment, fetch, run
from importing.conftest import portal_rows, portal_url
from importing.test_portal import small, write
from pages import Reader, blocks

__all__ = ["portal_url"]

REPLAY = str(ROOT / "src/capacity_gateway/demo/competitions.json")
GUIDE = (ROOT / "docs/migrate.md").read_text()


def test_a_dry_run_lists_what_is_wrong_and_changes_nothing(owner_url: str) -> None:
    """Exit code 1: there is something to look at."""
    done = run("import", REPLAY, "--dry-run", "--json", database_url=owner_url)
    found = json.loads(done.stdout)["findings"]

    assert done.returncode == 1
    assert [finding["kind"] for finding in found] == ["no entry", "counter"]
    assert run("reconcile", "--json", database_url=owner_url).stdout == "[]\n"


def test_an_import_says_what_came_in_and_the_second_time_that_it_is_here(owner_url: str) -> None:
    """As a table and as JSON; exit code 0."""
    first = run("import", REPLAY, database_url=owner_url)
    again = run("import", REPLAY, "--json", database_url=owner_url)
    page = json.loads(run("reconcile", "--json", database_url=owner_url).stdout)

    assert (first.returncode, again.returncode) == (0, 0)
    assert first.stdout.count("brought in") == 5
    assert {pool["state"] for pool in json.loads(again.stdout)["pools"]} == {"here already"}
    assert {row["title"]: row["discrepancy"] for row in page if row["discrepancy"]} == {"EMPWR Dance - London": -50}


def test_what_has_to_be_mapped_first_stops_everything(owner_url: str, tmp_path: Path) -> None:
    """Exit code 1, and nothing has changed."""
    write(tmp_path, small(reservation={"status": "odd"}))

    done = run("import", str(tmp_path), database_url=owner_url)

    assert done.returncode == 1
    assert "Nothing was changed" in done.stderr
    assert run("reconcile", "--json", database_url=owner_url).stdout == "[]\n"


@pytest.mark.parametrize("arguments", [["import", "nowhere"], ["shadow", "nowhere", "--once"], ["verify", "nowhere"]])
def test_what_cannot_be_read_is_told(owner_url: str, arguments: list[str]) -> None:
    """In a sentence, with exit code 2."""
    done = run(*arguments, database_url=owner_url)

    assert (done.returncode, done.stdout) == (2, "")
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


def test_shadow_tells_by_its_exit_code_whether_anything_differs(owner_url: str, tmp_path: Path) -> None:
    """Before the import all does, afterwards nothing; a line of JSON for each."""
    folder = str(write(tmp_path, portal_rows()))
    before = run("shadow", folder, "--once", "--json", database_url=owner_url)
    run("import", folder, database_url=owner_url)
    after = run("shadow", folder, "--once", "--json", database_url=owner_url)

    assert (before.returncode, after.returncode, after.stdout) == (1, 0, "")
    assert len([json.loads(line) for line in before.stdout.splitlines()]) == 5


async def test_shadow_goes_on_until_it_is_stopped(owner_url: str, portal_url: str) -> None:
    """It tells when a divergence begins and when it ends; stopped with none standing, it has found nothing."""
    run("import", portal_url, database_url=owner_url)
    change = "UPDATE competitions SET available_reservation_tokens = available_reservation_tokens + $1"
    with subprocess.Popen(  # noqa: ASYNC220, S603 - our own command
        [COMMAND, "shadow", portal_url, "--interval-seconds", "0.2"],
        env=environment(database_url=owner_url),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        await fetch(portal_url, f"{change} WHERE name LIKE '%London'", -10)
        begun = process.stdout.readline()
        await fetch(portal_url, f"{change} WHERE name LIKE '%London'", 10)
        ended = process.stdout.readline()
        process.send_signal(signal.SIGTERM)

    assert begun.startswith("begins: competition:79cef00c")
    assert "528 of 600 available there, 538 of 600 available here" in begun
    assert ended.startswith("ends: competition:79cef00c")
    assert process.returncode == 0


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_an_exported_ledger_is_verified(demo_url: str, tmp_path: Path, form: str) -> None:
    """Intact is exit code 0; altered, it is 1, and the entry is named."""
    file, ref = tmp_path / "ledger", "05c0eae4-0000-4000-8000-000000000001"
    exported = run("export-ledger", "competition", ref, "--format", form, database_url=demo_url)
    file.write_text(exported.stdout)
    intact = run("verify", str(file), "--json")
    file.write_text(exported.stdout.replace("180", "181"))
    altered = run("verify", str(file))

    assert (exported.returncode, intact.returncode, altered.returncode) == (0, 0, 1)
    assert json.loads(intact.stdout)["entries"] == 10
    assert altered.stderr.startswith(f"Entry 3 of competition:{ref}: ")


def test_there_is_no_ledger_of_no_pool(owner_url: str) -> None:
    """Exit code 2."""
    done = run("export-ledger", "competition", "none", database_url=owner_url)

    assert (done.returncode, done.stdout, done.stderr) == (2, "", "There is no pool competition:none.\n")


def test_completion_is_installed_for_a_shell(tmp_path: Path) -> None:
    """Into a file of its own; what the shell reads at its start is not touched."""
    done = subprocess.run(  # noqa: S603 - our own command
        [COMMAND, "--install-completion", "--shell", "bash", "--output", tmp_path / "completion"],
        env=environment() | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "export-ledger" in (tmp_path / "completion").read_text()
    assert not (tmp_path / ".bashrc").exists()


async def test_the_guide_s_commands_run_in_their_order(
    owner_url: str,
    portal_url: str,
    tmp_path: Path,
) -> None:
    """From the dry run to the verified ledger; each with the exit code that stands behind it."""
    (tmp_path / "mapping.toml").write_text(next(text for language, text in blocks(GUIDE) if language == "toml"))
    await fetch(portal_url, "ALTER TABLE competitions RENAME COLUMN total_reservation_tokens TO spaces")
    await fetch(portal_url, "ALTER TABLE competitions RENAME TO contests")

    Reader(str, tmp_path, environment(database_url=owner_url), {"$PORTAL_URL": f"'{portal_url}'"}).read(GUIDE)

    assert len((tmp_path / "london.csv").read_text().splitlines()) > 1
