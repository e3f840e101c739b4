"""Who asks: the rules for tokens, one by one."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest

from capacity_gateway.kernel.context import Caller
from capacity_gateway.kernel.errors import Unauthenticated
from capacity_gateway.kernel.vocabulary import PoolKind
from capacity_gateway.login import Login, demo_tokens, mint
from capacity_gateway.settings import Settings
from conftest import TENANT, Gateway

SECRET = "a secret for tests, 32 bytes or more"  # noqa: S105 - for tests

NAMES: dict[PoolKind, str] = {kind: "dora" for kind in PoolKind if kind is not PoolKind.COMPETITION}

Who = Callable[..., Caller | Unauthenticated]


def bearer(payload: dict[str, Any], secret: str = SECRET, **headers: Any) -> str:
    """An Authorization header with a token of exactly these claims."""
    return f"Bearer {jwt.encode(payload, secret, algorithm='HS256', headers=headers or None)}"


def claims(**more: Any) -> dict[str, Any]:
    """The claims of a login that holds, with some more or others; None leaves one out."""
    given = {"sub": "dora", "exp": int(time.time()) + 60, **more}
    return {name: value for name, value in given.items() if value is not None}


async def caller(authorization: str | None, **knobs: Any) -> Caller | Unauthenticated:
    """Who a gateway with these settings takes for asking."""
    return await Login(Settings(jwt_secret=SECRET, **knobs)).caller(authorization)


async def holds(authorization: str | None, **knobs: Any) -> bool:
    """Whether a login holds."""
    return isinstance(await caller(authorization, **knobs), Caller)


def in_base64(value: bytes) -> str:
    """Bytes as a part of a token."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@pytest.mark.parametrize("authorization", [None, "", "   ", "Bearer", "Bearer ", "bearer   "])
async def test_an_absent_or_empty_token_is_an_anonymous_caller(authorization: str | None) -> None:
    """Of the default tenant, and no error."""
    assert await caller(authorization) == Caller(tenant=TENANT)


async def test_a_token_names_the_holder_and_the_tenant() -> None:
    """Without a tenant it is the default one."""
    assert await caller(bearer(claims())) == Caller(tenant=TENANT, holder="dora", names=NAMES)
    assert await caller(bearer(claims(tenant="t"))) == Caller(tenant="t", holder="dora", names=NAMES)


async def test_the_scheme_is_read_in_any_case() -> None:
    """As HTTP says."""
    assert await holds(bearer(claims()).replace("Bearer", "bEARER"))


async def test_the_default_tenant_is_a_setting() -> None:
    """For anonymous callers and for tokens without one."""
    found = [await caller(authorization, default_tenant="d") for authorization in (None, bearer(claims()))]

    assert [isinstance(one, Caller) and one.tenant for one in found] == ["d", "d"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"exp": 1_000_000_000},
        {"exp": None},
        {"exp": "soon"},
        {"nbf": 9_000_000_000},
        {"sub": None},
        {"sub": 7},
        {"sub": ["dora"]},
        {"sub": ""},
        {"sub": "x" * 256},
        {"sub": "a\nb"},
        {"sub": "a\0b"},
        {"tenant": ""},
        {"tenant": 1},
        {"tenant": {}},
        {"tenant": "x" * 256},
        {"tenant": "a\0b"},
        {"scope": "onboarding"},
    ],
    ids=lambda wrong: "{}: {:.20}".format(*[repr(part) for pair in wrong.items() for part in pair]),
)
async def test_a_token_with_a_wrong_claim_does_not_hold(wrong: dict[str, Any]) -> None:
    """Expired or without exp, not yet valid, a sub or tenant that is no id, half a login."""
    payload = jwt.api_jws.PyJWS().encode(json.dumps(claims(**wrong)).encode(), SECRET, algorithm="HS256")

    assert not await holds(f"Bearer {payload}")


