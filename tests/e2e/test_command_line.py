"""The command line: each command on a real database, judged by its words and its exit code."""

import json
import re
import subprocess
import sys
import time
from typing import Any

import jwt
import pytest

from capacity_gateway.command_line.serving import greet
from capacity_gateway.kernel.database import application_url
from capacity_gateway.settings import Settings
from e2e.conftest import Start
from e2e.processes import ROOT, fetch, run

SECRET = "a secret for tests, 32 bytes or more"  # noqa: S105 - for tests
ORPHAN = "6a570147-57a0-4f50-8b89-f3044b28c4dc"
COMMANDS = [
    "up",
    "serve",
    "migrate",
    "token",
    "reconcile",
    "backfill",
    "repair",
    "doctor",
    "erase",
    "import",
    "shadow",
    "export-ledger",
    "verify",
    "export-schema",
]


def claims_of(*arguments: str, **settings: object) -> dict[str, Any]:
    """The claims of a token that was asked for, whose signature holds."""
    done = run("token", *arguments, jwt_secret=SECRET, **settings)
    assert (done.returncode, done.stderr) == (0, "")
    claims: dict[str, Any] = jwt.decode(
        done.stdout.strip(), SECRET, algorithms=["HS256"], options={"verify_aud": False}
    )
    return claims


def test_token_prints_a_token_and_nothing_else() -> None:
    """So that it can stand within a command of curl."""
    done = run("token", "--sub", "ada", "--role", "director", jwt_secret=SECRET)

    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", done.stdout)
    assert (done.returncode, done.stderr) == (0, "")


def test_token_claims_what_it_is_told() -> None:
    """Holder, role, tenant and any further claim, even one with an equals sign."""
    claims = claims_of(
        "--sub", "ada", "--role", "studio", "--tenant", "t", "--claim", "studioId=42", "--claim", "a=b=c"
    )

    assert {"sub": "ada", "role": "studio", "tenant": "t", "studioId": "42", "a": "b=c"}.items() <= claims.items()


def test_token_claims_no_more_than_it_is_told() -> None:
    """An attendee of the default tenant is one without role and tenant."""
    assert set(claims_of("--sub", "ann")) == {"sub", "iat", "exp"}


def test_token_is_for_this_gateways_audience() -> None:
    """Where the gateway asks for an audience and an issuer, its own tokens have them."""
    claims = claims_of("--sub", "ada", jwt_audience="capacity", jwt_issuer="us")

    assert (claims["aud"], claims["iss"]) == ("capacity", "us")


def test_token_holds_as_long_as_it_is_told() -> None:
    """A day, or so many seconds."""
    short, day = claims_of("--sub", "ada", "--ttl-seconds", "60"), claims_of("--sub", "ada")

    assert short["exp"] - short["iat"] == 60
    assert day["exp"] - day["iat"] == 86_400
    assert abs(day["iat"] - time.time()) < 60


def test_token_of_a_folder_keeps_one_secret(tmp_path: Any) -> None:
    """Without a setting the secret is made once, and readable to its owner only."""
    assert run("token", "--sub", "ada", data_dir=tmp_path).returncode == 0
    secret = (tmp_path / "jwt-secret").read_text()
    again = run("token", "--sub", "ada", data_dir=tmp_path).stdout.strip()

    assert jwt.decode(again, secret, algorithms=["HS256"])["sub"] == "ada"
    assert (tmp_path / "jwt-secret").stat().st_mode & 0o777 == 0o600


async def test_migrate_makes_everything_and_the_second_time_nothing(empty_url: str) -> None:
    """It names what it applied; a second run finds nothing to do."""
    first, again = run("migrate", database_url=empty_url), run("migrate", database_url=empty_url)

    assert (first.returncode, again.returncode) == (0, 0)
    assert first.stderr.startswith("Applied: 0001_kernel")
    assert again.stderr == "Nothing to do: the database is up to date.\n"
    assert await fetch(empty_url, "SELECT count(*) FROM capacity.pool") == [(0,)]


