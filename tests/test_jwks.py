"""Logins signed with public keys: which keys count, where they come from, and when they are looked for again."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from capacity_gateway.kernel.context import Caller
from capacity_gateway.login import LOGINS_REMEMBERED, Login
from capacity_gateway.settings import Settings
from conftest import running

SECRET = "a secret for tests, 32 bytes or more"  # noqa: S105 - for tests

RSA, OTHER_RSA = (rsa.generate_private_key(65537, 2048) for _ in range(2))
EC, OTHER_EC = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def public(key: Key, kid: str | None = "k", **more: Any) -> dict[str, Any]:
    """A public key as a set has it."""
    if isinstance(key, rsa.RSAPrivateKey):
        found = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        found = jwt.algorithms.ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return found | ({} if kid is None else {"kid": kid}) | more


def bearer(key: Any, kid: str | None = "k", algorithm: str | None = None, **headers: Any) -> str:
    """An Authorization header with dora's token, signed with a key."""
    algorithm = algorithm or ("RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256")
    given = headers if kid is None else {"kid": kid, **headers}
    return f"Bearer {jwt.encode({'sub': 'dora', 'exp': int(time.time()) + 60}, key, algorithm, headers=given)}"


def write(file: Path, *keys: dict[str, Any]) -> str:
    """A set in a file; its path."""
    file.write_text(json.dumps({"keys": keys}))
    return str(file)


def login(source: str, **knobs: Any) -> Login:
    """The logins of a gateway with this key set."""
    return Login(Settings(jwt_secret=SECRET, jwt_jwks=source, **knobs))


async def holds(login: Login, authorization: str) -> bool:
    """Whether a login holds."""
    return isinstance(await login.caller(authorization), Caller)


