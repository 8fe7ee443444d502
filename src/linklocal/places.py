"""Where linklocal keeps things when nobody says otherwise. Imports nothing else, so every part can ask it."""

from __future__ import annotations

import os
from pathlib import Path


def default_state_dir() -> Path:
    """`/var/lib/linklocal` for root services, the user's state folder otherwise."""
    if os.geteuid() == 0 and "XDG_STATE_HOME" not in os.environ:
        return Path("/var/lib/linklocal")
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "linklocal"
