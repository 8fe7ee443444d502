"""Whatever an instance may see of the API's resources appears in its metadata at once.

One instance of each kind of network, and its own socket: a table of changes, and where each must be read.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from guest import FLAVOR, VERSION, until
from ibm_vpc import VpcV1
from terraform import ZONE, Stack, wait_until_gone

INSTANCE = "instance"
KEYS = "keys"
INITIALIZATION = "instance/initialization"
GROUPS = "placement_groups"
INTERFACES = "instance/network_interfaces"
ATTACHMENTS = "instance/network_attachments"
VIRTUAL = "virtual_network_interfaces"
VOLUMES = "instance/volume_attachments"
CLAIMS = "claims of the next identity token"


class Socket:
    """A program on one instance that keeps its token."""

    def __init__(self, address: str) -> None:
        self._client = httpx.Client(base_url=address, timeout=20, params=VERSION)
        self._bearer = {"Authorization": f"Bearer {self._token()}"}

    def _token(self) -> str:
        answer = self._client.put("/identity/v1/token", headers=FLAVOR)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def read(self, path: str) -> str:
        """The answer as text; of CLAIMS, what a new token says of the instance."""
        if path == CLAIMS:
            claims = self._token().split(".")[1]
            return base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)).decode()
        answer = self._client.get(f"/metadata/v1/{path}", headers=self._bearer)
        assert answer.status_code == 200, answer.text
        return answer.text

    def names_of(self, path: str, members: str) -> list[str]:
        """Names of the resources of a collection."""
        return [each["name"] for each in json.loads(self.read(path))[members]]


@dataclass
class World:
    """The instance with attachments, the older one with interfaces, and what they stand on."""

    stack: Stack
    vpc: VpcV1
    id: str
    older: str
    image: str
    group: str
    volume: str
    ip: dict[str, Any]
    socket: Socket
    older_socket: Socket
    made: dict[str, str] = field(default_factory=dict)

    def view(self, older: bool = False) -> dict[str, Any]:
        view: dict[str, Any] = self.vpc.get_instance(self.older if older else self.id).result
        return view

    @property
    def vni(self) -> str:
        vni = self.view()["primary_network_attachment"]["virtual_network_interface"]
        return str(vni["id"])

    @property
    def nic(self) -> str:
        return str(self.view(older=True)["primary_network_interface"]["id"])


@pytest.fixture(scope="module")
def world(stack: Stack) -> Iterator[World]:
    vpc, cloud, zone = stack.vpc, stack.cloud, {"zone": {"name": ZONE}}
    system = "ubuntu-22-04-amd64"
    image = vpc.create_image(
        {
            "name": cloud.name("image"),
            "file": {"href": "cos://us-south/bucket/disk.qcow2"},
            "operating_system": {"name": system},
        }
    ).result["id"]
    group = vpc.create_placement_group("host_spread", name=cloud.name("group")).result["id"]
    capacity = {"capacity": 10, "profile": {"name": "general-purpose"}}
    volume = vpc.create_volume({"name": cloud.name("data"), **capacity, **zone}).result["id"]
    ip = vpc.create_floating_ip({"name": cloud.name("ip"), **zone}).result
    on = {"enabled": True, "response_hop_limit": 64}
    subnet, security = {"id": stack.subnet["id"]}, [{"id": stack.group["id"]}]
    network = {"subnet": subnet, "security_groups": security}
    id = stack.create(
        stack.body(
            image={"id": image},
            placement_target={"id": group},
            metadata_service=on,
            primary_network_attachment={"virtual_network_interface": network},
        )
    )
    older = stack.create(stack.body(metadata_service=on, primary_network_interface=network))
    sockets = [Socket(cloud.dev.address(each)) for each in (id, older)]
    yield World(stack, vpc, id, older, image, group, volume, ip, *sockets)
    for each in (id, older):
        stack.delete(each)
    vpc.delete_placement_group(group)
    wait_until_gone(vpc.get_placement_group, group)
    vpc.delete_image(image)
    vpc.delete_floating_ip(ip["id"])
    vpc.delete_volume(volume)


def rename(update: str, *ids: Callable[[World], str]) -> Callable[[World, str], Any]:
    """A PATCH of a name, by the method of IBM's SDK and the ids in its path."""
    return lambda w, name: getattr(w.vpc, update)(*(id(w) for id in ids), {"name": name})


