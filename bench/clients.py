"""What is sent, and the process that sends it."""

import subprocess
import sys
from dataclasses import asdict
from typing import Any

import orjson

from bench.cpu import REGISTER
from bench.database import TENANT
from bench.load import NUMBER, Found, Load
from bench.servers import SECRET, Server
from capacity_gateway.login import mint
from capacity_gateway.settings import Settings

POSTGRAPHILE = "mutation Register($input: RegisterInput!) { register(input: $input) { result } }"

REGISTERED = "RegistrationSuccess"
OK = '"OK"'


def token(role: str = "service", tenant: str = TENANT) -> str:
    """A login."""
    return mint(Settings(jwt_secret=SECRET), {"sub": "bench", "role": role, "tenant": tenant}, ttl_seconds=86_400)


def http(path: str, body: str, headers: dict[str, str]) -> str:
    """A whole HTTP request."""
    head = {"host": "bench", "content-type": "application/json", **headers, "content-length": str(len(body.encode()))}
    return f"POST {path} HTTP/1.1\r\n" + "".join(f"{n}: {v}\r\n" for n, v in head.items()) + f"\r\n{body}"


def graphql(document: str, variables: dict[str, Any], login: str | None = None) -> str:
    """The HTTP request of an operation."""
    body = orjson.dumps({"query": document, "variables": variables}).decode()
    return http("/graphql", body, {"authorization": f"Bearer {login}"} if login else {})


def registration(ref: str = "hot") -> dict[str, Any]:
    """The variables of a registration, with a holder and a key of its own each time."""
    number = NUMBER.decode()
    return {"input": {"eventId": ref, "holder": f"holder-{number}", "idempotencyKey": f"key-{number}"}}


def register(ref: str = "hot", tenant: str = TENANT) -> str:
    """A registration by a service on behalf of somebody, as the gateway takes it."""
    return graphql(REGISTER, registration(ref), token(tenant=tenant))


class Sending:
    """A load generator at work."""

    def __init__(self, server: Server, requests: list[str], **load: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        given = {"success": REGISTERED, "connections": 64, **load}
        assert self._process.stdin
        self._process.stdin.write(orjson.dumps(asdict(Load(port=server.port, requests=requests, **given))))
        self._process.stdin.close()

    def found(self) -> Found:
        """What came of it, at its end."""
        assert self._process.stdout
        said = self._process.stdout.read()
        if self._process.wait():
            raise RuntimeError("the load generator failed")
        return Found(**orjson.loads(said))


def send(server: Server, requests: list[str], **load: Any) -> Found:
    """Send a load, and wait for its end."""
    return Sending(server, requests, **load).found()