def test_reconcile_prints_a_table_and_fails_on_drift(demo_url: str) -> None:
    """London is off by 50, and the orphan behind it is named."""
    done = run("reconcile", database_url=demo_url)

    assert done.returncode == 1
    assert re.search(r"600 │ +538 │ +588 │ +-50 │ +3 │", done.stdout)
    assert done.stdout.endswith(f"EMPWR Dance - London: claim {ORPHAN} holds 50 with no ledger entry\n")


def test_reconcile_prints_json(demo_url: str) -> None:
    """The same figures for programs, line for line those of the report."""
    done = run("reconcile", "--json", "--kind", "competition", database_url=demo_url)
    rows = {row["title"]: [*row.values()][2:7] for row in json.loads(done.stdout)}

    assert done.returncode == 1
    assert rows == {
        "EMPWR Dance - London": [600, 538, 588, -50, 3],
        "EMPWR Dance - St. Catharines #1": [600, 90, 90, 0, 10],
        "EMPWR Dance - St. Catharines #2": [600, 576, 576, 0, 8],
        "QA Automation Event": [600, 499, 499, 0, 3],
        "EMPWR Dance Championships - St. Catharines 2025": [600, 600, 600, 0, 0],
    }


def test_reconcile_allows_what_the_threshold_allows(demo_url: str) -> None:
    """Off by 50 is within 50, and not within 49."""
    within = run("reconcile", "--threshold", "50", database_url=demo_url)
    beyond = run("reconcile", "--threshold", "49", database_url=demo_url)

    assert (within.returncode, beyond.returncode) == (0, 1)


def test_reconcile_looks_at_one_kind_or_tenant(demo_url: str) -> None:
    """The demo's event is sound, and where there is no pool there is no drift."""
    other_kind = run("reconcile", "--json", "--kind", "event", database_url=demo_url)
    other_tenant = run("reconcile", "--json", "--tenant", "elsewhere", database_url=demo_url)

    assert (other_kind.returncode, [row["pool"] for row in json.loads(other_kind.stdout)]) == (0, ["event:demo-summit"])
    assert (other_tenant.returncode, other_tenant.stdout) == (0, "[]\n")


def test_reconcile_fails_on_a_database_that_was_never_migrated(empty_url: str) -> None:
    """It does not wait for the connection that it has failed on."""
    assert run("reconcile", database_url=empty_url).returncode > 0


async def test_reconcile_shows_a_title_as_it_is(demo_url: str) -> None:
    """Not as the table's own markup."""
    await fetch(demo_url, "UPDATE capacity.pool SET title = '[/red] :smile:'")

    assert "[/red] :smile:" in run("reconcile", database_url=demo_url).stdout


def test_backfill_mends_the_drift_once(demo_url: str) -> None:
    """The entry is written, reconcile is content, and a second run has nothing to do."""
    first = run("backfill", ORPHAN, "--note", "found by hand", database_url=demo_url)
    again = run("backfill", ORPHAN, database_url=demo_url)

    assert (first.returncode, again.returncode) == (0, 0)
    assert re.fullmatch(r"Entry \S+: -50, effective 2025-10-28 23:06:28\.\n", first.stderr)
    assert again.stderr.startswith("Nothing to do: no entry is missing.\n")
    assert run("reconcile", database_url=demo_url).returncode == 0


def test_backfill_of_an_unknown_reservation_is_refused(demo_url: str) -> None:
    """With a message and exit code 2."""
    done = run("backfill", "no-such-reservation", database_url=demo_url)

    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r"[A-Z][^\n]+\n", done.stderr)


def test_repair_does_what_its_dry_run_says(demo_url: str) -> None:
    """The dry run changes nothing; the repair writes the entry that London lacks; a second one has nothing to do."""
    would = run("repair", "--dry-run", database_url=demo_url, jwt_secret=SECRET)
    still = run("reconcile", database_url=demo_url, jwt_secret=SECRET)
    done = run("repair", "--note", "the legacy's", database_url=demo_url, jwt_secret=SECRET)
    again = run("repair", database_url=demo_url, jwt_secret=SECRET)

    assert would.stdout == done.stdout
    assert re.fullmatch(
        rf"EMPWR Dance - London: the counter [^\n]+ -50; claim {ORPHAN} [^\n]+\n  entry 4: BACKFILL -50\n", done.stdout
    )
    assert [would.returncode, still.returncode, done.returncode, again.returncode] == [0, 1, 0, 0]
    assert would.stderr == "Nothing of this has been done. Without --dry-run it is.\n"
    assert again.stderr == "Nothing to do: every counter, ledger and claim agree.\n"
    assert run("reconcile", database_url=demo_url).returncode == 0


