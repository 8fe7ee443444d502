"""Rules of security groups: bodies, how they are kept, and how they are shown.

A rule is kept in its group's row as its view without `href`; a remote group is kept by id, so that a
rename of that group needs no write here. Nothing enforces rules: linklocal moves no packets, and the
link-local metadata address is not subject to them anyway (contract 2.6).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, TypeAdapter

from linklocal.errors import Problem, bad_field, missing_field
from linklocal.ids import generated_name, new_regional_id
from linklocal.vpc.naming import name_reserved
from linklocal.vpc.network.addresses import Cidr, Ipv4
from linklocal.vpc.network.loaded import Named
from linklocal.vpc.network.views import security_group_reference
from linklocal.vpc.references import Identity, Name, Patch, Prototype, Text

MAX_RULES = 250  # of one group

ANYWHERE = {"cidr_block": "0.0.0.0/0"}

Port = Annotated[int, Field(ge=1, le=65535)]


class LocalPrototype(Prototype):
    """`{address}` or `{cidr_block}`; `address` wins when both are there, being the narrower."""

    address: Ipv4 | None = None
    cidr_block: Cidr | None = None

    def stored(self) -> dict[str, str]:
        if self.address is not None:
            return {"address": self.address}
        return ANYWHERE if self.cidr_block is None else {"cidr_block": self.cidr_block}


class RemotePrototype(LocalPrototype):
    """Also a security group, by `id`, `crn` or `href`."""

    id: Text | None = None
    crn: Text | None = None
    href: Text | None = None

    def identity(self) -> Identity | None:
        """The group it names, or None when it names addresses or nothing."""
        if self.id is None and self.crn is None and self.href is None:
            return None
        return Identity(id=self.id, crn=self.crn, href=self.href)


class _Rule(Prototype):
    direction: Literal["inbound", "outbound"]
    ip_version: Literal["ipv4"] | None = None
    name: Name | None = None
    local: LocalPrototype | None = None
    remote: RemotePrototype | None = None


class PlainRulePrototype(_Rule):
    """Protocols without ports or types. `all` is what `icmp_tcp_udp` was called before 2025-12-09."""

    protocol: Literal[
        "any",
        "all",
        "icmp_tcp_udp",
        "ah",
        "esp",
        "gre",
        "ip_in_ip",
        "l2tp",
        "rsvp",
        "sctp",
        "vrrp",
    ]


class PortRulePrototype(_Rule):
    protocol: Literal["tcp", "udp"]
    port_min: Port | None = None
    port_max: Port | None = None


class IcmpRulePrototype(_Rule):
    protocol: Literal["icmp"]
    type: Annotated[int, Field(ge=0, le=254)] | None = None
    code: Annotated[int, Field(ge=0, le=255)] | None = None


def _kind(body: object) -> str:
    """Tags of the union; what is no known protocol is refused by the plain rule, in its words."""
    protocol = body.get("protocol") if isinstance(body, dict) else getattr(body, "protocol", None)
    if protocol in ("tcp", "udp"):
        return "#ports"
    return "#icmp" if protocol == "icmp" else "#plain"


RulePrototype = Annotated[
    Annotated[PlainRulePrototype, Tag("#plain")]
    | Annotated[PortRulePrototype, Tag("#ports")]
    | Annotated[IcmpRulePrototype, Tag("#icmp")],
    Discriminator(_kind),
]


class RulePatch(Patch):
    """Members that are not named stay; null removes a port, a type or a code."""

    direction: Literal["inbound", "outbound"] = "inbound"
    ip_version: Literal["ipv4"] = "ipv4"
    name: Name = "a"
    local: LocalPrototype = LocalPrototype()
    remote: RemotePrototype = RemotePrototype()
    port_min: Port | None = None
    port_max: Port | None = None
    type: Annotated[int, Field(ge=0, le=254)] | None = None
    code: Annotated[int, Field(ge=0, le=255)] | None = None


_RULE: TypeAdapter[RulePrototype] = TypeAdapter(RulePrototype)


def patched_rule(rule: Mapping[str, Any], patch: RulePatch) -> tuple[RulePrototype, list[Problem]]:
    """The body that a stored rule would be made of after the patch, and members that do not fit it.

    `local` and `remote` are replaced as a whole: an address beside a network would be neither.
    """
    body = _RULE.validate_python({**rule, **patch.given()})
    problems = [
        bad_field(name, f"A rule of protocol {rule['protocol']} has no `{name}`: leave it out.")
        for name in sorted(patch.model_fields_set - set(type(body).model_fields))
    ]
    return body, problems


def rule_problems(body: RulePrototype, field: str) -> list[Problem]:
    """What is wrong with a rule in itself. `field`: prefix of targets, with its dot if not empty."""
    problems = name_reserved(body.name, f"{field}name")
    match body:
        case PortRulePrototype(port_min=low, port_max=high) if (low is None) != (high is None):
            absent = "port_min" if low is None else "port_max"
            message = "Send `port_min` and `port_max` together, or neither for all ports."
            problems.append(missing_field(f"{field}{absent}", message))
        case PortRulePrototype(port_min=int(low), port_max=int(high)) if low > high:
            message = f"`port_min` must not be greater than `port_max`, which is {high}."
            problems.append(bad_field(f"{field}port_min", message, low))
        case IcmpRulePrototype(type=None, code=int(code)):
            message = f"An ICMP code says something only with a type: send `type` for code {code}."
            problems.append(missing_field(f"{field}type", message))
    return problems


def stored_rule(region: str, body: RulePrototype, remote_group_id: str | None) -> dict[str, Any]:
    """What is kept of a new rule. `remote_group_id`: the group that `remote` names, resolved.

    The newest name of a protocol is kept, whatever the request's version.
    """
    remote = body.remote or RemotePrototype()
    rule: dict[str, Any] = {
        "id": new_regional_id(region),
        "name": body.name or generated_name(),
        "direction": body.direction,
        "ip_version": "ipv4",
        "protocol": "icmp_tcp_udp" if body.protocol == "all" else body.protocol,
        "local": (body.local or LocalPrototype()).stored(),
        "remote": remote.stored() if remote_group_id is None else {"id": remote_group_id},
    }
    for member in ("port_min", "port_max", "type", "code"):
        if getattr(body, member, None) is not None:
            rule[member] = getattr(body, member)
    return rule


def default_rules(region: str, group_id: str) -> list[dict[str, Any]]:
    """A VPC's default group: in from its own members, out to anywhere (contract 2.6)."""
    inward = PlainRulePrototype(direction="inbound", protocol="any")
    outward = PlainRulePrototype(direction="outbound", protocol="any")
    return [stored_rule(region, inward, group_id), stored_rule(region, outward, None)]


def rule_view(
    group_id: str, rule: Mapping[str, Any], remote_groups: Mapping[str, Named]
) -> dict[str, Any]:
    """SecurityGroupRule. `remote_groups` has the groups that rules refer to, by id."""
    remote = rule["remote"]
    if (remote_id := remote.get("id")) is not None:
        remote = security_group_reference(remote_groups[remote_id])
    return {
        **rule,
        "href": f"/v1/security_groups/{group_id}/rules/{rule['id']}",
        "remote": remote,
        "resource_type": "security_group_rule",
    }
