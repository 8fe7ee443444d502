"""Path of a page -> the API's operation that reads the same, as which a refused read is recorded.

A table and nothing else. Pages that show several kinds of resource have the one that they are about.
"""

from __future__ import annotations

from typing import Final

_LISTS: Final = {
    "instances": "/v1/instances",
    "templates": "/v1/instance/templates",
    "profiles": "/v1/profiles",
    "api-keys": "/v1/apikeys",
    "ssh-keys": "/v1/keys",
    "images": "/v1/images",
    "vpcs": "/v1/vpcs",
    "subnets": "/v1/subnets",
    "floating-ips": "/v1/floating_ips",
    "security-groups": "/v1/security_groups",
    "nodes": "/linklocal/v1/nodes",
    "report": "/report/v1/metadata",
}
# What may stand behind a list's path and is no id.
_PARTS: Final = ("new", "rows", "events")


def read_of(path: str) -> str | None:
    """`GET /v1/instances/0717_a` of `/instances/0717_a/calls`; None for a page that reads nothing."""
    _, _, rest = path.partition("/")
    name, _, more = rest.partition("/")
    api = _LISTS.get(name)
    if api is None:
        return None
    id = more.partition("/")[0]
    return f"GET {api}" if not id or id in _PARTS else f"GET {api}/{id}"
