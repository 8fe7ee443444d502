"""A node against a model, step by step at random: no answer is another instance's, none is of old settings.

A step is a change that the server publishes (create, patch, stop, start, delete, an id that comes back), what
operators do (attach, detach, an address that is used again by another instance), a stream that breaks off, is
resumed or told in full anew, or a restart of the node. While it happens, and after it, guests ask at all
addresses, with new tokens and with old ones of anybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import pytest
import uvloop
from fuzz.node_model import Owner, Token
from fuzz.node_world import ADDRESSES, PORTS, World
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from linklocal.document import MetadataService, Protocol
from linklocal.ids import InstanceId

INSTANCES = [InstanceId(f"0717_{n}") for n in range(4)]
# Not shrunk: what shows only while something is under way seldom shows twice.
SLICE = settings(
    phases=[Phase.generate],
    max_examples=20,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
LONG = settings(SLICE, max_examples=300, stateful_step_count=60)
ENOUGH = 10_000  # steps of the long run

protocols = st.sampled_from(["http", "http", "https"])
services = st.builds(
    MetadataService,
    enabled=st.sampled_from([True, True, False]),
    protocol=protocols,
    response_hop_limit=st.integers(1, 64),
)
addresses = st.integers(0, ADDRESSES - 1)
chosen = st.integers(0, 2**16)


@dataclass(frozen=True)
class Crowd:
    """Who asks while a step is under way, and whether the node is let come to rest after it.

    `guests`: at which address, over which protocol (None: the one of the instance there), and with which
    of the tokens that were made.
    """

    guests: list[tuple[int, Protocol | None, int]]
    rest: bool


crowds = st.builds(
    Crowd,
    guests=st.lists(
        st.tuples(addresses, st.sampled_from([None, None, "http", "https"]), st.integers(0, 15)),
        min_size=1,
        max_size=3,
    ),
    rest=st.booleans(),
)


class Machine(RuleBasedStateMachine):
    steps: ClassVar[int] = 0

    @initialize(first=st.lists(services, min_size=ADDRESSES - 1, max_size=ADDRESSES - 1))
    def begin(self, first: list[MetadataService]) -> None:
        self.folder = TemporaryDirectory(prefix="linklocal-states-")
        self.runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.world = World(Path(self.folder.name))
        self.runner.run(self._begin(first))
        self._judge()

    async def _begin(self, first: list[MetadataService]) -> None:
        world = self.world
        await world.start()
        for id, service in zip(INSTANCES, first, strict=False):
            world.model.put(id, settings=service, serving=True, epoch=1)
        world.reconnect(reset=False)
        for number, id in enumerate(world.model.instances()):
            await self._attach(number, Owner(id, silent=False))

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.runner.run(self.world.stop())
            self.runner.close()
            self.folder.cleanup()

    # --- what the server publishes -------------------------------------------------------------

    @precondition(lambda self: len(self.world.model.instances()) < len(INSTANCES))
    @rule(pick=chosen, service=services, serving=st.sampled_from([True, True, False]), crowd=crowds)
    def create(self, pick: int, service: MetadataService, serving: bool, crowd: Crowd) -> None:
        """Also of an id that was here before: it was placed elsewhere meanwhile."""
        free = self._free()
        model = self.world.model
        absent = [id for id in INSTANCES if id not in model.instances()]
        id = absent[pick % len(absent)]
        epoch = model.now(id).epoch + 1
        self._publish(lambda: model.put(id, settings=service, serving=serving, epoch=epoch), crowd)
        if free:
            number = free[pick % len(free)]
            self.runner.run(self._attach(number, Owner(id, silent=False)))

    @precondition(lambda self: self.world.model.instances())
    @rule(pick=chosen, service=services, crowd=crowds)
    def patch(self, pick: int, service: MetadataService, crowd: Crowd) -> None:
        id = self._present(pick)
        self._publish(lambda: self.world.model.put(id, settings=service), crowd)

    @precondition(lambda self: self.world.model.instances())
    @rule(pick=chosen, several=st.lists(services, min_size=2, max_size=5), crowd=crowds)
    def burst(self, pick: int, several: list[MetadataService], crowd: Crowd) -> None:
        """Changes that follow one another faster than the node takes them."""
        id = self._present(pick)

        def publish() -> None:
            for service in several:
                self.world.model.put(id, settings=service)

        self._publish(publish, crowd)

    @precondition(lambda self: self.world.model.instances())
    @rule(pick=chosen, crowd=crowds)
    def stop(self, pick: int, crowd: Crowd) -> None:
        """Raises the epoch: tokens of before are void, also after the next start."""
        id, model = self._present(pick), self.world.model
        epoch = model.now(id).epoch + 1
        self._publish(lambda: model.put(id, serving=False, epoch=epoch), crowd)

    @precondition(lambda self: self.world.model.instances())
    @rule(pick=chosen, crowd=crowds)
    def start(self, pick: int, crowd: Crowd) -> None:
        id = self._present(pick)
        self._publish(lambda: self.world.model.put(id, serving=True), crowd)

    @precondition(lambda self: self.world.model.instances())
    @rule(pick=chosen, crowd=crowds)
    def delete(self, pick: int, crowd: Crowd) -> None:
        id = self._present(pick)
        self._publish(lambda: self.world.model.drop(id), crowd)
        self.runner.run(self.world.rounded())

    # --- what operators do ---------------------------------------------------------------------

    @precondition(lambda self: self.world.model.instances() and self._free())
    @rule(pick=chosen, where=chosen, silent=st.booleans(), crowd=crowds)
    def attach(self, pick: int, where: int, silent: bool, crowd: Crowd) -> None:
        """At an address that was another instance's, more often than not."""
        owner, free = Owner(self._present(pick), silent), self._free()
        self._step(lambda: self._attach(free[where % len(free)], owner), crowd)

    @precondition(lambda self: len(self._free()) < ADDRESSES)
    @rule(where=chosen, crowd=crowds)
    def detach(self, where: int, crowd: Crowd) -> None:
        used = [n for n in range(ADDRESSES) if n not in self._free()]
        self._step(lambda: self._detach(used[where % len(used)]), crowd)

    @precondition(lambda self: self.world.model.instances() and len(self._free()) < ADDRESSES)
    @rule(where=chosen, pick=chosen, crowd=crowds)
    def reuse(self, where: int, pick: int, crowd: Crowd) -> None:
        """An address changes hands."""
        used = [n for n in range(ADDRESSES) if n not in self._free()]
        number, owner = used[where % len(used)], Owner(self._present(pick), False)

        async def change_hands() -> None:
            await self._detach(number)
            await self._attach(number, owner)

        self._step(change_hands, crowd)

    # --- what happens to the stream and the node -----------------------------------------------

    @rule()
    def cut(self) -> None:
        """What is published from here on is not heard."""
        self.world.connected = False
        self._count()

    @rule(reset=st.booleans(), crowd=crowds)
    def replay(self, reset: bool, crowd: Crowd) -> None:
        """A new stream tells again what is known: from where it stopped, or everything."""
        self._step(lambda: self._reconnect(reset=reset), crowd)

    @rule(reset=st.booleans(), lines=st.integers(0, 3), crowd=crowds)
    def torn_replay(self, reset: bool, lines: int, crowd: Crowd) -> None:
        """A new stream that breaks off before it has told everything."""
        self._step(lambda: self._reconnect(reset=reset, lines=lines), crowd)

    @rule()
    def restart(self) -> None:
        """The node ends and begins from its disk, before its server says anything."""
        self.runner.run(self.world.stop())
        self.runner.run(self.world.start())
        self.world.connected = False
        self._count()
        self._judge()

    # --- what must hold ------------------------------------------------------------------------

    @rule(crowd=crowds)
    def settle(self, crowd: Crowd) -> None:
        """Where nothing is under way, every address has one right answer, on either port."""
        self.runner.run(self._settled(crowd))
        self._count()
        self._judge()

    async def _settled(self, crowd: Crowd) -> None:
        await self.world.settled()
        self.world.limits()
        token = self._token(crowd.guests[0][2])
        for number in range(ADDRESSES):
            for protocol in PORTS:
                await self.world.probe(number, protocol, token)

    def _token(self, which: int) -> Token | None:
        tokens = self.world.tokens
        return tokens[which % len(tokens)] if tokens else None

    def _present(self, pick: int) -> InstanceId:
        present = self.world.model.instances()
        return present[pick % len(present)]

    def _free(self) -> list[int]:
        return [n for n, owners in self.world.owners.items() if owners == [None]]

    async def _attach(self, number: int, owner: Owner) -> None:
        # An attachment is of an instance that the node knows, and nobody else's place.
        await self.world.settled()
        if self.world.owners[number] == [None]:
            await self.world.attach(number, owner)

    async def _detach(self, number: int) -> None:
        await self.world.settled()
        if self.world.owners[number] != [None]:
            await self.world.detach(number)

    async def _reconnect(self, *, reset: bool, lines: int | None = None) -> None:
        self.world.reconnect(reset=reset, lines=lines)
        await self.world.rounded()

    def _publish(self, what: Callable[[], None], crowd: Crowd) -> None:
        async def publish() -> None:
            what()
            self.world.flow()

        self._step(publish, crowd)

    def _step(self, action: Callable[[], Awaitable[None]], crowd: Crowd) -> None:
        async def together() -> None:
            asking = [
                asyncio.ensure_future(
                    self.world.probe(number, protocol or self._spoken(number), self._token(which))
                )
                for number, protocol, which in crowd.guests
            ]
            await asyncio.sleep(0)  # they have begun
            await action()
            await asyncio.gather(*asking)
            if crowd.rest and self.world.connected:
                await self.world.settled()
                for number, protocol, which in crowd.guests:
                    asked = protocol or self._spoken(number)
                    await self.world.probe(number, asked, self._token(which))

        self.runner.run(together())
        self._count()
        self._judge()

    def _spoken(self, number: int) -> Protocol:
        owner = self.world.owners[number][-1]
        if owner is None:
            return "http"
        return self.world.model.now(owner.instance).settings.protocol

    def _count(self) -> None:
        Machine.steps += 1

    def _judge(self) -> None:
        assert not self.world.problems, "\n".join(self.world.problems)


def test_a_slice() -> None:
    run_state_machine_as_test(Machine, settings=SLICE)  # type: ignore[no-untyped-call]  # Hypothesis


@pytest.mark.long
def test_many_steps() -> None:
    Machine.steps = 0
    run_state_machine_as_test(Machine, settings=LONG)  # type: ignore[no-untyped-call]  # Hypothesis
    assert Machine.steps >= ENOUGH
