"""What the holder of an offer shows to take it up."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import strawberry

from capacity_gateway.kernel.pools import Claim, ClaimState
from capacity_gateway.offers import Offers
from capacity_gateway.settings import Settings

SECRET = "a secret for tests, 32 bytes or more"  # noqa: S105 - of this test's own gateway
NOW = datetime.now(UTC)
OFFER = Claim(
    id=strawberry.ID("c"),
    holder=strawberry.ID("ann"),
    subject=None,
    quantity=1,
    state=ClaimState.HELD,
    position=None,
    expires_at=NOW,
    since=NOW,
    pool_id="session:s",
    title=None,
    stage=None,
    facts={},
    offered=True,
    created_at=NOW,
    confirmed_at=None,
)


def offers(**knobs: Any) -> Offers:
    """The offers of a gateway with these settings."""
    return Offers(Settings(**{"jwt_secret": SECRET, **knobs}))


def test_a_token_is_of_one_offer() -> None:
    """Of another tenant, holder, session or offer it is another."""
    token = offers().token("t", OFFER)
    others = [
        replace(OFFER, holder=strawberry.ID("ben")),
        replace(OFFER, pool_id="session:r"),
        replace(OFFER, id=strawberry.ID("d")),
    ]

    assert token is not None
    assert offers().holds(token, "t", OFFER)
    assert not offers().holds(token, "u", OFFER)
    assert not any(offers().holds(token, "t", other) for other in others)


def test_its_key_is_its_own() -> None:
    """Made from the secret of logins, or set; with another key nothing signed before holds."""
    token = offers().token("t", OFFER)
    assert token is not None

    own = {"offer_secret": "another"}
    assert not offers(jwt_secret=f"not {SECRET}").holds(token, "t", OFFER)
    assert not offers(**own).holds(token, "t", OFFER)
    assert offers(**own, jwt_secret=None).token("t", OFFER) == offers(**own).token("t", OFFER)


def test_without_a_secret_there_is_no_token() -> None:
    """As in production with a key set alone: none is made, and none holds, not even an empty one."""
    without = offers(jwt_secret=None, production=True, jwt_jwks="https://keys.example.org/set")

    assert without.token("t", OFFER) is None
    assert not without.holds("", "t", OFFER)