def boot(member: str) -> Callable[[World], str]:
    def of(w: World) -> str:
        attachment = w.view()["boot_volume_attachment"]
        return str(attachment["id"] if member == "attachment" else attachment["volume"]["id"])

    return of


def primary_ip(w: World) -> str:
    return str(w.view()["primary_network_attachment"]["primary_ip"]["id"])


def first_attachment(w: World) -> str:
    return str(w.view()["primary_network_attachment"]["id"])


# A rename, and every place where the new name must be read.
RENAMES: dict[str, tuple[Callable[[World, str], Any], list[str]]] = {
    "instance": (rename("update_instance", lambda w: w.id), [INSTANCE]),
    "key": (rename("update_key", lambda w: w.stack.key["id"]), [KEYS, INITIALIZATION]),
    "vpc": (rename("update_vpc", lambda w: w.stack.network["id"]), [INSTANCE, VIRTUAL, CLAIMS]),
    "subnet": (
        rename("update_subnet", lambda w: w.stack.subnet["id"]),
        [INTERFACES, ATTACHMENTS, VIRTUAL, INSTANCE, CLAIMS],
    ),
    "security group": (
        rename("update_security_group", lambda w: w.stack.group["id"]),
        [INTERFACES, VIRTUAL],
    ),
    "placement group": (
        rename("update_placement_group", lambda w: w.group),
        [GROUPS, INSTANCE],
    ),
    "image": (rename("update_image", lambda w: w.image), [INSTANCE]),
    "boot volume": (rename("update_volume", boot("volume")), [VOLUMES, INSTANCE]),
    "boot volume attachment": (
        rename("update_instance_volume_attachment", lambda w: w.id, boot("attachment")),
        [VOLUMES, INSTANCE],
    ),
    "network attachment": (
        rename("update_instance_network_attachment", lambda w: w.id, first_attachment),
        [ATTACHMENTS, INSTANCE],
    ),
    "virtual network interface": (
        rename("update_virtual_network_interface", lambda w: w.vni),
        [VIRTUAL, ATTACHMENTS],
    ),
    "reserved ip": (
        rename("update_subnet_reserved_ip", lambda w: w.stack.subnet["id"], primary_ip),
        [VIRTUAL, ATTACHMENTS],
    ),
}


@pytest.mark.parametrize("what", RENAMES)
def test_a_rename_is_seen_everywhere(world: World, what: str) -> None:
    act, places = RENAMES[what]
    name = world.stack.cloud.name("seen")
    quoted = f'"{name}"'
    for place in places:
        assert quoted not in world.socket.read(place)

    act(world, name)

    for place in places:
        until(lambda place=place: quoted in world.socket.read(place))  # type: ignore[misc]


def attach_volume(w: World) -> str:
    made = w.vpc.create_instance_volume_attachment(w.id, {"id": w.volume}, name="more").result
    w.made["volume"] = made["id"]
    return w.volume


def detach_volume(w: World) -> str:
    w.vpc.delete_instance_volume_attachment(w.id, w.made["volume"])
    return w.volume


def bind_ip(w: World) -> str:
    w.vpc.update_floating_ip(w.ip["id"], {"target": {"id": w.vni}})
    return str(w.ip["address"])


def free_ip(w: World) -> str:
    w.vpc.remove_network_interface_floating_ip(w.vni, w.ip["id"])
    return str(w.ip["address"])