@pytest.mark.parametrize("name", ["exp", "nbf", "iat"])
@pytest.mark.parametrize("value", ["[]", "{}", "1e999"])
async def test_a_time_that_is_no_time_does_not_hold(name: str, value: str) -> None:
    """Whatever JSON it is."""
    text = json.dumps(claims(**{name: "@"})).replace('"@"', value)
    token = jwt.api_jws.PyJWS().encode(text.encode(), SECRET, algorithm="HS256")

    assert not await holds(f"Bearer {token}")


async def test_the_clock_may_be_off_by_five_seconds() -> None:
    """Not by more."""
    now = int(time.time())

    assert [await holds(bearer(claims(exp=now - late))) for late in (3, 8)] == [True, False]
    assert [await holds(bearer(claims(nbf=now + early))) for early in (3, 8)] == [True, False]


async def test_ids_may_have_255_characters() -> None:
    """Of any script."""
    assert await holds(bearer(claims(sub="ü" * 255, tenant="x" * 255)))


async def test_another_scope_is_no_matter() -> None:
    """Only the onboarding one is half a login."""
    assert await holds(bearer(claims(scope="read write")))


async def test_a_token_of_another_secret_does_not_hold() -> None:
    """Wrongly signed."""
    assert not await holds(bearer(claims(), secret="another secret of 32 bytes or more"))  # noqa: S106 - for tests


@pytest.mark.parametrize("algorithm", ["none", "None", "HS512", "RS256"])
async def test_a_token_of_another_algorithm_does_not_hold(algorithm: str) -> None:
    """Unsigned, or said to be signed otherwise."""
    header, payload, signature = bearer(claims()).removeprefix("Bearer ").split(".")
    header = in_base64(json.dumps({"alg": algorithm, "typ": "JWT"}).encode())

    assert not await holds(f"Bearer {header}.{payload}.{signature}")
    assert not await holds(f"Bearer {header}.{payload}.")


async def test_a_token_with_another_payload_does_not_hold() -> None:
    """The signature is of what was signed."""
    header, _, signature = bearer(claims()).removeprefix("Bearer ").split(".")
    payload = in_base64(json.dumps(claims(role="admin")).encode())

    assert not await holds(f"Bearer {header}.{payload}.{signature}")


async def test_a_token_with_an_unknown_crit_does_not_hold() -> None:
    """What must be understood and is not."""
    assert not await holds(bearer(claims(), crit=["x"], x=1))


@pytest.mark.parametrize(
    "authorization", ["Basic ZG9yYTpk", "Token x", "Bearer x", "Bearer x.y.z", "Bearer a b", "Bearer ä.ö.ü", "x"]
)
async def test_what_is_no_token_does_not_hold(authorization: str) -> None:
    """Other schemes and other texts."""
    assert not await holds(authorization)


async def test_a_token_nested_deeply_does_not_hold() -> None:
    """Its header is read before its signature is checked."""
    assert not await holds(f"Bearer {in_base64(b'[' * 5000)}.e30.x")


async def test_an_audience_that_is_configured_is_demanded() -> None:
    """And one that is not is no matter."""
    ours, other, none = (bearer(claims(aud=audience)) for audience in ("gateway", "portal", None))

    assert [await holds(token, jwt_audience="gateway") for token in (ours, other, none)] == [True, False, False]
    assert [await holds(token) for token in (ours, other, none)] == [True, True, True]


async def test_an_issuer_that_is_configured_is_demanded() -> None:
    """And one that is not is no matter."""
    ours, other, none = (bearer(claims(iss=issuer)) for issuer in ("us", "them", None))

    assert [await holds(token, jwt_issuer="us") for token in (ours, other, none)] == [True, False, False]
    assert [await holds(token) for token in (ours, other, none)] == [True, True, True]


