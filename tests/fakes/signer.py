"""A node's identity key for tests: a real RSA key, made once per process."""

from __future__ import annotations

from functools import cache
from typing import Any

from linklocal.tokens import PublicKeys, SigningKey, identity_kid

REGION = "us-south"


@cache
def identity_key(key_id: str = "1") -> SigningKey:
    return SigningKey.generate_rsa(identity_kid(REGION, key_id))


class FakeSigner:
    """Signs at once, on the loop."""

    region = REGION

    def __init__(self, key_id: str = "1") -> None:
        self.key = identity_key(key_id)
        self.keys = PublicKeys([self.key.public_jwk()])

    async def sign(self, claims: dict[str, Any]) -> str:
        return self.key.sign(claims)
