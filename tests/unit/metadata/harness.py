"""Asking the wire API without sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from typing import Any

from fakes.clock import FakeClock
from fakes.documents import full_document
from fakes.signer import FakeSigner
from fakes.upstream import FakeUpstream

from linklocal.document import InstanceDocument
from linklocal.metadata.errors import STATUSES
from linklocal.metadata.routes import handle
from linklocal.metadata.served import Served
from linklocal.metadata.wire import Request, Response

VERSION = "version=2025-08-26"


class Instance:
    """One served instance; its clock stands still until a test moves it."""

    def __init__(
        self,
        document: InstanceDocument | None = None,
        signer: FakeSigner | None = None,
        clock: FakeClock | None = None,
    ) -> None:
        self.clock = clock or FakeClock()
        self.signer = signer or FakeSigner()
        self.served = Served(document or full_document(), self.signer, self.clock)
        self.upstream = FakeUpstream()

    def ask(
        self, method: str, path: str, query: str = VERSION, body: bytes = b"", **headers: str
    ) -> Response:
        """Header names with underscores for hyphens."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send(Request(method, path, query, sent, body))

    def send(self, request: Request) -> Response:
        answer = handle(request, self.served, self.upstream)
        if isinstance(answer, Response):
            return answer
        return asyncio.run(_wait(answer))

    def token(self, **body: Any) -> str:
        answer = self.ask(
            "PUT", "/identity/v1/token", body=json.dumps(body).encode(), metadata_flavor="ibm"
        )
        assert answer.status == 200, answer.body
        return str(json.loads(answer.body)["access_token"])

    def get(self, path: str, query: str = VERSION, token: str | None = None) -> Response:
        return self.ask("GET", path, query, authorization=f"Bearer {token or self.token()}")


async def _wait(answer: Awaitable[Response]) -> Response:
    return await answer


def assert_refused(
    answer: Response, status: int, code: str, target: str | None = None
) -> dict[str, Any]:
    """An error envelope, whole; returns its first error."""
    body = json.loads(answer.body)
    assert (answer.status, body["errors"][0]["code"]) == (status, code), body
    assert body["status_code"] == status
    assert body["trace"] == answer.trace
    assert answer.reason == code
    assert answer.rule
    for error in body["errors"]:
        assert status in STATUSES[error["code"]]
        assert error["message"]
        assert isinstance(error.get("target", {}).get("value", ""), str)
    first: dict[str, Any] = body["errors"][0]
    if target is not None:
        assert first["target"]["name"] == target
    return first
