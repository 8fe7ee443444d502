"""The columns of the listings, as the contract has them (5.3)."""

from __future__ import annotations

import pytest

from linklocal.cli.is_.instance_output import LIST_HEADER
from linklocal.cli.is_.resources import KINDS
from linklocal.cli.is_.template import TEMPLATE_HEADER

COLUMNS = {
    "keys": "ID, Name, Type, Length, FingerPrint, Resource group",
    "images": "ID, Name, Status, Arch, OS name, OS version, File size(GB), Visibility, Encryption, "
    "Resource group, Catalog Offering, User Data Format, Remote Account ID",
    "vpcs": "ID, Name, Status, Classic access, Default network ACL, Default security group, "
    "Resource group",
    "subnets": "ID, Name, Status, Subnet CIDR, Addresses, ACL, Public Gateway, VPC, Zone, "
    "Resource group",
    "instance-profiles": "Name, vCPU Manufacturer, Architecture, Family, vCPUs, Memory(GiB), "
    "Bandwidth(Mbps), Volume bandwidth(Mbps), GPUs, Storage(GB), Min NIC Count, Max NIC Count",
    "regions": "Name, Endpoint, Status",
}
KEY = {"id": "r006-1", "name": "k", "fingerprint": "SHA256:" + "u" * 43}


@pytest.mark.parametrize("plural", COLUMNS)
def test_columns(plural: str) -> None:
    kind = next(kind for kind in KINDS if kind.plural == plural)
    assert ", ".join(title for title, _ in kind.columns) == COLUMNS[plural]


def test_columns_of_instances_and_templates() -> None:
    assert ", ".join(LIST_HEADER) == (
        "ID, Name, Status, Reserved IP, Floating IP, Profile, Image, VPC, Zone, Resource group"
    )
    assert (
        ", ".join(TEMPLATE_HEADER) == "ID, Name, Profile, VPC, Zone, Image, Created, Resource group"
    )


def test_a_listed_fingerprint_is_shortened_and_a_shown_one_is_whole() -> None:
    kind = next(kind for kind in KINDS if kind.plural == "keys")
    listed = dict(
        zip([title for title, _ in kind.columns], [r(KEY) for _, r in kind.columns], strict=True)
    )
    assert listed["FingerPrint"] == "SHA256:" + "u" * 16 + "..."
    assert dict(kind.rows(KEY))["FingerPrint"] == KEY["fingerprint"]
