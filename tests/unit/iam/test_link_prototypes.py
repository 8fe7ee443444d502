"""Links of trusted profiles: each kind of compute resource has a kind of CRN (control-plane contract 4.4)."""

from __future__ import annotations

import pytest

from linklocal.iam.links import cr_type_of
from linklocal.iam.trusted_profiles.model import LinkPrototype
from linklocal.ids import vpc_crn

ACCOUNT = "a" * 32
INSTANCE = vpc_crn("us-south-1", ACCOUNT, "instance", "0717_x")
SERVER = vpc_crn("us-south-1", ACCOUNT, "bare-metal-server", "0717-x")


@pytest.mark.parametrize(
    ("cr_type", "crn", "refused"),
    [
        ("VSI", INSTANCE, False),
        ("BMS", SERVER, False),
        ("VSI", SERVER, True),
        ("BMS", INSTANCE, True),
        ("PVS", SERVER, False),
    ],
)
def test_a_link_names_a_resource_of_its_kind(cr_type: str, crn: str, refused: bool) -> None:
    body = LinkPrototype.model_validate({"cr_type": cr_type, "link": {"crn": crn}})

    found = [problem.target.name for problem in body.problems(ACCOUNT) if problem.target]

    assert found == (["link.crn"] if refused else [])


def test_what_a_crn_is_linked_as() -> None:
    assert (cr_type_of(INSTANCE), cr_type_of(SERVER)) == ("VSI", "BMS")
