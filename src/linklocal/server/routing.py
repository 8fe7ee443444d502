"""Routes of the app: added once, and listed for those who ask which operations there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute


def add(app: FastAPI, router: APIRouter) -> None:
    """Add a router's routes as they are, with the prefix that it gave them.

    `include_router` makes each a second time, which costs a start 0.4 s of CPU and each call a longer way; it
    is for prefixes, tags and dependencies that are given while including, and none are here.
    """
    app.router.routes.extend(router.routes)


def documented(routes: Sequence[BaseRoute]) -> Iterator[tuple[APIRoute, str]]:
    """Each operation of the OpenAPI document, as route and method. Far cheaper than the document is."""
    for route in routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in sorted(route.methods or ()):
                yield route, method
