"""`Served`: one instance as its listener serves it. Replaced as a whole when its document changes.

Holds the document, its rendered views and the tokens that were verified; decides whether a token is
this instance's. Metadata contract 2.2 (401) and 3.1.
"""

from __future__ import annotations

import hashlib
from typing import Any, Protocol

from linklocal.clock import Clock
from linklocal.document import InstanceDocument
from linklocal.metadata.views import Views
from linklocal.tokens import (
    MAX_TOKEN_CHARS,
    PublicKeys,
    TokenRefused,
    identity_epoch,
    identity_instance,
    identity_issuer,
    verify_identity_token,
)

MAX_TOKENS_KEPT = 256  # per instance; about 100 bytes each


class Signer(Protocol):
    """This node's identity key."""

    @property
    def region(self) -> str: ...

    @property
    def keys(self) -> PublicKeys:
        """The public halves with which this node's own tokens are verified."""
        ...

    async def sign(self, claims: dict[str, Any]) -> str:
        """A compact JWT; off the event loop."""
        ...


class Served:
    """One instance as its listener serves it."""

    __slots__ = ("_tokens", "_views", "clock", "document", "signer")

    def __init__(self, document: InstanceDocument, signer: Signer, clock: Clock) -> None:
        self.document = document
        self.signer = signer
        self.clock = clock
        self._views: Views | None = None
        # SHA-256 of a token whose signature was checked -> its expiry in epoch seconds.
        self._tokens: dict[bytes, int] = {}

    @property
    def views(self) -> Views:
        """Made on first use: an instance that nobody reads costs no rendering."""
        if self._views is None:
            self._views = Views(self.document)
        return self._views

    def updated(self, document: InstanceDocument) -> Served:
        """The same instance with a new document. Verified tokens stay verified within an epoch."""
        new = Served(document, self.signer, self.clock)
        if (
            document.instance_id == self.document.instance_id
            and document.tokens_valid_after == self.document.tokens_valid_after
        ):
            new._tokens = self._tokens
        return new

    def check_token(self, token: str) -> None:
        """Raises TokenRefused unless the token is valid on this instance now.

        A verified token is remembered, so that a read costs a hash and a look-up; its expiry is
        compared at every use.
        """
        if len(token) > MAX_TOKEN_CHARS:
            raise TokenRefused("malformed")
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        expires = self._tokens.get(digest)
        now = self.clock.now()
        if expires is not None:
            if now.timestamp() >= expires:
                del self._tokens[digest]
                raise TokenRefused("expired")
            return
        verified = verify_identity_token(token, self.signer.keys, now)
        if verified["iss"] != identity_issuer(self.signer.region):
            raise TokenRefused("claims", "`iss`")
        if identity_instance(verified) != self.document.instance_id:
            raise TokenRefused("claims", "issued to another instance")
        if identity_epoch(verified) < self.document.tokens_valid_after:
            raise TokenRefused("expired", "the instance was stopped since")
        if len(self._tokens) >= MAX_TOKENS_KEPT:
            del self._tokens[next(iter(self._tokens))]  # the oldest one
        self._tokens[digest] = int(verified["exp"])
