"""Keys and names of a node in its state folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from linklocal.clock import SystemClock
from linklocal.errors import OperatorError
from linklocal.ids import NodeId
from linklocal.node.identity import Enrolment, IdentityStore, NodeSigner, signing_key
from linklocal.tokens import PublicKeys, identity_claims, public_jwk, verify_identity_token

ENROLMENT = Enrolment(NodeId("node-1"), "host-1", "us-south", "VSI-CR_us-south_abc")


def test_keys_are_made_once_and_are_what_the_server_takes(tmp_path: Path) -> None:
    first, again = IdentityStore(tmp_path).keys(), IdentityStore(tmp_path).keys()

    assert first.control.public_jwk() == again.control.public_jwk()
    assert first.identity.public_jwk() == again.identity.public_jwk()
    public_jwk(first.control.public_jwk(), "ES256")
    public_jwk(first.identity.public_jwk(), "RS256")
    assert 0 < len(first.control.kid) <= 64
    assert {p.stat().st_mode & 0o777 for p in (tmp_path / "keys").iterdir()} == {0o600}


def test_an_enrolment_is_kept_and_marked(tmp_path: Path) -> None:
    store = IdentityStore(tmp_path)
    assert store.enrolment() is None
    store.save(ENROLMENT)
    assert IdentityStore(tmp_path).enrolment() == ENROLMENT
    store.mark_revoked(ENROLMENT, True)
    assert IdentityStore(tmp_path).enrolment() == Enrolment(
        NodeId("node-1"), "host-1", "us-south", "VSI-CR_us-south_abc", revoked=True
    )


def test_forgetting_makes_another_node(tmp_path: Path) -> None:
    store = IdentityStore(tmp_path)
    old = store.keys()
    store.save(ENROLMENT)
    store.forget()

    assert store.enrolment() is None
    assert store.keys().control.kid != old.control.kid


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", json.dumps({"node_id": 1})])
def test_a_torn_enrolment_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "node.json").write_text(content)

    with pytest.raises(OperatorError, match=r"node\.json cannot be read") as error:
        IdentityStore(tmp_path).enrolment()
    assert "join-token" in error.value.next_step


@pytest.mark.parametrize("name", ["control.pem", "identity.pem"])
def test_a_damaged_key_is_never_replaced(tmp_path: Path, name: str) -> None:
    IdentityStore(tmp_path).keys()
    (tmp_path / "keys" / name).write_text("damaged")

    with pytest.raises(OperatorError, match="does not hold the node's key"):
        IdentityStore(tmp_path).keys()
    assert (tmp_path / "keys" / name).read_text() == "damaged"


def test_swapped_keys_are_noticed(tmp_path: Path) -> None:
    IdentityStore(tmp_path).keys()
    folder = tmp_path / "keys"
    (folder / "control.pem").write_bytes((folder / "identity.pem").read_bytes())

    with pytest.raises(OperatorError):
        IdentityStore(tmp_path).keys()


async def test_the_signer_signs_under_the_servers_kid_and_follows_a_new_one(tmp_path: Path) -> None:
    keys = IdentityStore(tmp_path).keys()
    signer = NodeSigner(signing_key(keys, None, "us-south"), "us-south")
    now = SystemClock().now()
    claims = identity_claims(
        region="us-south", epoch=1, claims={"iaas": {"instanceID": "i"}}, now=now, expires_in=60
    )
    own = await signer.sign(claims)
    verify_identity_token(own, signer.keys, now)

    signer.use(signing_key(keys, ENROLMENT, "us-south"), "us-south")
    verified = await signer.sign(claims)
    published = {**keys.identity.public_jwk(), "kid": ENROLMENT.identity_kid}

    assert verify_identity_token(verified, PublicKeys([published]), now)["iss"] == "VSI-CR_us-south"
    assert signer.region == "us-south"
    signer.close()
