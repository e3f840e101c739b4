"""The competition portal's tables: from a database, from CSV, under other names, with all that may be wrong."""

import csv
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from capacity_gateway.importing.bring import Plan, bring, plan_of, source_of
from capacity_gateway.importing.finding import Discrepancy
from capacity_gateway.importing.source import Unreadable
from conftest import TENANT, Gateway
from importing.conftest import portal_rows

REPORT = {
    "EMPWR Dance - London": (600, 538, 588, -50, 3),
    "EMPWR Dance - St. Catharines #1": (600, 90, 90, 0, 10),
    "EMPWR Dance - St. Catharines #2": (600, 576, 576, 0, 8),
    "QA Automation Event": (600, 499, 499, 0, 3),
    "EMPWR Dance Championships - St. Catharines 2025": (600, 600, 600, 0, 0),
}
RECONCILE = """
{ reconcile { edges { node {
  pool { title } total actualAvailable expectedAvailable discrepancy ledgerEntryCount chainIntact problems { kind }
} } } }
"""
Rows = dict[str, list[dict[str, Any]]]
BringIn = Callable[..., Coroutine[Any, Any, dict[str, bool]]]


@pytest.fixture
def bring_in(owner_url: str) -> BringIn:
    """Bring a source in; says of each pool whether it is new."""

    async def run(place: Path | str, mapping: Path | None = None) -> dict[str, bool]:
        told: dict[str, bool] = {}
        plan = await plan_of(source_of(str(place), mapping), TENANT)
        await bring(owner_url, TENANT, plan, lambda history, new: told.update({history.define.pool_id: new}))
        return told

    return run


def write(folder: Path, tables: Rows, names: dict[str, str] | None = None) -> Path:
    """The tables as CSV files in a folder."""
    for table, rows in tables.items():
        with (folder / f"{(names or {}).get(table, table)}.csv").open("w", newline="") as file:
            lines = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
            lines.writeheader()
            lines.writerows(rows)
    return folder


def small(**more: Any) -> Rows:
    """A competition of 100 in which reservation r took 30, as its entry says; `more` changes any of the three rows."""
    competition = {"id": "c", "name": "C", "total_reservation_tokens": 100, "available_reservation_tokens": 70}
    reservation = {"id": "r", "competition_id": "c", "status": "approved", "spaces_confirmed": 30}
    entry = {
        "id": "e",
        "competition_id": "c",
        "reservation_id": "r",
        "change_amount": -30,
        "reason": "reservation_approval",
        "created_at": "2025-11-01 10:00:00",
    }
    return {
        "competitions": [competition | more.get("competition", {})],
        "reservations": [reservation | more.get("reservation", {})],
        "capacity_ledger": [entry | more.get("entry", {})],
    }


async def planned(folder: Path, tables: Rows) -> Plan:
    """What would come in."""
    return await plan_of(source_of(str(write(folder, tables)), None), TENANT)


async def reconciled(gateway: Gateway) -> dict[str, tuple[Any, ...]]:
    """The report's columns, by title."""
    page = await gateway.send(RECONCILE)
    columns = ("total", "actualAvailable", "expectedAvailable", "discrepancy", "ledgerEntryCount")
    nodes = [edge["node"] for edge in page["edges"]]
    assert all(node["chainIntact"] for node in nodes)
    return {node["pool"]["title"]: tuple(node[name] for name in columns) for node in nodes}


async def test_a_portal_s_database_comes_in_with_the_report_s_table(
    portal_url: str, bring_in: BringIn, gateway: Gateway
) -> None:
    """Every figure of the report's five lines, out of the portal's own tables."""
    told = await bring_in(portal_url)

    assert list(told.values()) == [True] * 5
    assert await reconciled(gateway) == REPORT


async def test_a_second_time_nothing_changes(portal_url: str, bring_in: BringIn, owner: asyncpg.Connection) -> None:
    """Not a row, although the source has lived on."""

    async def rows() -> list[asyncpg.Record]:
        return [row for name in ("pool", "claim", "ledger") for row in await owner.fetch(f"TABLE capacity.{name}")]

    await bring_in(portal_url)
    before = await rows()

    assert list((await bring_in(portal_url)).values()) == [False] * 5
    assert await rows() == before


