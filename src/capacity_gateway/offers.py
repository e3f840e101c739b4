"""Offer tokens: what older clients show to take up the offer of a seat, besides being logged in as its holder."""

import hashlib
import hmac
import json

from capacity_gateway.kernel.pools import Claim
from capacity_gateway.settings import Settings


class Offers:
    """Signs offers with a key of its own.

    A token is a signature and nothing else: there is no text in it to read or to trust, and what it is compared with
    is made from the offer that the caller has. As a claim is offered once, the next offer has another token.
    """

    def __init__(self, settings: Settings) -> None:
        secret = settings.offer_secret or settings.checking_secret()
        self._key = secret and hmac.digest(secret.encode(), b"an offer of a seat", "sha256")

    def token(self, tenant: str, claim: Claim) -> str | None:
        """The token of an offer: of one tenant, holder and session, and of this very offer; None without a secret."""
        if not self._key:
            return None
        offer = json.dumps([tenant, claim.pool_id, claim.holder, claim.id])
        return hmac.new(self._key, offer.encode(), hashlib.sha256).hexdigest()

    def holds(self, token: str, tenant: str, claim: Claim) -> bool:
        """Whether a token is that of an offer."""
        right = self.token(tenant, claim)
        return right is not None and hmac.compare_digest(token.encode(), right.encode())
