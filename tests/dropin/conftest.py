"""Clients of the older service, with the platform's logins, on an event of its kind."""

import time
from typing import Any

import jwt
import pytest

from conftest import Gateway
from domains.conftest import Do, assert_made, balanced, do

__all__ = ["balanced", "do"]

ORGANIZATION = "org_acme"


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


@pytest.fixture
async def event(do: Do) -> str:
    """The event `e` of an organisation, without a limit of its own, with a stream for two."""
    assert_made(await do("olga", "createEvent", id="e", name="E", streamQuota=2, organizationId=ORGANIZATION))
    return "e"
