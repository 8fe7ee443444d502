"""Who this node is: its two keys, and what the server called it when it joined.

The control key (ES256) signs requests to the server, the identity key (RS256) signs instance identity
tokens. Private keys never leave the state folder. It must not talk to the server: `control_client.py` does.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from linklocal.errors import OperatorError
from linklocal.files import private_folder, write_private
from linklocal.ids import NodeId
from linklocal.node.signing import SigningThreads
from linklocal.tokens import PublicKeys, SigningKey, identity_kid


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """Both private keys of a node."""

    control: SigningKey
    identity: SigningKey


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What the server made of this node. `revoked`: it said so, and the node serves nothing."""

    node_id: NodeId
    name: str
    region: str
    identity_kid: str
    revoked: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Enrolment:
        """Read what the server answered or `to_json` wrote. Raises KeyError, TypeError or ValueError."""
        node_id, name, region, kid = (
            data[member] for member in ("node_id", "name", "region", "identity_kid")
        )
        if not all(isinstance(text, str) and text for text in (node_id, name, region, kid)):
            raise ValueError("an enrolment has texts")
        return cls(NodeId(node_id), name, region, kid, bool(data.get("revoked", False)))


class NodeSigner:
    """Signs instance identity tokens off the event loop. Implements `metadata.served.Signer`.

    One object for the node's life: listeners keep it, and `use` gives it another key when the node has
    joined anew. RS256 releases the GIL, so two threads sign twice as fast as one.
    """

    def __init__(self, key: SigningKey, region: str, *, threads: int = 2) -> None:
        self._threads = SigningThreads(threads)
        self.on_use: Callable[[], None] = lambda: None  # worker processes need the key, too
        self.use(key, region)

    def use(self, key: SigningKey, region: str) -> None:
        """Sign with this key from now on. Tokens of the one before are valid no more."""
        self._key = key
        self._region = region
        self._keys = PublicKeys([key.public_jwk()])
        self.on_use()

    @property
    def key(self) -> SigningKey:
        """What it signs with now."""
        return self._key

    @property
    def region(self) -> str:
        return self._region

    @property
    def keys(self) -> PublicKeys:
        return self._keys

    async def sign(self, claims: dict[str, Any]) -> str:
        """A compact JWT, RS256."""
        return await self._threads.run(partial(self._key.sign, claims))

    def close(self) -> None:
        """Let the threads end."""
        self._threads.close()


def signing_key(keys: NodeKeys, enrolment: Enrolment | None, region: str) -> SigningKey:
    """The identity key under the `kid` that the server gave it, or one of its own without a server."""
    kid = enrolment.identity_kid if enrolment else identity_kid(region, keys.identity.kid[:32])
    return SigningKey(kid, keys.identity.private_pem())


class IdentityStore:
    """Keys and enrolment in a state folder."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = private_folder(state_dir / "keys")
        self._enrolment = state_dir / "node.json"

    def keys(self) -> NodeKeys:
        """The node's keys, made on first use. Raises OperatorError when one cannot be read or kept.

        A damaged key is not replaced: the server knows its public half, so the node must join again.
        """
        control, identity = self._folder / "control.pem", self._folder / "identity.pem"
        try:
            if not control.exists():
                write_private(control, SigningKey.generate_ec().private_pem())
            if not identity.exists():
                write_private(identity, SigningKey.generate_rsa().private_pem())
            keys = NodeKeys(_read_key(control), _read_key(identity))
        except OSError as error:
            raise OperatorError(
                f"The node's keys in {self._folder} cannot be read or kept: {error.strerror}.",
                "Mend the folder, or name another one with --state-dir and join again.",
                exit_code=2,
            ) from error
        if keys.control.algorithm != "ES256" or keys.identity.algorithm != "RS256":
            raise _damaged(self._folder)
        return keys

    def enrolment(self) -> Enrolment | None:
        """What the server said when this node joined; None: it has not. Raises OperatorError."""
        try:
            return Enrolment.from_json(json.loads(self._enrolment.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise OperatorError(
                f"{self._enrolment} cannot be read: {error}.",
                "Remove the file and start the node with a new join token "
                "(`linklocal node join-token`).",
                exit_code=2,
            ) from error

    def save(self, enrolment: Enrolment) -> None:
        """Keep the enrolment. Raises OSError."""
        write_private(self._enrolment, json.dumps(enrolment.to_json()).encode())

    def mark_revoked(self, enrolment: Enrolment, revoked: bool) -> Enrolment:
        """Keep what the server said about this node, so that a restart serves nothing. Raises OSError."""
        changed = replace(enrolment, revoked=revoked)
        self.save(changed)
        return changed

    def forget(self) -> None:
        """Drop enrolment and keys: the next `keys()` makes new ones. Raises OperatorError."""
        try:
            for name in ("control.pem", "identity.pem"):
                (self._folder / name).unlink(missing_ok=True)
            # Last: a crash before this leaves a node that still knows it is revoked.
            self._enrolment.unlink(missing_ok=True)
        except OSError as error:
            raise OperatorError(
                f"The old keys in {self._folder} cannot be removed: {error.strerror}.",
                "Mend the folder's rights, then start the node again.",
            ) from error


def _read_key(path: Path) -> SigningKey:
    """The key under the thumbprint of its public half, which is stable and short enough for a `kid`."""
    pem = path.read_bytes()
    try:
        public = SigningKey("", pem).public_jwk()
    except (ValueError, TypeError) as error:
        raise _damaged(path) from error
    members = {name: public[name] for name in ("crv", "e", "kty", "n", "x", "y") if name in public}
    thumbprint = hashlib.sha256(json.dumps(members, separators=(",", ":")).encode())  # RFC 7638
    return SigningKey(thumbprint.hexdigest(), pem)


def _damaged(path: Path) -> OperatorError:
    return OperatorError(
        f"{path} does not hold the node's key.",
        "Restore it, or remove the state folder and join again with a new token "
        "(`linklocal node join-token`).",
        exit_code=2,
    )
