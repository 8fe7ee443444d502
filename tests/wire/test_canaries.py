"""Secrets that were planted are found nowhere but where they belong.

Used rightly and wrongly (in a path, a query, another field), then looked for in logs at debug level, the
table of events, audit files and output, metrics, errors and console pages.
"""

from __future__ import annotations

import base64
import os
import re
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import live
import pytest
from cloud import Cloud, clients
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from guest import until
from processes import free_port

VERSION = {"version": "2025-08-26"}
LICENCE = "LL-DEMO-0001"  # of the seed's software attachment
# Not the streams of changes: they have rows of these pages.
PAGES = (
    "instances", "instances/{id}", "templates", "profiles", "api-keys", "nodes", "ssh-keys", "images",
    "vpcs", "subnets",
)  # fmt: skip


class Planted:
    """A dev server, what is secret on it (name -> text), and every refusal that was answered."""

    def __init__(self, dev: live.Dev, status_port: int) -> None:
        self.dev = dev
        self.cloud: Cloud = clients(dev)
        self.status = f"http://127.0.0.1:{status_port}"
        self.secrets: dict[str, str] = {"licence key": LICENCE, "API key": dev.api_key}
        self.refusals: list[str] = []
        self.instance_id = ""

    def secret(self, name: str, value: str) -> str:
        self.secrets[name] = value
        return value

    def refused(self, answer: httpx.Response) -> None:
        assert answer.status_code >= 400, answer.text
        self.refusals.append(answer.text)

    def leaks(self, where: str, text: str) -> list[str]:
        """The names of the secrets in a text: as they are, or the part of a token that is its proof."""
        return [
            f"{name} in {where}"
            for name, value in self.secrets.items()
            if value in text or (value.count(".") == 2 and value.rpartition(".")[2] in text)
        ]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    """Everything is planted and used; the server runs on until the tests are done."""
    folder, port = tmp_path_factory.mktemp("canaries") / "state", free_port()
    environment = {
        **live.clean_environment(),
        "LINKLOCAL_LOG_LEVEL": "debug",
        "LINKLOCAL_STATUS_PORT": str(port),
        "LINKLOCAL_AUDIT_SINKS": '["file", "stdout"]',
        "LINKLOCAL_METRICS_PER_INSTANCE": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live, "clean_environment", lambda: environment)
        with live.running(folder) as dev:
            planted = Planted(dev, port)
            with httpx.Client(timeout=30) as http:
                _use(planted, http)
            yield planted


def _csr() -> str:
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "canary")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name)
    signed = request.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(Encoding.PEM).decode()


