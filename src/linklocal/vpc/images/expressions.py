"""Expressions of `allowed_use`: a subset of CEL without functions and macros (control-plane contract 8).

    metadata_service.enabled == true && metadata_service.protocol in ['https']

Operators, from weak to strong: `||`, `&&`, `== != < <= > >= in`, `!`, parentheses. Literals: true, false,
integers, '...' and "..." without escapes, lists of literals. Pure; which variables there are is the
caller's business.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

Value = bool | int | str
MAX_LENGTH = 2_000
MAX_DEPTH = 32  # of parentheses and `!`, far below Python's own limit

_TOKEN = re.compile(
    r"\s*(?:(?P<word>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)"
    r"|(?P<number>-?[0-9]{1,15}(?![0-9A-Za-z_.]))"
    r"|(?P<text>'[^'\\\n]*'|\"[^\"\\\n]*\")"
    r"|(?P<sign>\|\||&&|==|!=|<=|>=|[<>!()\[\],]))"
)
_COMPARISONS: Mapping[str, Callable[[Value, Value], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class ExpressionError(ValueError):
    """The text is no expression, or it cannot be evaluated; the message says why."""


@dataclass(frozen=True, slots=True)
class Literal:
    value: Value

    def evaluate(self, variables: Mapping[str, Value]) -> Value:
        return self.value

    def names(self) -> frozenset[str]:
        return frozenset()


@dataclass(frozen=True, slots=True)
class Variable:
    name: str

    def evaluate(self, variables: Mapping[str, Value]) -> Value:
        if self.name not in variables:
            raise ExpressionError(f"there is no variable {self.name}")
        return variables[self.name]

    def names(self) -> frozenset[str]:
        return frozenset([self.name])


@dataclass(frozen=True, slots=True)
class Not:
    operand: Expression

    def evaluate(self, variables: Mapping[str, Value]) -> Value:
        return not _truth(self.operand, variables)

    def names(self) -> frozenset[str]:
        return self.operand.names()


@dataclass(frozen=True, slots=True)
class Both:
    """`&&` and `||`: a chain of two or more."""

    sign: str
    parts: tuple[Expression, ...]

    def evaluate(self, variables: Mapping[str, Value]) -> Value:
        # All of them, so that a mistake shows whatever the values of today are.
        truths = [_truth(part, variables) for part in self.parts]
        return all(truths) if self.sign == "&&" else any(truths)

    def names(self) -> frozenset[str]:
        return frozenset().union(*(part.names() for part in self.parts))


@dataclass(frozen=True, slots=True)
class Comparison:
    sign: str
    left: Expression
    right: Expression

    def evaluate(self, variables: Mapping[str, Value]) -> Value:
        left, right = self.left.evaluate(variables), self.right.evaluate(variables)
        if type(left) is not type(right):
            raise ExpressionError(f"{_kind(left)} and {_kind(right)} cannot be compared")
        if isinstance(left, bool) and self.sign not in ("==", "!="):
            raise ExpressionError(f"`{self.sign}` cannot compare booleans")
        return _COMPARISONS[self.sign](left, right)

    def names(self) -> frozenset[str]:
        return self.left.names() | self.right.names()


@dataclass(frozen=True, slots=True)
class OneOf:
    """`x in [literals]`."""

    left: Expression
    values: tuple[Value, ...]

    def evaluate(self, variables: Mapping[str, Value]) -> Value:
        left = self.left.evaluate(variables)
        if any(type(value) is not type(left) for value in self.values):
            raise ExpressionError(f"the list must hold values of type {_kind(left)}")
        return left in self.values

    def names(self) -> frozenset[str]:
        return self.left.names()


Expression = Literal | Variable | Not | Both | Comparison | OneOf


def holds(expression: Expression, variables: Mapping[str, Value]) -> bool:
    """Whether it is true. Raises ExpressionError on unknown variables and on types that do not fit."""
    return _truth(expression, variables)


def conjuncts(expression: Expression) -> Iterator[Expression]:
    """The parts that must all be true: those of the outermost `&&`, or the expression itself."""
    if isinstance(expression, Both) and expression.sign == "&&":
        for part in expression.parts:
            yield from conjuncts(part)
    else:
        yield expression


def parse(text: str) -> Expression:
    """Read an expression. Raises ExpressionError."""
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"it has more than {MAX_LENGTH} characters")
    return _Parser(text).whole()


def _truth(expression: Expression, variables: Mapping[str, Value]) -> bool:
    value = expression.evaluate(variables)
    if not isinstance(value, bool):
        raise ExpressionError(f"{_kind(value)} stands where true or false is needed")
    return value


def _kind(value: Value) -> str:
    return {bool: "a boolean", int: "an integer", str: "a string"}[type(value)]


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        position, text = 0, text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise ExpressionError(f"it cannot be read from {text[position:].strip()[:20]!r} on")
            kind = str(match.lastgroup)
            self._tokens.append((kind, match[kind]))
            position = match.end()
        self._next = 0
        self._depth = 0

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._next] if self._next < len(self._tokens) else ("end", "")

    def _take(self, *wanted: str) -> str | None:
        """The next token if it is one of these signs or words, which is then passed."""
        kind, text = self._peek()
        if kind not in ("sign", "word") or text not in wanted:
            return None
        self._next += 1
        return text

    def _refuse(self, wanted: str) -> NoReturn:
        kind, text = self._peek()
        found = "it ends" if kind == "end" else f"it has {text[:20]!r}"
        raise ExpressionError(f"{found} where {wanted} is needed")

    def whole(self) -> Expression:
        expression = self._chain("||")
        if self._peek()[0] != "end":
            self._refuse("an operator")
        return expression

    def _chain(self, sign: str) -> Expression:
        parts = [self._chain("&&") if sign == "||" else self._comparison()]
        while self._take(sign):
            parts.append(self._chain("&&") if sign == "||" else self._comparison())
        return parts[0] if len(parts) == 1 else Both(sign, tuple(parts))

    def _comparison(self) -> Expression:
        left = self._operand()
        if self._take("in"):
            return OneOf(left, self._list())
        sign = self._take(*_COMPARISONS)
        return left if sign is None else Comparison(sign, left, self._operand())

    def _operand(self) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ExpressionError(f"it is nested more than {MAX_DEPTH} deep")
        try:
            if self._take("!"):
                return Not(self._operand())
            if self._take("("):
                inner = self._chain("||")
                if not self._take(")"):
                    self._refuse("`)`")
                return inner
            value = self._literal()
            if value is not None:
                return Literal(value)
            kind, text = self._peek()
            if kind != "word" or text == "in":
                self._refuse("a variable or a value")
            self._next += 1
            return Variable(text)
        finally:
            self._depth -= 1

    def _literal(self) -> Value | None:
        kind, text = self._peek()
        value: Value | None = None
        match kind:
            case "word" if text in ("true", "false"):
                value = text == "true"
            case "number":
                value = int(text)
            case "text":
                value = text[1:-1]
        self._next += value is not None
        return value

    def _list(self) -> tuple[Value, ...]:
        if not self._take("["):
            self._refuse("`[`")
        values: list[Value] = []
        while not self._take("]"):
            if values and not self._take(","):
                self._refuse("`,` or `]`")
            value = self._literal()
            if value is None:
                self._refuse("a value")
            values.append(value)
        return tuple(values)
