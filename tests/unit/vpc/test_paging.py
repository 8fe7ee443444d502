"""Pages of collections in memory, and the positions between pages (control-plane contract 1.5)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linklocal.errors import Invalid
from linklocal.vpc.paging import Page, decode_start, encode_start, slice_page

NAMES = st.sets(st.from_regex(r"[a-z][-a-z0-9]{0,10}", fullmatch=True), max_size=30)


@given(NAMES, st.integers(1, 10))
def test_following_pages_shows_every_item_once_in_order(names: set[str], limit: int) -> None:
    seen: list[str] = []
    start = None
    while True:
        items, total, start = slice_page(list(names), str, Page(limit, start))
        seen += items
        assert total == len(names)
        assert len(items) == limit or start is None
        if start is None:
            break

    assert seen == sorted(names)


@given(
    st.integers(0, 10**13 - 1),
    st.from_regex(r"r006-[0-9a-f-]{1,36}", fullmatch=True),
)
def test_a_position_is_read_as_it_was_written_to_the_millisecond(ms: int, id: str) -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)

    assert decode_start(encode_start(at, id)) == (at, id)


@pytest.mark.parametrize(
    "start",
    ["", "x", "1", "1.", ".a", "1.a b", "1.a\n", "-1.a", "1.a\0", "12345678901234.a", "١.a"],
)
def test_anything_else_is_refused_with_its_name(start: str) -> None:
    with pytest.raises(Invalid) as refused:
        slice_page([], str, Page(start=start))

    (problem,) = refused.value.problems
    assert problem.target is not None
    assert (problem.target.name, problem.target.type) == ("start", "parameter")
