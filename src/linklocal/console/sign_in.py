"""Signing in and out: by API key, or by the one-time code of the URL that `linklocal dev` prints."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from linklocal.console.forms import read_form
from linklocal.console.pages import ENDED, HEADERS, LOGIN, Pages, Visit
from linklocal.console.sessions import COOKIE, SignedIn, SignInCodes
from linklocal.console.typed import FIELD
from linklocal.errors import Invalid
from linklocal.iam.access_tokens import GRANT_API_KEY
from linklocal.iam.login import asked

_SAME_SITE = ("same-origin", "none")


class SignInPages:
    """One per server."""

    def __init__(self, pages: Pages, codes: SignInCodes) -> None:
        self._pages = pages
        self._codes = codes

    def routes(self) -> list[Route]:
        return [
            Route("/", self.home),
            Route("/sign-in", self.show),
            Route("/sign-in", self.sign_in, methods=["POST"]),
            Route("/sign-out", self._pages.change(self.sign_out), methods=["POST"]),
        ]

    async def home(self, request: Request) -> Response:
        return RedirectResponse("/console/instances", 303, HEADERS)

    async def show(self, request: Request) -> Response:
        code = request.query_params.get("code")
        if code is not None:
            api_key = self._codes.take(code)
            if api_key is not None:
                return await self._open(request, api_key)
            return self._form("This sign-in code has been used or has expired: enter the API key.")
        if isinstance(await self._pages.signed_in(request), SignedIn):
            return RedirectResponse("/console/instances", 303, HEADERS)
        return self._form("", ENDED if "expired" in request.query_params else "")

    def _form(self, problem: str, notice: str = "", typed: str = "") -> Response:
        status = 400 if problem else 200
        return self._pages.sign_in_form(status, problem=problem, notice=notice, typed=typed)

    async def sign_in(self, request: Request) -> Response:
        # There is no session yet whose token could be asked for; browsers say where a form comes from.
        if request.headers.get("sec-fetch-site", "none") not in _SAME_SITE:
            return self._form("Sign in on this page, not from another site.")
        form = await read_form(request)
        return await self._open(request, form.get("api_key").strip(), form.get(FIELD))

    async def _open(self, request: Request, api_key: str, sealed: str = "") -> Response:
        """`sealed`: what was typed when the session ended."""
        pages = self._pages
        request.state.performed = LOGIN
        request.state.login = asked(GRANT_API_KEY)
        before = pages.sessions.opened(request.cookies.get(COOKIE))
        try:
            session, request.state.login = await pages.sessions.sign_in(
                api_key, pages.issuer(request), before=before
            )
        except Invalid as error:
            request.state.problems = error.problems
            return self._form(
                "This API key is not known, or it is disabled or has expired.", typed=sealed
            )
        typed = pages.typed.open(sealed, session.iam_id)
        response: Response
        if typed is None:
            response = RedirectResponse("/console/instances", 303, HEADERS)
        else:
            response = pages.render(
                "signed_in.html", None, action=typed.path, csrf=session.csrf, typed=sealed
            )
        pages.set_session(response, request, session)
        return response

    async def sign_out(self, visit: Visit) -> Response:
        response = RedirectResponse("/console/sign-in", 303, HEADERS)
        response.delete_cookie(COOKIE, path="/console", httponly=True, samesite="strict")
        return response
