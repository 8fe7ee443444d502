"""Certificates for instances and listeners, checked by openssl as a stranger would."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from fakes.iam import IamServer, Instance, iam_server, placed

from linklocal.iam.authorities import INTERMEDIATE_LIFE
from linklocal.iam.certificates import listener_certificate
from linklocal.store.engine import Database


@pytest.fixture
async def server(database: Database, tmp_path: Path) -> AsyncIterator[IamServer]:
    async with iam_server(database, tmp_path / "server.key") as server:
        yield server


@pytest.fixture
async def instance(server: IamServer) -> Instance:
    return await placed(server)


def csr(*attributes: tuple[x509.ObjectIdentifier, str]) -> str:
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    signed = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(Encoding.PEM).decode()


def verify(tmp_path: Path, server: IamServer, root: str, chain: list[str], *options: str) -> str:
    """What `openssl verify` says, at the fake clock's time."""
    for name, text in {"root": root, "inter": chain[-1], "leaf": chain[0]}.items():
        (tmp_path / name).write_text(text)
    intermediates = ["-untrusted", "inter"] if len(chain) > 1 else []
    at = str(int(server.clock.now().timestamp()) + 1)
    command = ["openssl", "verify", "-attime", at, "-x509_strict", "-CAfile", "root"]
    done = subprocess.run(
        [*command, *intermediates, *options, "leaf"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


async def root(server: IamServer, which: str) -> str:
    answer = await server.http.get(f"/ca/{which}.pem")
    assert answer.status_code == 200
    return answer.text


@pytest.mark.needs("openssl", "openssl")
@pytest.mark.differs(
    "Metadata: the extended key usage of a certificate",
    "not published",
    "either end of TLS",
)
async def test_an_instance_gets_a_chain_that_openssl_accepts(
    instance: Instance, tmp_path: Path
) -> None:
    server = instance.server
    body = {
        "identity_token": instance.identity_token(),
        "csr": csr((NameOID.ORGANIZATION_NAME, "Shop"), (NameOID.COUNTRY_NAME, "DE")),
        "expires_in": 600,
    }
    answer = await server.signed(instance.host, "/internal/v1/certificates", body)
    assert answer.status_code == 200, answer.text
    issued = answer.json()
    leaf = x509.load_pem_x509_certificate(issued["certificates"][0].encode())

    assert len(issued["certificates"]) == 2
    assert all(text.endswith("\n") for text in issued["certificates"])
    subject = {a.rfc4514_attribute_name: a.value for a in leaf.subject}
    assert subject == {"O": "Shop", "C": "DE", "CN": instance.id}
    assert leaf.not_valid_before_utc == server.clock.now()
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(seconds=600)
    assert issued["issued_at"] == "2026-11-24T12:00:00Z"
    assert issued["expires_at"] == "2026-11-24T12:10:00Z"
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    ca = await root(server, "identity")
    for purpose in ("sslclient", "sslserver"):  # TLS between two instances has both ends
        assert "leaf: OK" in verify(
            tmp_path, server, ca, issued["certificates"], "-purpose", purpose
        )
    foreign = verify(tmp_path, server, await root(server, "tls"), issued["certificates"])
    assert "leaf: OK" not in foreign


BAD_LIVES = [-1, 0, 299, 3601, 10**30]


@pytest.mark.differs(
    "Metadata: the shortest life of a certificate",
    "not published",
    "300 seconds",
)
async def test_bounds_of_expires_in_and_a_bad_csr_are_told_together(instance: Instance) -> None:
    for expires_in in BAD_LIVES:
        body = {
            "identity_token": instance.identity_token(),
            "csr": csr((NameOID.COMMON_NAME, "root")),
            "expires_in": expires_in,
        }
        answer = await instance.server.signed(instance.host, "/internal/v1/certificates", body)

        assert answer.status_code == 400
        errors = answer.json()["errors"]
        assert [(e["code"], e["target"]["name"]) for e in errors] == [
            ("invalid_value", "csr"),
            ("invalid_value", "expires_in"),
        ]


async def test_no_certificate_without_a_good_identity_token(instance: Instance) -> None:
    body = {"identity_token": instance.identity_token(), "csr": csr()}
    await instance.publish(tokens_valid_after=2)

    answer = await instance.server.signed(instance.host, "/internal/v1/certificates", body)
    unsigned = await instance.server.http.post("/internal/v1/certificates", json=body)
    assert answer.status_code == 401
    assert unsigned.status_code == 401


@pytest.mark.needs("openssl", "openssl")
async def test_the_tls_root_vouches_for_the_metadata_service_only(
    instance: Instance, tmp_path: Path
) -> None:
    server = instance.server

    async def ask(**body: Any) -> Any:
        path = "/internal/v1/tls_certificate"
        return await server.signed(instance.host, path, {"csr": csr(), **body})

    issued = (await ask()).json()["certificates"]
    localhost = await ask(localhost=True)
    ca = await root(server, "tls")
    options = "-verify_hostname", "api.metadata.cloud.ibm.com", "-purpose", "sslserver"

    assert "leaf: OK" in verify(tmp_path, server, ca, issued, *options)
    assert localhost.status_code == 400
    assert localhost.json()["errors"][0]["target"]["name"] == "localhost"
    async with server.database.read() as connection:
        authority = await server.iam.authorities.tls(connection)
    for host in ("bank.example", "localhost"):
        forged = _leaf_for(authority, x509.DNSName(host), server)
        assert "permitted subtree violation" in verify(tmp_path, server, ca, [forged])


def _leaf_for(authority: Any, name: x509.GeneralName, server: IamServer) -> str:
    """What somebody with the root's key could sign."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    leaf = listener_certificate(authority, key, [str(name.value)], server.clock.now())
    return leaf.public_bytes(Encoding.PEM).decode()


@pytest.mark.needs("openssl", "openssl")
async def test_dev_has_a_root_of_its_own_that_may_vouch_for_localhost(
    database: Database, tmp_path: Path
) -> None:
    async with iam_server(database, tmp_path / "server.key", dev=True) as server:
        instance = await placed(server)
        answer = await server.signed(
            instance.host, "/internal/v1/tls_certificate", {"csr": csr(), "localhost": True}
        )
        ca = await root(server, "tls")

        options = "-verify_hostname", "localhost"
        assert "leaf: OK" in verify(tmp_path, server, ca, answer.json()["certificates"], *options)


async def test_the_intermediate_is_renewed_at_a_start_and_the_root_stays(
    instance: Instance,
) -> None:
    server = instance.server
    before = await root(server, "identity")
    server.clock.advance((INTERMEDIATE_LIFE - timedelta(days=100)).total_seconds())
    for _ in range(2):
        async with server.database.transaction() as connection:
            await server.iam.bootstrap(connection)
            authority = await server.iam.authorities.identity(connection)

    assert authority.certificate.not_valid_after_utc == server.clock.now() + INTERMEDIATE_LIFE
    assert await root(server, "identity") == before
    assert (await server.http.get("/ca/other.pem")).status_code in (400, 404)
