"""The names of audit events: the contract's, and one for every operation that the server offers."""

from __future__ import annotations

from pathlib import Path

import pytest

from linklocal.clock import SystemClock
from linklocal.server.app import build
from linklocal.server.audit_actions import action_of
from linklocal.settings import ServerSettings

NO_EVENTS = {"/identity/keys", "/identity/.well-known/openid-configuration", "/ca/{which}.pem"}
BY_GRANT = {"/identity/token"}
NO_CHANGE = {"/identity/introspect"}


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("POST", "/v1/instances", "is.instance.instance.create"),
        ("GET", "/v1/instances/{id}", "is.instance.instance.read"),
        ("PATCH", "/v1/instances/{id}", "is.instance.instance.update"),
        ("DELETE", "/v1/instances/{id}", "is.instance.instance.delete"),
        ("POST", "/v1/instances/{instance_id}/actions", "is.instance.action.create"),
        ("DELETE", "/v1/instance/templates/{id}", "is.instance.instance-template.delete"),
        ("PATCH", "/v1/keys/{id}", "is.key.key.update"),
        (
            "PUT",
            "/v1/virtual_network_interfaces/{vni}/floating_ips/{id}",
            "is.floating-ip.floating-ip.attach",
        ),
        ("POST", "/v1/profiles", "iam-identity.account-profile.create"),
        ("DELETE", "/v1/profiles/{p}/links/{l}", "iam-identity.profile-link.delete"),
        ("DELETE", "/v1/apikeys/{id}/lock", "iam-identity.user-apikey.update"),
        # Of `linklocal dev` only, so that the test below does not see them.
        ("POST", "/linklocal/v1/faults", "linklocal.fault.create"),
        ("DELETE", "/linklocal/v1/faults", "linklocal.fault.delete"),
        ("DELETE", "/linklocal/v1/faults/{id}", "linklocal.fault.delete"),
        ("PUT", "/linklocal/v1/checkpoint", "linklocal.checkpoint.update"),
        ("POST", "/linklocal/v1/checkpoint/restore", "linklocal.checkpoint.restore"),
    ],
)
def test_names_of_the_contract(method: str, path: str, action: str) -> None:
    assert action_of(method, path) == action


async def test_every_operation_has_an_action_and_none_is_a_test_doubles(tmp_path: Path) -> None:
    """A path that is added without one fails here. Faults and checkpoints are `linklocal dev`'s alone."""
    settings = ServerSettings(state_dir=tmp_path)
    async with build(settings, SystemClock(), url="http://api.test", dev=False) as control:
        paths = control.app.openapi()["paths"]
    nameless = {
        path
        for path, methods in paths.items()
        for method in methods
        if action_of(method.upper(), path) is None
    }
    assert nameless <= NO_EVENTS | BY_GRANT | NO_CHANGE
    operators = {path for path in paths if path.startswith("/linklocal/v1/")}
    assert "/linklocal/v1/nodes" in operators
    assert not [path for path in operators if "fault" in path or "checkpoint" in path]
