"""A template takes a new name and nothing else (control-plane contract 2.5)."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from linklocal.server.validation import problems_of
from linklocal.vpc.templates.model import TemplatePatch


def refused(body: Any) -> list[tuple[str, str, str]]:
    with pytest.raises(ValidationError) as error:
        TemplatePatch.model_validate(body)
    problems = problems_of([{**e, "loc": ("body", *e["loc"])} for e in error.value.errors()])
    return [(p.code, p.target.name if p.target else "", p.message) for p in problems]


def test_a_name_is_taken() -> None:
    assert TemplatePatch.model_validate({"name": "web"}).given() == {"name": "web"}
    assert TemplatePatch.model_validate({}).given() == {}


@pytest.mark.parametrize("name", ["metadata_service", "image", "keys", "no-such-thing", "{x}"])
def test_everything_else_is_refused_by_its_name_and_says_what_to_do(name: str) -> None:
    ((code, target, message),) = refused({name: {"enabled": False}})

    assert (code, target) == ("bad_field", name)
    assert message.startswith(f"`{name}`")
    assert "source_template" in message


def test_every_problem_is_told() -> None:
    problems = refused({"name": "-", "zone": {}, "image": {}})

    assert [target for _, target, _ in problems] == ["name", "zone", "image"]


@pytest.mark.parametrize("name", [None, 1, "", "A", "a" * 64, "ü"])
def test_a_bad_name_is_refused(name: object) -> None:
    assert [(code, target) for code, target, _ in refused({"name": name})] == [
        ("bad_field", "name")
    ]
