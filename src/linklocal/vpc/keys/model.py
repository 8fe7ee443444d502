"""SSH keys: request bodies, the answer's schema, and reading a public key (contract 2.6)."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from pydantic import Field

from linklocal.errors import Invalid, bad_field
from linklocal.vpc.http import Paginated, ResponseModel
from linklocal.vpc.references import Name, Patch, Prototype, ResourceGroupIdentity
from linklocal.vpc.resource_groups import ResourceGroupReference

KeyType = Literal["rsa", "ed25519"]


class KeyPrototype(Prototype):
    public_key: str = Field(min_length=1, max_length=16_384, description="OpenSSH text")
    name: Name | None = None
    type: KeyType | None = None
    resource_group: ResourceGroupIdentity | None = None


class KeyPatch(Patch):
    name: Name = "a"


class KeyReference(ResponseModel):
    crn: str
    fingerprint: str
    href: str
    id: str
    name: str


class Key(KeyReference):
    created_at: str
    length: int
    public_key: str
    resource_group: ResourceGroupReference
    type: KeyType


class KeyCollection(Paginated):
    keys: list[Key]


@dataclass(frozen=True, slots=True)
class PublicKey:
    """What an OpenSSH public key text says. `text` is type and base64, without the comment."""

    type: KeyType
    length: int
    fingerprint: str
    text: str


def read_public_key(text: str, asked: KeyType | None) -> PublicKey:
    """Read OpenSSH text. Raises Invalid with target `public_key` or `type`.

    RSA of 2048 or 4096 bits, Ed25519; the fingerprint is SHA-256 in unpadded base64.
    """
    try:
        fields = text.split()
        key = load_ssh_public_key(" ".join(fields[:2]).encode())
        blob = base64.b64decode(fields[1], validate=True)
    except (ValueError, UnsupportedAlgorithm, IndexError) as error:
        raise Invalid(
            bad_field(
                "public_key",
                "`public_key` is not an OpenSSH public key: send the one line of an `id_*.pub` file.",
            )
        ) from error
    kind: KeyType
    wanted: tuple[int, ...]
    match key:
        case RSAPublicKey():
            kind, length, wanted = "rsa", key.key_size, (2048, 4096)
        case Ed25519PublicKey():
            kind, length, wanted = "ed25519", 256, (256,)
        case _:
            raise Invalid(bad_field("public_key", "`public_key` must be an RSA or Ed25519 key."))
    if length not in wanted:
        raise Invalid(bad_field("public_key", "An RSA key must have 2048 or 4096 bits.", length))
    if asked is not None and asked != kind:
        raise Invalid(bad_field("type", f"`public_key` is of type {kind}.", asked))
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return PublicKey(kind, length, f"SHA256:{digest}", " ".join(fields[:2]))
