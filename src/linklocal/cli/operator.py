"""Client of the server's operator routes (`/linklocal/v1/...`).

Acts in the current session (`cli/session.py`). IBM-compatible routes are called through IBM's SDKs
instead; these routes are linklocal's own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from linklocal.cli.session import current
from linklocal.errors import OperatorError

TIMEOUT = 20.0  # seconds


class OperatorClient:
    """Calls the server as an administrator. Raises OperatorError with the next step on any failure."""

    def __init__(self, state_dir: Path | None, timeout: float = TIMEOUT) -> None:
        session = current(state_dir)
        self._api = session.api
        self._http = httpx.Client(base_url=self._api, timeout=timeout)
        token = self._login(session.api_key) if session.api_key else session.token
        self._http.headers["Authorization"] = f"Bearer {token}"

    def _login(self, key: str) -> str:
        form = {"grant_type": "urn:ibm:params:oauth:grant-type:apikey", "apikey": key}
        answer = self._send("POST", "/identity/token", data=form)
        return str(answer.json()["access_token"])

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """The decoded JSON answer, None for 204."""
        answer = self._send(method, path, json=body)
        return answer.json() if answer.content else None

    def text(self, path: str) -> str:
        return self._send("GET", path).text

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, path, **arguments)
        except httpx.TransportError as error:
            raise OperatorError(
                f"The server at {self._api} does not answer ({type(error).__name__}).",
                "Start it with `linklocal dev` (or `linklocal server`), or set LINKLOCAL_API.",
            ) from error
        if answer.is_error:
            raise _refusal(answer)
        return answer


def _refusal(answer: httpx.Response) -> OperatorError:
    try:
        body = answer.json()
    except ValueError:
        body = {}
    errors = body.get("errors") or [{"message": body.get("errorMessage", answer.text[:200])}]
    text = "\n".join(str(error["message"]) for error in errors)
    match answer.status_code:
        case 400 if "BXNIM0415E" in answer.text:
            step = "Set IBMCLOUD_API_KEY to a key of this server."
        case 401 | 403:
            step = "Use an API key of an Administrator: set IBMCLOUD_API_KEY."
        case 404 if answer.request.url.path.startswith("/linklocal/v1/faults"):
            step = "See `linklocal fault list`; only a `linklocal dev` has faults."
        case 404:
            step = "List what there is: `linklocal is instances`, `linklocal node list`."
        case status if status >= 500:
            step = f"Look into the server's log for {body.get('trace', 'this request')}."
        case _:
            step = "Correct the command as the message says; `--help` shows its options."
    return OperatorError(f"Response HTTP Status Code: {answer.status_code}\n{text}", step)
