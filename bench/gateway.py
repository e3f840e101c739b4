"""One process of the gateway, as the product serves; or, to compare it with, one transaction a mutation.

    python -m bench.gateway PORT [--one-by-one CONNECTIONS]

The port may be shared: several of these on one are so many workers, and the system spreads connections over them.
"""

import argparse
import asyncio
import socket
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from types import SimpleNamespace
from unittest.mock import patch

from capacity_gateway.app import application
from capacity_gateway.command_line.serving import Server, configuration
from capacity_gateway.kernel.capacity import Capacity
from capacity_gateway.kernel.database import Database
from capacity_gateway.settings import settings


def main() -> None:
    """Serve until told to stop, in one way or the other."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--one-by-one", type=int, metavar="CONNECTIONS")
    asked = parser.parse_args()
    with ExitStack() as stack:
        if asked.one_by_one:
            stack.enter_context(one_by_one(asked.one_by_one))
        serve(asked.port)


def one_by_one(connections: int) -> AbstractContextManager[object]:
    """Within it the gateway does without its combiner. Not a setting: nobody should run it so."""
    return patch.multiple(
        "capacity_gateway.app",
        Capacity=partial(Capacity, combining=False),
        Database=SimpleNamespace(open=partial(Database.open, connections_max=connections)),
    )


def serve(port: int) -> None:
    """Serve as the product does, on a port that others may share."""
    listener = socket.socket(proto=socket.IPPROTO_TCP)  # without it asyncio leaves Nagle's algorithm on: 40 ms
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    knobs = settings()
    served = application(knobs, str(knobs.database_url))
    asyncio.run(Server(served, configuration(knobs, served, "127.0.0.1", port)).serve([listener]))


if __name__ == "__main__":
    main()
