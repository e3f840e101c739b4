"""The command line: which commands there are, and how they fail."""

import ast
from importlib.metadata import version
from pathlib import Path

from cyclopts import App, Parameter

COMMANDS = {
    "serving": ["up", "serve"],
    "upkeep": ["migrate", "token", "erase"],
    "checking": ["reconcile", "backfill", "repair", "doctor"],
    "old_data": ["import_", "shadow"],
    "files": ["export_ledger", "verify", "export_schema"],
}
"""The functions behind the commands, by their files in `command_line/`, which are imported when one of them is run."""


def command_line() -> App:
    """All commands, with their help, which is read without importing any: that would take 0.9 s of 1.1 (measured)."""
    app = App(
        name="capacity-gateway",
        help="The one place where capacity is taken and given back.",
        version=lambda: version("capacity-gateway"),
        default_parameter=Parameter(negative=()),  # no --no-json beside --json
    )
    app.register_install_completion_command(add_to_startup=False)
    for file, names in COMMANDS.items():
        text = (Path(__file__).parent / "command_line" / f"{file}.py").read_text()
        functions = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
        helps = {function.name: ast.get_docstring(function) for function in functions}
        for name in names:
            app.command(f"capacity_gateway.command_line.{file}:{name}", help=helps[name])
    return app


def main() -> None:
    """Run the command line; what only its user can mend is said without a traceback."""
    try:
        command_line()()
    except Exception as error:
        from capacity_gateway.command_line.failing import explain  # noqa: PLC0415 - takes 0.3 s

        explain(error)
        raise


if __name__ == "__main__":
    main()
