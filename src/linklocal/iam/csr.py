"""Certificate requests: what may stand in one (metadata contract 3.3). Pure; signs nothing.

Everything here is written by a guest: size first, then structure, then the key, then its proof. No
message repeats the request.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import NameOID, ObjectIdentifier

from linklocal.errors import Invalid, Problem, Target

MAX_CSR_CHARS = 16_384
MAX_SUBJECT_ATTRIBUTES = 20
RSA_MIN_BITS = 2048
RSA_MAX_BITS = 8192  # verifying beyond takes long enough to be a nuisance
RSA_MAX_EXPONENT = 2**32
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_SUBJECT = {
    NameOID.COUNTRY_NAME: "C",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.LOCALITY_NAME: "L",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
}
# PKCS#9 extensionRequest and Microsoft's older one.
_EXTENSION_REQUESTS = (
    ObjectIdentifier("1.2.840.113549.1.9.14"),
    ObjectIdentifier("1.3.6.1.4.1.311.2.1.14"),
)
_EMPTY_SEQUENCE = b"0\x00"

PublicKey = RSAPublicKey | EllipticCurvePublicKey


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """What a good request asks for: a key that its sender holds, and subject attributes."""

    key: PublicKey
    subject: tuple[x509.NameAttribute[str | bytes], ...]


def read_csr(pem: str, *, field: str = "csr", any_subject: bool = False) -> CertificateRequest:
    """Read a PEM PKCS#10 request. `any_subject`: the issuer does not take the subject over.

    Raises Invalid (`invalid_value`, target `field`) with every independent problem.
    """
    if len(pem) > MAX_CSR_CHARS:
        raise Invalid(_problem(field, f"is longer than {MAX_CSR_CHARS} characters"))
    try:
        csr = x509.load_pem_x509_csr(pem.encode("ascii"))
        subject = tuple(csr.subject)
        attributes = [(attribute.oid, attribute.value) for attribute in csr.attributes]
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Invalid(
            _problem(
                field, "is not a PEM certificate request (PKCS#10); its lines end with newlines"
            )
        ) from error
    key, found = _key(csr, field)
    if not any_subject:
        found += _subject_problems(subject, field)
        asked = [value for oid, value in attributes if oid in _EXTENSION_REQUESTS]
        if any(value != _EMPTY_SEQUENCE for value in asked):
            found.append(_problem(field, "asks for extensions: the issuer decides them"))
    # The proof is checked only for a key of a sane size.
    if key is not None and not found:
        found += _proof_problems(csr, field)
    if key is None or found:
        raise Invalid(found)
    return CertificateRequest(key, subject)


def _key(csr: x509.CertificateSigningRequest, field: str) -> tuple[PublicKey | None, list[Problem]]:
    wanted = (
        f"must have an RSA key of {RSA_MIN_BITS} to {RSA_MAX_BITS} bits, or one on P-256 or P-384"
    )
    try:
        key = csr.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None, [_problem(field, wanted)]
    match key:
        case RSAPublicKey():
            good = (
                RSA_MIN_BITS <= key.key_size <= RSA_MAX_BITS
                and key.public_numbers().e <= RSA_MAX_EXPONENT
            )
            return (key, []) if good else (None, [_problem(field, wanted)])
        case EllipticCurvePublicKey(curve=SECP256R1() | SECP384R1()):
            return key, []
        case _:
            return None, [_problem(field, wanted)]


def _subject_problems(
    subject: tuple[x509.NameAttribute[str | bytes], ...], field: str
) -> list[Problem]:
    found = []
    others = sorted({a.oid.dotted_string for a in subject if a.oid not in _SUBJECT})
    if others:
        names = ", ".join(
            "CN" if oid == NameOID.COMMON_NAME.dotted_string else oid for oid in others[:5]
        )
        allowed = ", ".join(_SUBJECT.values())
        found.append(_problem(field, f"has {names} in its subject: only {allowed} are allowed"))
    if len(subject) > MAX_SUBJECT_ATTRIBUTES:
        found.append(_problem(field, f"has more than {MAX_SUBJECT_ATTRIBUTES} subject attributes"))
    return found


def _proof_problems(csr: x509.CertificateSigningRequest, field: str) -> list[Problem]:
    try:
        if not isinstance(csr.signature_hash_algorithm, _HASHES):
            return [_problem(field, "must be signed with SHA-256, SHA-384 or SHA-512")]
        good = csr.is_signature_valid
    except (ValueError, UnsupportedAlgorithm, InvalidSignature):
        good = False
    return [] if good else [_problem(field, "is not signed by its own key")]


def _problem(field: str, text: str) -> Problem:
    return Problem("invalid_value", f"`{field}` {text}.", Target(field))
