"""Rules of security groups: what is kept of a body, and how it is shown."""

from __future__ import annotations

from typing import Any

import pytest
from ibm_vpc.vpc_v1 import SecurityGroupRule
from pydantic import TypeAdapter, ValidationError

from linklocal.vpc.network.loaded import Named
from linklocal.vpc.network.security_groups.rules import (
    RulePrototype,
    default_rules,
    rule_problems,
    rule_view,
    stored_rule,
)

parse = TypeAdapter(RulePrototype).validate_python
GROUP = Named("r006-sg", "crn:v1:bluemix:public:is:us-south:a/a::security-group:r006-sg", "web")


def rule(**members: Any) -> RulePrototype:
    body: RulePrototype = parse({"direction": "inbound", **members})
    return body


def test_a_new_vpcs_group_lets_its_members_in_and_everything_out() -> None:
    views = [
        rule_view("r006-sg", kept, {"r006-sg": GROUP})
        for kept in default_rules("us-south", "r006-sg")
    ]

    assert [(v["direction"], v["protocol"]) for v in views] == [
        ("inbound", "any"),
        ("outbound", "any"),
    ]
    assert views[0]["remote"]["name"] == "web"
    assert views[1]["remote"] == {"cidr_block": "0.0.0.0/0"}
    assert all(SecurityGroupRule.from_dict(view).id for view in views)


def test_ports_and_addresses_are_kept() -> None:
    body = rule(
        protocol="tcp", port_min=22, port_max=22, remote={"address": "10.0.0.9"}, name="ssh"
    )

    view = rule_view("r006-sg", stored_rule("us-south", body, None), {})

    assert (view["port_min"], view["port_max"], view["name"]) == (22, 22, "ssh")
    assert view["remote"] == {"address": "10.0.0.9"}
    assert view["local"] == {"cidr_block": "0.0.0.0/0"}
    assert SecurityGroupRule.from_dict(view).port_min == 22


def test_an_old_name_of_a_protocol_is_kept_as_the_new_one() -> None:
    assert stored_rule("us-south", rule(protocol="all"), None)["protocol"] == "icmp_tcp_udp"


@pytest.mark.parametrize(
    ("members", "target"),
    [
        ({"protocol": "tcp", "port_min": 1}, "port_max"),
        ({"protocol": "udp", "port_max": 1}, "port_min"),
        ({"protocol": "tcp", "port_min": 9, "port_max": 8}, "port_min"),
        ({"protocol": "icmp", "code": 1}, "type"),
        ({"protocol": "any", "name": "ibm-mine"}, "name"),
    ],
)
def test_members_that_do_not_fit_together_are_refused(members: dict[str, Any], target: str) -> None:
    [problem] = rule_problems(rule(**members), "rules[0].")

    assert problem.target is not None
    assert problem.target.name == f"rules[0].{target}"


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"protocol": "ipx"},
        {"protocol": "tcp", "port_min": 0, "port_max": 1},
        {"protocol": "icmp", "type": 255},
    ],
)
def test_what_is_no_rule_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        rule(**members)