async def test_repair_prints_json(demo_url: str) -> None:
    """What was wrong and what was done, for programs; a broken chain is sealed."""
    await fetch(
        demo_url, "UPDATE capacity.ledger SET hash = 'altered' WHERE pool_id = 'event:demo-summit' AND version = 1"
    )
    done = run("repair", "--json", database_url=demo_url, jwt_secret=SECRET)
    london, event = json.loads(done.stdout)

    assert (london["sealed_at"], london["counter_change"], london["overbooked"]) == (None, 0, 0)
    (entry,) = london["entries"]
    assert (entry["version"], entry["reason"], entry["change"], entry["claim"]) == (4, "BACKFILL", -50, ORPHAN)
    assert event["problems"] == [{"kind": "HASH_BROKEN", "version": 1, "delta": None}]
    assert (event["sealed_at"], event["entries"]) == (20, [])


async def test_to_seal_is_the_owners(demo_url: str) -> None:
    """With the application's address alone it is refused, in words; to look is the application's, too."""
    await fetch(
        demo_url, "UPDATE capacity.ledger SET hash = 'altered' WHERE pool_id = 'event:demo-summit' AND version = 1"
    )
    address = await application_url(demo_url)
    done = run("repair", database_url=address, jwt_secret=SECRET)
    looked = run("reconcile", "--json", database_url=address, jwt_secret=SECRET)

    assert (done.returncode, looked.returncode) == (2, 1)
    assert looked.stdout == run("reconcile", "--json", database_url=demo_url, jwt_secret=SECRET).stdout
    assert "permission denied" in done.stderr


def test_doctor_finds_what_the_report_found(demo_url: str) -> None:
    """London's drift and its orphan, for people and for programs; the threshold is of drift alone."""
    done = run("doctor", database_url=demo_url, jwt_secret=SECRET)
    checks = json.loads(run("doctor", "--json", "--threshold", "50", database_url=demo_url, jwt_secret=SECRET).stdout)

    assert done.returncode == 1
    assert "✗ drift" in done.stdout
    assert "EMPWR Dance - London: the counter differs from the ledger by -50" in done.stdout
    problems = {check["name"]: check["problems"] for check in checks}
    orphan = f"EMPWR Dance - London: claim {ORPHAN} holds 50 with no ledger entry"
    sound: list[str] = []
    assert problems == {
        **dict.fromkeys(("schema", "server", "role", "clock", "drift", "chains", "growth"), sound),
        "orphans": [orphan],
    }


async def test_doctor_is_content_after_a_repair(demo_url: str) -> None:
    """Exit 0, and the growth of the ledger is told."""
    run("repair", database_url=demo_url, jwt_secret=SECRET)
    done = run("doctor", "--json", database_url=demo_url, jwt_secret=SECRET)

    assert done.returncode == 0
    (growth,) = [check["figures"] for check in json.loads(done.stdout) if check["name"] == "growth"]
    assert [(growth["entries"],)] == await fetch(demo_url, "SELECT count(*) FROM capacity.ledger")


def test_doctor_cannot_tell_without_a_database() -> None:
    """Exit 2: nothing is known to be wrong, nor right."""
    assert run("doctor", database_url="postgresql://postgres@127.0.0.1:1/none", jwt_secret=SECRET).returncode == 2


def test_export_schema_prints_the_schema_of_the_repository(tmp_path: Any) -> None:
    """The same to the standard output and into a file."""
    printed = run("export-schema")
    written = run("export-schema", "--output", str(tmp_path / "schema.graphql"))

    assert (printed.returncode, written.returncode) == (0, 0)
    assert printed.stdout == (ROOT / "schema.graphql").read_text()
    assert (tmp_path / "schema.graphql").read_text() == printed.stdout


def test_erase_forgets_a_person(demo_url: str) -> None:
    """Or says that nobody was named."""
    assert "Erased from 0 claims" in run("erase", "--email", "ann@example.org", database_url=demo_url).stderr
    assert run("erase", database_url=demo_url).returncode == 2


