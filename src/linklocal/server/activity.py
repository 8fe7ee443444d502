"""An `Event` in the shape of Activity Tracker (CADF), for auditors' tools. A view: it adds no fact.

It must not look anything up; what is not in the event is not in the view.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from linklocal.clock import rfc3339_ms
from linklocal.events import Event

_CRITICAL = (".delete", ".revoke", ".rotate", ".reinitialize")
_READS = (".read", ".list", ".get")


def activity(event: Event, region: str) -> dict[str, Any]:
    """One Activity Tracker event. Absent facts are left out; `count` > 1 stands for that many calls."""
    detail = dict(event.detail)
    account_id = detail.pop("account_id", None)
    correlation_id = detail.pop("correlation_id", event.trace)
    crn = detail.pop("crn", None)
    service, _, rest = event.action.partition(".")
    resource = rest.rpartition(".")[0].replace(".", "/")
    reason: dict[str, Any] = {"reasonCode": event.status, "reasonType": _phrase(event.status)}
    if event.reason is not None:
        reason["reasonForFailure"] = event.message or event.reason
    from_instance = service == "is" and event.action.startswith("is.metadata.")
    initiator = event.initiator or (event.instance_id if from_instance else None)
    return {
        "eventTime": rfc3339_ms(event.time),
        "action": event.action,
        "outcome": event.outcome,
        "severity": _severity(event),
        "message": f"{service}: {rest} {event.target or ''}".rstrip()
        + (" -failure" if event.outcome == "failure" else ""),
        "reason": reason,
        "initiator": _given(
            id=initiator,
            typeURI=_initiator_type(event, from_instance),
            credential=_credential(detail),
        ),
        "target": _given(id=crn or event.target, typeURI=f"{service}/{resource}"),
        "observer": {"name": "ActivityTracker"},
        "correlationId": correlation_id,
        "eventId": event.trace,
        "logSourceCRN": f"crn:v1:bluemix:public:{service}:{region}:"
        f"{f'a/{account_id}' if account_id else ''}:::",
        "dataEvent": from_instance,
        "requestData": _given(
            requestId=event.trace,
            rule=event.rule,
            reason=event.reason,
            instanceId=event.instance_id,
            count=event.count if event.count > 1 else None,
            **detail,
        ),
    }


def _credential(detail: dict[str, Any]) -> dict[str, Any] | None:
    if (key := detail.pop("api_key_id", None)) is not None:
        return {"type": "apikey", "id": key}
    if (profile := detail.get("profile_id")) is not None:
        return {"type": "trustedprofile", "id": profile}
    return None


def _initiator_type(event: Event, from_instance: bool) -> str:
    if from_instance:
        return "service/compute/instance"
    if event.initiator is not None and event.initiator.startswith("iam-Profile-"):
        return "service/security/account/trustedprofile"
    return "service/security/account/user"


def _severity(event: Event) -> str:
    if event.action.endswith(_CRITICAL) or event.status in (401, 403):
        return "critical"
    return "normal" if event.action.endswith(_READS) else "warning"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # a node may send any number
        return "Unknown"


def _given(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
