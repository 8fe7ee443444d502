"""The three settings of an instance's metadata service: their values, defaults and merge rules.

    enabled             may the instance read its metadata and get tokens? off unless asked for
    protocol            `http` (port 80) or `https` (port 443), never both
    response_hop_limit  IP TTL of what the service answers, 1 to 64: how many hops away a reader may be

This is control-plane contract 2.2 as code, and the same for instances, templates and patches:

* What is not named keeps its value: the default on create, the current one on patch, the template's on
  create from a template. `protocol` and `response_hop_limit` are kept while the service is disabled.
* A value of another type, a value out of range and a member that does not exist are refused. `"true"`,
  `1` and `enabld` must not be answered "created" while the service stays off.
* `null` says nothing on create; on patch it is refused, because no setting can be taken away.

Nothing here touches a database or a socket: a listener is told by way of `linklocal.document`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from linklocal.document import MetadataService, Protocol
from linklocal.vpc.http import ResponseModel
from linklocal.vpc.references import Patch

MIN_HOP_LIMIT = 1
MAX_HOP_LIMIT = 64


def _or_say(message: str) -> WrapValidator:
    """Whatever is wrong with the value, answer with one sentence that says what to send."""

    def validate(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        try:
            return handler(value)
        except ValidationError as error:
            raise PydanticCustomError("metadata_service", message) from error

    return WrapValidator(validate)


Enabled = Annotated[
    bool, _or_say("`metadata_service.enabled` must be `true` or `false`, without quotes.")
]
ProtocolName = Annotated[
    Protocol, _or_say("`metadata_service.protocol` must be `http` or `https`, in lower case.")
]
HopLimit = Annotated[
    int,
    Field(ge=MIN_HOP_LIMIT, le=MAX_HOP_LIMIT),
    _or_say(
        "`metadata_service.response_hop_limit` must be a whole number from "
        f"{MIN_HOP_LIMIT} to {MAX_HOP_LIMIT}."
    ),
]

_DEFAULTS = MetadataService()


class BareMetalServicePrototype(BaseModel):
    """`metadata_service` when a bare metal server is created: it has no hop limit (metadata contract 6)."""

    model_config = ConfigDict(strict=True, extra="forbid")

    enabled: Enabled | None = Field(default=None, description="Default: `false`.")
    protocol: ProtocolName | None = Field(default=None, description="Default: `http`.")


class MetadataServicePrototype(BareMetalServicePrototype):
    """`metadata_service` when an instance or a template is created. `{}`, `null` and absent are equal."""

    response_hop_limit: HopLimit | None = Field(default=None, description="Default: 1.")


class BareMetalServicePatch(Patch):
    """`metadata_service` in a merge patch: members that are not named stay as they are.

    The defaults below are never used: `patched` looks only at the members that the body has.
    """

    enabled: Enabled = _DEFAULTS.enabled
    protocol: ProtocolName = _DEFAULTS.protocol


class MetadataServicePatch(BareMetalServicePatch):
    """The same of an instance, which has a hop limit, too."""

    response_hop_limit: HopLimit = _DEFAULTS.response_hop_limit


class BareMetalServiceView(ResponseModel):
    """`metadata_service` of a bare metal server in an answer: both members, always."""

    enabled: bool
    protocol: Protocol


class MetadataServiceView(BareMetalServiceView):
    """`metadata_service` in an answer: all three members, always."""

    response_hop_limit: int


def created(prototype: BareMetalServicePrototype | None) -> MetadataService:
    """The settings of a new instance: what was named, and the defaults."""
    named = {} if prototype is None else prototype.model_dump(exclude_none=True)
    return replace(_DEFAULTS, **named)


def patched(current: MetadataService, patch: BareMetalServicePatch) -> MetadataService:
    """The settings after a merge patch (RFC 7396): what it names, and the current ones."""
    return replace(current, **patch.given())


def merged(
    source: Mapping[str, Any] | None, override: Mapping[str, Any] | None
) -> dict[str, Any] | None:
    """A template's `metadata_service` and the one of the request made from it, member by member.

    Every other property of a template is replaced as a whole (contract 2.5). This one is not, so that
    repeating `enabled: true` can never turn the template's `https` or hop limit back to the defaults.
    None when neither says anything.
    """
    members: dict[str, Any] = {}
    for part in (source, override):
        members |= {name: value for name, value in (part or {}).items() if value is not None}
    return members or None


def view(settings: MetadataService) -> dict[str, Any]:
    """As answers and documents show it."""
    return asdict(settings)


def to_columns(settings: MetadataService) -> dict[str, Any]:
    """Values of the `metadata_*` columns of the table `instances`."""
    return {f"metadata_{name}": value for name, value in asdict(settings).items()}


def from_columns(row: Mapping[str, Any]) -> MetadataService:
    """Read what `to_columns` wrote."""
    return MetadataService(
        enabled=row["metadata_enabled"],
        protocol=row["metadata_protocol"],
        response_hop_limit=row["metadata_response_hop_limit"],
    )
