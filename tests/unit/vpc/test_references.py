"""How bodies name things that have names (control-plane contract 1.6, identity objects)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from linklocal.settings import Region
from linklocal.vpc.profiles.catalog import DEFAULT_PROFILE, resolve_profile
from linklocal.vpc.references import NamedIdentity
from linklocal.vpc.regions.views import resolve_zone

REGION = Region("us-south")
HREF = "https://us-south.iaas.cloud.ibm.com/v1/regions/us-south/zones/us-south-2"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"name": "us-south-1"}, "us-south-1"),
        ({"href": HREF}, "us-south-2"),
        ({"name": "us-south-2", "href": HREF}, "us-south-2"),
        ({}, [("missing_field", "zone.name")]),
        ({"name": None}, [("missing_field", "zone.name")]),
        ({"name": "eu-de-1"}, [("not_found", "zone.name")]),
        ({"href": "us-south-4"}, [("not_found", "zone.href")]),
        ({"name": "us-south-1", "href": HREF}, [("bad_field", "zone.href")]),
    ],
)
def test_a_zone_is_named_by_name_or_href(body: dict[str, str], expected: object) -> None:
    zone, problems = resolve_zone(REGION, NamedIdentity.model_validate(body))

    found = [(problem.code, problem.target and problem.target.name) for problem in problems]
    assert expected == (zone if zone is not None else found)


def test_no_profile_named_is_the_default_one() -> None:
    profile, problems = resolve_profile(None)

    assert profile is not None
    assert (profile.name, problems) == (DEFAULT_PROFILE, [])


def test_an_unknown_profile_is_refused_with_those_that_exist() -> None:
    profile, (problem,) = resolve_profile(NamedIdentity(name="bx9-2x8"))

    assert profile is None
    assert problem.code == "not_found"
    assert "bx2-2x8" in problem.message


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x\udfff"])
def test_text_that_no_database_can_store_is_refused(text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        NamedIdentity.model_validate({"name": text})

    assert [error["loc"] for error in refused.value.errors()] == [("name",)]


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=512))
def test_all_other_text_is_taken(text: str) -> None:
    assert NamedIdentity.model_validate({"name": text}).name == text
