"""What the root of one guest can do to another instance: nothing, also when it knows what nobody can know."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable

import pytest
from packets import ACK, ASK, FIN, PUSH, RST, SYN, WAIT, Tap, connected, forge

from .conftest import ADDRESS, Guest, Host, Wire

pytestmark = [
    pytest.mark.root,
    pytest.mark.needs("ip", "iproute2"),
    pytest.mark.needs("curl", "curl"),
]
MakeGuest = Callable[[], Guest]


def answered(connection: socket.socket) -> bool:
    connection.settimeout(WAIT)
    connection.sendall(ASK)
    return connection.recv(65_536).startswith(b"HTTP/1.1 400")


def attack(one: Guest, two: Guest) -> None:
    """Segments of every kind, with the addresses and sequence numbers of a connection that `two` has."""
    with Tap(two) as tap, connected(two, 80) as connection:
        assert answered(connection)
        own = connection.getsockname()
        seen = tap.first(lambda p: p.source == ADDRESS and p.dport == own[1] and p.size > 0)
        for flags in (RST, RST | ACK, FIN | ACK, SYN, PUSH | ACK):
            forge(
                one, own, 80, flags,
                sequence=seen.acknowledged, acknowledged=seen.sequence + seen.size,
            )  # fmt: skip
        one.status()  # what was sent later is answered or refused: all of it has been looked at
        assert answered(connection)


def test_connections_of_another_cannot_be_reset(guest: MakeGuest, host: Host) -> None:
    one, two = guest(), guest()
    first, second = host.instance(), host.instance()
    host.attach(first, "--netns", one.netns)
    host.attach(second, "--netns", two.netns)
    attack(one, two)


def test_nor_at_devices_of_one_namespace(wire: Callable[[str], Wire], host: Host) -> None:
    """Two guests with one address, at two devices: each is itself, and neither reaches the other's."""
    one, two = wire("169.254.7.2"), wire("169.254.7.2")
    first, second = host.instance(), host.instance()
    host.attach(first, "--device", one.device)
    host.attach(second, "--device", two.device)

    assert one.guest.instance()["id"] == first
    assert two.guest.instance()["id"] == second
    status, _ = two.guest.curl(
        "/metadata/v1/instance", "-H", f"Authorization: Bearer {one.guest.token()}"
    )
    assert status == 401
    attack(one.guest, two.guest)
    attack(two.guest, one.guest)


def test_nor_by_the_host_which_answers_for_ports_where_nothing_listens(
    wire: Callable[[], Wire], host: Host
) -> None:
    """It resets what comes to a closed port of one device at whichever device the claimed sender is."""
    one, two, stranger = wire(), wire(), wire()
    first, second = host.instance(protocol="https"), host.instance()
    host.attach(first, "--device", one.device)
    host.attach(second, "--device", two.device)

    attack(one.guest, two.guest)
    attack(stranger.guest, two.guest)
    host.change(first, protocol="http")
    host.change(second, protocol="https")
    host.change(second, protocol="http")
    host.change(first, protocol="https")
    attack(one.guest, two.guest)


def test_the_address_cannot_be_stolen_nor_silenced(guest: MakeGuest, host: Host) -> None:
    """A guest that takes the address, routes it elsewhere, or removes its link, cuts off itself."""
    one, two = guest(), guest()
    first, second = host.instance(), host.instance()
    host.attach(first, "--netns", one.netns)
    host.attach(second, "--netns", two.netns)

    assert ":80 " not in one.run("ss", "-ltn").stdout
    assert ADDRESS not in one.run("ip", "addr").stdout
    for command in (
        f"ip addr add {ADDRESS}/32 dev lo",
        f"ip addr add {ADDRESS}/32 dev linklocal0",
        "ip link set linklocal0 address 02:00:00:00:00:01",
        "ip link set linklocal0 name other0",
        "ip link set other0 down",
        "ip link del other0",
    ):
        assert one.run(*command.split()).returncode == 0
        assert two.instance()["id"] == second
    assert host.node("detach", first).returncode == 0
    host.attach(first, "--netns", one.netns)
    one.run("ip", "addr", "del", f"{ADDRESS}/32", "dev", "lo")
    assert one.instance()["id"] == first


def test_where_nothing_is_attached_nothing_listens(guest: MakeGuest, host: Host) -> None:
    """Neither in a guest beside nor in the host, and nowhere once the attachment or instance is gone."""
    inside, stranger = guest(), guest()
    instance = host.instance()
    host.attach(instance, "--netns", inside.netns)
    assert inside.status() == 400
    assert stranger.status() == 0
    listening = ["ss", "-Hltn", "sport", "=", ":80"]
    host_has = subprocess.run(listening, check=True, capture_output=True, text=True, timeout=20)
    assert f"{ADDRESS}:80" not in host_has.stdout

    assert host.node("detach", instance).returncode == 0
    assert inside.status() == 0
    host.attach(instance, "--netns", inside.netns)
    host.cloud.vpc.create_instance_action(instance, "stop")
    host.cloud.wait(instance, "stopped")
    assert inside.status() == 0
    host.cloud.vpc.create_instance_action(instance, "start")
    host.cloud.wait(instance, "running")
    assert inside.instance()["id"] == instance
    host.cloud.vpc.delete_instance(instance)
    host.gone(instance)
    assert inside.status() == 0
    assert "linklocal0" not in inside.run("ip", "link").stdout
