"""The programs in examples/ that prove who they are, each against a running `linklocal dev`."""

from __future__ import annotations

import importlib.util
import json
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import requests
from cloud import Cloud, clients
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from guest import FLAVOR, VERSION
from inside import Inside, entered_dev
from live import linklocal

EXAMPLES = Path(__file__).parents[2] / "examples"
SECONDS = 60


def example(path: str) -> ModuleType:
    """A program of examples/ as a module."""
    spec = importlib.util.spec_from_file_location(path.replace("/", "_"), EXAMPLES / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def inside() -> Iterator[Inside]:
    with entered_dev() as entered:
        yield entered


@pytest.fixture(scope="module")
def cloud(inside: Inside) -> Cloud:
    return clients(inside.dev)


def made(cloud: Cloud) -> tuple[str, str]:
    """A new instance: its id, and where its metadata service answers."""
    instance = str(cloud.create(metadata_service={"enabled": True})["id"])
    return instance, cloud.dev.address(instance)


def run(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- sdk-inside ----------------------------------------------------------------------------------


def test_the_sdk_inside_python(inside: Inside) -> None:
    program = inside.home / "names.py"
    shutil.copy(EXAMPLES / "sdk-inside" / "names.py", program)

    done = inside.run("demo", inside.python, str(program))

    assert "demo" in done.stdout.split(), done.stderr


@pytest.mark.needs("npm", "npm")
def test_the_sdk_inside_node(inside: Inside) -> None:
    folder = inside.home / "node"
    shutil.copytree(EXAMPLES / "sdk-inside", folder, ignore=shutil.ignore_patterns("node_modules"))
    subprocess.run(
        ["npm", "ci", "--silent", "--prefer-offline"], cwd=folder, check=True, timeout=SECONDS * 4
    )

    done = inside.run("demo", "node", str(folder / "names.mjs"))

    assert "demo" in done.stdout.split(), done.stderr


# --- nonce ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nonce() -> ModuleType:
    return example("nonce/verifier.py")


def token(address: str, **body: Any) -> str:
    answer = requests.put(
        f"{address}/identity/v1/token", params=VERSION, headers=FLAVOR, json=body, timeout=20
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def test_a_program_proves_where_it_runs(cloud: Cloud) -> None:
    """Two programs, as on two machines; then one that has no nonce of the verifier's."""
    instance, address = made(cloud)
    verifier = subprocess.Popen(
        [sys.executable, str(EXAMPLES / "nonce" / "verifier.py"),
         "--server", cloud.dev.api, "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    with verifier:
        try:
            assert verifier.stdout is not None
            url = verifier.stdout.readline().strip()
            proved = json.loads(
                run(str(EXAMPLES / "nonce" / "prove.py"), "--verifier", url, "--metadata", address)
            )
            refused = requests.post(f"{url}/proof", json={"token": token(address)}, timeout=20)
        finally:
            verifier.kill()

    assert proved["instance"] == instance
    assert proved["crn"].endswith(instance)
    assert refused.status_code == 403
    assert "no nonce" in refused.json()["refused"]


def test_what_proves_nothing_is_refused(cloud: Cloud, nonce: ModuleType) -> None:
    instance, address = made(cloud)
    ahead = 0.0
    keys = nonce.published(cloud.dev.api)
    verifier = nonce.Verifier(keys, "us-south", lambda: time.time() + ahead)
    elsewhere = nonce.Verifier(keys, "eu-de")

    def refusal(token: str, **expected: str) -> str:
        with pytest.raises(nonce.Refused) as refused:
            verifier.check(token, **expected)
        return str(refused.value)

    good = token(address, nonce=verifier.nonce())
    assert verifier.check(good, instance=instance)["iaas"]["instanceID"] == instance
    assert "used before" in refusal(good)
    assert "no nonce" in refusal(token(address))
    assert "not one of mine" in refusal(token(address, nonce="of another verifier"))
    assert f"of instance {instance}" in refusal(
        token(address, nonce=verifier.nonce()), instance="another"
    )
    head, body, signature = token(address, nonce=verifier.nonce()).split(".")
    assert "not signed" in refusal(f"{head}.{body[:-8]}AAAA{body[-4:]}.{signature}")
    assert "not signed" in refusal("no token")
    # IAM's tokens are signed by keys of the same document, for another purpose.
    iam = cloud.vpc.authenticator.token_manager.get_token()
    assert "not signed" in refusal(iam)
    with pytest.raises(nonce.Refused, match="not signed"):
        elsewhere.check(token(address, nonce=elsewhere.nonce()))

    late, used = token(address, nonce=verifier.nonce(), expires_in=5), verifier.nonce()
    ahead = 6.0
    assert "expired" in refusal(late)
    early = token(address, nonce=used)
    ahead = -60.0
    assert "in the future" in refusal(early)
    ahead = 61.0
    assert "too old" in refusal(early)


# --- mutual-tls ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def peer() -> ModuleType:
    return example("mutual-tls/peer.py")


@pytest.fixture(scope="module")
def root(inside: Inside) -> str:
    said = linklocal("ca", "identity", state_dir=inside.dev.state_dir)
    assert said.returncode == 0, said.stderr
    file = inside.home / "root.pem"
    file.write_text(said.stdout)
    return str(file)


def test_two_instances_talk(cloud: Cloud, root: str) -> None:
    """As their programs do, each in a process of its own."""
    (one, at_one), (two, at_two) = made(cloud), made(cloud)
    program = [str(EXAMPLES / "mutual-tls" / "peer.py"), "--root", root]
    server = subprocess.Popen(
        [sys.executable, *program, "--metadata", at_one, "--expect", two, "serve", "0"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with server:
        assert server.stdout is not None
        try:
            port = server.stdout.readline().split()[-1]
            there = ("ask", f"127.0.0.1:{port}")
            said = run(*program, "--metadata", at_two, "--expect", one, *there)
            heard = server.stdout.read()
        finally:
            server.kill()

    assert said == f"hello, {two}\n"
    assert heard == f"hello, {one}\n"


def test_nobody_else_is_talked_to(cloud: Cloud, root: str, peer: ModuleType) -> None:
    """Another instance, and the right name below another root, at either end."""
    (one, at_one), (two, at_two) = made(cloud), made(cloud)
    first, second, forged = peer.certified(at_one), peer.certified(at_two), _forged(two)

    def talk(server: Any, client: Any, *, by: str, to: str) -> tuple[object, object]:
        """What came of it at the server and at the client, a text or an error."""
        outcome: list[object] = [None, None]
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(SECONDS)

            def end(which: int, what: Any, *arguments: Any) -> None:
                try:
                    outcome[which] = what(*arguments)
                except (OSError, peer.WrongPeer) as error:
                    outcome[which] = error

            serving = threading.Thread(
                target=end,
                args=(
                    0,
                    peer.serve,
                    listener,
                    peer.context(ssl.PROTOCOL_TLS_SERVER, root, *server),
                    by,
                ),
            )
            serving.start()
            tls = peer.context(ssl.PROTOCOL_TLS_CLIENT, root, *client)
            end(1, peer.ask, listener.getsockname(), tls, to)
            serving.join(SECONDS)
        return outcome[0], outcome[1]

    assert talk(first, second, by=two, to=one) == (f"hello, {one}", f"hello, {two}")
    at_server, at_client = talk(first, second, by="a third", to=one)
    assert isinstance(at_server, peer.WrongPeer)
    assert isinstance(at_client, OSError)
    _, at_client = talk(first, second, by=two, to="a third")
    assert isinstance(at_client, peer.WrongPeer)
    at_server, at_client = talk(first, forged, by=two, to=one)
    assert isinstance(at_server, ssl.SSLCertVerificationError)
    assert isinstance(at_client, OSError)
    _, at_client = talk(forged, first, by=one, to=two)
    assert isinstance(at_client, ssl.SSLCertVerificationError)


def _forged(instance: str) -> tuple[bytes, bytes]:
    """A key and a certificate that names the instance and signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, instance)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return private, certificate.public_bytes(serialization.Encoding.PEM)


# --- last: it ends the node ----------------------------------------------------------------------


def test_a_token_of_a_revoked_node_is_refused(cloud: Cloud, nonce: ModuleType) -> None:
    """Its signature is as good as before: the key is not published any more."""
    _, address = made(cloud)
    verifier = nonce.Verifier(nonce.published(cloud.dev.api), "us-south")
    before, after = (token(address, nonce=verifier.nonce()) for _ in range(2))
    verifier.check(before)

    node = linklocal("node", "list", "--output", "JSON", state_dir=cloud.dev.state_dir)
    name = json.loads(node.stdout)[0]["name"]
    revoked = linklocal("node", "revoke", name, "-f", state_dir=cloud.dev.state_dir)

    assert revoked.returncode == 0, revoked.stderr
    with pytest.raises(nonce.Refused, match="not signed with a key"):
        verifier.check(after)
