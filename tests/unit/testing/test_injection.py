"""What a call that meets a fault is answered, with the real wire API behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from fakes.clock import FakeClock
from fakes.documents import full_document
from fakes.signer import FakeSigner, identity_key
from fakes.upstream import FakeUpstream

from linklocal.metadata.served import Served
from linklocal.metadata.wire import IamToken, ProfileSelector, Request, Response
from linklocal.testing.faults import CREATE_TOKEN, EXCHANGE, Faults
from linklocal.testing.injection import Injection, Truncated
from linklocal.tokens import PublicKeys, verify_identity_token

VERSION = "version=2025-08-26"
READ = "/metadata/v1/instance"


class World:
    """One instance of a dev node. `slept` holds what a call was made to wait."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.faults = Faults(self.clock)
        self.slept: list[float] = []
        self.signer = FakeSigner()
        self.served = Served(full_document(), self.signer, self.clock)
        self.upstream = FakeUpstream()
        self.injection = Injection(self.faults, self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def ask(self, method: str, path: str, **headers: str) -> Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        request = Request(method, path, VERSION, sent)
        answer = self.injection.answer(request, self.served, self.upstream)
        return answer if isinstance(answer, Response) else asyncio.run(_wait(answer))

    def token(self) -> str:
        answer = self.ask("PUT", "/identity/v1/token", metadata_flavor="ibm")
        return str(json.loads(answer.body)["access_token"])

    def read(self, token: str) -> Response:
        return self.ask("GET", READ, authorization=f"Bearer {token}")

    def exchange(self, token: str) -> Response:
        return self.ask("POST", "/identity/v1/iam_tokens", authorization=f"Bearer {token}")


async def _wait(answer: Any) -> Response:
    found: Response = await answer
    return found


@pytest.fixture
def world() -> World:
    return World()


def test_without_a_fault_a_read_is_answered_at_once(world: World) -> None:
    token = world.token()
    request = Request("GET", READ, VERSION, {"authorization": f"Bearer {token}"})

    answer = world.injection.answer(request, world.served, world.upstream)

    assert isinstance(answer, Response)
    assert answer.status == 200


def test_latency_is_waited_for_and_added_up(world: World) -> None:
    token = world.token()
    world.faults.add("latency", seconds=0.5)
    world.faults.add("latency", seconds=2.0, operation="instance.read")

    assert world.read(token).status == 200
    assert world.slept == [0.5, 2.0]


def test_a_rate_that_is_exceeded(world: World) -> None:
    world.faults.add("429", retry_after=7, count=1)

    answer = world.exchange("x")

    assert (answer.status, answer.reason, answer.rule) == (429, "rate_limit_exceeded", "fault-429")
    assert answer.headers == (("Retry-After", "7"),)
    assert answer.operation == "is.metadata.computeresource-token.request"
    assert world.upstream.exchanges == []


def test_of_two_refusals_the_older_one_answers(world: World) -> None:
    world.faults.add("500")
    world.faults.add("429")

    answer = world.read("x")

    assert (answer.status, answer.reason) == (500, "service_error")
    assert json.loads(answer.body)["status_code"] == 500


def test_a_truncated_answer_is_the_real_one(world: World) -> None:
    """The connection cuts it; what is counted and recorded is what was answered."""
    token = world.token()
    whole = world.read(token)
    world.faults.add("truncated-body")

    cut = world.read(token)

    assert isinstance(cut, Truncated)
    assert (cut.status, cut.body, cut.operation) == (200, whole.body, whole.operation)


def test_a_shown_token_counts_as_expired_while_the_fault_lasts(world: World) -> None:
    token = world.token()
    fault = world.faults.add("expired-token")

    assert world.read(token).rule == world.exchange(token).rule == "token-expired"
    world.faults.remove(fault.id)
    assert world.read(token).status == 200


def test_a_made_token_is_too_old_for_good(world: World) -> None:
    world.faults.add("expired-token", operation=CREATE_TOKEN, count=1)

    token = world.token()

    assert world.read(token).rule == "token-expired"
    assert world.read(world.token()).status == 200


def test_a_clock_that_is_ahead_makes_tokens_that_are_early(world: World) -> None:
    world.faults.add("clock-offset", seconds=90, operation=CREATE_TOKEN)

    claims = verify_identity_token(
        world.token(), world.signer.keys, world.clock.now() + timedelta(seconds=90)
    )

    assert claims["iat"] == int(world.clock.now().timestamp()) + 90


def test_a_clock_that_is_behind_finds_tokens_early(world: World) -> None:
    token = world.token()
    world.faults.add("clock-offset", seconds=-90)

    assert world.read(token).rule == "token-early"


def test_no_profile_is_linked(world: World) -> None:
    token = world.token()
    world.faults.add("profile-unlinked")

    answer = world.exchange(token)

    assert (answer.status, answer.reason) == (400, "profile_not_linked")
    assert answer.rule == "fault-profile-unlinked"
    assert world.read(token).status == 200


class TokenUpstream(FakeUpstream):
    """Also remembers which token it was shown."""

    shown = ""

    async def exchange(self, identity_token: str, profile: ProfileSelector | None) -> IamToken:
        self.shown = identity_token
        return await super().exchange(identity_token, profile)


@pytest.fixture
def rotated(world: World) -> Callable[[], None]:
    def end() -> None:
        world.faults.remove(fault.id)

    fault = world.faults.add("key-rotated", key=identity_key("other"))
    return end


def test_tokens_of_the_key_before_are_refused(world: World, rotated: Callable[[], None]) -> None:
    new = world.token()
    keys = PublicKeys(world.faults.keys())

    assert verify_identity_token(new, keys, world.clock.now())
    assert world.read(new).status == 200
    rotated()
    assert world.faults.keys() == []
    assert world.read(new).rule == "token-key"


def test_a_token_from_before_the_rotation_is_refused(world: World) -> None:
    old = world.token()
    world.faults.add("key-rotated", key=identity_key("other"), operation="instance.read")

    assert world.read(old).rule == "token-key"
    assert world.exchange(old).status == 200


def test_the_server_is_shown_a_token_that_it_can_verify(
    world: World, rotated: Callable[[], None]
) -> None:
    world.upstream = TokenUpstream()
    new = world.token()

    answer = world.exchange(new)

    assert answer.status == 200
    own = verify_identity_token(world.upstream.shown, world.signer.keys, world.clock.now())
    other = verify_identity_token(new, PublicKeys(world.faults.keys()), world.clock.now())
    assert own == other


def test_calls_of_no_operation_meet_faults_without_one_only(world: World) -> None:
    world.faults.add("500", operation=EXCHANGE)
    assert world.ask("GET", "/nothing").status == 404
    world.faults.add("500")
    assert world.ask("GET", "/nothing").status == 500
