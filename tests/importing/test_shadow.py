"""Beside a counter that still counts: what differs is told once, and once more when it is over."""

from pathlib import Path

import asyncpg

from capacity_gateway.importing.bring import source_of
from capacity_gateway.importing.shadow import Divergence, Shadow, divergences, numbers_of
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.database import Database
from capacity_gateway.kernel.reads import Reads
from capacity_gateway.kernel.vocabulary import PoolKind
from conftest import TENANT
from importing.conftest import portal_rows
from importing.test_portal import BringIn, bring_in, write

__all__ = ["bring_in"]

LONDON = "competition:79cef00c-e163-449c-9f3c-d021fbb4d672"
A = Divergence(pool="competition:a", theirs=(10, 5), ours=(10, 6))
B = Divergence(pool="competition:b", theirs=(10, 5), ours=None)


async def compare(portal_url: str, database: Database, capacity: Capacity) -> list[Divergence]:
    """What differs between a portal and the gateway."""
    reads = Reads(database, capacity, TENANT)
    pools = await reads.pools_page(PoolKind, after=None, limit=100)
    await reads.close()
    return divergences(await numbers_of(source_of(portal_url, None), TENANT), pools)


async def test_after_the_import_nothing_differs(
    portal_url: str, bring_in: BringIn, database: Database, capacity: Capacity
) -> None:
    """Not even London, whose counter is as it was; before it, all five are missing."""
    before = await compare(portal_url, database, capacity)
    await bring_in(portal_url)

    assert [(each.theirs is None, each.ours) for each in before] == [(False, None)] * 5
    assert await compare(portal_url, database, capacity) == []


async def test_what_the_portal_does_by_itself_is_seen(
    portal_url: str, bring_in: BringIn, database: Database, capacity: Capacity
) -> None:
    """With the numbers of both sides."""
    await bring_in(portal_url)
    portal = await asyncpg.connect(portal_url)
    await portal.execute("UPDATE competitions SET available_reservation_tokens = 500 WHERE name LIKE '%London'")
    await portal.close()

    assert await compare(portal_url, database, capacity) == [
        Divergence(pool=LONDON, theirs=(600, 500), ours=(600, 538))
    ]


async def test_only_the_counters_are_read(tmp_path: Path) -> None:
    """A look costs one small table, however long the ledger is."""
    write(tmp_path, {"competitions": portal_rows()["competitions"]})

    assert len(await numbers_of(source_of(str(tmp_path), None), TENANT)) == 5


def test_a_divergence_is_told_once_and_again_when_it_ends() -> None:
    """After two looks in a row, for one side is always a little later than the other."""
    shadow = Shadow(looks=2)

    assert shadow.look([A]) == ([], [])
    assert shadow.look([A, B]) == ([A], [])
    assert shadow.look([A]) == ([], [])
    assert shadow.standing == {A.pool: A}
    assert shadow.look([]) == ([], [A])
    assert shadow.look([]) == ([], [])
    assert shadow.standing == {}


def test_a_divergence_that_changes_is_told_anew() -> None:
    """With its new numbers."""
    changed = Divergence(pool=A.pool, theirs=(10, 4), ours=(10, 6))
    shadow = Shadow(looks=1)

    assert shadow.look([A]) == ([A], [])
    assert shadow.look([changed]) == ([changed], [])


def test_a_divergence_is_said_in_words() -> None:
    """With the pool and both sides."""
    assert str(A) == "competition:a: 5 of 10 available there, 6 of 10 available here"
    assert str(B) == "competition:b: 5 of 10 available there, no such pool here"