@pytest.mark.parametrize(
    ("said", "role"),
    [
        ("admin", "admin"),
        ("director", "director"),
        ("studio", "studio"),
        ("organizer", "organizer"),
        ("service", "service"),
        ("super_admin", "admin"),
        ("competition_director", "director"),
        ("studio_director", "studio"),
        ("OWNER", "organizer"),
        ("ADMIN", "organizer"),
        ("MODERATOR", None),
        ("SPEAKER", None),
        ("MEMBER", None),
        ("Admin", None),
        ("root", None),
        (["admin"], None),
        (None, None),
    ],
)
async def test_roles_go_by_our_names_and_the_platforms_own(said: Any, role: str | None) -> None:
    """Whoever has no known one is an attendee."""
    found = await caller(bearer(claims(role=said)))

    assert isinstance(found, Caller)
    assert found.role == role


async def test_a_studio_is_named_by_its_claim() -> None:
    """And by nothing else: another role's studioId means nothing, and one that is no id neither."""
    found = [
        await caller(bearer(claims(role=role, studioId=studio)))
        for role, studio in (("studio", "s"), ("director", "s"), ("studio", ""), ("studio", 7), ("studio", "a\nb"))
    ]

    assert [isinstance(one, Caller) and one.names.get(PoolKind.COMPETITION) for one in found] == [
        "s",
        None,
        None,
        None,
        None,
    ]


async def test_what_is_minted_holds() -> None:
    """With audience and issuer where they are configured."""
    settings = Settings(jwt_secret=SECRET, jwt_audience="gateway", jwt_issuer="us")

    found = await Login(settings).caller(f"Bearer {mint(settings, {'sub': 'dora', 'role': None}, ttl_seconds=60)}")

    assert found == Caller(tenant=TENANT, holder="dora", names=NAMES)


async def test_demo_tokens_are_of_their_roles() -> None:
    """One for each role to try."""
    settings = Settings(jwt_secret=SECRET)

    found = {name: await Login(settings).caller(f"Bearer {token}") for name, token in demo_tokens(settings).items()}

    assert {name: isinstance(one, Caller) and one.role for name, one in found.items()} == {
        "admin": "admin",
        "director": "director",
        "studio": "studio",
        "organizer": "organizer",
        "service": "service",
        "attendee": None,
    }


async def test_a_login_that_does_not_hold_is_unauthenticated(gateway: Gateway) -> None:
    """On queries and mutations alike; the answer is HTTP 200 and says so at top level."""
    headers = {"authorization": "Bearer x"}

    for document in (
        '{ capacity(kind: COMPETITION, ref: "c") { id } }',
        "{ ledgerActivity { totalCount } }",
        "{ reconcile { edges { cursor } } }",
        "{ myClaims { edges { cursor } } }",
        '{ reservation(id: "r") { id } }',
        'mutation { createCompetition(input: {name: "C", quota: 1}) { __typename } }',
    ):
        answer = await gateway.post(document, headers=headers)
        assert [error["extensions"]["code"] for error in answer["errors"]] == ["UNAUTHENTICATED"], document


@pytest.mark.parametrize(
    "document",
    [
        '{ competition(id: "c") { id } }',
        "{ competitions { edges { cursor } } }",
        "{ pools { edges { cursor } } }",
        '{ ledger(kind: COMPETITION, ref: "c") { totalCount } }',
    ],
)
async def test_a_login_that_does_not_hold_is_seen_by_every_field(gateway: Gateway, document: str) -> None:
    """Even where a field itself needs nobody."""
    answer = await gateway.post(document, headers={"authorization": "Bearer x"})

    assert [error["extensions"]["code"] for error in answer["errors"]] == ["UNAUTHENTICATED"]


async def test_without_a_login_mutations_are_unauthenticated_and_reads_of_numbers_are_not(gateway: Gateway) -> None:
    """Anonymous callers read the numbers of the default tenant's pools."""
    read = await gateway.post('{ capacity(kind: COMPETITION, ref: "c") { id } }', headers={})
    change = await gateway.post(
        'mutation { createCompetition(input: {name: "C", quota: 1}) { __typename } }', headers={"authorization": ""}
    )

    assert read == {"data": {"capacity": None}}
    assert [error["extensions"]["code"] for error in change["errors"]] == ["UNAUTHENTICATED"]
