"""What only the user can mend, said in words."""

from pydantic import ValidationError

from capacity_gateway.command_line.saying import fail
from capacity_gateway.kernel.database import CONNECTION_LOST, REFUSED, NoConnection
from capacity_gateway.kernel.errors import Busy


def explain(error: Exception) -> None:
    """Say what is wrong and exit 2, where it is no bug: settings, the database, or what was asked for."""
    match error:
        case ValidationError():
            fail("\n".join(f"CAPACITY_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()))
        case Busy() | RuntimeError():
            fail(str(error))
    if isinstance(error, (*CONNECTION_LOST, NoConnection)):
        fail(str(error) if getattr(error, "filename", None) else f"The database cannot be reached: {error}")
    if isinstance(error, REFUSED):
        fail(f"The database refuses: {error}")