class Issuer:
    """A server of a key set, which counts how often it is asked."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = [public(RSA)]
        self.status, self.body = 200, b""
        self.headers: dict[str, str] = {}
        self.asked = 0
        self.wait_seconds = 0.0
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                time.sleep(issuer.wait_seconds)
                self.send_response(issuer.status)
                for name, value in issuer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(issuer.body or json.dumps({"keys": issuer.keys}).encode())

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/keys"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """A server of a key set with the key `k`."""
    issuer = Issuer()
    thread = threading.Thread(target=issuer.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield issuer
    issuer.server.shutdown()
    thread.join()
    issuer.server.server_close()


@pytest.mark.parametrize("key", [RSA, EC], ids=["RS256", "ES256"])
async def test_a_token_signed_with_a_key_of_the_set_holds(tmp_path: Path, key: Key) -> None:
    """It says who asks as any other does."""
    caller = await login(write(tmp_path / "keys", public(key))).caller(bearer(key))

    assert isinstance(caller, Caller)
    assert caller.holder == "dora"


async def test_the_secret_goes_on_holding_beside_the_set(tmp_path: Path) -> None:
    """For HS256."""
    assert await holds(login(write(tmp_path / "keys", public(RSA))), bearer(SECRET, algorithm="HS256"))


@pytest.mark.parametrize("key", [OTHER_RSA, OTHER_EC], ids=["RS256", "ES256"])
async def test_a_token_signed_with_another_key_does_not_hold(tmp_path: Path, key: Key) -> None:
    """Though it names one of ours."""
    assert not await holds(login(write(tmp_path / "keys", public(RSA), public(EC))), bearer(key))


async def test_a_public_key_is_no_secret(tmp_path: Path) -> None:
    """An HS256 token signed with the text of the public key, the old confusion of algorithms, does not hold."""
    texts = [RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), public(RSA)["n"].encode()]
    algorithm = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    found = login(write(tmp_path / "keys", public(RSA)))

    for text in texts:
        head, payload, _ = bearer(SECRET, algorithm="HS256").removeprefix("Bearer ").split(".")
        signature = jwt.utils.base64url_encode(algorithm.sign(f"{head}.{payload}".encode(), text)).decode()
        assert not await holds(found, f"Bearer {head}.{payload}.{signature}")


async def test_a_secret_in_the_set_is_no_key(tmp_path: Path) -> None:
    """Who reads the set could sign with it."""
    secret = {"kty": "oct", "kid": "k", "k": jwt.utils.base64url_encode(b"y" * 32).decode(), "alg": "HS256"}
    found = login(write(tmp_path / "keys", secret, public(RSA, "other")))

    assert not await holds(found, bearer("y" * 32, algorithm="HS256"))


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
async def test_another_algorithm_of_a_known_key_does_not_hold(tmp_path: Path, algorithm: str) -> None:
    """RS256 and ES256 are all there is."""
    found = login(write(tmp_path / "keys", public(RSA), public(RSA, alg=algorithm)))

    assert not await holds(found, bearer(RSA, algorithm=algorithm))


async def test_a_key_is_of_its_own_algorithm(tmp_path: Path) -> None:
    """The other algorithm finds nothing under its id."""
    found = login(write(tmp_path / "keys", public(RSA, "rsa"), public(EC, "ec")))

    assert [await holds(found, bearer(key, kid)) for key in (RSA, EC) for kid in ("rsa", "ec")] == [
        True,
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(
    "key",
    [
        public(RSA, use="enc"),
        public(RSA, key_ops=["encrypt"]),
        public(RSA, key_ops=7),
        public(RSA, alg="RS512"),
        public(RSA, alg=["RS256"]),
        public(RSA, kty="EC"),
        public(RSA, kid=None) | {"kid": 7},
        public(RSA, n=7),
        public(RSA, n="?"),
        public(rsa.generate_private_key(65537, 1024)),  # noqa: S505 - it is refused
        jwt.algorithms.RSAAlgorithm.to_jwk(RSA, as_dict=True) | {"kid": "k", "key_ops": ["sign", "verify"]},
    ],
    ids=[
        "for encryption",
        "to encrypt",
        "for nothing",
        "RS512",
        "of a list",
        "of the wrong type",
        "with a number for an id",
        "of a number",
        "of no number",
        "short",
        "private",
    ],
)
async def test_a_key_that_is_not_for_this_is_left(tmp_path: Path, key: dict[str, Any]) -> None:
    """Of another use or algorithm, short, private or broken; the others of the set go on holding."""
    found = login(write(tmp_path / "keys", key, public(EC, "other")))

    assert not await holds(found, bearer(RSA))
    assert await holds(found, bearer(EC, "other"))


async def test_a_token_that_names_no_key_holds_by_the_only_one(tmp_path: Path) -> None:
    """Of its algorithm; where there are several it does not hold."""
    one, several = write(tmp_path / "1", public(RSA), public(EC)), write(tmp_path / "2", public(RSA), public(RSA, "b"))

    assert [await holds(login(source), bearer(RSA, None)) for source in (one, several)] == [True, False]


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c"])
async def test_no_key_is_taken_from_a_token(issuer: Issuer, tmp_path: Path, name: str) -> None:
    """Neither from where it says nor from itself."""
    brought: Any = {"jwk": public(OTHER_RSA), "x5c": ["MII="]}.get(name, issuer.url)
    issuer.keys = [public(OTHER_RSA)]
    found = login(write(tmp_path / "keys", public(RSA, "ours")))

    assert not await holds(found, bearer(OTHER_RSA, **{name: brought}))
    assert await holds(found, bearer(RSA, "ours", **{name: brought}))
    assert issuer.asked == 0


async def test_an_unknown_crit_does_not_hold(tmp_path: Path) -> None:
    """Whatever it is signed with."""
    assert not await holds(login(write(tmp_path / "keys", public(RSA))), bearer(RSA, crit=["x"], x=1))


async def test_the_rules_for_claims_are_the_same(tmp_path: Path) -> None:
    """Without exp, expired, for another audience, an onboarding token."""
    found = login(write(tmp_path / "keys", public(EC)), jwt_audience="gateway")
    now = int(time.time())
    good = {"sub": "dora", "exp": now + 60, "aud": "gateway"}
    wrong: list[dict[str, Any]] = [{"exp": now - 60}, {"aud": "portal"}, {"scope": "onboarding"}, {"nbf": now + 60}]
    tokens = [jwt.encode(good | more, EC, "ES256", headers={"kid": "k"}) for more in ({}, *wrong)]
    tokens.append(jwt.encode({"sub": "dora", "aud": "gateway"}, EC, "ES256", headers={"kid": "k"}))

    assert [await holds(found, f"Bearer {token}") for token in tokens] == [True] + 5 * [False]


async def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """A key that it no longer has does not hold any more, not even for tokens seen before."""
    found = login(write(tmp_path / "keys", public(RSA)))
    before = [await holds(found, bearer(RSA)), await holds(found, token := bearer(RSA))]

    write(tmp_path / "keys", public(RSA, "new"))

    assert before == [True, True]
    assert [await holds(found, token), await holds(found, bearer(RSA, "new"))] == [False, True]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keys": 7}', '{"keys": [7]}', "[" * 5000, "\xff"])
async def test_a_file_that_is_no_set_leaves_the_keys_as_they_were(tmp_path: Path, text: str) -> None:
    """It may be half written; and without a file it is the same."""
    found = login(write(tmp_path / "keys", public(RSA)))
    await holds(found, token := bearer(RSA))

    (tmp_path / "keys").write_text(text)
    written = await holds(found, token)
    (tmp_path / "keys").unlink()

    assert [written, await holds(found, token), await found.problems()] == [True, True, []]


async def test_a_set_at_a_url_is_fetched_once(issuer: Issuer) -> None:
    """And kept, whoever asks."""
    found = login(issuer.url)

    assert all(await asyncio.gather(*(holds(found, bearer(RSA)) for _ in range(20))))
    assert issuer.asked == 1


async def test_a_new_key_is_fetched_when_a_token_names_it(issuer: Issuer) -> None:
    """Keys rotate without a restart; the one that is gone does not hold any more."""
    found = login(issuer.url, jwt_jwks_cooldown_seconds=0)
    old = bearer(RSA)
    before = await holds(found, old)

    issuer.keys = [public(EC, "new")]

    assert [before, await holds(found, bearer(EC, "new")), await holds(found, old)] == [True, True, False]


async def test_a_flood_of_unknown_keys_is_no_flood_of_fetches(issuer: Issuer) -> None:
    """Within the cool-down there is none, and known keys go on holding."""
    found = login(issuer.url)
    await holds(found, bearer(RSA))

    strangers = await asyncio.gather(*(holds(found, bearer(OTHER_RSA, f"stranger {n}")) for n in range(50)))

    assert not any(strangers)
    assert await holds(found, bearer(RSA))
    assert issuer.asked == 1


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (500, {}, b""),
        (200, {}, b"<html>"),
        (200, {}, b" " * 300_000),
        (302, {"location": "/elsewhere"}, b""),
        (200, {"content-length": "1000000"}, b"short"),
    ],
    ids=["500", "no JSON", "too large", "elsewhere", "broken off"],
)
async def test_a_fetch_that_fails_leaves_the_keys_as_they_were(
    issuer: Issuer, status: int, headers: dict[str, str], body: bytes
) -> None:
    """Redirects lead nowhere."""
    found = login(issuer.url, jwt_jwks_cooldown_seconds=0)
    before = await holds(found, bearer(RSA))

    issuer.status, issuer.headers, issuer.body = status, headers, body

    assert [before, await holds(found, bearer(RSA, "unknown")), await holds(found, bearer(RSA))] == [True, False, True]
    assert issuer.asked == 2


async def test_a_slow_fetch_holds_up_nobody_else(issuer: Issuer) -> None:
    """Known keys are looked up while it lasts."""
    found = login(issuer.url, jwt_jwks_cooldown_seconds=0)
    await holds(found, bearer(RSA))
    issuer.wait_seconds = 1.0

    stranger = asyncio.create_task(holds(found, bearer(RSA, "unknown")))
    await asyncio.sleep(0.1)
    known = await holds(found, bearer(RSA))

    assert (known, stranger.done()) == (True, False)
    assert not await stranger


async def test_without_a_key_set_to_be_had_the_gateway_is_not_ready(owner_url: str, issuer: Issuer) -> None:
    """No token of the set holds, and once it can be had both do, with no restart."""
    issuer.status = 500
    async with running(owner_url, jwt_jwks=issuer.url, jwt_jwks_cooldown_seconds=0) as gateway:
        before = await gateway.http.get("/readyz")
        refused = await gateway.post("{ myClaims { totalCount } }", headers={"authorization": bearer(RSA)})
        issuer.status = 200
        after = await gateway.http.get("/readyz")
        answer = await gateway.post("{ myClaims { edges { cursor } } }", headers={"authorization": bearer(RSA)})

    assert (before.status_code, before.json()["problems"]) == (503, ["there is no key to check logins with"])
    assert "errors" in refused
    assert (after.status_code, answer) == (200, {"data": {"myClaims": {"edges": []}}})


async def test_in_production_a_key_set_stands_in_for_the_secret(tmp_path: Path) -> None:
    """Then no HS256 token holds; a secret that can be guessed and a set that anybody could replace are refused."""
    found = Login(Settings(jwt_jwks=write(tmp_path / "keys", public(RSA)), production=True))

    assert [await holds(found, bearer(RSA)), await holds(found, bearer(SECRET, algorithm="HS256"))] == [True, False]
    with pytest.raises(RuntimeError, match="at least 32 bytes"):
        Login(Settings(jwt_secret="short", production=True))  # noqa: S106 - for tests
    with pytest.raises(RuntimeError, match="https"):
        Login(Settings(jwt_secret=SECRET, jwt_jwks="http://keys.example/", production=True))


async def test_a_token_is_checked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is remembered as a whole: another signature under the same claims is another token."""
    found, token = login(write(tmp_path / "keys", public(RSA))), bearer(RSA)
    first = await found.caller(token)
    checked = []
    decode = jwt.decode

    def counted(token: str, *rest: Any, **more: Any) -> Any:
        checked.append(token)
        return decode(token, *rest, **more)

    monkeypatch.setattr(jwt, "decode", counted)

    again = await found.caller(token)
    forged = await holds(found, token[:-6] + "AAAAAA")

    assert (again, forged) == (first, False)
    assert len(checked) == 1


async def test_a_remembered_token_expires_all_the_same() -> None:
    """At its own time, with the leeway."""
    found, expires_at = Login(Settings(jwt_secret=SECRET)), int(time.time()) - 3
    token = f"Bearer {jwt.encode({'sub': 'dora', 'exp': expires_at}, SECRET)}"
    before = await holds(found, token)

    await asyncio.sleep(expires_at + 5.01 - time.time())

    assert [before, await holds(found, token)] == [True, False]


async def test_so_many_logins_are_remembered_and_no_more() -> None:
    """The oldest goes for the newest."""
    found = Login(Settings(jwt_secret=SECRET))
    for number in range(LOGINS_REMEMBERED + 10):
        token = jwt.encode({"sub": f"u{number}", "exp": int(time.time()) + 60}, SECRET)
        await found.caller(f"Bearer {token}")

    assert len(found._remembered) == LOGINS_REMEMBERED  # noqa: SLF001
