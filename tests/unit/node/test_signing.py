"""Signing threads answer everybody who waits, whatever a call raises and however many end together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from linklocal.node.signing import SigningThreads


@pytest.fixture
def threads() -> Iterator[SigningThreads]:
    made = SigningThreads(2)
    yield made
    made.close()


async def test_each_caller_gets_the_answer_to_its_own_call(threads: SigningThreads) -> None:
    async with asyncio.timeout(30):
        answers = await asyncio.gather(
            *(threads.run(lambda n=n: f"signed {n}") for n in range(500))  # type: ignore[misc] # n is bound
        )

    assert answers == [f"signed {n}" for n in range(500)]


async def test_it_signs_outside_the_loops_thread(threads: SigningThreads) -> None:
    name = await threads.run(lambda: threading.current_thread().name)

    assert name.startswith("sign_")


async def test_two_are_signed_at_once(threads: SigningThreads) -> None:
    both = threading.Barrier(2)

    def meet() -> str:
        both.wait(30)
        return "met"

    assert await asyncio.gather(threads.run(meet), threads.run(meet)) == ["met", "met"]


async def test_what_a_call_raises_is_its_callers_and_the_thread_goes_on(
    threads: SigningThreads,
) -> None:
    def fail() -> str:
        raise ValueError("no key")

    for _ in range(3):  # more often than there are threads
        with pytest.raises(ValueError, match="no key"):
            await threads.run(fail)

    assert await threads.run(lambda: "signed") == "signed"


async def test_a_caller_that_has_gone_holds_up_nobody(threads: SigningThreads) -> None:
    go = threading.Event()

    def wait() -> str:
        go.wait(30)
        return "late"

    gone = [asyncio.ensure_future(threads.run(wait)) for _ in range(2)]
    await asyncio.sleep(0)
    next_one = asyncio.ensure_future(threads.run(lambda: "signed"))
    await asyncio.sleep(0)
    for one in gone:
        one.cancel()
    go.set()

    async with asyncio.timeout(30):
        assert await next_one == "signed"


async def test_closed_threads_sign_nothing() -> None:
    threads = SigningThreads(1)
    assert await threads.run(lambda: "signed") == "signed"
    threads.close()

    with pytest.raises(RuntimeError):
        await threads.run(lambda: "signed")
