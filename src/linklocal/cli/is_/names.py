"""Names or ids everywhere: what the user typed -> a resource, by listing. Control-plane contract 5.1."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from linklocal.errors import OperatorError

if TYPE_CHECKING:
    from linklocal.cli.is_.command import Is

PAGE = 100


def pages(method: Callable[..., Any], member: str, **filters: Any) -> list[dict[str, Any]]:
    """Everything in a collection, over all its pages."""
    return list(_items(method, member, filters))


def _items(
    method: Callable[..., Any], member: str, filters: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    start: dict[str, Any] = {}
    while True:
        result = method(limit=PAGE, **start, **filters).result
        yield from result[member]
        following = result.get("next")
        if following is None:
            return
        start = {"start": parse_qs(urlsplit(following["href"]).query)["start"][0]}


def find(items: list[dict[str, Any]], typed: str, kind: str, plural: str) -> dict[str, Any]:
    """The item with this id or CRN, or the only one with this name. Raises OperatorError."""
    for item in items:
        if typed in (item.get("id"), item.get("crn")):
            return item
    named = [item for item in items if item.get("name") == typed]
    match named:
        case [item]:
            return item
        case []:
            raise OperatorError(
                f"There is no {kind} with the name or id {typed!r}.",
                f"linklocal is {plural}",
            )
        case _:
            ids = ", ".join(item["id"] for item in named)
            raise OperatorError(
                f"{len(named)} {plural} are named {typed!r}: {ids}.",
                "Name it by its id.",
            )


def resource_group(run: Is, options: dict[str, Any]) -> dict[str, Any]:
    """`{"resource_group": {"id": ...}}` from `--resource-group-id` or `-name`; {} when neither is given.

    Raises OperatorError for a name that no VPC's group has: IBM keeps groups in a service of its own.
    """
    if options.get("resource_group_id") is not None:
        return {"resource_group": {"id": options["resource_group_id"]}}
    name = options.get("resource_group_name")
    if name is None:
        return {}
    groups = [vpc["resource_group"] for vpc in pages(run.vpc.list_vpcs, "vpcs")]
    found = {group["name"]: group["id"] for group in groups}
    if name not in found:
        raise OperatorError(
            f"There is no resource group named {name!r}.",
            f"Use one of: {', '.join(sorted(found))}.",
        )
    return {"resource_group": {"id": found[name]}}
