"""The expressions of `allowed_use`: what is read, what is true, what is refused (contract 8)."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linklocal.vpc.images.expressions import ExpressionError, conjuncts, holds, parse

VARIABLES = {"a": True, "b": False, "n.count": 4, "p.name": "https"}

TRUE = [
    "true",
    "a",
    "!b",
    "!!a",
    "a == true",
    "b != a",
    "a || b",
    "b || b || a",
    "a && !b",
    "b && b || a",
    "a || b && b",
    "!(a && b)",
    "n.count == 4",
    "n.count >= 4 && n.count <= 4",
    "n.count > -1 && n.count < 5",
    "4 == n.count",
    "p.name == 'https'",
    'p.name == "https"',
    "p.name != 'http'",
    "p.name in ['http', 'https']",
    "n.count in [2, 4]",
    "!(p.name in [])",
    "'a' < 'b'",
    "  (  a  )  ",
    "a&&a",
    "(n.count == 4) == a",
]
FALSE = ["false", "b", "!a", "a == false", "a && b", "b || b", "(a || b) && b", "n.count in [5]"]
REFUSED = [
    "",
    " ",
    "a b",
    "a &&",
    "&& a",
    "(a",
    "a)",
    "a = b",
    "a & b",
    "a | b",
    "'x",
    "'x\\'y'",
    "1.5 == 1.5",
    "1a == 1",
    "size(p.name) == 1",
    "p.name.startsWith('h')",
    "a ? b : a",
    "a == b == a",
    "x",
    "a && x",
    "b && x",
    "a || x",
    "n.count",
    "n.count && a",
    "!n.count",
    "n.count == '4'",
    "n.count == true",
    "a < b",
    "a in [1]",
    "n.count in [true]",
    "n.count in 4",
    "n.count in [n.count]",
    "n.count in [1,]",
    "n.count in [1 2]",
    "in",
    "a.",
    "ä == 'x'",
    "1 == " + "9" * 16,
    "(" * 40 + "a" + ")" * 40,
    "!" * 1000 + "a",
    "a && " * 500 + "a",
]


@pytest.mark.parametrize("text", TRUE)
def test_true(text: str) -> None:
    assert holds(parse(text), VARIABLES) is True


@pytest.mark.parametrize("text", FALSE)
def test_false(text: str) -> None:
    assert holds(parse(text), VARIABLES) is False


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str) -> None:
    with pytest.raises(ExpressionError, match=r"\w"):
        holds(parse(text), VARIABLES)


@given(st.text(alphabet="ab nx.()!&|=<>[],'\"14\\t", max_size=60) | st.text(max_size=60))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    with suppress(ExpressionError):
        assert holds(parse(text), VARIABLES) in (True, False)


ATOMS = st.sampled_from(["a", "b", "true", "false", "n.count == 4", "p.name in ['x']"])
PYTHON = {
    "a": "True",
    "b": "False",
    "true": "True",
    "false": "False",
    "n.count == 4": "True",
    "p.name in ['x']": "False",
}
PAIRS = st.recursive(
    ATOMS.map(lambda atom: (atom, PYTHON[atom])),
    lambda inner: (
        inner.map(lambda pair: (f"!({pair[0]})", f"(not ({pair[1]}))"))
        | st.tuples(inner, inner).map(
            lambda two: (f"({two[0][0]}) && ({two[1][0]})", f"(({two[0][1]}) and ({two[1][1]}))")
        )
        | st.tuples(inner, inner).map(
            lambda two: (f"({two[0][0]}) || ({two[1][0]})", f"(({two[0][1]}) or ({two[1][1]}))")
        )
    ),
    max_leaves=8,
)


@given(PAIRS)
def test_logic_means_what_it_means_in_python(pair: tuple[str, str]) -> None:
    text, python = pair

    assert holds(parse(text), VARIABLES) == eval(python)


def test_conjuncts_are_the_parts_of_the_outermost_and() -> None:
    parts = list(conjuncts(parse("(a && n.count == 4) && (b || p.name == 'x')")))

    assert [sorted(part.names()) for part in parts] == [["a"], ["n.count"], ["b", "p.name"]]
