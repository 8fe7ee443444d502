"""IAM's error codes (`BXNIM....`) and messages: control-plane contract 4.3. Pure.

`Problem.code` carries the code, `more_info` the details. Which of IAM's two shapes an answer gets is
decided by path in `server/errors.py`: the token shape under `/identity`, the identity-API shape under
`/v1/apikeys`, `/v1/profiles` and `/v1/policies`.
"""

from __future__ import annotations

from linklocal.errors import Conflict, Invalid, Problem, Target, TargetType

PROPERTY_MISSING = "BXNIM0109E"
CRN_INVALID = "BXNIM0113E"
GRANT_UNSUPPORTED = "BXNIM0133E"
NOT_A_MEMBER = "BXNIM0141E"
TOKEN_MALFORMED = "BXNIM0401E"  # noqa: S105 - an error code, no secret
TOKEN_EXPIRED = "BXNIM0407E"  # noqa: S105 - an error code, no secret
API_KEY_NOT_FOUND = "BXNIM0415E"
NOT_AUTHORIZED = "BXNIM0513E"
# Numbers of our own choice: IBM's are not published.
PROPERTY_INVALID = "BXNIM0110E"
PROFILE_NOT_FOUND = "BXNIM0434E"
PROFILE_NOT_LINKED = "BXNIM0435E"
NAME_TAKEN = "BXNIM0505E"
ENTITY_CHANGED = "BXNIM0506E"
ENTITY_LOCKED = "BXNIM0507E"
TOO_MANY = "BXNIM0508E"
LINK_TAKEN = "BXNIM0509E"


def missing(name: str, *, type: TargetType = "field") -> Problem:
    """A property is missing or empty; the details name it."""
    return Problem(
        PROPERTY_MISSING,
        "Property missing or empty.",
        Target(name, type),
        more_info=f"Property `{name}` is missing or empty: send it.",
    )


def invalid(
    name: str, message: str, value: object = None, *, code: str = PROPERTY_INVALID
) -> Problem:
    """A property has a value that cannot be taken. Never pass a secret as `value`."""
    return Problem(code, message, Target(name, value=None if value is None else str(value)[:200]))


def api_key_not_found() -> Invalid:
    """The one answer for a key that is unknown, deleted, disabled or expired: it tells nothing more."""
    return Invalid(
        Problem(
            API_KEY_NOT_FOUND,
            "Provided API key could not be found.",
            Target("apikey"),
            more_info="The API key is unknown, deleted, disabled or expired.",
        )
    )


def changed(kind: str) -> Conflict:
    """`If-Match` names another version: 409 (contract 4.4)."""
    return Conflict(
        f"The {kind} has changed: read it again and send its new `entity_tag` in `If-Match`.",
        code=ENTITY_CHANGED,
    )
