"""One of two instances that talk mutual TLS with their identity certificates: `serve` or `ask`."""

from __future__ import annotations

import argparse
import json
import socket
import ssl
import tempfile
import urllib.request
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

SECONDS = 20.0
VERSION = "version=2025-08-26"


class WrongPeer(Exception):
    """The other end has a good certificate, of another instance than the one expected."""


def certified(metadata: str) -> tuple[bytes, bytes]:
    """A new private key, and its certificate followed by the intermediate one. PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    # The subject stays empty: the service puts the instance's id there.
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    csr = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()
    token = _ask("PUT", f"{metadata}/identity/v1/token", {}, {"Metadata-Flavor": "ibm"})
    issued = _ask(
        "POST",
        f"{metadata}/identity/v1/certificates",
        {"csr": csr, "expires_in": 3600},
        {"Authorization": f"Bearer {token['access_token']}"},
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private, "".join(issued["certificates"]).encode()


def context(side: ssl._SSLMethod, root: str, key: bytes, chain: bytes) -> ssl.SSLContext:
    """For `ssl.PROTOCOL_TLS_SERVER` or `_CLIENT`: the other end must have a certificate below `root`."""
    made = ssl.SSLContext(side)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.check_hostname = False  # instances have ids: see `expect`
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_verify_locations(root)
    # Python reads these from a file only; it is private, and gone at once.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "identity.pem"
        file.write_bytes(key + chain)
        made.load_cert_chain(file)
    return made


def expect(connection: ssl.SSLSocket, instance: str) -> None:
    """Go on only if the other end is this instance. Raises WrongPeer."""
    subject = (connection.getpeercert() or {})["subject"]
    names = [value for part in subject for name, value in part if name == "commonName"]
    if names != [instance]:
        raise WrongPeer(f"this is {', '.join(names)}, not {instance}")


def serve(listener: socket.socket, tls: ssl.SSLContext, instance: str) -> str:
    """Take one connection, say hello to the instance expected, and return what it said."""
    plain, _ = listener.accept()
    plain.settimeout(SECONDS)
    with plain, tls.wrap_socket(plain, server_side=True) as connection:
        expect(connection, instance)
        said = connection.makefile().readline().strip()
        connection.sendall(f"hello, {instance}\n".encode())
        return said


def ask(address: tuple[str, int], tls: ssl.SSLContext, instance: str) -> str:
    """Say hello to the instance expected at this address, and return what it answers."""
    with (
        socket.create_connection(address, SECONDS) as plain,
        tls.wrap_socket(plain) as connection,
    ):
        expect(connection, instance)
        connection.sendall(f"hello, {instance}\n".encode())
        answer = connection.makefile().readline().strip()
    if not answer:
        raise ConnectionAbortedError("the other end does not want to talk to this instance")
    return answer


def _ask(method: str, url: str, body: dict[str, object], headers: dict[str, str]) -> dict[str, str]:
    headers = {"Content-Type": "application/json", **headers}
    request = urllib.request.Request(
        f"{url}?{VERSION}", json.dumps(body).encode(), method=method, headers=headers
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        read: dict[str, str] = json.load(answer)
    return read


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True, help="file of `linklocal ca identity`")
    parser.add_argument("--metadata", default="http://169.254.169.254")
    parser.add_argument("--expect", required=True, help="id of the instance at the other end")
    parser.add_argument("what", choices=["serve", "ask"])
    parser.add_argument("where", help="a port to serve, or an address to ask")
    given = parser.parse_args()
    key, chain = certified(given.metadata)
    if given.what == "serve":
        tls = context(ssl.PROTOCOL_TLS_SERVER, given.root, key, chain)
        with socket.create_server(("127.0.0.1", int(given.where))) as listener:
            print(f"listening at port {listener.getsockname()[1]}", flush=True)
            print(serve(listener, tls, given.expect))
    else:
        host, _, port = given.where.rpartition(":")
        tls = context(ssl.PROTOCOL_TLS_CLIENT, given.root, key, chain)
        print(ask((host, int(port)), tls, given.expect))


if __name__ == "__main__":
    main()
