"""Where a message may be posted to, and how long that may take."""

import asyncio
import socket
import time
from typing import Any

import pytest

from capacity_gateway.kernel.webhooks import Failure, WebhookFailure
from capacity_gateway.posting import Poster, is_public
from receiving import receiving

PUBLIC = ("1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "64:ff9b::101:101")
OURS = (
    "0.0.0.0",  # noqa: S104 - not to be listened on
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.1.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:10.0.0.1",
    "2002:0a00:0001::",
    "64:ff9b::10.0.0.1",
    "fd00::1",
    "fe80::1%eth0",
    "ff02::1",
)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    """One of the internet's."""
    assert is_public(address)


@pytest.mark.parametrize("address", OURS)
def test_addresses_that_are_not_public(address: str) -> None:
    """Of this machine, of this network, of many, or another kind of address with one of these inside."""
    assert not is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "127.1", "[::1]", "0"])
async def test_nothing_is_sent_to_our_own_network(host: str) -> None:
    """By whatever name; nobody is even connected to."""
    async with receiving() as receiver, Poster(timeout_seconds=5, anywhere=False) as poster:
        port = receiver.url.rpartition(":")[2]
        failure = await poster.post(f"http://{host}:{port}/", {}, b"x")

    assert failure is not None
    assert failure.reason in (WebhookFailure.ADDRESS, WebhookFailure.CONNECTION)  # no IPv6 here, no such name there
    assert (receiver.connections, receiver.messages) == (0, [])


async def test_a_name_that_leads_here_as_well_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One address of a name that is not public is enough; and what was looked at is what would be connected to."""
    asked = []

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (to, port)) for to in ("93.184.215.14", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    async with Poster(timeout_seconds=5, anywhere=False) as poster:
        assert await poster.post("https://example.org/", {}, b"x") == Failure(reason=WebhookFailure.ADDRESS)
    assert asked == ["example.org"]


@pytest.mark.parametrize("status", [300, 301, 307, 400, 500])
async def test_whatever_is_no_success_has_failed(status: int) -> None:
    """Also a redirect, which is not followed."""
    async with receiving(lambda _: status) as receiver, Poster(timeout_seconds=5, anywhere=True) as poster:
        assert await poster.post(receiver.url, {}, b"x") == Failure(reason=WebhookFailure.STATUS, status=status)

    assert len(receiver.messages) == 1


async def test_where_nobody_listens_there_is_no_connection() -> None:
    """Nor where it is not HTTP that is spoken."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port = bound.getsockname()[1]
    async with Poster(timeout_seconds=5, anywhere=True) as poster:
        there = f"127.0.0.1:{port}"
        for url in (f"http://{there}", f"https://{there}", "http://no-such-name.invalid", f"http://{'a' * 64}.org"):
            assert await poster.post(url, {}, b"x") == Failure(reason=WebhookFailure.CONNECTION)


async def test_an_answer_without_end_is_not_waited_for() -> None:
    """Neither one that drips nor one that floods."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"x")
        writer.write(b"HTTP/1.1 200 \r\ncontent-length: 1000000000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"z")
            await asyncio.sleep(0.02)
            if writer.is_closing():
                break
        writer.close()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"x")
        writer.write(b"HTTP/1.1 200 \r\ncontent-length: 1000000000\r\n\r\n" + b"z" * 100_000)
        await writer.drain()
        await reader.read()
        writer.close()

    outcomes = []
    for serve in (drip, flood):
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server, Poster(timeout_seconds=0.5, anywhere=True) as poster:
            began = time.monotonic()
            port = server.sockets[0].getsockname()[1]
            outcomes.append(await poster.post(f"http://127.0.0.1:{port}/", {}, b"x"))
            assert time.monotonic() - began < 10
    await asyncio.sleep(0.05)
    assert outcomes == [Failure(reason=WebhookFailure.TIMEOUT), None]


async def test_one_connection_serves_one_message_after_the_other() -> None:
    """As long as it is kept."""
    async with receiving() as receiver, Poster(timeout_seconds=5, anywhere=True) as poster:
        assert [await poster.post(receiver.url, {}, b"x") for _ in range(5)] == [None] * 5

    assert (receiver.connections, len(receiver.messages)) == (1, 5)
