"""cloud-init's own code reads the seed in a guest, as a stock image does at its first start."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cloud import Cloud

from .conftest import ADDRESS, NAME, Guest, Host

pytestmark = [
    pytest.mark.root,
    pytest.mark.needs("ip", "iproute2"),
    pytest.mark.needs("nft", "nftables"),
    pytest.mark.needs("curl", "curl"),
    pytest.mark.needs("cloud-init", "cloud-init"),
]
SEED = f"http://{ADDRESS}/nocloud/"
USER_DATA = "#cloud-config\nruncmd:\n  - [echo, 'grüße']\n"
# As `ds=nocloud;s=URL` on the kernel's command line has it; without a look at the disks of this machine.
PROGRAM = """
import json, sys
from cloudinit.distros import fetch
from cloudinit.helpers import Paths
from cloudinit.sources.DataSourceNoCloud import DataSourceNoCloudNet

folder, url = sys.argv[1:]
config = {"datasource": {"NoCloud": {"seedfrom": url, "fs_label": None}}}
paths = Paths({"cloud_dir": folder, "run_dir": folder})
source = DataSourceNoCloudNet(config, fetch("debian")("debian", {}, paths), paths)
found = source._get_data()
print(json.dumps({
    "found": found,
    "instance_id": source.get_instance_id(),
    "hostname": source.get_hostname()[0],
    "keys": source.get_public_ssh_keys(),
    "user_data": source.get_userdata_raw().decode(),
    "vendor_data": source.get_vendordata_raw().decode(),
    "vendor_parts": [part.get_content_type() for part in source.get_vendordata().walk()],
}))
"""


def cloud_init(guest: Guest, folder: Path) -> dict[str, Any]:
    """With the system's Python, where Debian has cloud-init."""
    done = guest.run("/usr/bin/python3", "-I", "-c", PROGRAM, str(folder), SEED, timeout=60)
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def test_cloud_init_learns_what_the_instance_is(
    guest: Callable[[], Guest], host: Host, cloud: Cloud, tmp_path: Path
) -> None:
    inside = guest()
    key = cloud.vpc.list_keys().result["keys"][0]
    made = cloud.create(
        metadata_service={"enabled": True}, keys=[{"id": key["id"]}], user_data=USER_DATA
    )
    host.attach(made["id"], "--netns", inside.netns)

    read = cloud_init(inside, tmp_path)

    assert read["found"] is True
    assert read["instance_id"] == made["id"]
    assert read["hostname"] == made["name"]
    assert read["keys"] == [" ".join(key["public_key"].split()[:2])]
    assert read["user_data"] == USER_DATA
    assert read["vendor_parts"][-1] == "text/cloud-boothook"

    # What it runs at every start: the documented name is the service's, once.
    boothook, hosts = tmp_path / "boothook", tmp_path / "hosts"
    boothook.write_text(read["vendor_data"])
    hosts.write_text("127.0.0.1 localhost\n")
    done = inside.run(
        "sh", "-ec",
        f"mount --bind {hosts} /etc/hosts; sh {boothook}; sh {boothook}; curl -s http://{NAME}/nocloud/user-data",
    )  # fmt: skip
    assert done.stdout == USER_DATA, done.stderr
    assert hosts.read_text() == f"127.0.0.1 localhost\n{ADDRESS} {NAME}\n"
