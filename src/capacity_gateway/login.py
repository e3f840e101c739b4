"""Who asks: from a bearer token to a caller, and back for the command line and the demo."""

import time
from collections.abc import Mapping
from typing import Any

import jwt

from capacity_gateway.kernel.context import Caller
from capacity_gateway.kernel.errors import Unauthenticated
from capacity_gateway.kernel.submission import is_id
from capacity_gateway.kernel.vocabulary import PoolKind
from capacity_gateway.settings import Settings

LEEWAY_SECONDS = 5

ROLES = {
    "admin": "admin",
    "director": "director",
    "studio": "studio",
    "organizer": "organizer",
    "service": "service",
    "super_admin": "admin",
    "competition_director": "director",
    "studio_director": "studio",
    "OWNER": "organizer",
    "ADMIN": "organizer",  # of its organisation, never admin
}
"""Our roles, and the platforms' own names for them; everybody else is an attendee."""

AUDITS = {"admin": frozenset(PoolKind), "director": frozenset({PoolKind.COMPETITION})}
"""Whose whole ledgers a role may read."""

GOVERNS = {**AUDITS, "organizer": frozenset(PoolKind) - {PoolKind.COMPETITION}}
"""Of what kinds a role may make and change pools; an organiser those of its own events."""


class Login:
    """Checks bearer tokens by the settings of this gateway."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._secret = settings.signing_secret()

    def caller(self, authorization: str | None) -> Caller | Unauthenticated:
        """Who a request's Authorization header says is asking.

        Returns:
            An anonymous caller of the default tenant where there is no token; Unauthenticated, for whoever needs
            to raise it, where one is shown that does not hold.
        """
        scheme, _, token = (authorization or "").strip().partition(" ")
        if not scheme or (scheme.lower() == "bearer" and not token.strip()):
            return Caller(tenant=self._settings.default_tenant)
        try:
            claims = self._claims(scheme, token.strip())
        except jwt.PyJWTError:
            return Unauthenticated("The login does not hold; log in again")
        role = ROLES.get(str(claims.get("role")))
        names = dict.fromkeys(PoolKind, claims["sub"])
        del names[PoolKind.COMPETITION]  # reservations are held by studios
        if role == "studio" and (studio := _text(claims, "studioId")):
            names[PoolKind.COMPETITION] = studio
        return Caller(
            tenant=claims.get("tenant", self._settings.default_tenant),
            holder=claims["sub"],
            role=role,
            names=names,
            organization=_text(claims, "orgId"),
            audits=AUDITS.get(role or "", frozenset()),
            governs=GOVERNS.get(role or "", frozenset()),
        )

    def _claims(self, scheme: str, token: str) -> dict[str, Any]:
        if scheme.lower() != "bearer":
            raise jwt.InvalidTokenError("not a bearer token")
        claims: dict[str, Any] = jwt.decode(
            token,
            self._secret,
            algorithms=["HS256"],
            audience=self._settings.jwt_audience,
            issuer=self._settings.jwt_issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "sub"], "verify_aud": self._settings.jwt_audience is not None},
        )
        names = [claims["sub"], claims.get("tenant", self._settings.default_tenant)]
        if claims.get("scope") == "onboarding" or not all(isinstance(name, str) and is_id(name) for name in names):
            raise jwt.InvalidTokenError("not a login")
        return claims


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    return value if isinstance(value, str) and is_id(value) else None


def mint(settings: Settings, claims: Mapping[str, Any], *, ttl_seconds: int) -> str:
    """A token with these claims, signed with the gateway's own secret; absent ones are left out."""
    now = int(time.time())
    issued = {"iat": now, "exp": now + ttl_seconds, "aud": settings.jwt_audience, "iss": settings.jwt_issuer}
    given = {name: value for name, value in {**issued, **claims}.items() if value is not None}
    return jwt.encode(given, settings.signing_secret(), algorithm="HS256")


def demo_tokens(settings: Settings) -> dict[str, str]:
    """A token for each role, for a day, to try the gateway with."""
    people = {
        "admin": {"sub": "ada", "role": "admin"},
        "director": {"sub": "dora", "role": "director"},
        "studio": {"sub": "stella", "role": "studio", "studioId": "studio-demo"},
        "organizer": {"sub": "olga", "role": "organizer"},
        "service": {"sub": "payments", "role": "service"},
        "attendee": {"sub": "ann"},
    }
    return {role: mint(settings, claims, ttl_seconds=86_400) for role, claims in people.items()}
