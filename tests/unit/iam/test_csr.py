"""Certificate requests: good ones, each way to be refused, and bytes that are no request at all."""

from __future__ import annotations

import base64
import functools
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from linklocal.errors import Invalid
from linklocal.iam.authorities import make_identity_root, make_intermediate
from linklocal.iam.certificates import identity_certificate
from linklocal.iam.csr import MAX_CSR_CHARS, read_csr

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | dsa.DSAPrivateKey


@functools.cache
def key_of(kind: str) -> Key:
    match kind.split("-"):
        case ["rsa", bits]:
            return rsa.generate_private_key(65537, int(bits))
        case ["rsa", bits, exponent]:
            return rsa.generate_private_key(int(exponent), int(bits))
        case ["ed25519"]:
            return ed25519.Ed25519PrivateKey.generate()
        case ["dsa"]:
            return dsa.generate_private_key(2048)
        case [curve]:
            return ec.generate_private_key(getattr(ec, curve.upper())())
        case _:
            raise ValueError(kind)


def csr(
    kind: str = "secp256r1",
    *attributes: tuple[x509.ObjectIdentifier, str],
    hash: hashes.HashAlgorithm | None = None,
    extension: x509.ExtensionType | None = None,
    encoding: Encoding = Encoding.PEM,
) -> bytes:
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    if extension is not None:
        builder = builder.add_extension(extension, critical=False)
    key = key_of(kind)
    chosen = None if isinstance(key, ed25519.Ed25519PrivateKey) else hash or hashes.SHA256()
    return builder.sign(key, chosen).public_bytes(encoding)


def refusal(text: str | bytes) -> str:
    with pytest.raises(Invalid) as refused:
        read_csr(text if isinstance(text, str) else text.decode())
    assert {(p.code, p.target.name if p.target else "") for p in refused.value.problems} == {
        ("invalid_value", "csr")
    }
    return " ".join(p.message for p in refused.value.problems)


@pytest.mark.parametrize("kind", ["rsa-2048", "rsa-3072", "secp256r1", "secp384r1"])
@pytest.mark.parametrize("hash", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
def test_good_keys_and_hashes(kind: str, hash: hashes.HashAlgorithm) -> None:
    request = read_csr(csr(kind, (NameOID.ORGANIZATION_NAME, "Shop"), hash=hash).decode())

    assert [a.value for a in request.subject] == ["Shop"]


@pytest.mark.parametrize(
    "kind", ["rsa-1024", "rsa-2048-3", "secp521r1", "secp224r1", "secp256k1", "ed25519", "dsa"]
)
def test_keys(kind: str) -> None:
    if kind == "rsa-2048-3":  # a small exponent is unusual, not weak
        assert read_csr(csr(kind).decode())
    else:
        assert "2048 to 8192 bits" in refusal(csr(kind))


def test_a_key_beyond_bounds_is_refused_before_its_proof_is_checked() -> None:
    """Made by hand: generating such a key would take minutes."""
    huge = rsa.RSAPublicNumbers(65537, (1 << 16_384) + 1).public_key()
    fast = rsa.RSAPublicNumbers((1 << 1024) + 1, (1 << 2048) + 1)
    assert huge.key_size > 16_384
    der = csr("rsa-2048", encoding=Encoding.DER)
    own = key_of("rsa-2048").public_key()
    for other in (huge, fast.public_key()):
        text = _pem(_with_key(der, own, other))
        assert "bits" in refusal(text) or "longer" in refusal(text)


def _spki(key: object) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined,no-any-return]  # any public key


def _length(n: int) -> bytes:
    if n < 128:
        return bytes([n])
    size = (n.bit_length() + 7) // 8
    return bytes([0x80 | size]) + n.to_bytes(size, "big")


def _with_key(der: bytes, old: object, new: object) -> bytes:
    """The request with another key in it, outer lengths mended; its signature is then wrong."""

    def body(data: bytes) -> tuple[int, int]:
        first = data[1]
        skip = 2 if first < 128 else 2 + (first & 0x7F)
        length = first if first < 128 else int.from_bytes(data[2:skip], "big")
        return skip, length

    outer_skip, _ = body(der)
    inner = der[outer_skip:]
    info_skip, info_length = body(inner)
    info = inner[info_skip : info_skip + info_length].replace(_spki(old), _spki(new))
    rest = inner[info_skip + info_length :]
    content = b"\x30" + _length(len(info)) + info + rest
    return b"\x30" + _length(len(content)) + content


