"""The public keys of whoever signs logins: a JSON Web Key Set, in a file or at a URL."""

import asyncio
import time
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import HTTPRedirectHandler, Request, build_opener

import jwt
import orjson
import structlog

log = structlog.get_logger()

ALGORITHMS = ("RS256", "ES256")
BYTES_MAX = 256 * 1024
FETCH_SECONDS = 3.0

Keys = Mapping[tuple[str, str | None], jwt.PyJWK]
"""Keys by algorithm and id; the only one of its algorithm also under no id."""


class KeyFile:
    """The set in a file, read again whenever the file has changed. What cannot be read leaves the keys as they were."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._stamp: tuple[int, ...] | None = None
        self._keys: Keys = {}

    def known(self) -> Keys:
        """The keys as they are known now; the same object until they change."""
        stamp = self._stamp_now()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._keys = read_keys(self._path.read_bytes())
            except (OSError, ValueError) as error:
                log.warning("the JWKS cannot be read", file=str(self._path), error=str(error))
        return self._keys

    def _stamp_now(self) -> tuple[int, ...]:
        try:
            status = self._path.stat()
        except OSError:
            return ()
        return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    async def renewed(self) -> Keys:
        """The same: a file is always as it is now."""
        return self.known()


class KeyUrl:
    """The set at a URL, kept, and fetched again when it is old or a key is missed.

    However many ask, there is one fetch at a time, and none within the cool-down of the one before. A fetch that fails
    leaves the keys as they were.
    """

    def __init__(self, url: str, *, cooldown_seconds: float, age_seconds: float = 300.0) -> None:
        self._url = url
        self._cooldown_seconds = cooldown_seconds
        self._age_seconds = age_seconds
        self._text = b""
        self._keys: Keys = {}
        self._fetching: asyncio.Task[None] | None = None
        self._fetched_at = float("-inf")

    def known(self) -> Keys:
        """The keys as they are known now; the same object until they change."""
        if time.monotonic() - self._fetched_at > self._age_seconds:
            self._fetch_soon()
        return self._keys

    async def renewed(self) -> Keys:
        """The keys after another fetch, if one is due."""
        self._fetch_soon()
        if self._fetching is not None:
            await asyncio.shield(self._fetching)
        return self._keys

    def _fetch_soon(self) -> None:
        under_way = self._fetching is not None and not self._fetching.done()
        if not under_way and time.monotonic() - self._fetched_at > self._cooldown_seconds:
            self._fetching = asyncio.create_task(self._fetch())

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                text = await asyncio.to_thread(fetch, self._url)
            if text != self._text:
                self._text, self._keys = text, read_keys(text)
        except (OSError, HTTPException, ValueError) as error:
            log.warning("the JWKS cannot be had", url=self._url, error=str(error))
        finally:
            self._fetched_at = time.monotonic()


class _Stay(HTTPRedirectHandler):
    """The set is where the setting says, and nowhere else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow nothing."""


def fetch(url: str) -> bytes:
    """The set's text from an http or https URL; blocks.

    Raises:
        OSError, HTTPException: when it cannot be had, or redirects.
        ValueError: when it is too large.
    """
    request = Request(url, headers={"accept": "application/jwk-set+json, application/json"})  # noqa: S310 - http(s) only
    with build_opener(_Stay).open(request, timeout=FETCH_SECONDS) as response:
        text: bytes = response.read(BYTES_MAX + 1)
    if len(text) > BYTES_MAX:
        raise ValueError("the JWKS is too large")
    return text


def read_keys(text: bytes) -> Keys:
    """The keys of a set that may check RS256 and ES256 signatures; all others, such as short or secret ones, are left.

    Raises:
        ValueError: when it is no set, or none of its keys is one of these.
    """
    document = orjson.loads(text)
    entries = document.get("keys") if isinstance(document, dict) else None
    found: dict[tuple[str, str | None], jwt.PyJWK] = {}
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and (key := _read_key(entry)) is not None:
            found.setdefault((key.algorithm_name, key.key_id), key)
    for algorithm in ALGORITHMS:
        of_it = [key for (name, _), key in found.items() if name == algorithm]
        if len(of_it) == 1:
            found[algorithm, None] = of_it[0]
        else:
            found.pop((algorithm, None), None)  # which of several is meant is not for a token to leave open
    if not found:
        raise ValueError("there is no key for RS256 or ES256 in the JWKS")
    return found


def _read_key(entry: dict[str, Any]) -> jwt.PyJWK | None:
    if (entry.get("kty"), entry.get("crv")) not in (("RSA", None), ("EC", "P-256")) or "d" in entry:
        return None
    try:
        key = jwt.PyJWK(entry)
        for_logins = key.algorithm_name in ALGORITHMS and entry.get("use", "sig") == "sig"
        if for_logins and "verify" in entry.get("key_ops", ["verify"]) and isinstance(key.key_id, str | None):
            return None if key.Algorithm.check_key_length(key.key) else key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        pass
    return None