def add_ip(w: World) -> str:
    ip = w.vpc.create_subnet_reserved_ip(w.stack.subnet["id"]).result
    w.vpc.add_virtual_network_interface_ip(w.vni, ip["id"])
    w.made["ip"] = ip["id"]
    w.made["address"] = ip["address"]
    return str(ip["address"])


def remove_ip(w: World) -> str:
    w.vpc.remove_virtual_network_interface_ip(w.vni, w.made["ip"])
    w.vpc.delete_subnet_reserved_ip(w.stack.subnet["id"], w.made["ip"])
    return w.made["address"]


def add_attachment(w: World) -> str:
    network = {"subnet": {"id": w.stack.subnet["id"]}}
    made = w.vpc.create_instance_network_attachment(w.id, network, name="second").result
    w.made["attachment"] = made["id"]
    return str(made["id"])


def remove_attachment(w: World) -> str:
    w.vpc.delete_instance_network_attachment(w.id, w.made["attachment"])
    return w.made["attachment"]


def add_group(w: World) -> str:
    default = w.stack.network["default_security_group"]["id"]
    w.vpc.create_security_group_target_binding(default, w.vni)
    return str(default)


def remove_group(w: World) -> str:
    default = w.stack.network["default_security_group"]["id"]
    w.vpc.delete_security_group_target_binding(default, w.vni)
    return str(default)


# What comes and what goes, in this order; what each returns must then be there, or no longer.
COMINGS: list[tuple[Callable[[World], str], Callable[[World], str], list[str]]] = [
    (attach_volume, detach_volume, [VOLUMES, INSTANCE]),
    (bind_ip, free_ip, [INTERFACES, CLAIMS]),
    (add_ip, remove_ip, [VIRTUAL, CLAIMS]),
    (add_attachment, remove_attachment, [ATTACHMENTS, INSTANCE]),
    (add_group, remove_group, [INTERFACES, VIRTUAL]),
]


@pytest.mark.parametrize(
    ("come", "go", "places"), COMINGS, ids=lambda each: getattr(each, "__name__", "")
)
def test_what_comes_and_goes_is_seen(
    world: World, come: Callable[[World], str], go: Callable[[World], str], places: list[str]
) -> None:
    text = come(world)
    for place in places:
        until(lambda place=place: text in world.socket.read(place))  # type: ignore[misc]

    assert go(world) == text
    for place in places:
        until(lambda place=place: text not in world.socket.read(place))  # type: ignore[misc]


def test_interfaces_of_the_older_kind_are_seen_too(world: World) -> None:
    """Added, renamed, given a floating ip and a security group, removed."""
    vpc, guest = world.vpc, world.older_socket
    subnet = {"id": world.stack.subnet["id"]}
    made = vpc.create_instance_network_interface(world.older, subnet, name="second").result
    until(lambda: "second" in guest.names_of(INTERFACES, "network_interfaces"))
    vpc.update_instance_network_interface(world.older, made["id"], {"name": "third"})
    until(lambda: "third" in guest.names_of(INTERFACES, "network_interfaces"))
    vpc.add_instance_network_interface_floating_ip(world.older, world.nic, world.ip["id"])
    until(lambda: world.ip["address"] in guest.read(INTERFACES))
    vpc.remove_instance_network_interface_floating_ip(world.older, world.nic, world.ip["id"])
    until(lambda: world.ip["address"] not in guest.read(INTERFACES))
    vpc.delete_instance_network_interface(world.older, made["id"])
    until(lambda: "third" not in guest.names_of(INTERFACES, "network_interfaces"))


def test_a_shared_rename_reaches_every_instance(world: World) -> None:
    name = world.stack.cloud.name("all")

    world.vpc.update_key(world.stack.key["id"], {"name": name})

    for guest in (world.socket, world.older_socket):
        until(lambda guest=guest: guest.names_of(KEYS, "keys") == [name])  # type: ignore[misc]
