"""Sealing what the server must keep secret: AES-256-GCM with the key of the key file.

The database holds private keys only in sealed form, so replicas share them and a copy of the database
alone gives nobody a key. Nothing here knows what is sealed; nothing here touches the database.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import stat
import tempfile
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from linklocal.errors import OperatorError

KEY_BYTES = 32
_NONCE_BYTES = 12
_HEADER = "linklocal-key-v1"


class Sealer:
    """Seals and unseals with one key. `source` names the key file in errors."""

    def __init__(self, key: bytes, source: str = "key file") -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a key has {KEY_BYTES} bytes")
        self._cipher = AESGCM(key)
        self._source = source
        # Tells another key file from a damaged text; says nothing about the key itself.
        self.key_id = hashlib.sha256(b"linklocal key id" + key).hexdigest()[:16]

    def seal(self, plain: bytes, context: str) -> str:
        """`v1.<key id>.<nonce and ciphertext>`. `context` (what it is) must be given to unseal."""
        nonce = os.urandom(_NONCE_BYTES)
        data = nonce + self._cipher.encrypt(nonce, plain, context.encode())
        return f"v1.{self.key_id}.{base64.urlsafe_b64encode(data).decode()}"

    def open(self, sealed: str, context: str) -> bytes | None:
        """What was sealed; None when this key did not seal this text for this context.

        For text that comes from outside (refresh tokens). Never raises.
        """
        version, _, rest = sealed.partition(".")
        key_id, _, text = rest.partition(".")
        if version != "v1" or key_id != self.key_id:
            return None
        try:
            data = base64.b64decode(text, altchars=b"-_", validate=True)
            return self._cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], context.encode())
        except (ValueError, InvalidTag):
            return None

    def unseal(self, sealed: str, context: str) -> bytes:
        """What was sealed, from the server's own database.

        Raises OperatorError that tells a wrong key file from a damaged database.
        """
        plain = self.open(sealed, context)
        if plain is not None:
            return plain
        if sealed.split(".")[1:2] != [self.key_id]:
            raise OperatorError(
                f"{self._source} is not the key file that this database was set up with.",
                "Set LINKLOCAL_KEY_FILE to the key file that belongs to this database, or restore it "
                "from the backup.",
            )
        raise OperatorError(
            f"A private key in the database ({context}) is damaged: {self._source} cannot open it.",
            "Restore the database from a backup.",
        )


def load_key_file(path: Path, *, create: bool) -> Sealer:
    """Read the key file; with `create`, make it when it is not there (mode 0600, all or nothing).

    Raises OperatorError when it is absent (without `create`), readable by others, or not a key file.
    """
    if create and not path.exists():
        _create_key_file(path)
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        raise OperatorError(
            f"There is no key file {path}.",
            f"Copy the key file of the other servers to {path}, or make the first one with: "
            f"`(umask 077; echo {_HEADER} $(openssl rand -base64 {KEY_BYTES}) > {path})`.",
            exit_code=2,
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(
            f"The key file {path} cannot be read: {error}",
            "Let LINKLOCAL_KEY_FILE name a key file that this user can read.",
            exit_code=2,
        ) from error
    if stat.S_IMODE(mode) & 0o077:
        raise OperatorError(
            f"The key file {path} can be read by other users (mode {stat.S_IMODE(mode):04o}).",
            f"Run `chmod 600 {path}`.",
            exit_code=2,
        )
    fields = text.split()
    try:
        key = base64.b64decode(fields[1], validate=True) if len(fields) == 2 else b""
    except ValueError:
        key = b""
    if fields[:1] != [_HEADER] or len(key) != KEY_BYTES:
        raise OperatorError(
            f"{path} is not a key file: it must hold `{_HEADER} <base64 of {KEY_BYTES} bytes>`.",
            "Let LINKLOCAL_KEY_FILE name the key file that belongs to this database.",
            exit_code=2,
        )
    return Sealer(key, f"{path}")


def _create_key_file(path: Path) -> None:
    """Write beside and link: a crash leaves no half file, and of two starters only one wins."""
    content = f"{_HEADER} {base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}\n"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".key-")  # mode 0600
    except OSError as error:
        raise OperatorError(
            f"The key file {path} cannot be made: {error}",
            "Let LINKLOCAL_KEY_FILE name a file in a folder that this user can write to.",
        ) from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            return  # another process was first: its key counts
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        temporary.unlink()
