"""IBM's Python SDK inside a guest, as programs there use it: no `url` over http, the name over https."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .conftest import ADDRESS, NAME, Guest, Host

pytestmark = [pytest.mark.root, pytest.mark.needs("ip", "iproute2")]
HOSTS = Path("/etc/netns")  # files there are the namespace's own in /etc: of `ip netns exec`
PROGRAM = """
import json, sys
from ibm_cloud_sdk_core.authenticators import VPCInstanceAuthenticator
tokens = VPCInstanceAuthenticator(**json.loads(sys.argv[1])).token_manager
print(json.dumps([tokens.retrieve_instance_identity_token(), tokens.get_token()]))
"""


@pytest.fixture
def named(guest: Callable[[], Guest]) -> Iterator[Guest]:
    """A guest whose resolver knows the documented name."""
    made = guest()
    folder = HOSTS / made.netns
    folder.mkdir(parents=True)
    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n{ADDRESS} {NAME}\n")
    yield made
    hosts.unlink()
    folder.rmdir()


@pytest.mark.parametrize(
    ("protocol", "options"), [("http", {}), ("https", {"url": f"https://{NAME}"})]
)
def test_an_iam_token(
    named: Guest, host: Host, ca: Path, protocol: str, options: dict[str, str]
) -> None:
    profile = host.cloud.profile()
    instance = host.cloud.create(
        metadata_service={"enabled": True, "protocol": protocol},
        default_trusted_profile={"auto_link": True, "target": {"id": profile["id"]}},
    )["id"]
    host.attach(instance, "--netns", named.netns)

    kept = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    done = named.run(
        "env", "-i", *(f"{k}={v}" for k, v in kept.items()), f"REQUESTS_CA_BUNDLE={ca}",
        sys.executable, "-c", PROGRAM, json.dumps(options),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    identity, access = json.loads(done.stdout)
    assert identity != access
    assert access.count(".") == 2
    base = f"{protocol}://{NAME if protocol == 'https' else ADDRESS}"
    assert named.instance("--cacert", str(ca), base=base)["id"] == instance
