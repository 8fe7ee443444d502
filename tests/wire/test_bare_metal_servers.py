"""A bare metal server from IBM's SDK to a program on it: identity operations only (metadata contract 6)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from cloud import Cloud
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from guest import until
from ibm_cloud_sdk_core import ApiException
from ibm_cloud_sdk_core.authenticators import VPCInstanceAuthenticator
from terminal import Terminal

VERSION = {"version": "2025-08-26"}
STATUS_SECONDS = 60.0  # on a machine that others keep busy, too
VERBS = ("create", "stop", "start", "delete")


def prototype(cloud: Cloud, **initialization: Any) -> dict[str, Any]:
    """With the service on."""
    of_instance = cloud.prototype()
    return {
        "initialization": {"image": of_instance["image"], "keys": [], **initialization},
        "metadata_service": {"enabled": True},
        "name": cloud.name("metal"),
        "primary_network_attachment": of_instance["primary_network_attachment"],
        "profile": {"name": "bx2-metal-96x384"},
        "vpc": of_instance["vpc"],
        "zone": of_instance["zone"],
    }


def wait(cloud: Cloud, id: str, status: str) -> dict[str, Any]:
    deadline = time.monotonic() + STATUS_SECONDS
    while True:
        server: dict[str, Any] = cloud.vpc.get_bare_metal_server(id).result
        if server["status"] == status:
            return server
        assert time.monotonic() < deadline, server
        time.sleep(0.02)


def csr() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Shop")])
    made = x509.CertificateSigningRequestBuilder(name).sign(key, hashes.SHA256())
    return made.public_bytes(Encoding.PEM).decode()


def administrator(cloud: Cloud) -> dict[str, str]:
    return {"Authorization": f"Bearer {cloud.vpc.authenticator.token_manager.get_token()}"}


def actions_of(cloud: Cloud, server: dict[str, Any]) -> set[str]:
    """The names of the events that a server's calls, and calls about it, left."""
    answer = httpx.get(
        f"{cloud.dev.api}/audit/v1/events",
        params={"instance": server["id"], "limit": "100"},
        headers=administrator(cloud),
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    return {event["action"] for event in answer.json()["events"]}


def test_a_program_on_it_gets_tokens_and_certificates_and_nothing_else(cloud: Cloud) -> None:
    profile = cloud.profile()
    body = prototype(cloud, default_trusted_profile={"target": {"id": profile["id"]}})
    made = cloud.vpc.create_bare_metal_server(body).result
    server = wait(cloud, made["id"], "running")
    (link,) = cloud.links(profile["id"])
    address = cloud.dev.address(server["id"])

    authenticator = VPCInstanceAuthenticator(url=address, service_version="2025-08-26")
    with httpx.Client(base_url=address, params=VERSION, timeout=30) as http:
        issued = http.put("/identity/v1/token", headers={"Metadata-Flavor": "ibm"}).json()
        token = {"Authorization": f"Bearer {issued['access_token']}"}
        certified = http.post("/identity/v1/certificates", headers=token, json={"csr": csr()})
        refused = [
            http.get("/metadata/v1/instance", headers=token),
            http.get(
                f"/metadata/v1/bare_metal_servers/{server['id']}/initialization", headers=token
            ),
            http.put(
                "/instance_identity/v1/token",
                headers={"Metadata-Flavor": "ibm"},
                params={"version": "2022-03-01"},
            ),
        ]
        iam_token = authenticator.token_manager.get_token()
        until(lambda: "is.metadata.certificate.create" in actions_of(cloud, server), 30)
        cloud.iam.delete_link(profile_id=profile["id"], link_id=link["id"])
        with pytest.raises(ApiException) as unlinked:
            VPCInstanceAuthenticator(
                url=address, service_version="2025-08-26"
            ).token_manager.get_token()
        again = {"cr_type": "BMS", "link": {"crn": server["crn"]}}
        cloud.iam.create_link(profile_id=profile["id"], **again)
        by_hand = http.post("/identity/v1/iam_tokens", headers=token)
        cloud.vpc.stop_bare_metal_server(server["id"], "hard")
        wait(cloud, server["id"], "stopped")
        cloud.vpc.start_bare_metal_server(server["id"])
        wait(cloud, server["id"], "running")
        stale = http.post("/identity/v1/iam_tokens", headers=token)
    cloud.vpc.delete_bare_metal_server(server["id"])
    names = actions_of(cloud, server)

    assert (link["cr_type"], link["link"]["crn"]) == ("BMS", server["crn"])
    assert iam_token.count(".") == 2
    leaf = x509.load_pem_x509_certificate(certified.json()["certificates"][0].encode())
    (common_name,) = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert common_name.value == server["id"]
    assert [(answer.status_code, answer.json()["errors"][0]["code"]) for answer in refused] == [
        (404, "not_found")
    ] * 3
    assert unlinked.value.http_response.json()["errors"][0]["code"] == "profile_not_linked"
    assert (by_hand.status_code, stale.status_code) == (200, 401)
    assert names >= {
        *(f"is.bare-metal-server.bare-metal-server.{verb}" for verb in VERBS),
        "is.bare-metal-server.network-attachment.attach",
        "iam-identity.profile-link.create",
        "is.metadata.identity-token.create",
        "is.metadata.computeresource-token.read",
        "is.metadata.certificate.create",
    }
    assert not {name for name in names if "jwt-token" in name}
    assert cloud.links(profile["id"]) == []


def test_an_operator_places_it_like_an_instance(cloud: Cloud) -> None:
    made = cloud.vpc.create_bare_metal_server(prototype(cloud)).result
    with httpx.Client(
        base_url=f"{cloud.dev.api}/linklocal/v1", headers=administrator(cloud), timeout=30
    ) as http:
        (node, *_) = http.get("/nodes").json()["nodes"]
        placed = http.put(f"/placements/{made['id']}", json={"node": node["name"]})
        nothing = http.put(f"/placements/{made['id']}x", json={"node": node["name"]})
    cloud.vpc.delete_bare_metal_server(made["id"])

    assert placed.json() == {"instance": made["id"], "node": node["name"]}
    assert nothing.status_code == 404


def test_on_the_command_line(cloud: Cloud, tmp_path: Path) -> None:
    user = Terminal(cloud.dev.state_dir, tmp_path)
    name, profile = cloud.name("metal"), cloud.profile()
    made = user.ok(
        "is", "bare-metal-server-create", "--name", name, "--zone", "us-south-1",
        "--profile", "bx2-metal-96x384", "--pnac-vni-subnet", "my-subnet-1", "--ms", "true",
        "--image", "ibm-debian-11-3-minimal-amd64-4", "--default-trusted-profile", profile["name"],
    )  # fmt: skip
    patched = user.json("is", "bare-metal-server-update", name, "--msp", "https")
    wait(cloud, patched["id"], "running")
    listed = user.ok("is", "bare-metal-servers", "-q")
    values = user.ok("is", "bare-metal-server-initialization-values", name)
    user.ok("is", "bare-metal-server-stop", name, "-f")
    wait(cloud, patched["id"], "stopped")
    anew = user.json(
        "is", "bare-metal-server-reinitialize", name, "-f",
        "--image", "ibm-ubuntu-22-04-1-minimal-amd64-2",
    )  # fmt: skip
    user.ok("is", "bare-metal-server-restart", name, "-f")
    shown = user.ok("is", "bare-metal-server-profile", "bx2-metal-96x384", "-q")
    deleted = user.ok("is", "bare-metal-server-delete", name, "-f")

    assert made.startswith(f"Creating bare metal server {name} under account ")
    lines = made.splitlines()
    table = next(number for number, line in enumerate(lines) if line.startswith("Metadata service"))
    assert lines[table].split()[2:] == ["Enabled", "Protocol"]
    assert lines[table + 1].split() == ["true", "http"]
    assert patched["metadata_service"] == {"enabled": True, "protocol": "https"}
    assert name in listed
    assert profile["id"] in values
    assert "default_trusted_profile" not in anew
    assert "bx2-metal-96x384" in shown
    assert deleted.endswith("OK\n")
