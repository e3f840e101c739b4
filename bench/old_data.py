"""Writes a portal's tables, as large as one likes, to see how long `capacity-gateway import` takes."""

import argparse
import csv
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from uuid import UUID

BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
ENTRIES_OF_ONE = 4000  # of a competition
CHANGES_MAX = 4  # of a reservation
QUOTA = 10**6
TABLES = {
    "competitions": "id name total_reservation_tokens available_reservation_tokens created_at",
    "reservations": "id competition_id studio_id status spaces_confirmed spaces_requested approved_at created_at",
    "capacity_ledger": "id competition_id reservation_id change_amount reason created_at created_by",
}


def main() -> None:
    """Write what is asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.old_data", description=__doc__)
    parser.add_argument("folder", type=Path, help="where to write a CSV file for each table")
    parser.add_argument("--entries", type=int, default=1_000_000, help="of all ledgers; absent = a million")
    parser.add_argument("--seed", type=int, default=1, help="the same seed writes the same; absent = 1")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as files:
        writers = {
            table: csv.writer(files.enter_context((asked.folder / f"{table}.csv").open("w", newline="")))
            for table in TABLES
        }
        for table, columns in TABLES.items():
            writers[table].writerow(columns.split())
        for table, row in rows(Random(asked.seed), asked.entries):  # noqa: S311 - to be had again
            writers[table].writerow(row)


def rows(random: Random, size: int) -> Iterator[tuple[str, tuple[object, ...]]]:
    """So many entries, with the reservations and competitions that they are of; all of it adds up."""
    for number, start in enumerate(range(0, size, ENTRIES_OF_ONE)):
        competition, at, taken, left = new_id(random), BEGIN, 0, min(ENTRIES_OF_ONE, size - start)
        while left:
            reservation, began, has, wanted = new_id(random), at, 0, random.randint(1, 60)
            for change in range(random.randint(1, min(CHANGES_MAX, left))):
                at += timedelta(seconds=random.randint(1, 600))
                after = random.randint(1, 60) if change else wanted
                after += after == has  # no entry changes nothing
                word = "cd_adjustment_increase" if after > has else "cd_adjustment_decrease"
                reason = word if change else "reservation_approval"
                yield "capacity_ledger", (new_id(random), competition, reservation, has - after, reason, at, "dora")
                has = after
                left -= 1
            yield "reservations", (reservation, competition, new_id(random), "approved", has, wanted, began, began)
            taken += has
        yield "competitions", (competition, f"Competition {number}", QUOTA, QUOTA - taken, BEGIN)


def new_id(random: Random) -> UUID:
    """An id by chance, always the same for a seed."""
    return UUID(int=random.getrandbits(128), version=4)


if __name__ == "__main__":
    main()