async def test_csv_is_as_good_as_a_database(tmp_path: Path, bring_in: BringIn, gateway: Gateway) -> None:
    """The same rows out of files."""
    await bring_in(write(tmp_path, portal_rows()))

    assert await reconciled(gateway) == REPORT


async def test_what_the_source_calls_otherwise_is_mapped(tmp_path: Path, bring_in: BringIn, gateway: Gateway) -> None:
    """Tables, columns, statuses and reasons."""
    tables = small(reservation={"status": "granted"}, entry={"reason": "first come"})
    for row in tables["competitions"]:
        row["seats"] = row.pop("total_reservation_tokens")
    write(tmp_path, tables, {"competitions": "contests"})
    mapping = tmp_path / "names.toml"
    mapping.write_text(
        '[tables]\ncompetitions = "contests"\n[columns.competitions]\ntotal_reservation_tokens = "seats"\n'
        '[statuses]\ngranted = "approved"\n[reasons]\n"first come" = "RESERVATION_APPROVAL"\n'
    )

    await bring_in(tmp_path, mapping)

    assert await reconciled(gateway) == {"C": (100, 70, 70, 0, 1)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[tables]\nbookings = "b"', "there is no table bookings"),
        ('[columns.competitions]\nsize = "b"', "competitions has no column size"),
        ('[reasons]\nx = "BECAUSE"', "BECAUSE"),
        ("[tables", "names.toml"),
        ("[misc]", "misc"),
    ],
    ids=["table", "column", "reason", "no TOML", "section"],
)
def test_a_wrong_mapping_is_told(tmp_path: Path, text: str, said: str) -> None:
    """With the file and what is wrong in it."""
    mapping = tmp_path / "names.toml"
    mapping.write_text(text)

    with pytest.raises(Unreadable, match=said):
        source_of(str(tmp_path), mapping)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"entry": {"change_amount": "many"}}, "capacity_ledger e: change_amount: "),
        ({"entry": {"created_at": "yesterday"}}, "capacity_ledger e: created_at: "),
        ({"competition": {"total_reservation_tokens": 2**31}}, "competitions c: total_reservation_tokens: "),
        ({"competition": {"name": ""}}, "competitions c: name: "),
    ],
    ids=["number", "time", "too large", "missing"],
)
async def test_a_value_that_cannot_be_read_is_told(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    """With its table, its row and its column."""
    with pytest.raises(Unreadable, match=re.escape(said)):
        await planned(tmp_path, small(**change))


async def test_a_missing_column_or_table_is_told(tmp_path: Path) -> None:
    """With the place in the mapping where it can be named."""
    tables = small()
    del tables["reservations"][0]["competition_id"]
    with pytest.raises(Unreadable, match=r"reservations has no column competition_id; .*\[columns.reservations\]"):
        await planned(tmp_path, tables)
    (tmp_path / "reservations.csv").unlink()
    with pytest.raises(Unreadable, match="There is no table reservations"):
        await plan_of(source_of(str(tmp_path), None), TENANT)
    (tmp_path / "competitions.csv").unlink()
    with pytest.raises(Unreadable, match="There is none of these tables: competitions, events"):
        await plan_of(source_of(str(tmp_path), None), TENANT)


@pytest.mark.parametrize("place", ["nowhere", "pyproject.toml"])
def test_what_is_no_source_is_told(place: str) -> None:
    """Whatever else is named."""
    with pytest.raises(Unreadable, match="no PostgreSQL URL, no folder with CSV files and no replay"):
        source_of(place, None)


FOUND: dict[str, tuple[dict[str, Any], set[Discrepancy]]] = {
    "counter": ({"competition": {"available_reservation_tokens": 60}}, {Discrepancy.COUNTER, Discrepancy.UNCOUNTED}),
    "too free": ({"competition": {"available_reservation_tokens": 80}}, {Discrepancy.COUNTER, Discrepancy.TOO_FREE}),
    "negative": (
        {
            "competition": {"available_reservation_tokens": -10},
            "reservation": {"spaces_confirmed": 110},
            "entry": {"change_amount": -110},
        },
        {Discrepancy.NEGATIVE},
    ),
    "another amount": (
        {"reservation": {"spaces_confirmed": 20}},
        {Discrepancy.OTHER_AMOUNT, Discrepancy.UNCOUNTED},
    ),
    "cancelled without an entry": (
        {"reservation": {"status": "cancelled"}, "competition": {"available_reservation_tokens": 100}},
        {Discrepancy.OTHER_AMOUNT, Discrepancy.COUNTER},
    ),
    "entry of nobody": (
        {"entry": {"reservation_id": ""}},
        {Discrepancy.ORPHAN, Discrepancy.NO_ENTRY, Discrepancy.TOO_FREE},
    ),
    "entry of no competition": (
        {"entry": {"competition_id": "d"}},
        {Discrepancy.ORPHAN, Discrepancy.NO_ENTRY, Discrepancy.COUNTER},
    ),
    "reservation of no competition": (
        {"reservation": {"competition_id": "d"}},
        {Discrepancy.ORPHAN, Discrepancy.UNCOUNTED},
    ),
    "unknown reason": ({"entry": {"reason": "whatever"}}, {Discrepancy.REASON}),
    "unknown status": (
        {"reservation": {"status": "odd"}},
        {Discrepancy.STATUS, Discrepancy.OTHER_AMOUNT, Discrepancy.UNCOUNTED},
    ),
    "nothing": ({}, set()),
}


@pytest.mark.parametrize("case", FOUND)
async def test_whatever_does_not_add_up_is_found(tmp_path: Path, case: str) -> None:
    """Each by its kind, and no more than there is."""
    change, kinds = FOUND[case]

    plan = await planned(tmp_path, small(**change))

    assert {finding.kind for finding in plan.findings} == kinds


@pytest.mark.parametrize("case", [case for case, (_, kinds) in FOUND.items() if Discrepancy.STATUS not in kinds])
async def test_what_comes_in_has_the_source_s_counter(
    tmp_path: Path, case: str, bring_in: BringIn, gateway: Gateway
) -> None:
    """And its ledger; the reservations decide only where they have more than the counter knows of."""
    tables = small(**FOUND[case][0])
    (competition,), (entry,) = tables["competitions"], tables["capacity_ledger"]
    await bring_in(write(tmp_path, tables))

    (total, actual, expected, _, entries) = (await reconciled(gateway))["C"]

    belongs = entry["competition_id"] == "c"
    kinds = FOUND[case][1]
    assert total == 100
    assert expected == 100 + (entry["change_amount"] if belongs else 0)
    assert entries == belongs
    if Discrepancy.TOO_FREE in kinds:
        assert actual < competition["available_reservation_tokens"]
    else:
        assert actual == competition["available_reservation_tokens"]


async def test_rows_of_another_tenant_stay_behind(tmp_path: Path, bring_in: BringIn) -> None:
    """A shared portal comes in tenant by tenant."""
    tables = small(competition={"tenant_id": "another"})

    assert await bring_in(write(tmp_path, tables)) == {}


async def test_a_reservation_goes_on_where_it_stood(tmp_path: Path, bring_in: BringIn, gateway: Gateway) -> None:
    """A pending one is approved, an approved one gives back and is summarised: all through the usual doors."""
    tables = small(reservation={"spaces_requested": 30, "approved_by": "dora"})
    pending = {"id": "p", "competition_id": "c", "status": "pending", "spaces_requested": 20}
    tables["reservations"].append(pending)
    await bring_in(write(tmp_path, tables))

    approve = 'mutation { approve(input: {reservationId: "p", spacesConfirmed: 20}) { __typename } }'
    again = (
        'mutation { approve(input: {reservationId: "r", spacesConfirmed: 30}) {'
        " ... on ReservationSuccess { replayed } } }"
    )
    summarise = 'mutation { submitSummary(input: {reservationId: "r", entriesUsed: 25}) { __typename } }'
    assert await gateway.send(approve) == {"__typename": "ReservationSuccess"}
    assert await gateway.send(again) == {"replayed": True}
    assert await gateway.send(summarise) == {"__typename": "ReservationSuccess"}
    assert await reconciled(gateway) == {"C": (100, 55, 55, 0, 3)}