def test_help_takes_nothing_of_what_commands_take() -> None:
    """So that it comes at once."""
    code = "import sys; from capacity_gateway.__main__ import command_line; command_line().help_print();"
    code += "print([name for name in sys.modules if name.startswith('capacity_gateway.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - our own

    assert done.stdout.endswith("['capacity_gateway.__main__']\n")


def test_help_lists_every_command() -> None:
    """And without any command it is what one gets."""
    done = run("--help")

    assert done.returncode == 0
    assert re.findall(r"^│ ([a-z][a-z-]+) ", done.stdout, re.MULTILINE) == sorted(COMMANDS)
    assert run().stdout == done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_explains_every_option(command: str) -> None:
    """What the command does, and a sentence for each of its options."""
    done = run(command, "--help")
    unexplained = re.findall(r"^│ [* ] +--\S+(?: [A-Z]+(?:\.\.\.)?)? *│$", done.stdout, re.MULTILINE)

    assert done.returncode == 0
    assert re.match(rf"Usage: capacity-gateway {command}.*\n\n[A-Z][^╭]+\.\n", done.stdout)
    assert unexplained == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fly"], 'Unknown command "fly"'),
        (["token"], "--sub requires an argument"),
        (["token", "--sub", "ada", "--claim", "studioId"], "A claim is NAME=VALUE, and this is none: studioId"),
        (["up", "--port", "eighty"], 'Invalid value for --port: unable to convert "eighty" into int'),
        (["reconcile", "--threshhold", "3"], "--threshhold"),
        (["reconcile", "--kind", "parking"], "parking"),
        (["backfill"], "RESERVATION_ID"),
        (["reconcile"], "There is no database: set CAPACITY_DATABASE_URL"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told(arguments: list[str], said: str, tmp_path: Any) -> None:
    """In words that name what is wrong, without a traceback, and with an exit code."""
    done = run(*arguments, data_dir=tmp_path)

    assert done.returncode > 0
    assert said in re.sub(r"[\s│]+", " ", done.stderr)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_json_is_printed_instead_of_words(demo_url: str) -> None:
    """On the standard output, with nothing besides."""
    token = run("token", "--sub", "ada", "--ttl-seconds", "60", "--json", jwt_secret=SECRET)
    migrated = run("migrate", "--json", database_url=demo_url)
    backfilled = run("backfill", ORPHAN, "--json", database_url=demo_url)
    erased = run("erase", "--email", "nobody@example.org", "--json", database_url=demo_url)

    assert [done.stderr for done in (token, migrated, backfilled, erased)] == [""] * 4
    login = json.loads(token.stdout)
    assert jwt.decode(login["token"], SECRET, algorithms=["HS256"])["sub"] == "ada"
    assert login["ttl_seconds"] == 60
    assert json.loads(migrated.stdout) == {"applied": []}
    (entry,) = json.loads(backfilled.stdout)["entries"]
    assert (entry["change"], entry["claim"], entry["effective_at"][:10]) == (-50, ORPHAN, "2025-10-28")
    assert json.loads(erased.stdout) == {"claims": 0}


def test_where_it_listens_is_told_as_json(capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    """For programs that let it choose the port; with a login for each role where those are given out."""
    for knobs in (Settings(data_dir=tmp_path), Settings(jwt_secret=SECRET)):
        greet(knobs, "http://127.0.0.1:1", as_json=True)
        told = json.loads(capsys.readouterr().out)

        assert (told["graphql"], told["console"]) == ("http://127.0.0.1:1/graphql", "http://127.0.0.1:1/console")
        assert bool(told["logins"]) == (knobs.jwt_secret is None)


def test_a_port_that_is_taken_is_told(start: Start, demo_url: str) -> None:
    """Like all that only its user can mend, with exit code 2."""
    gateway = start("serve", database_url=demo_url, jwt_secret=SECRET).ready()
    second = run("serve", "--port", gateway.url.rpartition(":")[2], database_url=demo_url, jwt_secret=SECRET)

    assert second.returncode == 2
    assert "address already in use" in second.stderr
