"""A throw-away certificate and the two TLS contexts around it."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAME = "api.metadata.cloud.ibm.com"


@cache
def _pem(serial: int) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), serial)
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM), private


def server_context(serial: int = 1) -> ssl.SSLContext:
    """A server's context with a self-signed certificate of that serial number."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate, private = _pem(serial)
    with TemporaryDirectory() as folder:
        file = Path(folder, "pem")
        file.write_bytes(certificate + private)
        context.load_cert_chain(file)
    return context


def client_context(serial: int = 1) -> ssl.SSLContext:
    """A client's context that trusts exactly that certificate, for exactly the documented name."""
    return ssl.create_default_context(cadata=_pem(serial)[0].decode())
