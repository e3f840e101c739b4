"""A receiver of webhooks, which checks every signature by the code of docs/webhooks.md."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

GUIDE = (Path(__file__).parents[1] / "docs" / "webhooks.md").read_text()
Json = dict[str, Any]


def reader() -> Callable[[str, dict[str, str], bytes], Json]:
    """The function `read` of the guide."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", GUIDE, flags=re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - it is what is being tested
    found: Callable[[str, dict[str, str], bytes], Json] = names["read"]
    return found


read = reader()


@dataclass
class Message:
    """One message that has arrived."""

    headers: dict[str, str]
    body: bytes
    port: int
    """Of whoever has sent it."""

    @property
    def id(self) -> str:
        """What it is known by when it comes again."""
        return self.headers["webhook-id"]

    def read(self, secret: str) -> Json:
        """What it says; fails where its signature does not hold."""
        return read(secret, self.headers, self.body)


@dataclass
class Receiver:
    """Listens, and answers each message with the status that `answer` has for it."""

    answer: Callable[[Message], int] = lambda _: 204
    messages: list[Message] = field(default_factory=list)
    url: str = ""
    wait_seconds: float = 0
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer all messages of one connection."""
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().splitlines()[1:-1]
                headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
                message = Message(
                    headers,
                    await reader.readexactly(int(headers["content-length"])),
                    writer.get_extra_info("peername")[1],
                )
                await asyncio.sleep(self.wait_seconds)
                self.messages.append(message)
                status = self.answer(message)
                writer.write(f"HTTP/1.1 {status} \r\ncontent-length: 0\r\nlocation: {self.url}/moved\r\n\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def firsts(self, secret: str) -> list[Json]:
        """What has arrived, each message once, in the order in which they first came."""
        known = {message.id: message for message in reversed(self.messages)}
        return [message.read(secret) for message in dict(reversed(known.items())).values()]

    async def until(self, condition: Callable[[], bool], *, seconds: float = 30) -> None:
        """Wait for something to be so."""
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - it is asked of what arrives
                await asyncio.sleep(0.01)


@asynccontextmanager
async def receiving(answer: Callable[[Message], int] = lambda _: 204) -> AsyncIterator[Receiver]:
    """A receiver on this machine."""
    receiver = Receiver(answer)
    links: set[asyncio.Task[None]] = set()

    def link(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(receiver.serve(reader, writer))
        links.add(task)
        task.add_done_callback(links.discard)

    server = await asyncio.start_server(link, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield receiver
    finally:
        server.close()
        for task in list(links):
            task.cancel()
        await asyncio.gather(*links, return_exceptions=True)
        await server.wait_closed()
