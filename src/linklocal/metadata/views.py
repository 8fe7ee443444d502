"""Document -> JSON bytes, rendered on the first read of a path and kept until the document changes.

Metadata contract 4 and 5: lists are wrapped by their name, three of them are paginated, an item is what
stands in its list. Knows nothing of requests but a path's last words.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from linklocal.document import LISTS, InstanceDocument

PAGINATED = frozenset(
    {"placement_groups", "virtual_network_interfaces", "cluster_network_attachments"}
)
DEFAULT_LIMIT = 50
MAX_LIMIT = 100
MAX_PAGES_KEPT = 64  # pages differ by host, limit and start, which a client chooses


class UnknownStart(Exception):
    """`start` names no item of the list."""


def to_bytes(value: Any) -> bytes:
    """Compact UTF-8 JSON."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


class Views:
    """The rendered answers of one document."""

    def __init__(self, document: InstanceDocument) -> None:
        self._metadata = document.metadata
        self._kept: dict[tuple[str, str | None], bytes] = {}
        self._pages: dict[tuple[str, str, int, str | None], bytes] = {}
        self.renderings = 0  # how often JSON was made: a test counts that repeated reads make none

    def whole(self, name: str) -> bytes:
        """`instance`, `initialization`, or a list that is not paginated."""
        kept = self._kept.get((name, None))
        if kept is None:
            value = self._metadata[name]
            kept = self._render({name: value} if name in LISTS else value)
            self._kept[name, None] = kept
        return kept

    def item(self, name: str, id: str) -> bytes | None:
        """The item of a list with this id; None when there is none."""
        kept = self._kept.get((name, id))
        if kept is None:
            found = next((item for item in self._metadata[name] if item["id"] == id), None)
            if found is None:
                return None
            kept = self._render(found)
            self._kept[name, id] = kept
        return kept

    def page(self, name: str, base: str, path: str, limit: int | None, start: str | None) -> bytes:
        """A page of a paginated list. `base` is the URL the client used, for the links.

        Raises UnknownStart.
        """
        limit = limit or DEFAULT_LIMIT
        key = (name, base, limit, start)
        kept = self._pages.get(key)
        if kept is None:
            kept = self._render(self._page(name, base + path, limit, start))
            if len(self._pages) >= MAX_PAGES_KEPT:
                self._pages.clear()
            self._pages[key] = kept
        return kept

    def _page(self, name: str, url: str, limit: int, start: str | None) -> dict[str, Any]:
        items = self._metadata[name]
        ids = [item["id"] for item in items]
        if start is not None and start not in ids:
            raise UnknownStart
        first = 0 if start is None else ids.index(start)
        page: dict[str, Any] = {
            "first": {"href": f"{url}?{urlencode({'limit': limit})}"},
            "limit": limit,
        }
        if first + limit < len(items):
            query = urlencode({"limit": limit, "start": ids[first + limit]})
            page["next"] = {"href": f"{url}?{query}"}
        return {**page, name: items[first : first + limit], "total_count": len(items)}

    def _render(self, value: Any) -> bytes:
        self.renderings += 1
        return to_bytes(value)
