"""The chain of a pool's entries, recomputed by a stranger; and what reconciliation says of a broken one."""

import asyncio
import hashlib
from typing import Any

import asyncpg
import pytest

from asking import (
    OTHER,
    POOL,
    Json,
    adjust,
    ask,
    ask_one,
    backfill,
    confirm,
    define,
    expire,
    hold,
    keyed,
    move,
    release,
    resize,
    take,
)
from capacity_gateway.kernel.database import Database

LEDGER = """
query ($ref: ID!) {
  ledger(kind: COMPETITION, ref: $ref) {
    edges {
      node {
        pool { id openingQuota }
        version quotaChange heldChange confirmedChange availableAfter reason claimId subject actor idempotencyKey
        effectiveAt recordedAt hash
      }
    }
  }
}
"""
RECONCILE = """
query ($ref: ID!) {
  reconcile(kind: COMPETITION, ref: $ref) {
    edges { node { isAccurate chainIntact problems { kind version delta } orphans { claimId quantity } } }
  }
}
"""
HASHED = (
    "version",
    "quotaChange",
    "heldChange",
    "confirmedChange",
    "availableAfter",
    "reason",
    "claimId",
    "subject",
    "actor",
    "idempotencyKey",
    "effectiveAt",
    "recordedAt",
)


def sha256(*lines: Any) -> str:
    """In hex, over one field a line, absent ones empty."""
    text = "\n".join("" if line is None else str(line) for line in lines)
    return hashlib.sha256(text.encode()).hexdigest()


def chain(entries: list[Json]) -> list[str]:
    """The hashes that these entries should have, oldest first, by the formula in the schema's description."""
    pool = entries[0]["pool"]
    hashes = [sha256(pool["id"], pool["openingQuota"])]
    for entry in entries:
        hashes.append(sha256(hashes[-1], pool["id"], *(entry[name] for name in HASHED)))
    return hashes[1:]


async def history(database: Database) -> None:
    """Two pools in which everything happens that makes an entry."""
    await ask(database, define(100), define(None, OTHER))
    then = "2026-01-01T00:00:00+00:00"
    await ask_one(database, take("old", 5, effective_at=then, actor="dora"), historic=True)
    await ask_one(database, take("lost", 6, effective_at=then, unledgered=True), historic=True)
    await ask(
        database,
        keyed(take("a", 30, subject="ünï"), "k", actor="dora"),
        hold("b", 20),
        hold("c", 1, ttl_seconds=0.001),
        take("d", 7, OTHER),
    )
    await ask(database, confirm("b", 15), adjust("a", 40), backfill("lost"))
    await asyncio.sleep(0.01)
    await ask(database, expire(), resize(unlimited=True), resize(200), release("a", 3), move("b"), move("d", POOL))


@pytest.mark.parametrize(("ref", "entries"), [("p", 13), ("q", 3)])
async def test_the_chain_follows_from_exported_fields_alone(
    gateway: Any, database: Database, ref: str, entries: int
) -> None:
    """Whoever has the export can check it, with no access to the database."""
    await history(database)

    page = await gateway.send(LEDGER, {"ref": ref})

    nodes = [edge["node"] for edge in reversed(page["edges"])]
    assert [node["version"] for node in nodes] == list(range(1, entries + 1))
    assert chain(nodes) == [node["hash"] for node in nodes]


async def test_no_exported_field_can_be_altered_unseen(gateway: Any, database: Database) -> None:
    """Another value of any of them gives another hash."""
    await history(database)
    nodes = [edge["node"] for edge in reversed((await gateway.send(LEDGER, {"ref": "p"}))["edges"])]

    unseen = [name for name in HASHED if nodes[0]["hash"] in chain([nodes[0] | {name: "altered"}])]

    assert unseen == []


async def test_a_sound_pool_has_no_problems(gateway: Any, database: Database) -> None:
    """Whatever has happened to it."""
    await history(database)

    answers = [await gateway.send(RECONCILE, {"ref": ref}) for ref in ("p", "q")]

    sound = {"isAccurate": True, "chainIntact": True, "problems": [], "orphans": []}
    assert [[edge["node"] for edge in answer["edges"]] for answer in answers] == [[sound], [sound]]


