"""Who may use the node's Unix socket: its own user and root for everything, others for their instances.

The kernel says who asks (`SO_PEERCRED`); nothing in a request does. It must not know what is asked.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from linklocal.ids import InstanceId

# What others may ask: it is about their own descriptors, and never about a name that the node would open.
SHARED = frozenset({("POST", "/v1/hand_over"), ("POST", "/v1/detach")})


class LocalUsers:
    """The setting `local_users`: user id -> ids of the instances that are that user's.

    Ids, not names: whoever may rename an instance must not thereby give it away.
    """

    def __init__(
        self, allowed: Mapping[int, Collection[str]] | None = None, *, own: int | None = None
    ) -> None:
        self._allowed = dict(allowed or {})
        self._own = os.geteuid() if own is None else own

    def owns_node(self, uid: int) -> bool:
        """Whether that user may do everything."""
        return uid in (0, self._own)

    def may_ask(self, uid: int, method: str, path: str) -> bool:
        """Whether that user may send such a request at all."""
        return self.owns_node(uid) or (uid in self._allowed and (method, path) in SHARED)

    def may_use(self, uid: int, instance_id: InstanceId) -> bool:
        """Whether that user may serve, or stop serving, that instance."""
        return self.owns_node(uid) or instance_id in self._allowed.get(uid, ())

    def refusal(self, uid: int) -> str:
        """What a user is told who may not."""
        if uid in self._allowed:
            return (
                f"User {uid} may hand over and detach sockets of its own instances only: "
                "ask as the node's own user, or as root."
            )
        return (
            f"User {uid} is not on this node's list: ask as the node's own user or as root, or have "
            "LINKLOCAL_LOCAL_USERS name the user and its instances."
        )
