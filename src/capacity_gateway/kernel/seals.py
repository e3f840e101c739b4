"""Seals of ledgers that were broken: each is signed with a key that the database does not have."""

import hmac

from capacity_gateway.kernel.pools import Json


def signature(seal: Json, key: bytes) -> str:
    """The signature of a row of `capacity.seal`, whose hash covers the rest of it and the entries below."""
    return hmac.new(key, seal["hash"].encode(), "sha256").hexdigest()


def holds(seal: Json, key: bytes) -> bool:
    """Whether a seal was signed with this key."""
    return hmac.compare_digest(signature(seal, key), seal["signature"])