CORRUPTIONS = {
    "counter one up": (
        "UPDATE capacity.pool SET confirmed = confirmed + 1 WHERE id = 'competition:p'",
        [("DRIFT", None, -1), ("CLAIMS_DISAGREE", None, -1)],
    ),
    "counter one down": (
        "UPDATE capacity.pool SET confirmed = confirmed - 1 WHERE id = 'competition:p'",
        [("DRIFT", None, 1), ("CLAIMS_DISAGREE", None, 1)],
    ),
    "an entry in the middle deleted": (
        "DELETE FROM capacity.ledger WHERE version = 2",
        [
            ("DRIFT", None, -10),
            ("VERSION_GAP", 3, None),
            ("HASH_BROKEN", 3, None),
            ("BALANCE_BROKEN", 3, None),
            ("ORPHAN", None, -10),
        ],
    ),
    "the last entry deleted": (
        "DELETE FROM capacity.ledger WHERE version = 5",
        [("DRIFT", None, -40), ("ORPHAN", None, -40), ("VERSION_GAP", 5, None)],
    ),
    "a version doubled": (
        (
            "ALTER TABLE capacity.ledger DROP CONSTRAINT ledger_key;"
            " INSERT INTO capacity.ledger SELECT * FROM capacity.ledger WHERE version = 2"
        ),
        [
            ("DRIFT", None, 10),
            ("VERSION_REPEATED", 2, None),
            ("HASH_BROKEN", 2, None),
            ("BALANCE_BROKEN", 2, None),
        ],
    ),
    "an orphan claim": (
        (
            'INSERT INTO capacity.claim SELECT (jsonb_populate_record(c, \'{"id": "orphan"}\')).*'
            " FROM capacity.claim AS c WHERE id = 'b'"
        ),
        [("ORPHAN", None, -10), ("CLAIMS_DISAGREE", None, 10)],
    ),
    "a hash altered": (
        "UPDATE capacity.ledger SET hash = 'altered' WHERE version = 2",
        [("HASH_BROKEN", 2, None)],
    ),
    "a running sum altered": (
        "UPDATE capacity.ledger SET confirmed_after = confirmed_after + 1 WHERE version = 2",
        [("HASH_BROKEN", 2, None), ("BALANCE_BROKEN", 2, None)],
    ),
    "running sums altered against each other": (
        (
            "UPDATE capacity.ledger SET confirmed_after = confirmed_after - 1, held_after = held_after + 1"
            " WHERE version = 2"
        ),
        [("BALANCE_BROKEN", 2, None)],
    ),
    "an actor altered": (
        "UPDATE capacity.ledger SET actor = 'somebody else' WHERE version = 3",
        [("HASH_BROKEN", 3, None)],
    ),
}


@pytest.mark.parametrize(("statement", "problems"), CORRUPTIONS.values(), ids=CORRUPTIONS)
async def test_whatever_is_broken_is_named(
    gateway: Any,
    database: Database,
    owner: asyncpg.Connection,
    statement: str,
    problems: list[tuple[str, int | None, int | None]],
) -> None:
    """With its kind, the version where it shows first, and by how much."""
    await ask(database, define(100), take("a", 10), take("b", 10), take("c", 20))
    await ask(database, release("a"), take("d", 40))
    await owner.execute(statement)

    answer = await gateway.send(RECONCILE, {"ref": "p"})

    (edge,) = answer["edges"]
    told = [(problem["kind"], problem["version"], problem["delta"]) for problem in edge["node"]["problems"]]
    assert sorted(told, key=str) == sorted(problems, key=str)


async def test_a_pool_behind_its_ledger_is_named(gateway: Any, database: Database, owner: asyncpg.Connection) -> None:
    """Its next entry would be refused by the ledger's key, and every one after it."""
    await ask(database, define(100), take("a", 10))
    await owner.execute("UPDATE capacity.pool SET version = 0")

    answer = await gateway.send(RECONCILE, {"ref": "p"})

    assert answer["edges"][0]["node"]["problems"] != []
