"""The main job through IBM's VPC SDK: an instance, its metadata service, its templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cloud import Cloud
from ibm_cloud_sdk_core import ApiException
from ibm_vpc.vpc_v1 import Instance, InstanceInitialization

OFF = {"enabled": False, "protocol": "http", "response_hop_limit": 1}
ON = {"enabled": True, "protocol": "http", "response_hop_limit": 1}
ON_HTTPS_64 = {"enabled": True, "protocol": "https", "response_hop_limit": 64}


def target(error: ApiException) -> dict[str, Any]:
    first: dict[str, Any] = error.http_response.json()["errors"][0]["target"]
    return first


def test_a_new_instance_has_the_service_off_over_http_with_limit_1(cloud: Cloud) -> None:
    created = cloud.vpc.create_instance(cloud.prototype()).result

    assert created["status"] == "pending"
    instance = cloud.wait(created["id"], "running")
    assert instance["metadata_service"] == OFF
    assert Instance.from_dict(instance).metadata_service.enabled is False


def test_a_key_is_kept_and_named_in_the_initialization(cloud: Cloud, tmp_key: Path) -> None:
    key = cloud.vpc.create_key(
        public_key=tmp_key.read_text(), name=cloud.name("key"), type="ed25519"
    ).result
    instance = cloud.create(keys=[{"id": key["id"]}])

    initialization = cloud.vpc.get_instance_initialization(instance["id"]).result

    assert [key["id"]] == [k["id"] for k in initialization["keys"]]
    assert InstanceInitialization.from_dict(initialization).default_trusted_profile is None


@pytest.mark.differs(
    "Metadata: enabling it on an instance that was created without",
    "takes a stop and a start",
    "takes effect at once, as other changes of it do",
)
def test_patching_on_https_64_and_back(cloud: Cloud) -> None:
    instance = cloud.create()

    on = cloud.vpc.update_instance(instance["id"], {"metadata_service": ON_HTTPS_64}).result
    partly = cloud.vpc.update_instance(
        instance["id"], {"metadata_service": {"enabled": False}}
    ).result
    back = cloud.vpc.update_instance(instance["id"], {"metadata_service": OFF}).result

    assert on["metadata_service"] == ON_HTTPS_64
    assert partly["metadata_service"] == {**ON_HTTPS_64, "enabled": False}
    assert back["metadata_service"] == OFF
    assert cloud.vpc.get_instance(instance["id"]).result["metadata_service"] == OFF


BAD_MEMBERS = [
    ("enabled", "true"), ("enabled", 1), ("enabled", None),
    ("protocol", "HTTPS"), ("protocol", "ftp"), ("protocol", True), ("protocol", None),
    ("response_hop_limit", 0), ("response_hop_limit", 65), ("response_hop_limit", -1),
    ("response_hop_limit", "1"), ("response_hop_limit", 1.5), ("response_hop_limit", True),
    ("response_hop_limit", None), ("enabld", True),
]  # fmt: skip


@pytest.mark.parametrize(("member", "value"), BAD_MEMBERS)
def test_a_bad_member_is_refused_by_name_and_nothing_changes(
    cloud: Cloud, member: str, value: object
) -> None:
    instance = shared_instance(cloud)
    body = {"metadata_service": {"protocol": "https", member: value}}

    with pytest.raises(ApiException) as refused:
        cloud.vpc.update_instance(instance["id"], body)

    assert refused.value.status_code == 400
    assert target(refused.value)["name"] == f"metadata_service.{member}"
    assert target(refused.value)["type"] == "field"
    assert cloud.vpc.get_instance(instance["id"]).result["metadata_service"] == OFF
    if value is not None:
        with pytest.raises(ApiException) as refused:
            cloud.vpc.create_instance(cloud.prototype(metadata_service={member: value}))
        assert target(refused.value)["name"] == f"metadata_service.{member}"


_shared: dict[int, dict[str, Any]] = {}


def shared_instance(cloud: Cloud) -> dict[str, Any]:
    """One instance for all refused changes: none of them may change it."""
    if id(cloud) not in _shared:
        _shared[id(cloud)] = cloud.create()
    return _shared[id(cloud)]


def test_a_template_keeps_its_setting_and_takes_a_name_only(cloud: Cloud) -> None:
    template = cloud.vpc.create_instance_template(
        cloud.prototype(name=cloud.name("tpl"), metadata_service={"enabled": True})
    ).result

    with pytest.raises(ApiException) as refused:
        cloud.vpc.update_instance_template(template["id"], {"metadata_service": {"enabled": False}})
    renamed = cloud.vpc.update_instance_template(template["id"], {"name": cloud.name("tpl")}).result

    assert target(refused.value)["name"] == "metadata_service"
    assert renamed["metadata_service"] == ON
    read = cloud.vpc.get_instance_template(template["id"]).result
    assert read["metadata_service"] == ON
    listed = cloud.vpc.list_instance_templates().result
    assert template["id"] in [t["id"] for t in listed["templates"]]


INHERITANCE = [
    (ON, {"enabled": False}, OFF),
    (OFF, {"enabled": True}, ON),
    (ON, None, ON),
    (OFF, None, OFF),
    (ON_HTTPS_64, {"enabled": True}, ON_HTTPS_64),
    (ON_HTTPS_64, {"enabled": False}, {**ON_HTTPS_64, "enabled": False}),
    (ON_HTTPS_64, {"protocol": "http"}, {**ON_HTTPS_64, "protocol": "http"}),
]


@pytest.mark.parametrize(("given", "option", "expected"), INHERITANCE)
def test_what_is_made_from_a_template_inherits_and_overrides(
    cloud: Cloud, given: dict[str, Any], option: dict[str, Any] | None, expected: dict[str, Any]
) -> None:
    template = cloud.vpc.create_instance_template(
        cloud.prototype(name=cloud.name("tpl"), metadata_service=given)
    ).result
    body: dict[str, Any] = {"source_template": {"id": template["id"]}}
    if option is not None:
        body["metadata_service"] = option

    instance = cloud.vpc.create_instance(dict(body)).result
    override = cloud.vpc.create_instance_template({**body, "name": cloud.name("tpl")}).result

    assert cloud.vpc.get_instance(instance["id"]).result["metadata_service"] == expected
    read = cloud.vpc.get_instance_template(override["id"]).result
    assert read["metadata_service"] == expected
    source = cloud.vpc.get_instance_template(template["id"]).result
    assert source["metadata_service"] == given


def status_or_gone(cloud: Cloud, instance_id: str) -> str | int:
    try:
        return str(cloud.vpc.get_instance(instance_id).result["status"])
    except ApiException as error:
        return int(error.status_code)


def test_a_deleted_instance_is_gone(cloud: Cloud) -> None:
    instance = cloud.create()

    cloud.vpc.delete_instance(instance["id"])

    seen = []
    while (status := status_or_gone(cloud, instance["id"])) != 404:
        seen.append(status)

    assert set(seen) <= {"deleting"}
    with pytest.raises(ApiException) as again:
        cloud.vpc.delete_instance(instance["id"])
    assert again.value.status_code == 404


def test_stop_and_start(cloud: Cloud) -> None:
    instance = cloud.create()

    action = cloud.vpc.create_instance_action(instance["id"], "stop").result
    cloud.wait(instance["id"], "stopped")
    with pytest.raises(ApiException) as refused:
        cloud.vpc.create_instance_action(instance["id"], "stop")
    cloud.vpc.create_instance_action(instance["id"], "start")
    cloud.wait(instance["id"], "running")

    assert action["type"] == "stop"
    assert refused.value.status_code == 409
