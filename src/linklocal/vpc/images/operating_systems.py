"""The operating systems that images have: a constant, the same in every region and for every account."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from linklocal.vpc.profiles.catalog import Architecture

UserDataFormat = Literal["cloud_init", "esxi_kickstart", "ipxe"]


@dataclass(frozen=True, slots=True)
class OperatingSystem:
    """An operating system of a major release, for one architecture."""

    name: str
    family: str
    vendor: str
    version: str
    architecture: Architecture = "amd64"
    user_data_format: UserDataFormat = "cloud_init"
    allow_user_image_creation: bool = True
    dedicated_host_only: bool = False

    @property
    def display_name(self) -> str:
        return f"{self.family} {self.version} ({self.architecture})"

    def view(self) -> dict[str, Any]:
        """OperatingSystem."""
        return {
            "allow_user_image_creation": self.allow_user_image_creation,
            "architecture": self.architecture,
            "dedicated_host_only": self.dedicated_host_only,
            "display_name": self.display_name,
            "family": self.family,
            "href": f"/v1/operating_systems/{self.name}",
            "name": self.name,
            "user_data_format": self.user_data_format,
            "vendor": self.vendor,
            "version": self.version,
        }


OPERATING_SYSTEMS: tuple[OperatingSystem, ...] = (
    OperatingSystem("centos-stream-9-amd64", "CentOS", "CentOS", "Stream 9"),
    OperatingSystem("debian-11-amd64", "Debian GNU/Linux", "Debian", "11 Bullseye"),
    OperatingSystem("debian-12-amd64", "Debian GNU/Linux", "Debian", "12 Bookworm"),
    OperatingSystem(
        "red-9-amd64",
        "Red Hat Enterprise Linux",
        "Red Hat",
        "9.x - Minimal Install",
    ),
    OperatingSystem("rocky-linux-9-amd64", "Rocky Linux", "Rocky", "9.x - Minimal Install"),
    OperatingSystem("ubuntu-22-04-amd64", "Ubuntu Linux", "Canonical", "22.04 LTS Jammy Jellyfish"),
    OperatingSystem("ubuntu-24-04-amd64", "Ubuntu Linux", "Canonical", "24.04 LTS Noble Numbat"),
    OperatingSystem(
        "ubuntu-22-04-s390x",
        "Ubuntu Linux",
        "Canonical",
        "22.04 LTS Jammy Jellyfish",
        architecture="s390x",
    ),
    OperatingSystem("windows-2022-amd64", "Windows Server", "Microsoft", "2022 Standard Edition"),
)

_BY_NAME = {system.name: system for system in OPERATING_SYSTEMS}


def find(name: str) -> OperatingSystem | None:
    """The operating system of this name, or None."""
    return _BY_NAME.get(name)


def stored(name: str) -> OperatingSystem:
    """The operating system of a stored image. Raises KeyError: none is ever removed from the list."""
    return _BY_NAME[name]
