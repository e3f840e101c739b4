"""One POST to a URL that somebody has given: never into our own network, unless that is wanted, and never for long."""

import asyncio
import socket
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from types import TracebackType
from typing import Any, Self

import httpcore

from capacity_gateway.kernel.webhooks import Failure, WebhookFailure

RESOLVERS = 8  # threads of their own: a name server that is silent holds up no others of the process
KEPT_SECONDS = 30.0  # an idle connection
ANSWER_BYTES_MAX = 16 * 1024  # read of an answer, so that its connection can be kept; of what is longer it is closed
SUCCESSES = range(200, 300)
TRANSLATED = IPv6Network("64:ff9b::/96")  # an IPv4 address within, which may be anybody's


class NotPublic(Exception):
    """A name leads to an address that is not public."""


def is_public(address: str) -> bool:
    """Whether an address is one of the internet's, and of a single machine."""
    found = ip_address(address)
    if isinstance(found, IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo and found.teredo[1])
        if found in TRANSLATED:
            inner = IPv4Address(int(found) & 0xFFFFFFFF)
        if inner:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast


class PublicNetwork(httpcore.AsyncNetworkBackend):
    """Connects to public addresses only. What is checked is what is connected to: no name is resolved twice."""

    def __init__(self) -> None:
        self._network = httpcore.AnyIOBackend()
        self._resolvers = ThreadPoolExecutor(RESOLVERS, "resolver")

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to one of a name's addresses, all of which must be public."""
        resolve = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._resolvers, resolve)
        addresses = list(dict.fromkeys(str(place[0]) for *_, place in found))
        if not all(map(is_public, addresses)):
            raise NotPublic
        for address in addresses[:-1]:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._network.connect_tcp(addresses[-1], port, timeout, local_address, socket_options)

    def close(self) -> None:
        """Let the resolvers go."""
        self._resolvers.shutdown(wait=False, cancel_futures=True)


class Poster:
    """Posts, over connections that are kept until it is left. It follows no redirect, and minds no proxy."""

    def __init__(self, *, timeout_seconds: float, anywhere: bool) -> None:
        self.timeout_seconds = timeout_seconds
        self._network = None if anywhere else PublicNetwork()
        self._connections = httpcore.AsyncConnectionPool(
            max_connections=None, keepalive_expiry=KEPT_SECONDS, network_backend=self._network
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connections.aclose()
        if self._network:
            self._network.close()

    async def post(self, url: str, headers: Mapping[bytes | str, bytes | str], body: bytes) -> Failure | None:
        """Post it; None when it was answered with 200 to 299, in time."""
        try:
            async with (
                asyncio.timeout(self.timeout_seconds),
                self._connections.stream("POST", url, headers=headers, content=body) as answer,
            ):
                read = 0
                async for part in answer.aiter_stream():
                    read += len(part)
                    if read > ANSWER_BYTES_MAX:
                        break
        except (TimeoutError, httpcore.TimeoutException):
            return Failure(reason=WebhookFailure.TIMEOUT)
        except NotPublic:
            return Failure(reason=WebhookFailure.ADDRESS)
        except (OSError, UnicodeError, httpcore.NetworkError, httpcore.ProtocolError):  # a name may be none
            return Failure(reason=WebhookFailure.CONNECTION)
        if answer.status not in SUCCESSES:
            return Failure(reason=WebhookFailure.STATUS, status=answer.status)
        return None
