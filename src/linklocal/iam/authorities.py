"""The server's certificate authorities: two roots that have nothing to do with each other.

tls       signs the listeners' certificates; guests install it, so it can vouch for the metadata
          service's name and for nothing else (name constraints)
identity  signs, by way of an intermediate, instance identity certificates

Private keys are kept sealed in `secrets`; they never leave the server. Issuing is in `certificates.py`.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.clock import Clock
from linklocal.errors import OperatorError
from linklocal.iam.secrets import Sealer
from linklocal.iam.tables import secrets

METADATA_HOST = "api.metadata.cloud.ibm.com"
ROOT_LIFE = timedelta(days=20 * 365)
INTERMEDIATE_LIFE = timedelta(days=5 * 365)
# Renewed at the first start within this time of the end.
INTERMEDIATE_RENEWAL = timedelta(days=365)

Which = Literal["tls", "identity"]


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate that signs others, with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()


class Authorities:
    """The authorities of one database. `dev` has a TLS root of its own, which may vouch for localhost."""

    def __init__(self, sealer: Sealer, clock: Clock, *, dev: bool) -> None:
        self._sealer = sealer
        self._clock = clock
        self.dev = dev
        self._tls_root = "tls-root-dev" if dev else "tls-root"

    async def ensure(self, connection: AsyncConnection) -> None:
        """Make the roots that are missing, and an intermediate when there is none that lasts.

        One starter at a time: the caller holds the lock of `bootstrap`.
        """
        now = self._clock.now()
        if await self._newest(connection, self._tls_root) is None:
            hosts = (METADATA_HOST, "localhost") if self.dev else (METADATA_HOST,)
            await self._keep(connection, self._tls_root, make_tls_root(hosts, now))
        root = await self._newest(connection, "identity-root")
        if root is None:
            root = make_identity_root(now)
            await self._keep(connection, "identity-root", root)
        intermediate = await self._newest(connection, "identity-intermediate")
        lasts_until = intermediate.certificate.not_valid_after_utc if intermediate else now
        if lasts_until < now + INTERMEDIATE_RENEWAL:
            made = make_intermediate(root, now)
            await self._keep(connection, "identity-intermediate", made)

    async def tls(self, connection: AsyncConnection) -> Authority:
        """What signs listeners' certificates: the TLS root itself."""
        return await self._required(connection, self._tls_root)

    async def identity(self, connection: AsyncConnection) -> Authority:
        """What signs instance identity certificates: the intermediate."""
        return await self._required(connection, "identity-intermediate")

    async def root_pem(self, connection: AsyncConnection, which: Which) -> str:
        """The root certificate that guests (`tls`) or verifiers (`identity`) install."""
        kind = self._tls_root if which == "tls" else "identity-root"
        statement = select(secrets.c.public).where(secrets.c.kind == kind)
        newest = statement.order_by(secrets.c.created_at.desc(), secrets.c.id).limit(1)
        pem = await connection.scalar(newest)
        if pem is None:
            raise _not_set_up()
        return str(pem)

    async def _required(self, connection: AsyncConnection, kind: str) -> Authority:
        authority = await self._newest(connection, kind)
        if authority is None:
            raise _not_set_up()
        return authority

    async def _newest(self, connection: AsyncConnection, kind: str) -> Authority | None:
        statement = (
            select(secrets)
            .where(secrets.c.kind == kind)
            .order_by(secrets.c.created_at.desc(), secrets.c.id)
            .limit(1)
        )
        row = (await connection.execute(statement)).one_or_none()
        if row is None:
            return None
        plain = self._sealer.unseal(row.sealed, f"{kind}/{row.id}")
        key = serialization.load_pem_private_key(plain, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return Authority(x509.load_pem_x509_certificate(row.public.encode()), key)

    async def _keep(self, connection: AsyncConnection, kind: str, authority: Authority) -> None:
        id = f"{kind}-{uuid4().hex}"
        plain = authority.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        await connection.execute(
            insert(secrets).values(
                id=id,
                kind=kind,
                public=authority.pem(),
                sealed=self._sealer.seal(plain, f"{kind}/{id}"),
                created_at=self._clock.now(),
                expires_at=authority.certificate.not_valid_after_utc,
            )
        )


def make_tls_root(hosts: tuple[str, ...], now: datetime) -> Authority:
    """A root that clients believe about these host names only, and about no address."""
    constraints = x509.NameConstraints(
        permitted_subtrees=[x509.DNSName(host) for host in hosts],
        excluded_subtrees=[
            x509.IPAddress(ipaddress.ip_network("0.0.0.0/0")),
            x509.IPAddress(ipaddress.ip_network("::/0")),
        ],
    )
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("linklocal TLS root")
    builder = (
        _ca(name, name, key, now, ROOT_LIFE, path_length=0)
        .add_extension(constraints, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    return Authority(builder.sign(key, hashes.SHA256()), key)


def make_identity_root(now: datetime) -> Authority:
    """The root of instance identity certificates."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("linklocal identity root")
    builder = _ca(name, name, key, now, ROOT_LIFE, path_length=1)
    return Authority(builder.sign(key, hashes.SHA256()), key)


def make_intermediate(root: Authority, now: datetime) -> Authority:
    """What signs leaves, so that the root's key is used once in years."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("linklocal identity intermediate")
    builder = _ca(
        name, root.certificate.subject, key, now, INTERMEDIATE_LIFE, path_length=0
    ).add_extension(authority_key_id(root), critical=False)
    return Authority(builder.sign(root.key, hashes.SHA256()), key)


def authority_key_id(issuer: Authority) -> x509.AuthorityKeyIdentifier:
    """Ties a certificate to the very key that signed it."""
    ski = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski.value)


def _name(text: str) -> x509.Name:
    # A suffix, so that roots of several servers can be told apart in one trust store.
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "linklocal"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{text} {uuid4().hex[:8]}"),
        ]
    )


def _ca(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    life: timedelta,
    *,
    path_length: int,
) -> x509.CertificateBuilder:
    start = now.replace(microsecond=0)
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + life)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _not_set_up() -> OperatorError:
    return OperatorError(
        "The database holds no certificate authority.",
        "Start `linklocal server` once: it sets the database up.",
    )
