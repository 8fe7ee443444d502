"""Every event name of the contracts (control-plane 7.1, metadata 7) is really recorded by a call.

Reads of the control plane are events when they are refused, so they are asked of things that are not
there. Not here: `is.instance.action.delete` (no action waits in a queue that it could be dropped from), and
the names for bare metal servers (tests/wire/test_bare_metal_servers.py).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
from cloud import Cloud
from guest import until

from linklocal.clock import rfc3339_ms

QUERY = {"version": "2026-10-06", "generation": "2"}
GONE = "0717-00000000-0000-4000-8000-0000000000aa"
CRUD = ("create", "read", "update", "delete")

# Resource of the events -> path below /v1 of what is not there, verbs that are tried on it.
REFUSED: dict[str, tuple[str, tuple[str, ...]]] = {
    "is.instance.instance": (f"instances/{GONE}", ("read", "update", "delete")),
    "is.instance.instance-template": (f"instance/templates/{GONE}", CRUD),
    "is.instance.volume-attachment": (f"instances/{GONE}/volume_attachments/{GONE}", CRUD),
    "is.instance.network-interface": (f"instances/{GONE}/network_interfaces/{GONE}", CRUD),
    "is.instance.network-attachment": (f"instances/{GONE}/network_attachments/{GONE}", CRUD),
    "is.key.key": (f"keys/{GONE}", CRUD),
    "is.image.image": (f"images/{GONE}", CRUD),
    "is.vpc.vpc": (f"vpcs/{GONE}", CRUD),
    "is.subnet.subnet": (f"subnets/{GONE}", CRUD),
    "is.subnet.reserved-ip": (f"subnets/{GONE}/reserved_ips/{GONE}", CRUD),
    "is.floating-ip.floating-ip": (f"floating_ips/{GONE}", CRUD),
    "is.placement-group.placement-group": (f"placement_groups/{GONE}", CRUD),
}
METHODS = {"create": "POST", "read": "GET", "update": "PATCH", "delete": "DELETE"}

# What a whole instance's life leaves behind, with a default trusted profile and both kinds of interface.
LIVED = (
    "is.instance.instance.create",
    "is.instance.instance.delete",
    "is.instance.action.create",
    "is.instance.instance.stop",
    "is.instance.instance.start",
    "is.instance.console-access-token.create",
    "is.subnet.reserved-ip.create",
    "is.subnet.reserved-ip.attach",
    "is.subnet.reserved-ip.detach",
    "is.subnet.reserved-ip.delete",
    "is.instance.network-interface.attach",
    "is.instance.network-interface.detach",
    "is.instance.network-attachment.attach",
    "is.instance.network-attachment.detach",
    "is.virtual-network-interface.virtual-network-interface.create",
    "is.virtual-network-interface.virtual-network-interface.attach",
    "is.floating-ip.floating-ip.attach",
    "is.floating-ip.floating-ip.detach",
    "iam-identity.user-apikey.login",
    "iam-identity.user-apikey.create",
    "iam-identity.user-apikey.delete",
    "iam-identity.trustedprofile.login",
    "iam-identity.account-profile.create",
    "iam-identity.account-profile.update",
    "iam-identity.account-profile.delete",
    "iam-identity.profile-link.create",
    "iam-identity.profile-link.delete",
)

READS = {
    "is.metadata.instance.read": "instance",
    "is.metadata.instance.initialization": "instance/initialization",
    "is.metadata.instance-key.list": "keys",
    "is.metadata.instance-key.get": f"keys/{GONE}",
    "is.metadata.instance-network-interface.list": "instance/network_interfaces",
    "is.metadata.instance-network-interface.get": f"instance/network_interfaces/{GONE}",
    "is.metadata.instance-placement-group.list": "placement_groups",
    "is.metadata.instance-placement-group.get": f"placement_groups/{GONE}",
    "is.metadata.instance-software-attachment.list": "instance/software_attachments",
    "is.metadata.instance-software-attachment.read": f"instance/software_attachments/{GONE}",
    "is.metadata.instance-volume-attachment.list": "instance/volume_attachments",
    "is.metadata.instance-volume-attachment.get": f"instance/volume_attachments/{GONE}",
    "is.metadata.instance-network-attachment.list": "instance/network_attachments",
    "is.metadata.instance-network-attachment.get": f"instance/network_attachments/{GONE}",
    "is.metadata.instance-virtual-network-interface.list": "virtual_network_interfaces",
    "is.metadata.instance-virtual-network-interface.get": f"virtual_network_interfaces/{GONE}",
    "is.metadata.instance-cluster-network-attachment.list": "instance/cluster_network_attachments",
    "is.metadata.instance-cluster-network-attachment.get": (
        f"instance/cluster_network_attachments/{GONE}"
    ),
}
ISSUED = (
    "is.metadata.jwt-token.create",
    "is.metadata.computeresource-token.request",
    "is.metadata.certificate.create",
)


def bearer(cloud: Cloud) -> dict[str, str]:
    token = cloud.vpc.authenticator.token_manager.get_token()
    return {"Authorization": f"Bearer {token}"}


def events(cloud: Cloud, action: str) -> list[dict[str, Any]]:
    answer = httpx.get(
        f"{cloud.dev.api}/audit/v1/events",
        params={"action": action, "limit": "100"},
        headers=bearer(cloud),
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    return list(answer.json()["events"])


def missing(cloud: Cloud, names: Any, of: Callable[[dict[str, Any]], bool]) -> list[str]:
    """The names without an event of this test."""
    return [name for name in names if not any(of(event) for event in events(cloud, name))]


def test_refused_calls_have_the_contracts_names(cloud: Cloud) -> None:
    mine = {"X-Correlation-Id": cloud.name("refused")}
    names = []
    with httpx.Client(headers={**bearer(cloud), **mine}, params=QUERY, timeout=30) as http:
        for resource, (path, verbs) in REFUSED.items():
            for verb in verbs:
                target = path.rpartition("/")[0] if verb == "create" else path
                body = {"name": 1} if verb in ("create", "update") else None
                answer = http.request(METHODS[verb], f"{cloud.dev.api}/v1/{target}", json=body)
                assert 400 <= answer.status_code < 500, answer.text
                names.append(f"{resource}.{verb}")

    found = missing(
        cloud, names, lambda event: bool(event["correlationId"] == mine["X-Correlation-Id"])
    )
    assert found == []


def test_an_instances_life_has_the_contracts_names(cloud: Cloud) -> None:
    """With what happens besides: the link in IAM, addresses, attachments."""
    vpc, iam, begun = cloud.vpc, cloud.iam, rfc3339_ms(datetime.now(UTC))
    owner = iam.get_api_keys_details(iam_api_key=cloud.dev.api_key).result["iam_id"]
    key = iam.create_api_key(name=cloud.name("key"), iam_id=owner).result
    grant = {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": key["apikey"]}
    user = httpx.post(f"{cloud.dev.api}/identity/token", data=grant, timeout=30).json()
    profile = cloud.profile()
    assume = {
        "grant_type": "urn:ibm:params:oauth:grant-type:assume",
        "access_token": user["access_token"],
        "profile_id": profile["id"],
    }
    httpx.post(f"{cloud.dev.api}/identity/token", data=assume, timeout=30).raise_for_status()
    body = cloud.prototype(default_trusted_profile={"target": {"id": profile["id"]}})
    first = vpc.create_instance(body).result
    (link,) = cloud.links(profile["id"])
    attachment = body.pop("primary_network_attachment")
    subnet = attachment["virtual_network_interface"]["subnet"]
    body.pop("default_trusted_profile")
    older = vpc.create_instance(
        {**body, "name": cloud.name("vm"), "primary_network_interface": {"subnet": subnet}}
    ).result
    nic = older["primary_network_interface"]["id"]
    ip = vpc.create_floating_ip({"name": cloud.name("ip"), "zone": {"name": "us-south-1"}}).result
    vpc.add_instance_network_interface_floating_ip(older["id"], nic, ip["id"])
    vpc.remove_instance_network_interface_floating_ip(older["id"], nic, ip["id"])
    vpc.delete_floating_ip(ip["id"])
    cloud.wait(first["id"], "running")
    vpc.create_instance_action(first["id"], "stop")
    cloud.wait(first["id"], "stopped")
    vpc.create_instance_action(first["id"], "start")
    httpx.post(
        f"{cloud.dev.api}/v1/instances/{first['id']}/console_access_token",
        params=QUERY, headers=bearer(cloud), json={"console_type": "serial"}, timeout=30,
    )  # fmt: skip
    for made in (first, older):
        vpc.delete_instance(made["id"])
    iam.update_profile(profile["id"], if_match="*", description="used")
    iam.delete_profile(profile["id"])
    iam.delete_api_key(key["id"])

    assert missing(cloud, LIVED, lambda event: bool(event["eventTime"] >= begun)) == []
    (made_link,) = [
        event
        for event in events(cloud, "iam-identity.profile-link.create")
        if event["target"].get("id") == link["id"]
    ]
    assert made_link["requestData"]["instanceId"] == first["id"]
    assert made_link["requestData"]["linked_profile_id"] == profile["id"]
    assert made_link["initiator"]["id"] == owner
    (create,) = [
        event
        for event in events(cloud, "is.instance.instance.create")
        if event["target"].get("id") == first["crn"]
    ]
    assert made_link["correlationId"] == create["correlationId"]
    (gone,) = [
        event
        for event in events(cloud, "iam-identity.profile-link.delete")
        if event["target"].get("id") == link["id"]
    ]
    assert gone["requestData"]["of"] == "is.instance.instance.delete"


def test_calls_of_a_guest_have_the_contracts_names(cloud: Cloud) -> None:
    made = cloud.create(metadata_service={"enabled": True})
    version = {"version": "2025-08-26"}
    with httpx.Client(base_url=cloud.dev.address(made["id"]), params=version, timeout=30) as http:
        answer = http.put("/identity/v1/token", headers={"Metadata-Flavor": "ibm"})
        token = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        http.post("/identity/v1/iam_tokens", headers=token)
        http.post("/identity/v1/certificates", headers=token, json={"csr": "none"})
        for path in READS.values():
            http.get(f"/metadata/v1/{path}", headers=token)

    def of_guest(event: dict[str, Any]) -> bool:
        return bool(event["requestData"].get("instanceId") == made["id"])

    until(lambda: not missing(cloud, (*ISSUED, *READS), of_guest), 30)
    cloud.vpc.delete_instance(made["id"])
