"""The wire API as a table, and `handle`: one request in, one response (or an awaitable of one) out.

Metadata contract 2.1 (versions), 4 (paths), 7 (audit names). A GET never makes a coroutine and, after
the first read of a path, no JSON.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import date
from typing import Any

from linklocal.errors import Problem, Target
from linklocal.ids import new_request_id
from linklocal.metadata import gate, identity, nocloud
from linklocal.metadata.errors import Refusal, refusal, response_to
from linklocal.metadata.served import Served
from linklocal.metadata.views import PAGINATED, UnknownStart
from linklocal.metadata.wire import Request, Response, Upstream

# From this version date on, only `/identity/...` has the identity operations (contract 2.1).
LEGACY_ENDED = date(2025, 8, 26)
_ID = re.compile(r"[-0-9a-z_]{1,64}")


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path.

    `view` names what a GET shows; an `item`'s path ends in `/`, where its id follows. `run` is an identity
    operation. `until` is the first version date without this path: all others are there at every date.
    """

    method: str
    path: str
    operation: str
    view: str | None = None
    item: bool = False
    run: identity.Operation | None = None
    until: date | None = None


def _identity(prefix: str, exchange: str, until: date | None = None) -> list[Route]:
    token = "is.metadata.jwt-token.create"  # noqa: S105 - an event's name
    return [
        Route("PUT", f"{prefix}/token", token, run=identity.create_token, until=until),
        Route(
            "POST", f"{prefix}/{exchange}", "is.metadata.computeresource-token.request",
            run=identity.exchange, until=until,
        ),
        Route(
            "POST", f"{prefix}/certificates", "is.metadata.certificate.create",
            run=identity.certificate, until=until,
        ),
    ]  # fmt: skip


def _listed(base: str, name: str, noun: str, one: str = "get") -> list[Route]:
    path, event = f"{base}/{name}", f"is.metadata.{noun}"
    return [
        Route("GET", path, f"{event}.list", view=name),
        Route("GET", f"{path}/", f"{event}.{one}", view=name, item=True),
    ]


_INSTANCE = "/metadata/v1/instance"
ROUTES: tuple[Route, ...] = (
    *_identity("/identity/v1", "iam_tokens"),
    *_identity("/instance_identity/v1", "iam_token", LEGACY_ENDED),
    Route("GET", _INSTANCE, "is.metadata.instance.read", view="instance"),
    Route(
        "GET",
        f"{_INSTANCE}/initialization",
        "is.metadata.instance.initialization",
        view="initialization",
    ),
    *_listed(_INSTANCE, "cluster_network_attachments", "instance-cluster-network-attachment"),
    *_listed(_INSTANCE, "network_attachments", "instance-network-attachment"),
    *_listed(_INSTANCE, "network_interfaces", "instance-network-interface"),
    *_listed(_INSTANCE, "software_attachments", "instance-software-attachment", one="read"),
    *_listed(_INSTANCE, "volume_attachments", "instance-volume-attachment"),
    *_listed("/metadata/v1", "keys", "instance-key"),
    *_listed("/metadata/v1", "placement_groups", "instance-placement-group"),
    *_listed("/metadata/v1", "virtual_network_interfaces", "instance-virtual-network-interface"),
)
# A bare metal server's tokens have audit names of their own (contract 7).
_BARE_METAL_OPERATIONS = {
    "is.metadata.jwt-token.create": "is.metadata.identity-token.create",
    "is.metadata.computeresource-token.request": "is.metadata.computeresource-token.read",
}
_BY_PATH: dict[str, dict[str, Route]] = {}
for _entry in ROUTES:
    _BY_PATH.setdefault(_entry.path, {})[_entry.method] = _entry


def find(path: str) -> tuple[dict[str, Route], str | None]:
    """The methods of a path and the id at its end. Paths are compared as they were sent: an encoded,
    doubled or trailing slash is another path (contract 2.2, 404)."""
    if "%" in path:
        return {}, None
    methods = _BY_PATH.get(path)
    if methods is not None and not path.endswith("/"):
        return methods, None
    base, _, id = path.rpartition("/")
    return (_BY_PATH.get(f"{base}/", {}), id) if id else ({}, None)


