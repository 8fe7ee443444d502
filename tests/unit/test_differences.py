"""The page of differences is what the marks on our tests say."""

from __future__ import annotations

from pathlib import Path

import pytest
from differences import PAGE, differences, marked, page


def test_the_page_is_up_to_date() -> None:
    """`make differences` writes it."""
    assert PAGE.read_text() == page()


def test_every_difference_is_told_once_and_in_words() -> None:
    found = differences()

    assert len({(one.where, one.ibm) for one in found}) == len(found)
    for one in found:
        assert all(text.strip() == text != "" and "\n" not in text for text in one)


def test_a_mark_that_is_not_three_texts_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "test_x.py"
    file.write_text('@pytest.mark.differs("a", "b")\ndef test_x(): ...\n')

    with pytest.raises(ValueError, match="expected 3"):
        list(marked(file))
