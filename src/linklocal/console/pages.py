"""How every page of the console is answered: templates, headers, sign-in, CSRF, errors in place.

A page function gets a `Visit` and returns a response; it calls the services that the API calls, as the
same caller. Nothing here knows a resource.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from linklocal import __version__
from linklocal.clock import Clock, parse_rfc3339
from linklocal.console.forms import Form, read_form
from linklocal.console.reads import read_of
from linklocal.console.sessions import (
    COOKIE,
    LONGEST,
    REMEMBERED,
    Ended,
    Session,
    Sessions,
    SignedIn,
)
from linklocal.console.typed import FIELD, Typed, TypedForms
from linklocal.errors import DomainError, Invalid, Problem
from linklocal.iam.access_tokens import GRANT_REFRESH, issuer_of
from linklocal.iam.caller import Caller
from linklocal.iam.login import asked

LOGIN = "POST /identity/token"  # as the API logs in, for the audit
ENDED = "Your session has ended: sign in again."
HERE = Path(__file__).parent
STATIC = HERE / "static"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "font-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of somebody who is signed in."""

    request: Request
    caller: Caller
    session: Session
    form: Form

    def path(self, name: str) -> str:
        return str(self.request.path_params[name])

    def made(self, view: Mapping[str, Any]) -> None:
        """Leave `id`, `crn` and `type` of what was made or changed, for the audit."""
        named = {name: view.get(name) for name in ("id", "crn", "type")}
        self.request.state.made = {n: v for n, v in named.items() if isinstance(v, str)}

    def query(self, name: str) -> str:
        return self.request.query_params.get(name, "")


Page = Callable[[Visit], Awaitable[Response]]
# What the roof knows of errors, so that console and API say the same: a status, and pydantic's in words.
StatusOf = Callable[[DomainError], int]
ProblemsOf = Callable[[Sequence[Any]], Sequence[Problem]]


@dataclass(frozen=True, slots=True)
class Said:
    """What is wrong with a form: by the place in the body, and all of it for the head of the page."""

    problems: tuple[Problem, ...] = ()
    by_field: dict[str, str] = field(default_factory=dict)
    status: int = 200

    def at(self, *names: str) -> str:
        """The messages about one of these places of the body, or below them."""
        return " ".join(
            message
            for place, message in self.by_field.items()
            if any(place == name or place.startswith((f"{name}.", f"{name}[")) for name in names)
        )


def nothing() -> Response:
    """The answer to a part's request that leaves the page as it is."""
    return Response(status_code=204, headers=HEADERS)


