"""Forms of the console -> bodies of the API. Says nothing about what is right: the API's models do.

A field that holds nothing is left out of the body; a number that is none goes on as text, so that the
API's own sentence about it is what the user reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

from linklocal.errors import Invalid, Problem

_MAX_FIELDS = 1000


class Form:
    """The fields of a submitted form, each with all its values."""

    def __init__(self, values: Mapping[str, list[str]]) -> None:
        self._values = values

    def get(self, name: str, default: str = "") -> str:
        values = self._values.get(name)
        return values[0] if values else default

    def all(self, name: str) -> list[str]:
        return [value for value in self._values.get(name, []) if value]

    def with_values(self, **values: list[str]) -> Form:
        """The form with other values in some fields."""
        return Form({**self._values, **values})

    def without(self, *names: str) -> Form:
        """The form without some fields."""
        return Form({name: v for name, v in self._values.items() if name not in names})

    def values(self) -> dict[str, list[str]]:
        """Every field with all its values."""
        return dict(self._values)

    def has(self, name: str) -> bool:
        """Whether the field was sent at all: how a browser says that a box or toggle is on."""
        return bool(self._values.get(name))


async def read_form(request: Request) -> Form:
    """Raises Invalid when the body is no form."""
    try:
        text = (await request.body()).decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise Invalid(Problem("invalid_request", "The request carries no form.")) from error
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return Form(values)


def number(text: str) -> int | str:
    """The number that a field says; what is none stays text, for the API to refuse."""
    try:
        return int(text.strip()) if len(text) < 20 else text
    except ValueError:
        return text


def metadata_patch(form: Form) -> dict[str, Any]:
    """The merge patch of one control of the *Metadata* section; `setting` says which one it is."""
    match form.get("setting"):
        case "enabled":
            member: dict[str, Any] = {"enabled": form.has("enabled")}
        case "protocol":
            member = {"protocol": "https" if form.has("secure") else "http"}
        case "response_hop_limit":
            member = {"response_hop_limit": number(form.get("hop_limit"))}
        case other:
            raise Invalid(Problem("invalid_request", f"There is no setting {other[:40]!r}."))
    return {"metadata_service": member}


def metadata_service(form: Form, *, explicit: bool) -> dict[str, Any] | None:
    """`metadata_service` of a create form: left out while the toggle is off (contract 6, row 7).

    `explicit`: the form overrides a template, so off has to be said.
    """
    if not form.has("metadata"):
        return {"enabled": False} if explicit else None
    return {
        "enabled": True,
        "protocol": "https" if form.has("secure") else "http",
        "response_hop_limit": number(form.get("hop_limit", "1")),
    }


def default_trusted_profile(form: Form) -> dict[str, Any] | None:
    """`default_trusted_profile` of a create form; nothing while the service is off or none is chosen."""
    return _trusted_profile(form) if form.has("metadata") else None


def _trusted_profile(form: Form) -> dict[str, Any] | None:
    target = _named(form, "profile_id")
    return {"auto_link": form.has("auto_link"), "target": target} if target else None


def reinitialize_prototype(form: Form) -> dict[str, Any]:
    """The body of POST /instances/{id}/reinitialize: what is not on the form is gone afterwards."""
    body = {
        "image": _named(form, "image"),
        "keys": [{"id": id} for id in form.all("key")] or None,
        "user_data": form.get("user_data").replace("\r\n", "\n") or None,
        "default_trusted_profile": _trusted_profile(form),
    }
    return {name: value for name, value in body.items() if value is not None}


def id_of(reference: Mapping[str, Any] | None) -> str:
    """The id, or for zones and profiles the name, that a reference says in any way; "" for none."""
    known = reference or {}
    said = known.get("id") or known.get("name")
    return str(
        said or known.get("crn", "").rpartition(":")[2] or known.get("href", "").rpartition("/")[2]
    )


def _named(form: Form, name: str, member: str = "id") -> dict[str, str] | None:
    value = form.get(name)
    return {member: value} if value else None


def _boot_volume(form: Form) -> dict[str, Any] | None:
    capacity = form.get("boot_capacity")
    if not capacity or capacity == "100":
        return None
    profile = {"name": "general-purpose"}
    return {"volume": {"capacity": number(capacity), "profile": profile}}


def _data_volumes(form: Form) -> list[dict[str, Any]]:
    return [
        {
            "delete_volume_on_instance_delete": True,
            "volume": {"capacity": number(capacity), "profile": {"name": "general-purpose"}},
        }
        for capacity in form.all("data_capacity")
    ]


def _network(form: Form) -> dict[str, Any]:
    subnet = _named(form, "subnet")
    if subnet is None:
        return {}
    if form.get("interface") == "network_interface":
        return {"primary_network_interface": {"subnet": subnet}}
    return {"primary_network_attachment": {"virtual_network_interface": {"subnet": subnet}}}


def instance_prototype(form: Form) -> dict[str, Any]:
    """The body of POST /instances and POST /instance/templates for exactly what is on the form."""
    template = _named(form, "template")
    network = _network(form)
    if template is not None and form.get("template_network") == form.get("subnet"):
        network = {}  # as the template has it, whichever kind it is
    body: dict[str, Any] = {
        "name": form.get("name").strip() or None,
        "source_template": template,
        "resource_group": _named(form, "resource_group"),
        "zone": _named(form, "zone", "name"),
        "vpc": _named(form, "vpc"),
        "image": _named(form, "image"),
        "profile": _named(form, "profile", "name"),
        "keys": [{"id": id} for id in form.all("key")] or None,
        "placement_target": _named(form, "placement_group"),
        "boot_volume_attachment": _boot_volume(form),
        "volume_attachments": _data_volumes(form) or None,
        "user_data": form.get("user_data").replace("\r\n", "\n") or None,
        "metadata_service": metadata_service(form, explicit=template is not None),
        "default_trusted_profile": default_trusted_profile(form),
        **network,
    }
    if not form.has("restart"):
        body["availability_policy"] = {"host_failure": "stop"}
    elif template is not None:
        body["availability_policy"] = {"host_failure": "restart"}
    return {name: value for name, value in body.items() if value is not None}
