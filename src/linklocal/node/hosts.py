"""Which `Host` headers a listener answers to (metadata contract 1). No I/O.

A web page that makes its own name resolve to 169.254.169.254 still sends that name: refusing foreign
names is what stops DNS rebinding. The port is not part of the decision: it says nothing about who asks.
"""

from __future__ import annotations

import re

ADDRESS = "169.254.169.254"
NAME = "api.metadata.cloud.ibm.com"
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")

# One set for all listeners of a kind: there may be thousands.
_NAMES = frozenset((ADDRESS, NAME))
_LOOPBACK_NAMES = _NAMES.union(LOOPBACK)
_HOST = re.compile(r"([A-Za-z0-9.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?")


class HostPolicy:
    """The names of one listener: the documented address and name, and loopback's where it listens there."""

    def __init__(self, *, loopback: bool = False) -> None:
        self.names = _LOOPBACK_NAMES if loopback else _NAMES

    def authority(self, host: str) -> str | None:
        """The `Host` value in lower case if it is one of ours, with any port or none; else None."""
        if host in self.names:
            return host
        match = _HOST.fullmatch(host)
        if match is None or match[1].lower() not in self.names:
            return None
        if match[2] is not None and not 0 < int(match[2]) < 65_536:
            return None
        return host.lower()

    def advice(self) -> str:
        """A sentence for the refusal: what to send instead."""
        return f"Send `Host: {NAME}` or `Host: {ADDRESS}`, once."
