"""The three identity operations: create token, exchange it for an IAM token, get a certificate.

Metadata contract 3. Tokens are signed by the node itself; the other two are decisions of the server,
asked through `Upstream`. The CSR is checked by the server, which signs it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeVar
from uuid import uuid4

from linklocal.clock import rfc3339_ms, rfc3339_s
from linklocal.errors import Problem, Target
from linklocal.metadata.bodies import integer, read_object, unknown
from linklocal.metadata.errors import Refusal, server_refusal, without_secrets
from linklocal.metadata.served import Served
from linklocal.metadata.views import to_bytes
from linklocal.metadata.wire import (
    ProfileSelector,
    Request,
    Upstream,
    UpstreamRefused,
    UpstreamUnavailable,
)
from linklocal.tokens import identity_claims

TOKEN_SECONDS = (300, 5, 3600)  # default, lowest, highest
CERTIFICATE_SECONDS = (3600, 300, 3600)
NONCE_MAX = 256
SELECTOR_MAX = 512
SELECTOR_SHOWN = 128  # in events
SELECTORS: tuple[Literal["id", "crn", "name"], ...] = ("id", "crn", "name")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """One run of an operation. `token` is the verified identity token, "" on create token.

    `detail` takes non-secret facts for the event, before anything is refused.
    """

    request: Request
    served: Served
    upstream: Upstream
    token: str = field(repr=False)
    detail: dict[str, Any]


Operation = Callable[[Call], Awaitable[bytes]]  # -> the answer's body


async def create_token(call: Call) -> bytes:
    """`PUT /identity/v1/token` (contract 3.1). Raises Refusal."""
    body, served = read_object(call.request.body), call.served
    call.detail["nonce"] = "nonce" in body
    problems = unknown(body, frozenset({"expires_in", "nonce"}))
    expires_in, wrong = integer(body, "expires_in", *TOKEN_SECONDS)
    problems += wrong
    nonce = body.get("nonce")
    if "nonce" in body and not _is_nonce(nonce):
        length = f"1 to {NONCE_MAX} printable ASCII characters"
        message = f"The value provided for the `nonce` field must be {length}."
        problems.append(Problem("invalid_value", message, Target("nonce")))
    if problems:
        raise Refusal(400, problems, "fields")
    call.detail["expires_in"] = expires_in
    now = served.clock.now()
    document = served.document
    signed = await served.signer.sign(
        identity_claims(
            region=served.signer.region,
            epoch=document.tokens_valid_after,
            claims=document.claims,
            now=now,
            expires_in=expires_in,
            nonce=nonce,
        )
    )
    # `access_token` comes first: a shell client in the field cuts it out by position.
    answer: dict[str, Any] = {
        "access_token": signed,
        "created_at": rfc3339_ms(now),
        "expires_at": rfc3339_ms(now + timedelta(seconds=expires_in)),
        "expires_in": expires_in,
    }
    if nonce is not None:
        answer["nonce"] = nonce
    return to_bytes(answer)


def _is_nonce(value: Any) -> bool:
    return (
        isinstance(value, str)
        and 1 <= len(value) <= NONCE_MAX
        and all(" " <= character <= "~" for character in value)
    )


async def exchange(call: Call) -> bytes:
    """`POST /identity/v1/iam_tokens` (contract 3.2). Raises Refusal."""
    selector = _selector(read_object(call.request.body))
    if selector is not None:
        call.detail["profile"] = {
            "by": selector.by,
            "value": without_secrets(selector.value[:SELECTOR_SHOWN]),
        }
    made = await _ask(call.upstream.exchange(call.token, selector))
    call.detail["profile_id"] = made.profile_id
    answer = {
        "access_token": made.access_token,
        "created_at": rfc3339_s(_moment(made.issued_at)),
        "expires_at": rfc3339_s(_moment(made.expires_at)),
        "expires_in": made.expires_at - made.issued_at,
    }
    return to_bytes(answer)


def _selector(body: dict[str, Any]) -> ProfileSelector | None:
    problems = unknown(body, frozenset({"trusted_profile"}))
    given = body.get("trusted_profile", {})
    selector: ProfileSelector | None = None
    if not isinstance(given, dict):
        message = "The value provided for the `trusted_profile` field must be an object."
        problems.append(Problem("invalid_value", message, Target("trusted_profile")))
    elif "trusted_profile" in body:
        problems += unknown(given, frozenset(SELECTORS), "trusted_profile.")
        named = [name for name in SELECTORS if name in given]
        if len(named) > 1:
            message = "Name the trusted profile by one of `id`, `crn` and `name`."
            problems.append(Problem("invalid_value", message, Target("trusted_profile")))
        elif not named and not problems:
            message = "Name the trusted profile by `id`, `crn` or `name`."
            problems.append(Problem("missing_field", message, Target("trusted_profile.id")))
        for name in named:
            value = given[name]
            # Printable: a lone surrogate or NUL would not get through to the server.
            if not (
                isinstance(value, str) and 1 <= len(value) <= SELECTOR_MAX and value.isprintable()
            ):
                length = f"1 to {SELECTOR_MAX} printable characters"
                message = f"The value provided for the `{name}` field must be {length}."
                problems.append(
                    Problem("invalid_value", message, Target(f"trusted_profile.{name}"))
                )
            else:
                selector = ProfileSelector(name, value)
    if problems:
        raise Refusal(400, problems, "fields")
    return selector


async def certificate(call: Call) -> bytes:
    """`POST /identity/v1/certificates` (contract 3.3). Raises Refusal."""
    body = read_object(call.request.body)
    problems = unknown(body, frozenset({"csr", "expires_in"}))
    expires_in, wrong = integer(body, "expires_in", *CERTIFICATE_SECONDS)
    problems += wrong
    csr = body.get("csr")
    if "csr" not in body:
        message = "The `csr` field is required: send a PEM certificate signing request."
        problems.append(Problem("missing_field", message, Target("csr")))
    elif not (isinstance(csr, str) and csr.isascii()):
        message = "The value provided for the `csr` field must be a string of PEM."
        problems.append(Problem("invalid_value", message, Target("csr")))
    elif not csr.strip():
        problems.append(Problem("missing_value", "The `csr` field has no value.", Target("csr")))
    if problems:
        raise Refusal(400, problems, "fields")
    call.detail["expires_in"] = expires_in
    made = await _ask(call.upstream.certificate(call.token, str(csr), expires_in))
    answer = {
        "certificates": list(made.certificates),
        "created_at": rfc3339_s(_moment(made.issued_at)),
        "expires_at": rfc3339_s(_moment(made.expires_at)),
        "expires_in": made.expires_at - made.issued_at,
        "id": str(uuid4()),
    }
    return to_bytes(answer)


async def _ask(asked: Awaitable[T]) -> T:
    """What the server decided, or its refusal. Raises Refusal."""
    try:
        return await asked
    except UpstreamRefused as error:
        raise server_refusal(error) from error
    except UpstreamUnavailable as error:
        message = (
            "The control plane cannot be reached, and only it can decide this: try again later. Metadata "
            "and identity tokens are served meanwhile."
        )
        raise Refusal(503, Problem("service_error", message), "control-plane") from error


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
