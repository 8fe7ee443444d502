"""Secrets that are planted in a server and a node, used rightly and wrongly, and looked for afterwards."""

from __future__ import annotations

import base64
import os
from typing import Any

import httpx
import live
from cloud import Cloud, clients
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

VERSION = {"version": "2025-08-26"}
LICENCE = "LL-DEMO-0001"  # of the seed's software attachment


class Planted:
    """A dev server, what is secret on it (name -> text), and every refusal that was answered."""

    def __init__(self, dev: live.Dev, status_port: int) -> None:
        self.dev = dev
        self.cloud: Cloud = clients(dev)
        self.status = f"http://127.0.0.1:{status_port}"
        self.secrets: dict[str, str] = {"licence key": LICENCE, "API key": dev.api_key}
        self.refusals: list[str] = []
        self.instance_id = ""

    def place(self, instance_id: str) -> None:
        """`dev` places new instances itself."""

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


def csr() -> str:
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "canary")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name)
    signed = request.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(Encoding.PEM).decode()


def use(planted: Planted, http: httpx.Client) -> None:
    """All secrets, used rightly and wrongly by an instance that is made for it."""
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
    planted.place(made["id"])
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
    request = csr()
    secret("CSR", request.splitlines()[1])
    answer = http.post(
        f"{metadata}/identity/v1/certificates", params=VERSION, headers=guest, json={"csr": request}
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
            json={"trusted_profile": {"name": identity}, "csr": request},
        )
    )


def _iam_id(planted: Planted, http: httpx.Client) -> str:
    details = planted.cloud.iam.get_api_keys_details(iam_api_key=planted.dev.api_key)
    return str(details.result["iam_id"])
