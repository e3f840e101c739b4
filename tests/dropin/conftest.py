"""Clients of the older service, with the platform's logins, on an event of its kind."""

import time
from collections.abc import Callable, Coroutine
from typing import Any

import jwt
import pytest

from conftest import Gateway
from domains.conftest import Do, assert_made, balanced, do
from dropin.documents import DOCUMENTS

__all__ = ["balanced", "do"]

Old = Callable[..., Coroutine[Any, Any, Any]]

ORGANIZATION = "org_acme"
SECRET_WORDS = ("token", "jwt", "unauthorized", "not authenticated")
"""What the web client takes for a lost login, in any message."""


def cuid(who: str) -> str:
    """The id that the platform has for somebody."""
    return f"cmb{who:0>22}"


def platform(gateway: Gateway, sub: str, *, expires_in: int = 3600, **claims: Any) -> dict[str, str]:
    """The header of a login as the event platform makes it, a cuid as a rule its subject."""
    now = int(time.time())
    shape = {
        "sub": sub,
        "email": f"{sub}@example.org",
        "permissions": ["event:read"],
        "tier": "default",
        "preferredLanguage": "en",
        "is2FAEnabled": False,
        "iat": now - 3600,
        "exp": now + expires_in,
    }
    secret = gateway.settings.signing_secret()
    return {"authorization": f"Bearer {jwt.encode(shape | claims, secret, algorithm='HS256')}"}


def login(gateway: Gateway, who: str, **claims: Any) -> dict[str, str]:
    """The header of somebody's login; olga organises for the organisation."""
    office = {"orgId": ORGANIZATION, "role": "OWNER", "permissions": ["event:update"]} if who == "olga" else {}
    return platform(gateway, **{"sub": cuid(who), **office, **claims})


def weak_logins(gateway: Gateway) -> dict[str, dict[str, str]]:
    """Headers of who is not logged in: for the older service all the same."""
    return {
        "none": {},
        "empty": {"authorization": "Bearer "},
        "blank": {"authorization": ""},
        "expired": platform(gateway, "cluser0000000000000000ann", expires_in=-60),
        "onboarding": platform(gateway, "cluser0000000000000000ann", scope="onboarding"),
        "nonsense": {"authorization": "Bearer nonsense"},
    }


def clients(gateway: Gateway) -> Old:
    """How the older service's clients ask: old("ann", "rsvpToSession", sessionId="s"); an error is {"error": …}."""

    async def old(who: str | None, operation: str, *, key: str | None = None, **given: Any) -> Any:
        document = DOCUMENTS[operation]
        headers = {} if who is None else login(gateway, who)
        if key is not None:
            headers |= {"x-idempotency-key": key}
        variables = {"input": given} if "$input" in document else given
        answer = await gateway.post(document, variables, headers)
        if "errors" in answer:
            (error,) = answer["errors"]
            assert not any(word in error["message"].lower() for word in SECRET_WORDS)
            return {"error": error["message"]}
        return answer["data"][operation]

    return old


@pytest.fixture
def old(gateway: Gateway) -> Old:
    """How the older service's clients ask."""
    return clients(gateway)


@pytest.fixture
async def event(do: Do) -> str:
    """The event `e` of an organisation, without a limit of its own, with a stream for two."""
    assert_made(await do("olga", "createEvent", id="e", name="E", streamQuota=2, organizationId=ORGANIZATION))
    return "e"


async def session(do: Do, quota: int | None, ref: str = "s", **more: Any) -> None:
    """Make a session of that event that needs no registration."""
    given = {"id": ref, "eventId": "e", "title": ref.upper(), "quota": quota, "requiresRegistration": False, **more}
    assert_made(await do("ada", "createSession", **given))


async def full(do: Do, old: Old, *waiting: str) -> None:
    """Make a session with one seat, taken by x, and people on its waitlist."""
    await session(do, 1)
    assert (await old("x", "rsvpToSession", sessionId="s"))["success"]
    for who in waiting:
        assert (await old(who, "joinWaitlist", sessionId="s"))["success"]
