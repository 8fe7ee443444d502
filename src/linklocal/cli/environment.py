"""What a client command reads from the environment. Quick to import, so it is not part of `settings.py`.

`LINKLOCAL_*` name linklocal's own settings; `IBMCLOUD_*` are those of IBM's command line.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from linklocal.places import default_state_dir


@dataclass(frozen=True, slots=True)
class Environment:
    """Settings of the command line as a client. Secrets stay out of reprs."""

    api: str | None
    iam: str | None
    state_dir: Path
    config_dir: Path
    api_key: str | None
    cr_token: str | None
    cr_profile: str | None
    cr_vpc_url: str | None

    def __repr__(self) -> str:
        return f"Environment(api={self.api!r}, state_dir={str(self.state_dir)!r})"


def environment() -> Environment:
    """The environment of this process, as it is now. An empty variable is one that is not set."""
    read = {name: value for name, value in os.environ.items() if value}
    config = read.get("LINKLOCAL_CONFIG_DIR")
    if config is None:
        base = read.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
        config = str(Path(base) / "linklocal")
    state = read.get("LINKLOCAL_STATE_DIR")
    return Environment(
        api=read.get("LINKLOCAL_API"),
        iam=read.get("LINKLOCAL_IAM"),
        state_dir=Path(state) if state else default_state_dir(),
        config_dir=Path(config),
        api_key=read.get("IBMCLOUD_API_KEY"),
        cr_token=read.get("IBMCLOUD_CR_TOKEN"),
        cr_profile=read.get("IBMCLOUD_CR_PROFILE"),
        cr_vpc_url=read.get("IBMCLOUD_CR_VPC_URL"),
    )
