"""Ports: one for each instance, kept for good, never silently another."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from linklocal.document import MetadataService
from linklocal.ids import InstanceId
from linklocal.node.attachments import Attachments, PortAttachment, port_is_taken
from linklocal.node.places import DevicePlace, NamespacePlace, from_record
from linklocal.node.sockets import NotAttached, hop_limit

A, B, C = (InstanceId(f"0717_{n}") for n in "abc")
HTTP = MetadataService(enabled=True, response_hop_limit=5)


def attachments(folder: Path, *taken: int, loopback_ports: bool = True) -> Attachments:
    made = Attachments(
        folder, loopback_ports=loopback_ports, port_base=8775, taken=lambda port: port in taken
    )
    made.load()
    return made


def assign(made: Attachments, instance_id: InstanceId) -> object:
    """One instance's attachment, or why it has none."""
    return made.assign([instance_id])[instance_id]


def test_ports_are_assigned_in_order_and_kept(tmp_path: Path) -> None:
    first = attachments(tmp_path, 8776)

    assert [assign(first, i) for i in (A, B, A)] == [
        PortAttachment(8775), PortAttachment(8777), PortAttachment(8775),
    ]  # fmt: skip
    # After a restart, also where the port is taken now: that is for `listen` to say.
    again = attachments(tmp_path, 8775)
    assert again.find(A) == assign(again, A) == PortAttachment(8775)
    assert assign(again, C) == PortAttachment(8776)
    assert set(again.assigned()) == {A, B, C}


def test_a_released_port_is_free_for_others(tmp_path: Path) -> None:
    made = attachments(tmp_path)
    made.assign([A])
    made.release([A])
    made.release([A])

    assert made.find(A) is None
    assert assign(made, B) == PortAttachment(8775)
    assert attachments(tmp_path).find(A) is None


def test_without_the_setting_nothing_is_attached_not_even_what_was(tmp_path: Path) -> None:
    attachments(tmp_path).assign([A])
    without = attachments(tmp_path, loopback_ports=False)

    assert without.find(A) is None
    refused = assign(without, A)
    assert isinstance(refused, NotAttached)
    assert "--loopback-ports" in str(refused)


def test_many_at_once_get_ports_of_their_own(tmp_path: Path) -> None:
    ids = [InstanceId(f"0717_{n}") for n in range(300)]
    made = attachments(tmp_path, 8780).assign(ids)

    assert len({made[id] for id in ids}) == 300
    again = attachments(tmp_path)
    assert {id: again.find(id) for id in ids} == made


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"kind":"port","port":true}', '{"kind":"port","port":0}',
                '{"kind":"port","port":65536}', '{"kind":"tap","port":1}'],
)  # fmt: skip
def test_a_torn_file_is_skipped(tmp_path: Path, content: str) -> None:
    made = attachments(tmp_path)
    (tmp_path / "attachments" / f"{A}.json").write_text(content)

    assert list(made.load()) == [f"{A}.json"]
    assert made.find(A) is None


def test_a_port_that_cannot_be_saved_is_not_used(tmp_path: Path) -> None:
    made = attachments(tmp_path)
    (tmp_path / "attachments").rmdir()

    refused = assign(made, A)
    assert isinstance(refused, NotAttached)
    assert "cannot be saved" in str(refused)
    assert made.find(A) is None


def test_when_no_port_is_left(tmp_path: Path) -> None:
    made = Attachments(tmp_path, loopback_ports=True, port_base=65_535, taken=lambda port: True)

    refused = assign(made, A)
    assert isinstance(refused, NotAttached)
    assert "No port" in str(refused)


def test_addresses_carry_the_name_that_the_certificate_has() -> None:
    port = PortAttachment(8775)

    assert port.address(HTTP) == "http://127.0.0.1:8775"
    assert port.address(MetadataService(protocol="https")) == "https://localhost:8775"
    assert port.hosts.authority("localhost:8775") == "localhost:8775"


@pytest.mark.parametrize(
    ("settings", "hops"), [(HTTP, 5), (MetadataService(enabled=False, response_hop_limit=5), 1)]
)
def test_the_socket_listens_with_the_hop_limit_and_without_delay(
    settings: MetadataService, hops: int
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with PortAttachment(port).listen(settings) as sock:
        assert sock.getsockname() == ("127.0.0.1", port)
        assert hop_limit(sock) == hops
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert port_is_taken(port)
        with pytest.raises(NotAttached, match="something else listens there"):
            PortAttachment(port).listen(settings)
    assert not port_is_taken(port)


def test_a_port_that_is_only_closing_is_told_from_one_that_is_taken() -> None:
    """The process is gone; the kernel keeps the port for its connections' last minute."""
    with socket.socket() as owner:
        owner.bind(("127.0.0.1", 0))
        owner.listen()
        port = owner.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), 5):
            owner.accept()[0].close()
            owner.close()
            with pytest.raises(NotAttached, match="still closing, which takes up to a minute"):
                PortAttachment(port).listen(HTTP)


@pytest.mark.parametrize("label", ["", "oci:web"])
def test_a_place_is_remembered_with_its_label(tmp_path: Path, label: str) -> None:
    first = attachments(tmp_path)
    first.add(NamespacePlace("1", A, path="/run/netns/blue", label=label))
    first.add(DevicePlace("2", B, device="tap0", label=label))

    again = attachments(tmp_path).placed()

    assert sorted((place.id, place.label) for place in again) == [("1", label), ("2", label)]


def test_a_record_of_before_there_were_labels_is_read() -> None:
    record = DevicePlace("2", B, device="tap0").record()
    assert record is not None
    del record["label"]
    assert from_record(record).label == ""