def handle(request: Request, served: Served, upstream: Upstream) -> Response | Awaitable[Response]:
    """Answer one request of the instance. Never raises for anything that a client can send."""
    if served.nocloud and request.path.startswith(nocloud.PREFIX):
        return nocloud.handle(request, served)
    methods, id = find(request.path)
    bare_metal = served.document.kind == "bare_metal_server"
    if bare_metal:
        # Identity operations only, on the newer path only (contract 6).
        methods = {m: r for m, r in methods.items() if r.run is not None and r.until is None}
    route = methods.get(request.method)
    operation = "" if route is None else route.operation
    if bare_metal:
        operation = _BARE_METAL_OPERATIONS.get(operation, operation)
    detail: dict[str, Any] = {}
    if route is not None and route.run is not None:
        detail["path"] = "identity" if route.until is None else "instance_identity"
    try:
        gate.check_enabled(served)
        if route is not None and route.run is identity.create_token:
            gate.check_not_forwarded(request)
        if route is None:
            raise _not_offered(request, methods)
        query, version, detail["version"] = gate.asked_version(
            request.query, served.clock.now().date()
        )
        if route.until is not None and version >= route.until:
            newer = request.path.replace("/instance_identity/", "/identity/")
            newer = newer.replace("/iam_token", "/iam_tokens")
            raise _no_path(f"From version {route.until} on, this is `{newer}`.")
        paginated = route.view in PAGINATED and not route.item
        limit, start = gate.check_parameters(query, paginated=paginated)
        token = ""
        if route.run is identity.create_token:
            gate.check_flavor(request)
        else:
            token = gate.check_authorization(request, served)
        if route.run is not None:
            call = identity.Call(request, served, upstream, token, detail)
            return _run(route.run, call, operation)
        body = _view(route, request, served, id, limit, start)
    except Refusal as refused:
        return response_to(refused, operation=operation, detail=detail)
    return Response(200, body, new_request_id(), operation, detail=detail)


def _not_offered(request: Request, methods: dict[str, Route]) -> Refusal:
    if not methods:
        return _no_path("See the metadata API's reference for the paths that there are.")
    allowed = ", ".join(sorted(methods))
    message = f"`{request.method[:16]}` is not offered here: use {allowed}."
    return Refusal(405, Problem("invalid_request", message), "method", (("Allow", allowed),))


def _no_path(hint: str) -> Refusal:
    return refusal(404, "not_found", f"The requested resource does not exist. {hint}", "path")


def _view(
    route: Route,
    request: Request,
    served: Served,
    id: str | None,
    limit: int | None,
    start: str | None,
) -> bytes:
    assert route.view is not None
    if route.item:
        id = id or ""
        target = Target("id", "parameter", id[:128])
        if _ID.fullmatch(id) is None:
            message = "An id has 1 to 64 characters of `a-z`, `0-9`, `-` and `_`."
            raise refusal(404, "invalid_value", message, "item", target)
        body = served.views.item(route.view, id)
        if body is None:
            message = "The instance has no such resource: list them to see their ids."
            raise refusal(404, "not_found", message, "item", target)
        return body
    if route.view not in PAGINATED:
        return served.views.whole(route.view)
    try:
        return served.views.page(route.view, request.base, request.path, limit, start)
    except UnknownStart as error:
        target = Target("start", "parameter", (start or "")[:128])
        message = "The `start` value is not a page of this list: take it from `next.href`, or leave it out."
        raise refusal(400, "invalid_value", message, "start", target) from error


async def _run(run: identity.Operation, call: identity.Call, operation: str) -> Response:
    try:
        body = await run(call)
    except Refusal as refused:
        return response_to(refused, operation=operation, detail=call.detail)
    return Response(200, body, new_request_id(), operation, detail=call.detail)


def refuse(
    status: int,
    code: str,
    message: str,
    *,
    target: Target | None = None,
    rule: str,
    headers: tuple[tuple[str, str], ...] = (),
) -> Response:
    """The listener's own refusals (Host, deadlines, sizes, rate), in the same envelope."""
    return response_to(Refusal(status, Problem(code, message, target), rule, headers))
