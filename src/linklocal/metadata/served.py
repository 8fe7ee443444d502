"""`Served`: one instance as its listener serves it. Replaced as a whole when its document changes.

Holds the document, its rendered views and the tokens that were verified; decides whether a token is
this instance's. Metadata contract 2.2 (401) and 3.1.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any, NamedTuple, Protocol

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

MAX_TOKENS_KEPT = 256  # per instance; about 200 bytes each


class _Checked(NamedTuple):
    """What is remembered of a token whose signature was checked; compared at every use."""

    expires: int
    epoch: int
    keys: PublicKeys  # with which it was checked: a node that joins anew gets another key


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
    """One instance as its listener serves it. `nocloud`: with a seed for cloud-init (`nocloud.py`)."""

    __slots__ = ("_tokens", "_views", "clock", "document", "nocloud", "signer")

    def __init__(
        self, document: InstanceDocument, signer: Signer, clock: Clock, *, nocloud: bool = False
    ) -> None:
        self.document = document
        self.signer = signer
        self.clock = clock
        self.nocloud = nocloud
        self._views: Views | None = None
        # By SHA-256, so that a dump of the memory of this cache holds no token.
        self._tokens: dict[bytes, _Checked] = {}

    @property
    def views(self) -> Views:
        """Made on first use: an instance that nobody reads costs no rendering."""
        if self._views is None:
            self._views = Views(self.document)
        return self._views

    def updated(self, document: InstanceDocument) -> Served:
        """The same instance with a new document; nothing rendered from the old one is kept.

        Verified tokens are: their epoch is compared with the document's at every use.
        """
        new = Served(document, self.signer, self.clock, nocloud=self.nocloud)
        if document.instance_id == self.document.instance_id:
            new._tokens = self._tokens
        return new

    def check_token(self, token: str) -> None:
        """Raises TokenRefused unless the token is valid on this instance now.

        A verified token is remembered, so that a read costs a hash and a look-up; expiry, epoch and
        the node's key are compared at every use.
        """
        if len(token) > MAX_TOKEN_CHARS:
            raise TokenRefused("malformed")
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        checked = self._tokens.get(digest)
        now, keys = self.clock.now(), self.signer.keys
        if checked is None or checked.keys is not keys:
            self._tokens.pop(digest, None)
            checked = self._verify(token, now, keys)
            if len(self._tokens) >= MAX_TOKENS_KEPT:
                del self._tokens[next(iter(self._tokens))]  # the oldest one
            self._tokens[digest] = checked
        elif now.timestamp() >= checked.expires:
            del self._tokens[digest]
            raise TokenRefused("expired")
        if checked.epoch < self.document.tokens_valid_after:
            raise TokenRefused("expired", "the instance was stopped since")

    def _verify(self, token: str, now: datetime, keys: PublicKeys) -> _Checked:
        verified = verify_identity_token(token, keys, now)
        if verified["iss"] != identity_issuer(self.signer.region):
            raise TokenRefused("claims", "`iss`")
        if identity_instance(verified) != self.document.instance_id:
            raise TokenRefused("claims", "issued to another instance")
        return _Checked(int(verified["exp"]), identity_epoch(verified), keys)