def _use(planted: Planted, http: httpx.Client) -> None:
    cloud, dev, secret = planted.cloud, planted.dev, planted.secret
    data = secret("user data", f"canary-user-data-{os.urandom(12).hex()}")
    secret("user data in base64", base64.b64encode(data.encode()).decode())
    profile = cloud.profile()
    made = cloud.vpc.create_instance(
        cloud.prototype(
            user_data=data,
            metadata_service={"enabled": True},
            default_trusted_profile={"target": {"id": profile["id"]}},
        )
    ).result
    planted.instance_id = made["id"]
    cloud.wait(made["id"], "running")
    metadata = dev.address(made["id"])

    # The control plane: a key, its token, a join token.
    key = cloud.iam.create_api_key(name="canary", iam_id=_iam_id(planted, http)).result["apikey"]
    secret("made API key", key)
    form = {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": key}
    token = http.post(f"{dev.api}/identity/token", data=form).json()["access_token"]
    secret("access token", token)
    bearer = {"Authorization": f"Bearer {token}"}
    join = http.post(f"{dev.api}/linklocal/v1/join_tokens", headers=bearer, json={}).json()["token"]
    secret("join token", join)
    refused = planted.refused
    refused(http.post(f"{dev.api}/identity/token", data={**form, "apikey": f"{key}x"}))
    refused(http.post(f"{dev.api}/internal/v1/enrol", json={"join_token": join, "name": "?"}))
    query = {"version": "2026-10-06", "generation": "2"}
    refused(http.get(f"{dev.api}/v1/instances/{token}", params=query, headers=bearer))
    refused(http.get(f"{dev.api}/v1/keys/{key}", params=query, headers=bearer))
    refused(http.get(f"{dev.api}/v1/vpcs", params=query, headers={"Authorization": key}))
    wrong: dict[str, Any] = cloud.prototype(user_data=data, metadata_service={"enabled": key})
    refused(http.post(f"{dev.api}/v1/instances", params=query, headers=bearer, json=wrong))

    # The guest: tokens, a certificate, a read with everything in it.
    flavor = {"Metadata-Flavor": "ibm"}
    nonce = secret("nonce", f"canary-nonce-{os.urandom(12).hex()}")
    answer = http.put(
        f"{metadata}/identity/v1/token", params=VERSION, headers=flavor, json={"nonce": nonce}
    )
    identity = secret("identity token", answer.json()["access_token"])
    guest = {"Authorization": f"Bearer {identity}"}
    answer = http.post(f"{metadata}/identity/v1/iam_tokens", params=VERSION, headers=guest)
    secret("IAM token", answer.json()["access_token"])
    csr = _csr()
    secret("CSR", csr.splitlines()[1])
    answer = http.post(
        f"{metadata}/identity/v1/certificates", params=VERSION, headers=guest, json={"csr": csr}
    )
    assert answer.status_code == 200, answer.text
    answer = http.get(
        f"{metadata}/metadata/v1/instance/initialization", params=VERSION, headers=guest
    )
    assert data in answer.text
    refused(http.get(f"{metadata}/metadata/v1/{identity}", params=VERSION, headers=guest))
    refused(http.get(f"{metadata}/metadata/v1/instance", params={**VERSION, "token": identity}))
    refused(
        http.get(
            f"{metadata}/metadata/v1/keys", params=VERSION, headers={"Authorization": identity}
        )
    )
    refused(
        http.post(
            f"{metadata}/identity/v1/iam_tokens",
            params=VERSION,
            headers=guest,
            json={"trusted_profile": {"name": identity}, "csr": csr},
        )
    )
    demo = next(one for one in dev.ready["instances"] if one["id"] != made["id"])["metadata"]
    answer = http.put(f"{demo}/identity/v1/token", params=VERSION, headers=flavor)
    software = http.get(
        f"{demo}/metadata/v1/instance/software_attachments",
        params=VERSION,
        headers={"Authorization": f"Bearer {answer.json()['access_token']}"},
    )
    assert LICENCE in software.text  # the guest gets it, so it is a secret that is about
    until(lambda: _event_of(planted, "is.metadata.instance-software-attachment.list"), 30)


def _iam_id(planted: Planted, http: httpx.Client) -> str:
    details = planted.cloud.iam.get_api_keys_details(iam_api_key=planted.dev.api_key)
    return str(details.result["iam_id"])


def _event_of(planted: Planted, action: str) -> bool:
    return f'"{action}"' in _database(planted)


def _database(planted: Planted) -> str:
    """Every row of the events, as text."""
    with sqlite3.connect(planted.dev.state_dir / "linklocal.db") as connection:
        rows = connection.execute("SELECT * FROM events").fetchall()
    return "\n".join(str(row) for row in rows)


def test_no_event_has_a_secret(planted: Planted) -> None:
    stored = _database(planted)

    assert planted.instance_id in stored
    assert planted.leaks("the table of events", stored) == []


def test_no_file_that_is_kept_has_a_secret(planted: Planted) -> None:
    """The audit sinks' file and the node's record."""
    folder = planted.dev.state_dir
    until(lambda: planted.instance_id in _texts(folder / "audit"), 30)
    until(lambda: planted.instance_id in _texts(folder / "node" / "events"), 30)

    assert planted.leaks("the audit file", _texts(folder / "audit")) == []
    assert planted.leaks("the node's events", _texts(folder / "node" / "events")) == []


def _texts(folder: Path) -> str:
    return "".join(path.read_text() for path in sorted(folder.iterdir()))


def test_no_log_has_a_secret(planted: Planted) -> None:
    """Standard output and error at debug level; the audit sink of standard output writes there, too."""
    log = planted.dev.state_dir.with_name(f"{planted.dev.state_dir.name}.log")
    until(lambda: "is.metadata.certificate.create" in log.read_text(), 30)

    assert planted.leaks("the log", log.read_text()) == []


def test_no_metric_has_a_secret(planted: Planted) -> None:
    server = httpx.get(f"{planted.dev.api}/metrics", timeout=30).text
    node = httpx.get(f"{planted.status}/metrics", timeout=30).text

    assert 'operation="create_instance"' in server
    assert f'instance="{planted.instance_id}"' in node
    assert planted.leaks("metrics", server + node) == []


def test_no_refusal_has_a_secret(planted: Planted) -> None:
    assert len(planted.refusals) == 10
    assert [leak for text in planted.refusals for leak in planted.leaks(text[:200], text)] == []


def test_no_page_of_the_console_has_a_secret(planted: Planted) -> None:
    with httpx.Client(base_url=planted.dev.api, follow_redirects=True, timeout=30) as http:
        signed = http.post("/console/sign-in", data={"api_key": planted.dev.api_key})
        assert signed.status_code == 200, signed.text
        for page in PAGES:
            answer = http.get(f"/console/{page.format(id=planted.instance_id)}")
            if answer.headers.get("content-type", "").startswith("text/html"):
                assert planted.leaks(page, answer.text) == []
        # The instance's own page shows its name: it was this page, and not that of the sign-in.
        assert planted.instance_id in http.get(f"/console/instances/{planted.instance_id}").text


def test_what_listens_tells_no_secret_of_its_arguments(planted: Planted) -> None:
    """Any user of the machine can read the arguments of a process."""
    shown = subprocess.run(
        ["ps", "-o", "args=", "-p", str(planted.dev.process.pid)],
        capture_output=True, text=True, timeout=30, check=True,
    ).stdout  # fmt: skip

    assert re.search(r"linklocal dev", shown)
    assert planted.leaks("the arguments", shown) == []
