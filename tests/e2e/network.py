"""A network of its own for a gateway, on a wire that can be cut: packets are lost on it, and nobody is told."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from capacity_gateway.embedded import EmbeddedPostgres

NOWHERE = "02:00:00:00:00:99"  # nobody's address: what is sent there is dropped by whoever receives it

MISSING = "network namespaces, which need root and `ip` (apt-get install iproute2)"


@dataclass(frozen=True)
class Network:
    """A network namespace, joined to this one by a wire."""

    name: str
    subnet: str
    """The first two numbers of its addresses."""

    @property
    def database_host(self) -> str:
        """Where it finds PostgreSQL, on this side; this is what can be cut."""
        return f"{self.subnet}.1.1"

    @property
    def gateway_host(self) -> str:
        """Where its gateway is found, which stays."""
        return f"{self.subnet}.2.2"

    def command(self, *words: object) -> list[str]:
        """A command that runs in it."""
        return ["ip", "netns", "exec", self.name, *map(str, words)]

    def cut(self) -> None:
        """Lose all that is sent between the gateway and the database."""
        self._neighbour(f"-n {self.name}", "replace", self.database_host, f"lladdr {NOWHERE} nud permanent", "inside")
        self._neighbour("", "replace", f"{self.subnet}.1.2", f"lladdr {NOWHERE} nud permanent", "outside")

    def mend(self) -> None:
        """Lose nothing any more."""
        self._neighbour(f"-n {self.name}", "del", self.database_host, "", "inside")
        self._neighbour("", "del", f"{self.subnet}.1.2", "", "outside")

    def _neighbour(self, where: str, verb: str, host: str, how: str, side: str) -> None:
        device = f"{self.name}-{side[0]}"
        ip(f"{where} neigh {verb} {host} {how} dev {device}")


@contextmanager
def network() -> Iterator[Network]:
    """A network, gone at the end; its addresses are those that no other process here has taken."""
    made = Network(f"cap{os.getpid()}", f"10.{os.getpid() % 200 + 20}")
    outside, inside = f"{made.name}-o", f"{made.name}-i"
    ip(f"netns add {made.name}")
    try:
        ip(f"link add {outside} type veth peer name {inside} netns {made.name}")
        for where, device, end in (("", outside, 1), (f"-n {made.name}", inside, 2)):
            for part in (1, 2):
                ip(f"{where} addr add {made.subnet}.{part}.{end}/24 dev {device}")
            ip(f"{where} link set {device} up")
        ip(f"-n {made.name} link set lo up")
        yield made
    finally:
        subprocess.run(["ip", "link", "del", outside], check=False, capture_output=True)  # noqa: S603, S607 - likewise
        ip(f"netns del {made.name}")


def can_be_made() -> bool:
    """Whether this user of this machine can make one."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        return False
    try:
        with network():
            return True
    except subprocess.CalledProcessError:
        return False


def listen(server: EmbeddedPostgres, made: Network) -> str:
    """Have a server, which is restarted for it, listen to a network; its address from there, as the owner."""
    server.start()
    server.stop()
    with (server.pgdata / "postgresql.conf").open("a") as conf:
        conf.write(f"listen_addresses = '{made.database_host}'\n")
    with (server.pgdata / "pg_hba.conf").open("a") as hba:
        hba.write(f"host all all {made.subnet}.0.0/16 trust\n")
    server.start()
    return f"postgresql://postgres@{made.database_host}:5432/postgres"


def ip(words: str) -> None:
    """Run `ip`."""
    subprocess.run(["ip", *words.split()], check=True, capture_output=True)  # noqa: S603, S607 - our own command
