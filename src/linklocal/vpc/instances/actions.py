"""Start, stop and reboot: what an action makes of an instance, and how it is answered. Pure.

An action is not kept: it is what the instance's row says from then on, and the node's acknowledgement of
that revision completes it (`lifecycle.py`). Contract 2.4, actions.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from linklocal.clock import rfc3339_ms
from linklocal.errors import Conflict
from linklocal.vpc.instances.model import InstanceActionPrototype


def life_cycle(action: InstanceActionPrototype, row: Mapping[str, Any]) -> dict[str, Any]:
    """New values of the life-cycle columns. Raises Conflict when there is nothing to do.

    `force` acts at once where an action would wait for the one before it; nothing waits here, so all it
    changes is that a stop may be sent again. Stopping voids the instance's identity tokens.
    """
    running = row["desired"] == "running"
    match action.type:
        case "start" if running:
            raise Conflict("The instance is running or starting already.", "type")
        case "start":
            return {"desired": "running", "transition": "starting"}
        case "stop" if not running and not action.force:
            raise Conflict("The instance is stopped or stopping already.", "type")
        case "stop":
            return {
                "desired": "stopped",
                "transition": "stopping",
                "start_epoch": row["start_epoch"] + 1,
            }
        case "reboot" if not running:
            raise Conflict("The instance is stopped: start it.", "type")
        case "reboot":
            return {"transition": "restarting"}


def view(
    instance_id: str, action: InstanceActionPrototype, *, placed: bool, now: datetime
) -> dict[str, Any]:
    """InstanceAction. It is `running` until the node acknowledges, and done at once without a node."""
    id, at = str(uuid.uuid4()), rfc3339_ms(now)
    shown: dict[str, Any] = {
        "created_at": at,
        "href": f"/v1/instances/{instance_id}/actions/{id}",
        "id": id,
        "started_at": at,
        "status": "running" if placed else "completed",
        "type": action.type,
    }
    if not placed:
        shown["completed_at"] = at
    if action.force is not None:
        shown["force"] = action.force
    return shown
