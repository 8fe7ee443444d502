"""The one list of settings. Each process reads one class: environment `LINKLOCAL_*`, then flags.

Nothing else in linklocal reads the environment for configuration, but the command line as a client
(`cli/environment.py`), which must start quickly.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from linklocal.places import default_state_dir

DEFAULT_PORT = 8080
DEFAULT_REGION = "us-south"


@dataclass(frozen=True, slots=True)
class Region:
    """The one region that a server speaks for, and its zones."""

    name: str

    @property
    def zones(self) -> tuple[str, ...]:
        return tuple(f"{self.name}-{n}" for n in (1, 2, 3))


class _Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="LINKLOCAL_", extra="ignore")

    state_dir: Path = Field(
        default_factory=default_state_dir,
        description="Folder of everything that this machine keeps (mode 0700).",
    )
    log_format: str = Field(
        default="auto", description="`json`, `console`, or `auto`: by terminal."
    )
    log_level: str = Field(default="info", description="`debug`, `info`, `warning` or `error`.")


class ServerSettings(_Settings):
    """Settings of `linklocal server` (the control plane)."""

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=DEFAULT_PORT, description="Port to listen on; 0 takes any free one.")
    database_url: str | None = Field(
        default=None,
        description="`sqlite:///FILE` (one server) or `postgresql://...` (replicas). "
        "Default: a SQLite file in the state folder.",
    )
    key_file: Path | None = Field(
        default=None,
        description="File with the key that encrypts the server's private keys in the database. "
        "Made in the state folder on SQLite; replicas must share one.",
    )
    public_url: str | None = Field(
        default=None, description="URL under which clients reach the server, if not host and port."
    )
    region: str = Field(
        default=DEFAULT_REGION, description="The one region this server speaks for."
    )
    events_max: int = Field(default=1_000_000, description="Events kept at most.")
    events_hours: int = Field(default=24, description="Hours that an event is kept.")
    metrics_token: SecretStr | None = Field(
        default=None, description="Bearer token that /metrics asks for. Default: none is needed."
    )
    audit_sinks: frozenset[Literal["file", "stdout"]] = Field(
        default=frozenset({"file"}),
        description="Where Activity Tracker events go besides the database: a JSON list of "
        '`"file"` and `"stdout"`, or `[]`.',
    )
    audit_file: Path | None = Field(
        default=None, description="Default: `audit/activity.ndjson` in the state folder."
    )
    audit_file_bytes: int = Field(
        default=16 * 1024 * 1024, gt=0, description="Size at which the audit file is rotated."
    )
    audit_files: int = Field(
        default=5, gt=0, description="Audit files kept, the current one included."
    )
    audit_url: str | None = Field(
        default=None, description="Endpoint to which audit events are POSTed as JSON lists as well."
    )
    audit_token: SecretStr | None = Field(
        default=None, description="Bearer token for the audit endpoint."
    )

    def resolved_database_url(self) -> str:
        return self.database_url or f"sqlite:///{self.state_dir / 'linklocal.db'}"

    def resolved_key_file(self) -> Path:
        return self.key_file or self.state_dir / "server.key"


class NodeSettings(_Settings):
    """Settings of `linklocal node run` (the agent on a host)."""

    server_url: str = Field(
        default=f"http://127.0.0.1:{DEFAULT_PORT}", description="URL of the server."
    )
    join_token: SecretStr | None = Field(
        default=None,
        description="One-time token of `linklocal node join-token`; for enrolment only.",
    )
    node_name: str | None = Field(
        default=None, description="Name of this node; default: host name."
    )
    snapshot: Path | None = Field(
        default=None, description="Serve the documents of this file and ask no server."
    )
    loopback_ports: bool = Field(
        default=False,
        description="Open a loopback port for each instance. Any local user can reach it: "
        "for development.",
    )
    loopback_port_base: int = Field(
        default=8775, description="First loopback port tried for a new instance."
    )
    max_snapshot_age: float | None = Field(
        default=None,
        description="Seconds without contact to the server after which the node "
        "refuses all calls. Default: never.",
    )
    status_port: int | None = Field(
        default=None, description="Loopback port of the node's /metrics and /healthz."
    )
    metrics_per_instance: bool = Field(
        default=False, description="Whether /metrics has a series for each instance."
    )
    local_users: dict[int, frozenset[str]] = Field(
        default={},
        description="Other users of this host that may hand over sockets for instances: JSON, user id -> "
        "instance ids. The node's own user and root always may.",
    )
    local_socket: Path | None = Field(
        default=None,
        description="Another path for the node's Unix socket, which those users can reach; "
        "the state folder is closed to them.",
    )
    instance_rate: float = Field(
        default=2000.0,
        ge=1,
        description="Calls per second and instance, beyond which they are answered 429.",
    )
    workers: int = Field(
        default=1,
        ge=1,
        le=256,
        description="Processes that answer calls, each for its part of the instances; "
        "1: the node itself.",
    )
    nocloud: bool = Field(
        default=False,
        description="Serve each instance a NoCloud seed for cloud-init at `/nocloud/` beside its metadata. "
        "No token is asked for there: everything in the instance can read its user data.",
    )
