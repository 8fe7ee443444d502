"""What is said of a name that is taken."""

from __future__ import annotations

import pytest

from linklocal.vpc.naming import name_taken


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("instance", "There is already an instance named 'x' "),
        ("image", "There is already an image named 'x' "),
        ("key", "There is already a key named 'x' "),
        ("VPC", "There is already a VPC named 'x' "),
    ],
)
def test_the_article_fits_the_kind(kind: str, said: str) -> None:
    assert name_taken(kind, "x").message.startswith(said)
