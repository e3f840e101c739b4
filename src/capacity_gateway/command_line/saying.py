"""How commands speak: results go to the standard output, what a person reads while it works to the standard error."""

import json
import signal
import sys
from typing import Annotated, Any, NoReturn

from cyclopts import Parameter
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

COULD_NOT = 2
"""The exit code of what could not be done or told, and of wrong usage."""
said = Console(stderr=True)
"""What a person reads while it works."""

Tenant = Annotated[str | None, Parameter(help="The tenant; absent = CAPACITY_DEFAULT_TENANT.")]
AsJson = Annotated[bool, Parameter(name="--json", help="Print JSON, for programs.")]


def print_json(result: object) -> None:
    """Print a result for programs."""
    print(json.dumps(result, indent=2), flush=True)  # noqa: T201 - the command's result


def fail(message: str) -> NoReturn:
    """Say what is wrong, and exit."""
    said.print(message, style="red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(COULD_NOT)


def table_of(title: str, rows: list[dict[str, Any]], names: list[str]) -> Table:
    """Some columns of these rows as a table."""
    table = Table(*(Column(name.capitalize(), overflow="fold") for name in names), title=title)
    for row in rows:
        table.add_row(*(Text("" if row[name] is None else str(row[name])) for name in names))
    return table


def stop_on_sigterm() -> None:
    """Let SIGTERM unwind the stack like Ctrl-C, so that what was started is stopped."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
