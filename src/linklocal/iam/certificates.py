"""Certificates that the server issues: of instances (identity) and of listeners (TLS).

Metadata contract 3.3 and section 1. Who asks is decided before anything is signed: an instance by its
identity token (`exchange.identify`), a node by its signed request.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from linklocal.clock import Clock
from linklocal.errors import DomainError, Invalid, Problem, Target, Unavailable
from linklocal.iam.authorities import METADATA_HOST, Authorities, Authority, authority_key_id
from linklocal.iam.csr import CertificateRequest, PublicKey, read_csr
from linklocal.iam.exchange import identify
from linklocal.settings import Region
from linklocal.store.engine import Database

MIN_LIFE = 300  # seconds
MAX_LIFE = 3600
LISTENER_LIFE = timedelta(days=90)
_ACTION = "is.metadata.certificate.create"


@dataclass(frozen=True, slots=True)
class Issued:
    """A chain without its root, leaf first; PEM texts that end with a newline. Whole seconds."""

    certificates: list[str]
    issued_at: datetime
    expires_at: datetime


class Certificates:
    """One per server; every method is one unit of work that only reads."""

    def __init__(
        self, database: Database, authorities: Authorities, clock: Clock, region: Region
    ) -> None:
        self._database = database
        self._authorities = authorities
        self._clock = clock
        self._region = region.name

    async def for_instance(
        self, identity_token: str, csr: str, expires_in: int, *, node_id: str | None = None
    ) -> Issued:
        """`[leaf, intermediate]` for the instance behind the token.

        Raises what `identify` raises; Invalid (`invalid_value`, `csr` and `expires_in`).
        """
        now = self._clock.now()
        async with self._database.read() as connection:
            resource = await identify(
                connection,
                identity_token,
                region=self._region,
                now=now,
                node_id=node_id,
                action=_ACTION,
            )
            request = _checked(csr, expires_in)
            issuer = await self._authorities.identity(connection)
        leaf = identity_certificate(
            issuer, request, resource.instance_id, now, timedelta(seconds=expires_in)
        )
        return _issued([leaf, issuer.certificate])

    async def for_listener(self, csr: str, *, localhost: bool = False) -> Issued:
        """`[leaf]` for a node's listeners: the metadata service's name, in `dev` also localhost.

        Raises Invalid (`csr`, `localhost`).
        """
        problems = []
        if localhost and not self._authorities.dev:
            message = "`localhost` is for `linklocal dev`: leave it out."
            problems.append(Problem("invalid_value", message, Target("localhost")))
        try:
            request = read_csr(csr, any_subject=True)
        except Invalid as error:
            raise Invalid([*error.problems, *problems]) from error
        if problems:
            raise Invalid(problems)
        async with self._database.read() as connection:
            issuer = await self._authorities.tls(connection)
        hosts = [METADATA_HOST, *(["localhost"] if localhost else [])]
        leaf = listener_certificate(issuer, request.key, hosts, self._clock.now())
        return _issued([leaf])


def _checked(csr: str, expires_in: int) -> CertificateRequest:
    problems: list[Problem] = []
    if not MIN_LIFE <= expires_in <= MAX_LIFE:
        problems.append(
            Problem(
                "invalid_value",
                "The value provided for the `expires_in` field must be between "
                f"`{MIN_LIFE}` and `{MAX_LIFE}`.",
                Target("expires_in", value=str(expires_in)[:200]),
            )
        )
    try:
        request = read_csr(csr)
    except DomainError as error:
        raise Invalid([*error.problems, *problems]) from error
    if problems:
        raise Invalid(problems)
    return request


def identity_certificate(
    issuer: Authority,
    request: CertificateRequest,
    instance_id: str,
    now: datetime,
    life: timedelta,
) -> x509.Certificate:
    """The request's subject attributes and CN = instance id. Not back-dated: clients renew at 70 % of
    the life, counted from its beginning. Good for either end of a connection between instances."""
    common_name = x509.NameAttribute(NameOID.COMMON_NAME, instance_id)
    subject = x509.Name([*request.subject, common_name])
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    builder = _leaf(issuer, subject, request.key, now, life, usages)
    return builder.sign(issuer.key, hashes.SHA256())


def listener_certificate(
    issuer: Authority, key: PublicKey, hosts: list[str], now: datetime
) -> x509.Certificate:
    """For TLS servers of these names; the first one is the subject."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    usages = [ExtendedKeyUsageOID.SERVER_AUTH]
    names = x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts])
    builder = _leaf(issuer, subject, key, now, LISTENER_LIFE, usages)
    return builder.add_extension(names, critical=False).sign(issuer.key, hashes.SHA256())


def _leaf(
    issuer: Authority,
    subject: x509.Name,
    key: PublicKey,
    now: datetime,
    life: timedelta,
    usages: list[x509.ObjectIdentifier],
) -> x509.CertificateBuilder:
    start = now.replace(microsecond=0)
    if start + life > issuer.certificate.not_valid_after_utc:
        raise Unavailable(
            "The issuing certificate is about to end: restart the server to renew it."
        )
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + life)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(authority_key_id(issuer), critical=False)
    )


def _issued(chain: list[x509.Certificate]) -> Issued:
    texts = [one.public_bytes(serialization.Encoding.PEM).decode() for one in chain]
    return Issued(texts, chain[0].not_valid_before_utc, chain[0].not_valid_after_utc)
