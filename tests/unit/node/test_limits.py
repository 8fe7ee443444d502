"""The token bucket: never more than burst and rate allow, and never less."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from linklocal.node.limits import TokenBucket

RATES = st.floats(0.1, 10_000)
STEPS = st.lists(st.floats(0, 10), max_size=60)


@given(RATES, st.floats(1, 1000), STEPS)
def test_never_more_than_burst_and_rate(rate: float, burst: float, steps: list[float]) -> None:
    now, taken = 100.0, 0
    bucket = TokenBucket(rate, burst, now)

    for step in steps:
        now += step
        taken += bucket.take(now)

    assert taken <= burst + rate * (now - 100.0) + 1e-6


@given(RATES, st.floats(1, 1000), STEPS)
def test_what_it_says_to_wait_is_enough(rate: float, burst: float, steps: list[float]) -> None:
    now = 0.0
    bucket = TokenBucket(rate, burst, now)

    for step in steps:
        now += step
        if not bucket.take(now):
            wait = bucket.wait(now)
            assert wait > 0
            now += wait * (1 + 1e-9) + 1e-9
            assert bucket.take(now)


def test_a_burst_at_once_and_then_the_rate() -> None:
    bucket = TokenBucket(2.0, 3.0, 0.0)

    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.wait(0.0) == 0.5
    assert [bucket.take(0.5) for _ in range(2)] == [True, False]
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
