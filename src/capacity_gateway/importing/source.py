"""Where old data is read from: a PostgreSQL database, a folder of CSV files, or the replay's JSON."""

import csv
import json
import tomllib
from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import asyncpg
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from capacity_gateway.importing.replay import Tables, tables_of
from capacity_gateway.kernel.vocabulary import LedgerReason

Row = TypeVar("Row")
Record = Mapping[str, Any]
Strings = dict[str, str]
INT = Field(ge=-(2**31), lt=2**31)


def moment(value: object) -> object:
    """A time as databases write it; without a zone it is UTC."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


Moment = Annotated[datetime, BeforeValidator(moment)]
Int = Annotated[int, INT]


class Unreadable(RuntimeError):
    """What is wrong with a source or a mapping, for whoever can mend it."""


class Naming(BaseModel):
    """What a source calls its tables, columns, statuses and reasons, where that is not what we call them."""

    model_config = ConfigDict(extra="forbid")

    tables: Strings = {}
    columns: dict[str, Strings] = {}
    statuses: Strings = {}
    reasons: dict[str, LedgerReason] = {}

    @classmethod
    def read(cls, file: Path | None, known: Mapping[str, type]) -> "Naming":
        """The naming of a TOML file; without one nothing has another name.

        Raises:
            Unreadable: where it cannot be read, or names a table or a column that nobody asks for.
        """
        if file is None:
            return cls()
        try:
            naming = cls.model_validate(tomllib.loads(file.read_text()))
        except (OSError, ValueError) as error:  # pydantic's and tomllib's errors are ValueErrors
            raise Unreadable(f"{file}: {error}") from error
        for table in {*naming.tables, *naming.columns} - set(known):
            raise Unreadable(f"{file}: there is no table {table}; known are {', '.join(sorted(known))}")
        for table, columns in naming.columns.items():
            wanted = {each.name for each in fields(known[table])}
            for column in set(columns) - wanted:
                raise Unreadable(f"{file}: {table} has no column {column}; known are {', '.join(sorted(wanted))}")
        return naming


class Source(ABC):
    """Tables of an older system."""

    def __init__(self, naming: Naming) -> None:
        self.naming = naming

    @abstractmethod
    async def columns(self, table: str) -> Container[str]:
        """The names of a table's columns; none where there is no such table."""

    @abstractmethod
    async def records(self, table: str, columns: Strings) -> Iterable[Record]:
        """A table's records with these of its columns, each by our name for it."""

    async def has(self, table: str) -> bool:
        """Whether there is this table."""
        return bool(await self.columns(self.naming.tables.get(table, table)))

    async def read(self, table: str, row: type[Row], *, required: bool = True) -> list[Row]:
        """The rows of a table; none where it is missing and not required.

        Raises:
            Unreadable: where a table or a column is missing, or a value is none of its kind.
        """
        theirs, renamed = self.naming.tables.get(table, table), self.naming.columns.get(table, {})
        there = await self.columns(theirs)
        if not there:
            if required:
                raise Unreadable(f"There is no table {theirs}; name it in [tables] of the mapping")
            return []
        here = {}
        for each in fields(cast(Any, row)):
            name = renamed.get(each.name, each.name)
            if name in there:
                here[each.name] = name
            elif each.default is MISSING:
                raise Unreadable(f"{theirs} has no column {name}; name it in [columns.{table}] of the mapping")
        return list(_validated(theirs, row, await self.records(theirs, here)))


def _validated(table: str, row: type[Row], records: Iterable[Record]) -> Iterator[Row]:
    validate = TypeAdapter(row).validate_python
    for number, record in enumerate(records, start=1):
        try:
            yield validate({name: value for name, value in record.items() if value not in (None, "")})
        except ValidationError as error:
            first = error.errors()[0]
            column = ".".join(map(str, first["loc"]))
            raise Unreadable(f"{table} {record.get('id') or f'row {number}'}: {column}: {first['msg']}") from error


def open_source(place: str, naming: Naming) -> Source:
    """The source at a PostgreSQL URL, in a folder of CSV files named like their tables, or in a replay's JSON file.

    Raises:
        Unreadable: where there is none.
    """
    if place.startswith(("postgresql://", "postgres://")):
        return PostgresSource(naming, place)
    path = Path(place)
    if path.is_dir():
        return CsvSource(naming, path)
    try:
        return ReplaySource(naming, tables_of(json.loads(path.read_text())))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unreadable(f"{place} is no PostgreSQL URL, no folder with CSV files and no replay: {error!r}") from error


class PostgresSource(Source):
    """A PostgreSQL database. All comes as text, so that a value means the same wherever it comes from."""

    def __init__(self, naming: Naming, url: str) -> None:
        super().__init__(naming)
        self._url = url

    async def _fetch(self, statement: str, *values: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self._url, timeout=5, server_settings={"timezone": "UTC"})
        try:
            async with connection.transaction(readonly=True):
                return await connection.fetch(statement, *values)
        finally:
            await connection.close()

    async def columns(self, table: str) -> Container[str]:
        """As its catalogue has them."""
        rows = await self._fetch(
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped",
            table,
        )
        return {row["attname"] for row in rows}

    async def records(self, table: str, columns: Strings) -> Iterable[Record]:
        """Read in one statement, so that it is of one moment."""
        place = (await self._fetch("SELECT to_regclass($1)::text AS name", table))[0]["name"]  # quoted where it must be
        selected = ", ".join(f'"{name.replace(chr(34), 2 * chr(34))}"::text' for name in columns.values())
        rows = await self._fetch(f"SELECT {selected} FROM {place}")  # noqa: S608 - names that are there, quoted
        return (dict(zip(columns, row, strict=True)) for row in rows)


class CsvSource(Source):
    """A folder with a CSV file for each table, whose first line has the names of its columns."""

    def __init__(self, naming: Naming, folder: Path) -> None:
        super().__init__(naming)
        self._folder = folder

    def _rows(self, table: str) -> Iterator[dict[str, Any]]:
        with (self._folder / f"{table}.csv").open(newline="", encoding="utf-8-sig") as file:
            yield from csv.DictReader(file)

    async def columns(self, table: str) -> Container[str]:
        """The file's first line."""
        try:
            with (self._folder / f"{table}.csv").open(newline="", encoding="utf-8-sig") as file:
                return next(csv.reader(file), [])
        except FileNotFoundError:
            return ()
        except (OSError, UnicodeDecodeError) as error:
            raise Unreadable(f"{table}.csv cannot be read: {error}") from error

    async def records(self, table: str, columns: Strings) -> Iterable[Record]:
        """Its other lines."""
        return ({ours: row[name] for ours, name in columns.items()} for row in self._rows(table))


class ReplaySource(Source):
    """Tables at hand."""

    def __init__(self, naming: Naming, tables: Tables) -> None:
        super().__init__(naming)
        self._tables = tables

    async def columns(self, table: str) -> Container[str]:
        """Those that any of its rows has."""
        return {name for row in self._tables.get(table, []) for name in row}

    async def records(self, table: str, columns: Strings) -> Iterable[Record]:
        """Its rows."""
        return ({ours: row.get(name) for ours, name in columns.items()} for row in self._tables[table])
