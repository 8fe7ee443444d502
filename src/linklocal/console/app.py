"""The console as one ASGI app, which the server mounts at `/console`. Every object is made here."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from linklocal.console.access import AccessPages
from linklocal.console.creating import CreatePages
from linklocal.console.events import EventPages
from linklocal.console.instance_actions import InstanceActions
from linklocal.console.instance_templates import TemplatePages
from linklocal.console.instances import InstancePages
from linklocal.console.menus import Menus
from linklocal.console.pages import HEADERS, STATIC, Pages, ProblemsOf, StatusOf, assets_built
from linklocal.console.reinitializing import ReinitializePages
from linklocal.console.reporting import ReportPages
from linklocal.console.resources import ResourcePages
from linklocal.console.services import Services
from linklocal.console.sessions import Sessions, SignInCodes
from linklocal.console.sign_in import SignInPages
from linklocal.console.typed import TypedForms

HOW_TO_BUILD = """\
The console's scripts and styles are not built in this checkout.

Build them once, with Node 18 or newer and npm (on Debian: apt-get install nodejs npm):

    make console

`make run` does it by itself where npm is there; the wheel has them. The API works without them.
"""


@dataclass(frozen=True, slots=True)
class Console:
    """The app to mount, and the codes that sign in once."""

    app: Starlette
    codes: SignInCodes


def build_console(
    services: Services, *, public_url: str | None, status_of: StatusOf, problems_of: ProblemsOf
) -> Console:
    """`status_of` and `problems_of`: what the server says of errors, so that the console says the same."""
    iam, clock = services.iam, services.context.clock
    codes = SignInCodes(clock)
    if not assets_built():
        return Console(Starlette(routes=[Route("/{path:path}", _not_built)]), codes)
    sessions = Sessions(iam.grants, iam.authenticator, iam.sealer, clock)
    pages = Pages(
        sessions,
        clock,
        public_url=public_url,
        status_of=status_of,
        problems_of=problems_of,
        typed=TypedForms(iam.sealer, clock),
    )
    menus, instances = Menus(pages, services), InstancePages(pages, services)
    routes: list[BaseRoute] = [
        Mount("/static", StaticFiles(directory=STATIC)),
        *SignInPages(pages, codes).routes(),
        *EventPages(pages, services).routes(),
        *menus.routes(),
        *CreatePages(pages, services, menus).routes(),
        *instances.routes(),
        *InstanceActions(pages, services, instances).routes(),
        *ReinitializePages(pages, services, menus).routes(),
        *ReportPages(pages, services).routes(),
        *TemplatePages(pages, services).routes(),
        *AccessPages(pages, services, menus).routes(),
        *ResourcePages(pages, services).routes(),
    ]
    handlers = {HTTPException: pages.on_error}
    return Console(Starlette(routes=routes, exception_handlers=handlers), codes)


async def _not_built(request: Request) -> Response:
    return PlainTextResponse(HOW_TO_BUILD, 503, HEADERS)
