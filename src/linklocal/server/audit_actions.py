"""The event action of an operation: control-plane contract 7.1, by method and path template.

A table and nothing else: it knows no request, and whoever adds a path adds its resource here (a test
compares it with the OpenAPI document).
"""

from __future__ import annotations

import re
from typing import Final

# Path templates with `*` for each parameter, without a last one -> the resource of the event.
_RESOURCES: Final = {
    "/v1/instances": "is.instance.instance",
    "/v1/instances/*/actions": "is.instance.action",
    "/v1/instances/*/console_access_token": "is.instance.console-access-token",
    "/v1/instances/*/disks": "is.instance.disk",
    "/v1/instances/*/initialization": "is.instance.instance",
    "/v1/instances/*/reinitialize": "is.instance.instance",
    "/v1/instances/*/software_attachments": "is.instance.software-attachment",
    "/v1/instances/*/cluster_network_attachments": "is.instance.cluster-network-attachment",
    "/v1/instances/*/network_interfaces": "is.instance.network-interface",
    "/v1/instances/*/network_interfaces/*/ips": "is.subnet.reserved-ip",
    "/v1/instances/*/network_interfaces/*/floating_ips": "is.floating-ip.floating-ip",
    "/v1/instances/*/network_attachments": "is.instance.network-attachment",
    "/v1/instances/*/volume_attachments": "is.instance.volume-attachment",
    "/v1/instance/templates": "is.instance.instance-template",
    "/v1/instance/profiles": "is.instance.instance-profile",
    "/v1/bare_metal_servers": "is.bare-metal-server.bare-metal-server",
    "/v1/bare_metal_servers/*/initialization": "is.bare-metal-server.bare-metal-server",
    "/v1/bare_metal_servers/*/start": "is.bare-metal-server.bare-metal-server",
    "/v1/bare_metal_servers/*/stop": "is.bare-metal-server.bare-metal-server",
    "/v1/bare_metal_servers/*/restart": "is.bare-metal-server.bare-metal-server",
    "/v1/bare_metal_servers/*/console_access_token": "is.bare-metal-server.console-access-token",
    "/v1/bare_metal_servers/*/disks": "is.bare-metal-server.disk",
    "/v1/bare_metal_servers/*/network_attachments": "is.bare-metal-server.network-attachment",
    "/v1/bare_metal_servers/*/network_interfaces": "is.bare-metal-server.network-interface",
    "/v1/bare_metal_server/profiles": "is.bare-metal-server.profile",
    "/v1/keys": "is.key.key",
    "/v1/images": "is.image.image",
    "/v1/images/*/instance_profiles": "is.image.image",
    "/v1/images/*/deprecate": "is.image.image",
    "/v1/images/*/obsolete": "is.image.image",
    "/v1/operating_systems": "is.image.operating-system",
    "/v1/regions": "is.region.region",
    "/v1/regions/*/zones": "is.region.zone",
    "/v1/placement_groups": "is.placement-group.placement-group",
    "/v1/vpcs": "is.vpc.vpc",
    "/v1/vpcs/*/default_security_group": "is.security-group.security-group",
    "/v1/vpcs/*/default_network_acl": "is.network-acl.network-acl",
    "/v1/vpcs/*/default_routing_table": "is.vpc.routing-table",
    "/v1/vpcs/*/address_prefixes": "is.vpc.address-prefix",
    "/v1/subnets": "is.subnet.subnet",
    "/v1/subnets/*/reserved_ips": "is.subnet.reserved-ip",
    "/v1/security_groups": "is.security-group.security-group",
    "/v1/security_groups/*/rules": "is.security-group.security-group-rule",
    "/v1/security_groups/*/targets": "is.security-group.security-group",
    "/v1/floating_ips": "is.floating-ip.floating-ip",
    "/v1/virtual_network_interfaces": "is.virtual-network-interface.virtual-network-interface",
    "/v1/virtual_network_interfaces/*/ips": "is.subnet.reserved-ip",
    "/v1/virtual_network_interfaces/*/floating_ips": "is.floating-ip.floating-ip",
    "/v1/volumes": "is.volume.volume",
    "/v1/volume/profiles": "is.volume.volume-profile",
    "/v1/apikeys": "iam-identity.user-apikey",
    "/v1/apikeys/details": "iam-identity.user-apikey",
    "/v1/apikeys/*/lock": "iam-identity.user-apikey",
    "/v1/apikeys/*/disable": "iam-identity.user-apikey",
    "/v1/profiles": "iam-identity.account-profile",
    "/v1/profiles/*/links": "iam-identity.profile-link",
    "/v1/profiles/*/rules": "iam-identity.profile-rule",
    "/v1/profiles/*/identities": "iam-identity.profile-identity",
    "/v1/profiles/*/identities/*": "iam-identity.profile-identity",
    "/v1/policies": "iam.policy",
    "/audit/v1/events": "linklocal.audit-event",
    "/report/v1/metadata": "linklocal.report",
    "/linklocal/v1/join_tokens": "linklocal.join-token",
    "/linklocal/v1/nodes": "linklocal.node",
    "/linklocal/v1/placements": "linklocal.placement",
    "/linklocal/v1/signing_keys/rotate": "linklocal.signing-key",
    "/linklocal/v1/faults": "linklocal.fault",
    "/linklocal/v1/checkpoint": "linklocal.checkpoint",
    "/linklocal/v1/checkpoint/restore": "linklocal.checkpoint",
}
_VERBS: Final = {
    "GET": "read",
    "POST": "create",
    "PUT": "update",
    "PATCH": "update",
    "DELETE": "delete",
}
# Binding one resource to another by PUT and DELETE on a path of both.
_BINDINGS: Final = (
    "/v1/instances/*/network_interfaces/*/floating_ips",
    "/v1/virtual_network_interfaces/*/ips",
    "/v1/virtual_network_interfaces/*/floating_ips",
    "/v1/security_groups/*/targets",
)
# Paths that end in what is done.
_VERB_PATHS: Final = (
    "reinitialize",
    "rotate",
    "start",
    "stop",
    "restart",
    "restore",
    "deprecate",
    "obsolete",
)
_BINDING_VERBS: Final = {"PUT": "attach", "DELETE": "detach"}

API_KEY_LOGIN = "iam-identity.user-apikey.login"
PROFILE_LOGIN = "iam-identity.trustedprofile.login"


def resource_path(template: str) -> str:
    """`/v1/vpcs/{vpc_id}/address_prefixes/{id}` -> `/v1/vpcs/*/address_prefixes`."""
    return re.sub(r"\{[^}]*\}", "*", template).removesuffix("/*")


def action_of(method: str, template: str) -> str | None:
    """The action of an operation, None for those that are no event (keys, discovery, certificates).

    Logins are not in the table: their action depends on the grant, not on the path.
    """
    path = resource_path(template)
    resource = _RESOURCES.get(path)
    if resource is None:
        return None
    verb = _VERBS[method]
    if path in _BINDINGS:
        verb = _BINDING_VERBS.get(method, verb)
    elif path.endswith(("/lock", "/disable")):
        verb = "update"
    elif method == "PUT" and path.endswith("/initialization"):
        verb = "reinitialize"
    elif (last := path.rpartition("/")[2]) in _VERB_PATHS:
        verb = last
    return f"{resource}.{verb}"
