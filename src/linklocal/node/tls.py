"""The certificate of the node's https listeners: asked for when first needed, renewed, kept on disk.

All https listeners share one context, into which a renewed certificate is loaded: no listener is closed
for it, and connections keep what they began with. Key and chain are one file, so that no crash can pair
the key of one certificate with another. It must not know instances.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from linklocal.clock import Clock, rfc3339_s
from linklocal.files import private_folder, write_private
from linklocal.node.accept import new_context
from linklocal.node.backoff import Backoff
from linklocal.node.control_client import ListenerCertificate
from linklocal.node.server_answers import ServerRefused, ServerUnavailable
from linklocal.node.sockets import NotAttached

# A certificate is renewed when two thirds of its life are over: the server may then be away for the rest.
RENEW_AT = 2 / 3
LOOK_SECONDS = 60.0  # how often its age is looked at; wall clocks jump

log = structlog.get_logger(__name__)


class CertificateSource(Protocol):
    """Who signs the listeners' key; `ControlClient` is it."""

    async def tls_certificate(self, csr: str, *, localhost: bool) -> ListenerCertificate: ...


@dataclass(frozen=True, slots=True)
class _Life:
    begins: datetime
    ends: datetime

    def is_over(self, now: datetime) -> bool:
        return now >= self.ends

    def is_due(self, now: datetime) -> bool:
        return now < self.begins or now >= self.begins + (self.ends - self.begins) * RENEW_AT


class ListenerTls:
    """The one TLS context of a node's listeners.

    `localhost` asks for a certificate that names localhost too. `on_change` is called when the first
    certificate has come, so that waiting listeners can open. `fault` is for the node's status.
    """

    def __init__(
        self,
        state_dir: Path,
        source: CertificateSource | None,
        clock: Clock,
        backoff: Backoff,
        *,
        localhost: bool,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        self._file = private_folder(state_dir / "tls") / "listener.pem"
        self._source = source
        self._clock = clock
        self._backoff = backoff
        self._localhost = localhost
        self.on_change: Callable[[], None] = lambda: None
        # Key and chain of the context, and who else must have them: the worker processes.
        self.pem: bytes | None = None
        self.on_load: Callable[[bytes], None] = lambda pem: None
        self._look_seconds = look_seconds
        self._context: ssl.SSLContext | None = None
        self._life: _Life | None = None
        self._wanted = asyncio.Event()
        self._failure: str | None = None

    def load(self) -> str | None:
        """Take the certificate of an earlier run. Returns why there is none that can be used, if so."""
        try:
            self._use(self._file.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            return f"{type(error).__name__}: {error}"
        return None

    def context(self) -> ssl.SSLContext:
        """The context of all https listeners. Raises NotAttached while there is no certificate."""
        self._wanted.set()
        if self._context is None:
            why = self._failure or "the server is being asked for one"
            raise NotAttached(f"https needs a certificate, and there is none yet: {why}.")
        return self._context

    @property
    def is_wanted(self) -> bool:
        """Whether an https listener has asked for the context."""
        return self._wanted.is_set()

    @property
    def fault(self) -> str | None:
        """What operators should know about a certificate that is in use."""
        life = self._life
        if not self._wanted.is_set() or life is None or not life.is_due(self._clock.now()):
            return None
        verb = "has expired" if life.is_over(self._clock.now()) else "is due for renewal"
        why = f": {self._failure}" if self._failure else ""
        return f"the listeners' certificate {verb} ({rfc3339_s(life.ends)}){why}"

    async def run(self) -> None:
        """Get a certificate when it is wanted, and a new one in time, until cancelled."""
        await self._wanted.wait()
        while True:
            if self._life is None or self._life.is_due(self._clock.now()):
                await self._renew_until_done()
            await asyncio.sleep(self._look_seconds)

    async def _renew_until_done(self) -> None:
        while True:
            if await self._renew():
                self._backoff.reset()
                return
            await asyncio.sleep(self._backoff.next())

    async def _renew(self) -> bool:
        if self._source is None:
            self._failure = "this node runs without a server"
            return False
        had_context = self._context is not None
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            made = await self._ask(self._source, _csr(key))
            pem = _key_pem(key) + "".join(made.certificates).encode()
            life = self._use(pem)
        except (ServerUnavailable, ServerRefused, ValueError, OSError) as error:
            failure = str(error)
            if failure != self._failure:
                log.warning("No certificate for the listeners", error=failure)
            self._failure = failure
            return False
        self._failure = None
        log.info("Listeners have a certificate", expires_at=rfc3339_s(life.ends))
        try:
            await asyncio.to_thread(write_private, self._file, pem)
        except OSError as error:
            log.warning("Listeners' certificate not saved", error=error.strerror)
        if not had_context:
            self.on_change()
        return True

    async def _ask(self, source: CertificateSource, csr: str) -> ListenerCertificate:
        if self._localhost:
            # Only a server in development puts localhost into a certificate; others do without.
            with suppress(ServerRefused):
                return await source.tls_certificate(csr, localhost=True)
        return await source.tls_certificate(csr, localhost=False)

    def _use(self, pem: bytes) -> _Life:
        """Load key and chain into the shared context. Raises ValueError or OSError, with nothing changed."""
        leaf = x509.load_pem_x509_certificate(pem)
        life = _Life(leaf.not_valid_before_utc, leaf.not_valid_after_utc)
        if life.is_over(self._clock.now()) and self._context is None:
            raise ValueError(f"the certificate expired at {rfc3339_s(life.ends)}")
        # OpenSSL reads files only. A context that failed to load halfway is not to be served from.
        trial = self._file.with_name("trial.pem")
        write_private(trial, pem)
        try:
            fresh = new_context()
            fresh.load_cert_chain(trial)
            if self._context is None:
                self._context = fresh
            else:
                self._context.load_cert_chain(trial)
        finally:
            trial.unlink(missing_ok=True)
        self._life = life
        self.pem = pem
        self.on_load(pem)
        return life


def _csr(key: ec.EllipticCurvePrivateKey) -> str:
    """A request without names: the server decides what the certificate says."""
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return (
        request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode("ascii")
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