def _pem(der: bytes) -> str:
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{text}-----END CERTIFICATE REQUEST-----\n"


def test_the_subject_must_not_say_who_it_is() -> None:
    message = refusal(csr("secp256r1", (NameOID.COMMON_NAME, "root"), (NameOID.EMAIL_ADDRESS, "x")))

    assert "CN" in message
    assert "C, ST, L, O, OU" in message


@pytest.mark.parametrize(
    "extension",
    [
        x509.BasicConstraints(ca=True, path_length=None),
        x509.BasicConstraints(ca=False, path_length=None),
        x509.SubjectAlternativeName([x509.DNSName("x.example")]),
    ],
)
def test_no_extension_may_be_asked_for(extension: x509.ExtensionType) -> None:
    assert "extensions" in refusal(csr(extension=extension))


def test_all_problems_at_once() -> None:
    text = csr(
        "rsa-1024",
        (NameOID.COMMON_NAME, "x"),
        extension=x509.BasicConstraints(ca=True, path_length=None),
    ).decode()
    with pytest.raises(Invalid) as refused:
        read_csr(text)

    assert len(refused.value.problems) == 3


def test_weak_hashes_and_false_proofs() -> None:
    assert "SHA-256" in refusal(csr("rsa-2048", hash=hashes.SHA224()))
    der = bytearray(csr("rsa-2048", encoding=Encoding.DER))
    der[-5] ^= 1
    assert "not signed by its own key" in refusal(_pem(bytes(der)))
    own, other = key_of("secp256r1").public_key(), ec.generate_private_key(ec.SECP256R1())
    stolen = _with_key(csr(encoding=Encoding.DER), own, other.public_key())
    assert "not signed by its own key" in refusal(_pem(stolen))


@pytest.mark.parametrize("text", ["", "x", "é", "\udc80", "-----BEGIN CERTIFICATE REQUEST-----\n"])
def test_what_is_no_request(text: str) -> None:
    assert "PKCS#10" in refusal(text)


def test_size_comes_first() -> None:
    assert "longer" in refusal("x" * (MAX_CSR_CHARS + 1))


def test_a_listeners_request_may_name_itself_since_its_subject_is_not_taken_over() -> None:
    text = csr("secp256r1", (NameOID.COMMON_NAME, "node-1")).decode()

    assert read_csr(text, any_subject=True)


ROOT = make_identity_root(NOW)
INTERMEDIATE = make_intermediate(ROOT, NOW)
SUBJECT_OIDS = st.sampled_from(
    [NameOID.COUNTRY_NAME, NameOID.LOCALITY_NAME, NameOID.ORGANIZATION_NAME,
     NameOID.STATE_OR_PROVINCE_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME, NameOID.COMMON_NAME]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_requests_are_refused_or_make_a_whole_certificate(data: st.DataObject) -> None:
    """Nothing but Invalid comes out of the parser, and what it accepts can be signed and read again."""
    oids = data.draw(st.lists(SUBJECT_OIDS, max_size=3))
    # RSA's signatures are the same each time, which Hypothesis needs.
    whole = csr("rsa-2048", *[(oid, "DE") for oid in oids], encoding=Encoding.DER)
    der = bytearray(whole)
    for _ in range(data.draw(st.integers(0, 3))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(der)) | st.just(len(der)))
    try:
        request = read_csr(_pem(bytes(der[:cut])))
    except Invalid:
        return
    leaf = identity_certificate(INTERMEDIATE, request, "0717_x", NOW, timedelta(seconds=300))
    again = x509.load_der_x509_certificate(leaf.public_bytes(Encoding.DER))
    names = [a.value for a in again.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]

    assert names == ["0717_x"]
    assert request.key == key_of("rsa-2048").public_key()


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200) | st.binary(max_size=200).map(_pem))
def test_noise_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        read_csr(text)
