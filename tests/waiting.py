"""What must hold of a pool with a queue, by the claims and entries that it leaves behind."""

from collections import Counter

import asyncpg

FOLDED = """
SELECT DISTINCT ON (holder) holder, id, offered, CASE WHEN state = 'held' THEN 'offered' ELSE state END AS state
FROM capacity.claim ORDER BY holder, created_at DESC
"""
OFFERS = """
SELECT c.id, c.pool_id, c.holder, c.rank, c.place, c.created_at, l.version, l.recorded_at,
    CASE WHEN c.state = 'waiting' THEN NULL ELSE c.since END AS left_at
FROM capacity.claim AS c
LEFT JOIN capacity.ledger AS l ON l.claim_id = c.id AND l.reason = 'OFFER'
WHERE c.place IS NOT NULL
"""
ENTRIES = """
SELECT l.*, c.holder FROM capacity.ledger AS l INNER JOIN capacity.claim AS c ON c.id = l.claim_id ORDER BY l.version
"""


def passed_over(rows: list[asyncpg.Record]) -> list[str]:
    """Who was offered a seat while somebody waited who came before him."""
    return [
        f"{first['id']} was passed by {offer['id']}"
        for offer in rows
        if offer["version"]
        for first in rows
        if (first["rank"], first["place"]) < (offer["rank"], offer["place"])
        and first["created_at"] < offer["recorded_at"]
        and (
            first["version"] > offer["version"]
            if first["version"]
            else first["left_at"] is None or first["left_at"] > offer["recorded_at"]
        )
    ]


def had_two(entries: list[asyncpg.Record]) -> list[str]:
    """Who has had two seats, or two offers, at once."""
    has: Counter[str] = Counter()
    wrong = []
    for entry in entries:
        has[entry["holder"]] += entry["held_change"] + entry["confirmed_change"]
        if has[entry["holder"]] not in (0, 1):
            wrong.append(f"{entry['holder']} had {has[entry['holder']]} at version {entry['version']}")
    return wrong
