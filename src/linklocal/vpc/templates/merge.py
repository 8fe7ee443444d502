"""What is made from a template: the template's contents first, then the request's. Pure, on JSON objects.

Control-plane contract 2.5, the same for instances and for templates made from templates:

* every top-level property of the request replaces the template's;
* `metadata_service` alone is merged member by member, so that repeating `enabled: true` never turns the
  template's `https` or hop limit back to the defaults;
* `name` is never inherited;
* `image` and `catalog_offering` exclude each other, so one in the request takes the other's place;
* interfaces and attachments exclude each other, too, but there a mixture is refused: see
  `mixture_problems`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from linklocal.errors import Problem, bad_field
from linklocal.vpc.metadata_service import merged

_NEVER_INHERITED = ("name", "source_template")
_INTERFACES = ("primary_network_interface", "network_interfaces")
_ATTACHMENTS = ("primary_network_attachment", "network_attachments")
_STARTS_FROM = ("image", "catalog_offering")


def merge_prototypes(source: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """The prototype that a request stands for whose `source_template` is `source`.

    Both are JSON objects in the shape of an instance prototype; a `null` says nothing. The answer has
    no `source_template`. Neither argument is changed.
    """
    given = {name: value for name, value in override.items() if value is not None}
    inherited = {
        name: value
        for name, value in source.items()
        if value is not None and name not in _NEVER_INHERITED
    }
    if any(name in given for name in _STARTS_FROM):
        inherited = {name: value for name, value in inherited.items() if name not in _STARTS_FROM}
    service = merged(inherited.get("metadata_service"), given.get("metadata_service"))
    result = {**inherited, **given}
    result.pop("source_template", None)
    result.pop("metadata_service", None)
    return result if service is None else {**result, "metadata_service": service}


def mixture_problems(source: Mapping[str, Any], override: Mapping[str, Any]) -> list[Problem]:
    """Overrides of the one kind of network member while the template has the other kind."""
    problems = []
    for own, other, kind in (
        (_INTERFACES, _ATTACHMENTS, "network interfaces"),
        (_ATTACHMENTS, _INTERFACES, "network attachments"),
    ):
        if source.get(own[0]) is None:
            continue
        for name in other:
            if override.get(name) is not None:
                message = f"The template uses {kind}: override `{own[0]}` or `{own[1]}` instead."
                problems.append(bad_field(name, message))
    return problems
