"""What is made from a template: the template's contents first, then the request's. Pure, on JSON objects.

Control-plane contract 2.5, the same for instances and for templates made from templates:

* every top-level property of the request replaces the template's;
* `metadata_service` alone is merged member by member, so that repeating `enabled: true` never turns the
  template's `https` or hop limit back to the defaults;
* `name` is never inherited;
* `image`, `catalog_offering`, and a snapshot or a volume in `boot_volume_attachment` exclude each other,
  so one in the request takes the place of the template's, whichever that is;
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
# Members of a boot volume that say what it is made from, or which volume it is.
_BOOT_STARTS_FROM = ("source_snapshot", "id", "crn", "href")


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
    if _says_start(given):
        inherited = _without_start(inherited)
    service = merged(inherited.get("metadata_service"), given.get("metadata_service"))
    result = {**inherited, **given}
    result.pop("source_template", None)
    result.pop("metadata_service", None)
    return result if service is None else {**result, "metadata_service": service}


def _says_start(prototype: Mapping[str, Any]) -> bool:
    """Whether it names what an instance starts from."""
    volume = _boot_volume(prototype)
    return any(name in prototype for name in _STARTS_FROM) or any(
        volume.get(name) is not None for name in _BOOT_STARTS_FROM
    )


def _without_start(prototype: Mapping[str, Any]) -> dict[str, Any]:
    """A copy that says everything but what an instance starts from."""
    rest = {name: value for name, value in prototype.items() if name not in _STARTS_FROM}
    volume = _boot_volume(rest)
    if any(name in volume for name in _BOOT_STARTS_FROM):
        kept = {name: value for name, value in volume.items() if name not in _BOOT_STARTS_FROM}
        rest["boot_volume_attachment"] = {**rest["boot_volume_attachment"], "volume": kept}
    return rest


def _boot_volume(prototype: Mapping[str, Any]) -> Mapping[str, Any]:
    volume = (prototype.get("boot_volume_attachment") or {}).get("volume")
    return volume or {}


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
