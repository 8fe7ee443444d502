"""Finds out on which instance a caller runs: gives out nonces, and checks identity tokens that say them."""

from __future__ import annotations

import argparse
import json
import re
import secrets
import time
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

NONCE_SECONDS = 60
MOST_NONCES = 10_000
CLOCK_SECONDS = 5  # by which clocks may differ
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


class Refused(Exception):
    """The token proves nothing. The message says why."""


class Verifier:
    """One per service. `keys` fetches the published keys, a JWKS; `clock` is seconds since 1970."""

    def __init__(
        self,
        keys: Callable[[], dict[str, Any]],
        region: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._issuer = f"VSI-CR_{region}"
        self._clock = clock
        self._nonces: dict[str, float] = {}  # nonce -> until when; the oldest first

    def nonce(self) -> str:
        """A new nonce, good once and for a minute."""
        while self._nonces and (
            len(self._nonces) >= MOST_NONCES or next(iter(self._nonces.values())) < self._clock()
        ):
            del self._nonces[next(iter(self._nonces))]
        made = secrets.token_urlsafe(24)
        self._nonces[made] = self._clock() + NONCE_SECONDS
        return made

    def check(self, token: str, *, instance: str | None = None) -> dict[str, Any]:
        """The claims of a token that proves something; `instance` is the id that it must be of.

        Its nonce is used up. Raises Refused.
        """
        claims = self._signed(token)
        audience, iaas = claims.get("aud"), claims.get("iaas")
        if claims.get("iss") != self._issuer:
            raise Refused(f"it was issued by {claims.get('iss')}, not by {self._issuer}")
        # The issuer, then a string of the token's own.
        if not (
            isinstance(audience, list)
            and len(audience) == 2
            and audience[0] == self._issuer
            and re.fullmatch(rf"{UUID}_[0-9]+", str(audience[1]))
        ):
            raise Refused("it is meant for somebody else")
        issued, expires = claims.get("iat"), claims.get("exp")
        if not isinstance(issued, int) or not isinstance(expires, int):
            raise Refused("it does not say how long it is good")
        if issued > self._clock() + CLOCK_SECONDS:
            raise Refused("it was issued in the future")
        if self._clock() >= expires:
            raise Refused("it has expired")
        nonce = claims.get("nonce")
        if not isinstance(nonce, str):
            raise Refused("it has no nonce")
        if self._nonces.pop(nonce, 0) < self._clock():
            raise Refused("its nonce is not one of mine, was used before, or is too old")
        if not isinstance(iaas, dict) or not isinstance(iaas.get("instanceID"), str):
            raise Refused("it is of no instance")
        if instance not in (None, iaas["instanceID"]):
            raise Refused(f"it is of instance {iaas['instanceID']}, not of {instance}")
        return claims

    def _signed(self, token: str) -> dict[str, Any]:
        # Keys are asked for each time: as long as one is kept, so long would a revoked node be believed.
        # Only those for identity tokens are looked at. IAM's are published beside them.
        keys = [key for key in self._keys()["keys"] if key["kid"].startswith(f"{self._issuer}_")]
        try:
            return dict(jwt.decode(token, KeySet.import_key_set({"keys": keys}), ["RS256"]).claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise Refused("it is not signed with a key that the server publishes") from error


def published(server: str) -> Callable[[], dict[str, Any]]:
    """The keys that a linklocal server publishes. Over a network that you trust, or https."""

    def fetch() -> dict[str, Any]:
        with urllib.request.urlopen(f"{server}/identity/keys", timeout=20) as answer:
            keys: dict[str, Any] = json.load(answer)
        return keys

    return fetch


def service(verifier: Verifier, port: int) -> HTTPServer:
    """POST /nonce -> `{nonce}`; POST /proof `{token}` -> `{instance, crn, account}`, or 403 `{refused}`."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self) -> None:
            body = self.rfile.read(min(int(self.headers.get("Content-Length", "0")), 65_536))
            if self.path == "/nonce":
                return self._answer(200, {"nonce": verifier.nonce()})
            if self.path != "/proof":
                return self._answer(404, {})
            try:
                token = json.loads(body)["token"]
                iaas = verifier.check(token)["iaas"]
            except (ValueError, KeyError, TypeError):
                return self._answer(400, {"expected": {"token": "..."}})
            except Refused as refused:
                return self._answer(403, {"refused": str(refused)})
            who = {"instance": iaas["instanceID"], "crn": iaas["crn"], "account": iaas["accountID"]}
            return self._answer(200, who)

        def _answer(self, status: int, body: dict[str, Any]) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

    return HTTPServer(("127.0.0.1", port), Handler)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", required=True, help="URL of the linklocal server")
    parser.add_argument("--region", default="us-south")
    parser.add_argument("--port", type=int, default=9000)
    arguments = parser.parse_args()
    verifier = Verifier(published(arguments.server), arguments.region)
    with service(verifier, arguments.port) as running:
        print(f"http://127.0.0.1:{running.server_port}", flush=True)
        running.serve_forever()
