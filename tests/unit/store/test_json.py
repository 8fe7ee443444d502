"""Timestamps keep their milliseconds, their order and their zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from linklocal.store.json import Timestamp

MOMENTS = st.builds(
    lambda us, minutes: (
        datetime.fromtimestamp(0, timezone(timedelta(minutes=minutes))) + timedelta(microseconds=us)
    ),
    st.integers(-(10**16), 10**17),
    st.integers(-14 * 60, 14 * 60),
)
DIALECT = sqlite.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy leaves it untyped


def stored(moment: datetime) -> int:
    return int(Timestamp().process_bind_param(moment, DIALECT))


@given(MOMENTS)
def test_reads_back_what_was_written_to_the_millisecond(moment: datetime) -> None:
    back = Timestamp().process_result_value(stored(moment), DIALECT)

    assert back is not None
    assert back.tzinfo is UTC
    assert abs(back - moment) < timedelta(milliseconds=1)
    assert stored(back) == stored(moment)


@given(MOMENTS, MOMENTS)
def test_keeps_the_order(one: datetime, other: datetime) -> None:
    if one <= other:
        assert stored(one) <= stored(other)


def test_nothing_is_nothing() -> None:
    assert Timestamp().process_bind_param(None, DIALECT) is None
    assert Timestamp().process_result_value(None, DIALECT) is None
