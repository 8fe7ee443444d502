"""One `linklocal dev` for all wire tests, and IBM's SDKs pointed at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cloud import Cloud, clients
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from live import Dev, running
from processes import Fleet
from terraform import Stack


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """A running `linklocal dev` with the demo seed."""
    with running(tmp_path_factory.mktemp("wire") / "state") as dev:
        yield dev


@pytest.fixture(scope="session")
def cloud(dev: Dev) -> Cloud:
    return clients(dev)


@pytest.fixture(scope="module")
def stack(cloud: Cloud) -> Iterator[Stack]:
    """What Terraform's instances stand on; destroyed after the module, so nothing may be left in it."""
    stack = Stack(cloud)
    yield stack
    stack.destroy()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """No process yet; what a test starts is ended after it."""
    fleet = Fleet(tmp_path)
    yield fleet
    fleet.end_all()


@pytest.fixture
def tmp_key(tmp_path: Path) -> Path:
    """A fresh Ed25519 public key in OpenSSH's format, with a comment."""
    path = tmp_path / "id_ed25519.pub"
    public = Ed25519PrivateKey.generate().public_key()
    path.write_bytes(
        public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + b" someone@here\n"
    )
    return path
