"""Which identity tokens an instance takes: always and only its own, of this start, not expired.

The state machine is the claim; the tests below it are the forgeries (metadata contract 2.2, 3.1).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

import pytest
from fakes.clock import FakeClock
from fakes.documents import EPOCH, INSTANCE, claims, full_document
from fakes.signer import FakeSigner, identity_key
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from unit.metadata.harness import Instance, assert_refused

from linklocal.document import MetadataService
from linklocal.metadata.served import MAX_TOKENS_KEPT
from linklocal.tokens import PublicKeys, SigningKey, identity_claims

PATH = "/metadata/v1/instance"
NAMES = ("0717_one", "0717_two")
names = st.sampled_from(NAMES)


@dataclass(frozen=True)
class Issued:
    """What the model knows of a token."""

    token: str
    instance: str
    epoch: int
    key: str
    exp: int


class Tokens(RuleBasedStateMachine):
    """Two instances on one node. After every step, every token is shown to both."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.signer = FakeSigner("1")
        self.key = "1"
        self.issued: list[Issued] = []
        self.epochs = dict.fromkeys(NAMES, EPOCH)
        self.enabled = dict.fromkeys(NAMES, True)
        self.instances = {
            name: Instance(self.document(name), self.signer, self.clock) for name in NAMES
        }

    def document(self, name: str) -> Any:
        return full_document(
            instance_id=name,
            claims=claims(name, f"crn:{name}"),
            tokens_valid_after=self.epochs[name],
            metadata_service=MetadataService(enabled=self.enabled[name]),
        )

    def publish(self, name: str) -> None:
        instance = self.instances[name]
        instance.served = instance.served.updated(self.document(name))

    @rule(name=names, seconds=st.sampled_from([5, 20, 60]))
    def create(self, name: str, seconds: int) -> None:
        body = b'{"expires_in":%d}' % seconds
        answer = self.instances[name].ask(
            "PUT", "/identity/v1/token", body=body, metadata_flavor="ibm"
        )
        if not self.enabled[name]:
            assert_refused(answer, 403, "unauthorized")
            return
        exp = int(self.clock.now().timestamp()) + seconds
        token = json.loads(answer.body)["access_token"]
        self.issued.append(Issued(token, name, self.epochs[name], self.key, exp))

    @rule(seconds=st.sampled_from([0.001, 1, 5, 20]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(name=names)
    def stop_and_start(self, name: str) -> None:
        self.epochs[name] += 1
        self.publish(name)

    @rule(name=names)
    def switch(self, name: str) -> None:
        """Disable or enable, which ends no token."""
        self.enabled[name] = not self.enabled[name]
        self.publish(name)

    @rule(key=st.sampled_from(["1", "2"]))
    def join_anew(self, key: str) -> None:
        """The node gets another identity key; its listeners stay."""
        self.key = key
        self.signer.key = identity_key(key)
        self.signer.keys = PublicKeys([self.signer.key.public_jwk()])

    @invariant()
    def each_token_is_good_where_it_should_be(self) -> None:
        now = self.clock.now().timestamp()
        for issued in self.issued:
            for name in NAMES:
                good = (
                    issued.instance == name
                    and issued.epoch == self.epochs[name]
                    and issued.key == self.key
                    and now < issued.exp
                )
                answer = self.instances[name].get(PATH, token=issued.token)
                assert answer.status == (403 if not self.enabled[name] else 200 if good else 401)


TestTokens = Tokens.TestCase
TestTokens.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def made(instance: Instance, **changes: Any) -> dict[str, Any]:
    whole = identity_claims(
        region="us-south",
        epoch=EPOCH,
        claims=full_document().claims,
        now=instance.clock.now(),
        expires_in=300,
    )
    return {name: value for name, value in {**whole, **changes}.items() if value is not None}


def compact(header: dict[str, Any], payload: dict[str, Any], key: bytes | None = None) -> str:
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")
        for part in (header, payload)
    ]
    signature = b""
    if key is not None:
        digest = hmac.new(key, b".".join(parts), hashlib.sha256).digest()
        signature = base64.urlsafe_b64encode(digest).rstrip(b"=")
    return b".".join([*parts, signature]).decode()


def test_what_the_forgeries_are_made_from_is_good() -> None:
    """Else the tests below would be refusing for another reason."""
    instance = Instance()

    assert instance.get(PATH, token=instance.signer.key.sign(made(instance))).status == 200


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256"])
def test_another_algorithm_is_refused(algorithm: str) -> None:
    instance = Instance()
    header = {"alg": algorithm, "kid": instance.signer.key.kid, "typ": "JWT"}
    public = instance.signer.key.public_jwk()["n"].encode()
    key = public if algorithm == "HS256" else None

    answer = instance.get(PATH, token=compact(header, made(instance), key))

    assert_refused(answer, 401, "unauthenticated")


def test_another_key_is_refused() -> None:
    """Under the right name, under its own, and on a curve."""
    instance = Instance()
    kid = instance.signer.key.kid
    for key in (
        SigningKey.generate_rsa(kid),
        FakeSigner("2").key,
        SigningKey.generate_ec(kid),
    ):
        answer = instance.get(PATH, token=key.sign(made(instance)))
        assert_refused(answer, 401, "unauthenticated")


def iaas(**changes: Any) -> dict[str, Any]:
    return {**full_document().claims["iaas"], **changes}


CLAIMS: dict[str, dict[str, Any]] = {
    "another instance": {"iaas": iaas(instanceID="0717_other")},
    "no instance": {"iaas": {}},
    "an IAM token": {"iaas": None, "aud": None, "iam_id": "iam-Profile-1", "account": {"bss": "a"}},
    "another region": {"iss": "VSI-CR_eu-de", "aud": ["VSI-CR_eu-de", f"u_{EPOCH}"]},
    "an earlier start": {"aud": ["VSI-CR_us-south", f"u_{EPOCH - 1}"]},
    "no epoch": {"aud": ["VSI-CR_us-south", "u"]},
    "one audience": {"aud": "VSI-CR_us-south"},
    "expired": {"iat": 1, "exp": 2},
    "no expiry": {"exp": None},
    "expiry as text": {"exp": "9999999999"},
    "from the future": {"iat": 2_000_000_000, "exp": 2_000_000_300},
}


@pytest.mark.parametrize("name", CLAIMS)
def test_other_claims_are_refused_though_the_node_signed_them(name: str) -> None:
    instance = Instance()

    token = instance.signer.key.sign(made(instance, **CLAIMS[name]))

    assert_refused(instance.get(PATH, token=token), 401, "unauthenticated")
    assert_refused(instance.get(PATH, token=token), 401, "unauthenticated")


def test_a_token_of_a_later_start_than_the_document_is_taken() -> None:
    """The server may know of a restart before this node does; no later epoch can be forged here."""
    instance = Instance()

    token = instance.signer.key.sign(made(instance, aud=["VSI-CR_us-south", f"u_{EPOCH + 1}"]))

    assert instance.get(PATH, token=token).status == 200


MALFORMED = [
    "a", "a.b", "a.b.c", "...", "..", "é.è.ê", "\udc80.x.y", "x" * 20_000, ".".join(["e30"] * 3),
    base64.urlsafe_b64encode(b"[" * 3000).decode() + ".e30.e30",
    base64.urlsafe_b64encode(b'{"kid":[]}').decode() + ".e30.e30",
    base64.urlsafe_b64encode(b'{"kid":"VSI-CR_us-south_1","alg":["RS256"]}').decode() + ".e30.e30",
    base64.urlsafe_b64encode(b'{"kid":"VSI-CR_us-south_1","alg":"RS256","crit":["b64"],"b64":false}')
    .decode() + ".e30.e30",
]  # fmt: skip


@pytest.mark.parametrize("token", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_tokens(token: str) -> None:
    error = assert_refused(Instance().get(PATH, token=token), 401, "unauthenticated")

    assert error["message"] == "The provided token is invalid or expired."


def used(instance: Instance, seconds: int = 300) -> str:
    """A token that the instance has taken once, and so remembers."""
    token = instance.token(expires_in=seconds)
    assert instance.get(PATH, token=token).status == 200
    return token


def test_a_remembered_token_ends_at_its_expiry() -> None:
    instance = Instance()
    token = used(instance, 10)
    instance.clock.advance(9.9)
    assert instance.get(PATH, token=token).status == 200

    instance.clock.advance(0.1)

    assert_refused(instance.get(PATH, token=token), 401, "unauthenticated")


def test_a_remembered_token_ends_with_the_nodes_key() -> None:
    instance = Instance()
    token = used(instance)

    instance.signer.keys = FakeSigner("2").keys

    assert_refused(instance.get(PATH, token=token), 401, "unauthenticated")


def test_a_remembered_token_ends_with_the_start_it_was_made_in() -> None:
    """Within the same second: `iat` could not tell."""
    instance = Instance()
    token = used(instance)

    instance.served = instance.served.updated(full_document(tokens_valid_after=EPOCH + 1))

    assert_refused(instance.get(PATH, token=token), 401, "unauthenticated")


def test_a_remembered_token_is_of_one_instance() -> None:
    instance = Instance()
    token = used(instance)

    instance.served = instance.served.updated(full_document(instance_id="0717_other"))

    assert_refused(instance.get(PATH, token=token), 401, "unauthenticated")


class CountingKeys(PublicKeys):
    """Counts how often somebody asks for a key, which each verification does once."""

    asked = 0

    def __contains__(self, kid: object) -> bool:
        self.asked += 1
        return super().__contains__(kid)


def counting(instance: Instance) -> CountingKeys:
    keys = CountingKeys([instance.signer.key.public_jwk()])
    instance.signer.keys = keys
    return keys


def test_a_token_is_verified_once_and_then_remembered() -> None:
    instance = Instance()
    keys = counting(instance)
    token = instance.token()

    for _ in range(5):
        assert instance.get(PATH, token=token).status == 200
        instance.served = instance.served.updated(full_document())

    assert keys.asked == 1


def test_refused_tokens_are_not_remembered() -> None:
    instance = Instance()
    keys = counting(instance)
    for _ in range(3):
        assert instance.get(PATH, token=FakeSigner("2").key.sign(made(instance))).status == 401

    assert keys.asked == 3
    assert not instance.served._tokens


def test_the_memory_of_tokens_is_bounded_and_forgets_the_oldest() -> None:
    instance = Instance()
    first = instance.token()
    assert instance.get(PATH, token=first).status == 200
    for _ in range(MAX_TOKENS_KEPT):
        assert instance.get(PATH, token=instance.token()).status == 200

    assert len(instance.served._tokens) == MAX_TOKENS_KEPT
    keys = counting(instance)
    assert instance.get(PATH, token=first).status == 200
    assert keys.asked == 1


def test_the_instance_that_tokens_are_of_is_the_documents() -> None:
    assert full_document().claims["iaas"]["instanceID"] == INSTANCE == full_document().instance_id
