"""The table of actions: every action that the sources name is in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import linklocal
from linklocal.iam.roles import allowed_roles

SOURCES = Path(linklocal.__file__).parent
ACTION = re.compile(r'"((?:is|iam|iam-identity|linklocal)(?:\.[a-zA-Z-]+){2,3})"')
RECORDED = re.compile(r'also\(\s*"[^"]+"')  # names of events, which nobody needs a role for


@pytest.mark.parametrize(
    ("action", "service", "roles"),
    [
        ("is.instance.instance.list", "is", {"Viewer", "Operator", "Editor", "Administrator"}),
        ("is.instance.instance.read", "is", {"Viewer", "Operator", "Editor", "Administrator"}),
        ("is.instance.instance.operate", "is", {"Operator", "Editor", "Administrator"}),
        ("is.instance.instance-template.create", "is", {"Editor", "Administrator"}),
        ("is.image.image.manage-allowed-use", "is", {"Editor", "Administrator"}),
        ("iam-identity.profile.linkToResource", "iam-identity", {"Editor", "Administrator"}),
        ("iam-identity.user-apikey.create", None, {"Administrator"}),
        ("iam.policy.delete", None, {"Administrator"}),
    ],
)
def test_who_may(action: str, service: str | None, roles: set[str]) -> None:
    assert allowed_roles(action) == (service, roles)


@pytest.mark.parametrize(
    "action", ["", "is", "is.create", "is.vpc.vpc.destroy", "iam.x", "x.y.z.read"]
)
def test_an_unknown_action_is_a_mistake_of_the_program(action: str) -> None:
    with pytest.raises(ValueError, match="no roles are known"):
        allowed_roles(action)


def test_every_action_that_is_required_somewhere_is_known() -> None:
    required = set()
    for path in SOURCES.rglob("*.py"):
        text = path.read_text()
        if "require(" in text or path.name == "nodes.py":
            text = RECORDED.sub("", text)
            required |= {found for found in ACTION.findall(text) if "metadata" not in found}

    assert len(required) > 10
    for action in required:
        allowed_roles(action)