class Pages:
    """Renders templates and wraps page functions. One per server."""

    def __init__(
        self,
        sessions: Sessions,
        clock: Clock,
        *,
        public_url: str | None,
        status_of: StatusOf,
        problems_of: ProblemsOf,
        typed: TypedForms,
    ) -> None:
        self.sessions = sessions
        self.typed = typed
        self._clock = clock
        self._public_url = public_url
        self._status_of = status_of
        self._problems_of = problems_of
        self._templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {
            "moment": _moment,
            "ago": self._ago,
            "day_time": _day_time,
            "pairs": _pairs,
            "same": _same,
        }
        self._templates.globals |= {"version": __version__, "built": assets_built()}

    # Addresses

    def base_url(self, request: Request) -> str:
        """`http://127.0.0.1:8080`: the configured public URL, or what the browser used."""
        own = f"{request.url.scheme}://{request.url.netloc}"
        return (self._public_url or own).rstrip("/")

    def issuer(self, request: Request) -> str:
        return issuer_of(self.base_url(request))

    # Answers

    def render(
        self, template: str, visit: Visit | None, status: int = 200, /, **values: Any
    ) -> HTMLResponse:
        """A page or a part of one. Names that a template does not get are errors, not blanks."""
        told = values.get("said")
        if visit and isinstance(told, Said) and told.problems:
            visit.request.state.problems = told.problems  # for the audit of this change
        context = {
            "csrf": visit.session.csrf if visit else "",
            "who": (visit.caller.email or visit.caller.iam_id) if visit else "",
            "path": visit.request.url.path if visit else "",
            "notice": visit.query("notice") if visit else "",
            "said": Said(),
            **values,
        }
        text = self._templates.get_template(template).render(context)
        return HTMLResponse(text, status, HEADERS)

    def fragment(self, template: str, **values: Any) -> str:
        """The text of a part of a page."""
        return self._templates.get_template(template).render(values)

    def said(self, error: DomainError) -> Said:
        """A service's refusal, in the API's own words, for the form that caused it."""
        places: dict[str, str] = {}
        for problem in error.problems:
            place = problem.target.name if problem.target else ""
            places[place] = (
                f"{places[place]} {problem.message}" if place in places else problem.message
            )
        return Said(error.problems, places, self._status_of(error))

    def checked(self, error: ValidationError) -> Invalid:
        """What a body's model refused, as the API would say it."""
        errors = [{**details, "loc": ("body", *details["loc"])} for details in error.errors()]
        return Invalid(self._problems_of(errors))

    @staticmethod
    def to(path: str, notice: str = "") -> Response:
        """Off to another page, after a change."""
        query = f"?notice={quote(notice)}" if notice else ""
        return RedirectResponse(f"/console{path}{query}", 303, HEADERS)

    # Wrapping

    def get(self, page: Page) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint of a page that only reads."""

        async def endpoint(request: Request) -> Response:
            # A refused read is recorded as the API's that asks for the same.
            request.state.performed = read_of(request.url.path.removeprefix("/console"))
            signed_in = await self.signed_in(request)
            if isinstance(signed_in, Ended):
                return self._sign_in_first(request)
            visit = Visit(request, signed_in.caller, signed_in.session, Form({}))
            return await self._answered(page, visit, signed_in)

        return endpoint

    def change(
        self, page: Page, operation: str = "", *, refill: Page | None = None
    ) -> Callable[[Request], Awaitable[Response]]:
        """The endpoint of a change: the form must carry the session's token.

        `operation`: the API's operation that does the same, with this route's parameters in its path
        (`DELETE /v1/keys/{id}`). The audit records the change as that; none: no change of a resource.
        `refill`: the page with the form, filled with the visit's: where people go on who were signed out
        while they typed.
        """

        async def endpoint(request: Request) -> Response:
            if operation:
                request.state.performed = operation.format(**request.path_params)
            signed_in = await self.signed_in(request)
            form = await read_form(request)
            if isinstance(signed_in, Ended):
                return self._too_late(request, signed_in, form if refill else Form({}))
            visit = Visit(request, signed_in.caller, signed_in.session, form)
            if not _has_token(form, visit.session):
                message = "This page is out of date: load it again, then repeat what you did."
                request.state.problems = (Problem("not_authorized", message),)
                return self.refused(visit, 403, message)
            if refill is not None and form.has(FIELD):
                typed = self.typed.open(form.get(FIELD), visit.session.iam_id)
                if typed is None or typed.path != request.url.path:
                    return self.refused(visit, 400, "What you typed cannot be read any more.")
                request.state.performed = None  # nothing is changed: the form appears again
                return await self._answered(refill, replace(visit, form=typed.form), signed_in)
            return await self._answered(page, visit, signed_in)

        return endpoint

    async def _answered(self, page: Page, visit: Visit, signed_in: SignedIn) -> Response:
        """What the page says, or why not; with the session's cookie when it is a new one."""
        try:
            response = await page(visit)
        except DomainError as error:
            visit.request.state.problems = error.problems
            response = self.refused(
                visit, self._status_of(error), " ".join(p.message for p in error.problems)
            )
        if signed_in.renewed:
            self.set_session(response, visit.request, signed_in.session)
        return response

    def refused(self, visit: Visit | None, status: int, message: str) -> Response:
        """A page, or for htmx a notice, that says why not."""
        htmx = visit is not None and visit.request.headers.get("hx-request") == "true"
        template = "part_refused.html" if htmx else "refused.html"
        return self.render(template, visit, status, status=status, message=message)

    def sign_in_form(
        self, status: int, *, problem: str = "", notice: str = "", typed: str = ""
    ) -> Response:
        """The page to sign in on. `typed`: sealed, what its reader goes back to."""
        return self.render(
            "sign_in.html", None, status, problem=problem, notice=notice, typed=typed
        )

    def _sign_in_first(self, request: Request) -> Response:
        expired = "?expired=1" if COOKIE in request.cookies else ""
        target = f"/console/sign-in{expired}"
        if request.headers.get("hx-request") == "true":
            return Response(status_code=401, headers={**HEADERS, "HX-Redirect": target})
        return RedirectResponse(target, 303, HEADERS)

    def _too_late(self, request: Request, ended: Ended, form: Form) -> Response:
        """To sign in, with what was typed kept for afterwards.

        Kept only where the form is one that the ended session showed: it has that session's token.
        """
        message = "The change was not made: nobody is signed in."
        request.state.problems = (Problem("not_authorized", message),)
        session, htmx = ended.session, request.headers.get("hx-request") == "true"
        fields = form.without("csrf").values()
        if session is None or not fields or not _has_token(form, session):
            return self._sign_in_first(request) if htmx else self.sign_in_form(401, notice=ENDED)
        typed = self.typed.seal(Typed(request.url.path, session.iam_id, form))
        notice = f"{ENDED} What you typed is kept."
        response = self.sign_in_form(401, notice=notice, typed=typed)
        if htmx:  # a part of the form was asked for: the whole page is what signs in
            response.headers.update({"HX-Retarget": "body", "HX-Reswap": "innerHTML"})
        return response

    def set_session(self, response: Response, request: Request, session: Session) -> None:
        """Put the session into the answer's cookie."""
        response.set_cookie(
            COOKIE,
            self.sessions.cookie(session),
            max_age=int((LONGEST + REMEMBERED).total_seconds()),
            path="/console",
            secure=self.base_url(request).startswith("https:"),
            httponly=True,
            samesite="strict",
        )

    async def signed_in(self, request: Request) -> SignedIn | Ended:
        """Who asks. Leaves for the audit: the caller, and a login that renewed the session or failed to."""
        cookie = request.cookies.get(COOKIE)
        found = await self.sessions.read(cookie, self.issuer(request))
        if isinstance(found, SignedIn):
            request.state.caller = found.caller
            request.state.renewal = found.renewed
        elif found.refused:
            request.state.renewal = asked(GRANT_REFRESH)
            request.state.renewal_problems = found.refused
        return found

    async def on_error(self, request: Request, error: Exception) -> Response:
        """What no page function caught: a path that is not there, a method that is not offered."""
        assert isinstance(error, HTTPException)
        signed_in = await self.signed_in(request)
        if isinstance(signed_in, Ended):
            return self._sign_in_first(request)
        visit = Visit(request, signed_in.caller, signed_in.session, Form({}))
        return self.refused(visit, error.status_code, "There is no such page in the console.")

    # Filters

    def _ago(self, moment: datetime | str | None) -> str:
        if moment is None:
            return "never"
        then = parse_rfc3339(moment) if isinstance(moment, str) else moment
        seconds = max(0, int((self._clock.now() - then).total_seconds()))
        for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
            if seconds >= size:
                return f"{seconds // size} {unit} ago"
        return f"{seconds} s ago"


def assets_built() -> bool:
    """Whether the console's scripts and styles are there: they are built, not kept in the repository."""
    return (STATIC / "console.js").exists()


def _has_token(form: Form, session: Session) -> bool:
    """Whether the form is one of this session's pages."""
    return secrets.compare_digest(form.get("csrf").encode(), session.csrf.encode())


def _moment(text: str) -> str:
    """`2026-11-25 00:41:07 UTC` of an RFC 3339 time."""
    return parse_rfc3339(text).strftime("%Y-%m-%d %H:%M:%S UTC")


def _day_time(moment: datetime) -> str:
    return moment.strftime("%H:%M:%S")


def _pairs(views: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """Value and text of the options of a list of resources."""
    return [(view["id"], view["name"]) for view in views]


def _same(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Options whose text is their value."""
    return [(text, text) for text in texts]
