"""Where an instance is served: a site for each of its attachments, and what the node's own API says of them.

The views are what `GET /v1/attachments` and `GET /v1/limits` answer. It must not open nor close anything:
`listeners.py` does.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from linklocal.metadata.served import Served
from linklocal.node.attachments import Attachment
from linklocal.node.limits import Usage
from linklocal.node.places import Place

View = dict[str, Any]


class InstanceListener(Protocol):
    """One instance's server; `listener.Listener` is it."""

    async def open(self, sock: socket.socket, tls: ssl.SSLContext | None) -> None: ...

    async def change(
        self, served: Served, tls: ssl.SSLContext | None, sock: socket.socket | None = None
    ) -> None: ...

    async def close(self) -> None: ...

    @property
    def fault(self) -> str | None:
        """Why nobody is answered just now, although it is open and will be again by itself."""
        ...

    def usage(self) -> Usage: ...


@dataclass(slots=True)
class Site:
    """One open listener of an instance, where one of its attachments is."""

    listener: InstanceListener
    attachment: Attachment
    sock: socket.socket


@dataclass(slots=True)
class Opened:
    """A served instance. All of its listeners serve the same document."""

    served: Served
    sites: dict[str, Site] = field(default_factory=dict)


def by_name(views: Iterable[View]) -> list[View]:
    """In the order in which people look for them."""
    return sorted(views, key=lambda item: (item["name"], item["instance"], item["id"]))


def served_views(opened: Opened) -> Iterator[View]:
    """The attachments of a served instance, with the settings that hold there."""
    document = opened.served.document
    settings = document.metadata_service
    for site in opened.sites.values():
        attachment = site.attachment
        yield {
            "instance": document.instance_id,
            "name": document.name,
            "id": attachment.id,
            "kind": attachment.kind,
            "where": attachment.where,
            "label": attachment.label,
            "address": attachment.address(settings),
            "protocol": settings.protocol,
            "enabled": settings.enabled,
            "response_hop_limit": settings.response_hop_limit,
            "when_disabled": "silent" if attachment.silent else "refuse",
            "fault": attachment.fault(),
        }


def unserved_view(place: Place, name: str, fault: str | None) -> View:
    """An operator's attachment at which nothing listens. `name`: the instance's, if it is served."""
    return {
        "instance": place.instance_id,
        "name": name,
        "id": place.id,
        "kind": place.kind,
        "where": place.where,
        "label": place.label,
        "address": None,
        "fault": fault or "The instance is not running.",
    }


def limit_views(opened: Opened, rate: float) -> Iterator[View]:
    """How the listeners of a served instance stand to their limits; `rate`: calls a second."""
    document = opened.served.document
    for site in opened.sites.values():
        usage = site.listener.usage()
        used = usage.counters
        yield {
            "instance": document.instance_id,
            "name": document.name,
            "id": site.attachment.id,
            "rate": rate,
            "connections": usage.connections,
            "requests": used.requests,
            "refused": used.refused,
            "limited": used.limited,
            "over_cap": used.over_cap,
            "pauses": used.pauses,
            "paused_seconds": round(usage.paused, 1),
        }
