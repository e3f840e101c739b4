"""What somebody may break by hand, from the command that names it to the one that mends it."""

import json
import re
from typing import Any

from e2e.processes import fetch, run

Problem = tuple[str, int | None, int | None]
"""What is wrong, at which version, and by how much."""
SECRET = "a secret for tests, 32 bytes or more"  # noqa: S105 - for tests
LONDON = "competition:79cef00c-e163-449c-9f3c-d021fbb4d672"
SECOND = "competition:e5a6ee60-0000-4000-8000-000000000002"
QA = "competition:2121d20a-0000-4000-8000-000000000003"
EVENT, KEYNOTE, WORKSHOP = "event:demo-summit", "session:demo-keynote", "session:demo-workshop"
TICKETS = "ticket_type:demo-early-bird"
CORRUPTIONS = [
    f"UPDATE capacity.pool SET confirmed = confirmed + 1 WHERE id = '{TICKETS}'",
    f"UPDATE capacity.pool SET confirmed = confirmed - 1 WHERE id = '{KEYNOTE}'",
    f"DELETE FROM capacity.ledger WHERE pool_id = '{SECOND}' AND version = 3",
    "ALTER TABLE capacity.ledger DROP CONSTRAINT ledger_key",
    f"""INSERT INTO capacity.ledger SELECT (jsonb_populate_record(l, '{{"idempotency_key": null}}')).*
    FROM capacity.ledger AS l WHERE pool_id = '{QA}' AND version = 2""",
    f"""INSERT INTO capacity.claim SELECT (jsonb_populate_record(c, jsonb_build_object(
        'id', 'orphan', 'exclusive', 'orphan', 'quantity', 3, 'state', 'held', 'expires_at', now() + interval '1 hour'
    ))).* FROM capacity.claim AS c WHERE pool_id = '{EVENT}' AND state = 'confirmed' LIMIT 1""",
    f"UPDATE capacity.ledger SET hash = 'altered' WHERE pool_id = '{WORKSHOP}' AND version = 2",
]
"""The counter one up and one down, an entry deleted, a version doubled, an orphan hold, a hash altered."""
NAMED: dict[str, list[Problem]] = {
    TICKETS: [("DRIFT", None, -1), ("CLAIMS_DISAGREE", None, -1)],
    KEYNOTE: [("DRIFT", None, 1), ("CLAIMS_DISAGREE", None, 1)],
    SECOND: [
        ("DRIFT", None, -150),
        ("ORPHAN", None, -150),
        ("VERSION_GAP", 4, None),
        ("HASH_BROKEN", 4, None),
        ("BALANCE_BROKEN", 4, None),
    ],
    QA: [
        ("DRIFT", None, -49),
        ("ORPHAN", None, -49),
        ("VERSION_REPEATED", 2, None),
        ("HASH_BROKEN", 2, None),
        ("BALANCE_BROKEN", 2, None),
    ],
    EVENT: [("ORPHAN", None, -3), ("CLAIMS_DISAGREE", None, 3)],
    WORKSHOP: [("HASH_BROKEN", 2, None)],
    LONDON: [("DRIFT", None, -50), ("ORPHAN", None, -50)],  # the entry that is missing in the demo's old data
}
"""What is wrong with each pool, where, and by how much."""
MENDED = {
    TICKETS: [(11, "REPAIR", 0)],
    KEYNOTE: [(16, "REPAIR", 0)],
    SECOND: [(9, "REPAIR", -150)],
    QA: [(4, "REPAIR", -49)],
    EVENT: [(21, "BACKFILL", -3)],
    WORKSHOP: [],
    LONDON: [(4, "BACKFILL", -50)],
}
"""The entries that are added to each."""
SEALED = {SECOND: 8, QA: 3, WORKSHOP: 4}
"""Up to which version a ledger that does not follow is taken as it is."""


def printed(*arguments: str, database_url: str) -> dict[str, Any]:
    """What a command prints as JSON, by pool."""
    done = run(*arguments, "--json", database_url=database_url, jwt_secret=SECRET)
    return {row["pool"]: row for row in json.loads(done.stdout)}


def of_problem(problem: dict[str, Any]) -> Problem:
    """One of those that a repair tells of."""
    return problem["kind"], problem["version"], problem["delta"]


def of_now(repairs: dict[str, Any]) -> str:
    """Repairs without the instants of their entries."""
    return re.sub(r'"effective_at": "[^"]*"', "", json.dumps(repairs))


async def test_what_is_broken_by_hand_is_named_and_mended(demo_url: str) -> None:
    """`reconcile` names pool and delta, `repair` adds entries or seals, and no entry that was there is touched."""
    for statement in CORRUPTIONS:
        await fetch(demo_url, statement)
    before = {str(row) for row in await fetch(demo_url, "SELECT l FROM capacity.ledger AS l")}

    named = printed("reconcile", database_url=demo_url)
    would = printed("repair", "--dry-run", database_url=demo_url)
    unchanged = {str(row) for row in await fetch(demo_url, "SELECT l FROM capacity.ledger AS l")}
    done = printed("repair", database_url=demo_url)
    afterwards = {str(row) for row in await fetch(demo_url, "SELECT l FROM capacity.ledger AS l")}
    mended = printed("reconcile", database_url=demo_url)

    told = {pool: sorted(map(of_problem, row["problems"]), key=str) for pool, row in would.items()}
    written = {pool: [(e["version"], e["reason"], e["change"]) for e in row["entries"]] for pool, row in done.items()}
    assert told == {pool: sorted(problems, key=str) for pool, problems in NAMED.items()}
    assert {pool for pool, row in named.items() if row["problems"]} == NAMED.keys()
    assert {pool: row["discrepancy"] for pool, row in named.items() if row["discrepancy"]} == {
        pool: problem[2] for pool, problems in NAMED.items() for problem in problems if problem[0] == "DRIFT"
    }
    assert unchanged == before
    assert of_now(done) == of_now(would)
    assert written == MENDED
    assert {pool: row["sealed_at"] for pool, row in done.items() if row["sealed_at"]} == SEALED
    assert before < afterwards
    assert {row["discrepancy"] for row in mended.values()} == {0}
    assert {pool for pool, row in mended.items() if row["problems"]} == SEALED.keys()
    assert all(problem.endswith("(sealed)") for row in mended.values() for problem in row["problems"])
    assert printed("repair", database_url=demo_url) == {}
