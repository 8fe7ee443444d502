"""Creating instances: variants, defaults, and every problem of a body at once. Contract 2.2-2.5."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import region as r
from fakes.region import Region, attachment, prototype, targets
from ibm_vpc.vpc_v1 import Instance, InstanceInitialization
from sqlalchemy import select

from linklocal.errors import Invalid
from linklocal.iam.tables import profile_links
from linklocal.store.engine import Database
from linklocal.vpc.instances.tables import instances
from linklocal.vpc.network.tables import network_attachments, reserved_ips
from linklocal.vpc.volumes.tables import volumes

OFF = {"enabled": False, "protocol": "http", "response_hop_limit": 1}
ON_HTTPS_7 = {"enabled": True, "protocol": "https", "response_hop_limit": 7}


@pytest.fixture
async def region(database: Database) -> Region:
    return await Region(database).furnish()


async def refused(region: Region, **members: Any) -> dict[str, str]:
    """Code by target of a body that must be refused, and leave nothing behind."""
    with pytest.raises(Invalid) as error:
        await region.create(**members)
    empty = dict.fromkeys(("instances", "network_attachments", "volumes", "profile_links"), 0)
    assert await region.count(instances, network_attachments, volumes, profile_links) == empty
    return targets(error.value)


# Variants


async def test_made_with_an_attachment_it_has_both_pictures_of_it(region: Region) -> None:
    made = await region.create(name="web-1")
    await region.acknowledge()

    instance = await region.get(made["id"])

    parsed = Instance.from_dict(instance)
    assert made["status"] == "pending"
    assert made["lifecycle_state"] == "pending"
    assert instance["status"] == "running"
    assert instance["lifecycle_state"] == "stable"
    assert parsed.primary_network_attachment.id == parsed.primary_network_interface.id
    assert [a["id"] for a in instance["network_attachments"]] == [
        i["id"] for i in instance["network_interfaces"]
    ]
    assert Instance.from_dict(made).name == "web-1"


async def test_made_with_an_interface_it_has_no_attachment(region: Region) -> None:
    instance = await region.create(
        primary_network_attachment=None, primary_network_interface={"subnet": {"id": r.SUBNET}}
    )

    assert instance["network_attachments"] == []
    assert "primary_network_attachment" not in instance
    assert instance["primary_network_interface"]["primary_ip"]["address"] == "10.240.0.4"
    assert Instance.from_dict(instance).primary_network_interface.subnet.id == r.SUBNET


async def test_nothing_said_means_the_defaults(region: Region) -> None:
    """Contract 0, items 1 and 2, and 2.4."""
    instance = await region.create(profile=None)
    initialization = await region.instances.initialization(r.ADMINISTRATOR, instance["id"])

    assert instance["metadata_service"] == OFF
    assert instance["profile"]["name"] == "bxf-2x8"
    assert instance["resource_group"]["id"] == r.GROUP
    assert instance["availability_policy"] == {"host_failure": "restart", "preemption": "stop"}
    assert instance["reservation_affinity"] == {"policy": "disabled", "pool": []}
    assert instance["vpc"]["id"] == r.VPC
    assert initialization == {"keys": []}
    assert len(instance["name"].split("-")) >= 4
    assert "default_trusted_profile" not in instance
    assert "user_data" not in instance


async def test_everything_said_is_kept(region: Region) -> None:
    instance = await region.create(
        name="all",
        vpc={"crn": r.crn(r.NAME, "vpc", r.VPC)},
        keys=[{"id": r.KEY}, {"fingerprint": f"SHA256:{r.RSA_KEY}"}, {"id": r.KEY}],
        user_data="#cloud-config\n",
        metadata_service=ON_HTTPS_7,
        default_trusted_profile={"target": {"crn": r.PROFILE_CRN}},
        placement_target={"id": r.PLACEMENT_GROUP},
        availability={"class": "spot"},
        availability_policy={"host_failure": "stop", "preemption": "delete"},
        enable_secure_boot=True,
        total_volume_bandwidth=600,
        reservation_affinity={"policy": "automatic", "pool": []},
        network_attachments=[attachment(r.SUBNET_2, name="second")],
        volume_attachments=[{"volume": {"capacity": 50, "profile": {"name": "general-purpose"}}}],
        unheard_of={"by": "this version"},
    )
    initialization = await region.instances.initialization(r.ADMINISTRATOR, instance["id"])
    document = (await region.published())[instance["id"]]

    assert instance["metadata_service"] == ON_HTTPS_7
    assert instance["availability"] == {"class": "spot"}
    assert instance["availability_policy"] == {"host_failure": "stop", "preemption": "delete"}
    assert instance["enable_secure_boot"] is True
    assert instance["total_volume_bandwidth"] == 600
    assert instance["total_network_bandwidth"] == instance["bandwidth"] - 600
    assert instance["placement_target"]["id"] == r.PLACEMENT_GROUP
    assert len(instance["volume_attachments"]) == 2
    assert [a["subnet"]["id"] for a in instance["network_attachments"]] == [r.SUBNET, r.SUBNET_2]
    Instance.from_dict(instance)
    parsed = InstanceInitialization.from_dict(initialization)
    assert [key.id for key in parsed.keys] == [r.KEY, r.RSA_KEY]
    assert parsed.default_trusted_profile.auto_link is True
    assert parsed.default_trusted_profile.target.id == r.PROFILE
    assert "user_data" not in initialization
    assert document.metadata["initialization"]["user_data"] == "#cloud-config\n"
    assert document.metadata["placement_groups"][0]["strategy"] == "host_spread"


async def test_a_volume_can_be_what_an_instance_starts_from(region: Region) -> None:
    first = await region.create()
    boot = {"volume": {"id": first["boot_volume_attachment"]["volume"]["id"]}}
    with pytest.raises(Invalid) as attached:
        await region.create(image=None, boot_volume_attachment=boot)
    body = {"image": None, "boot_volume_attachment": boot}
    kept = await region.create(
        boot_volume_attachment={"delete_volume_on_instance_delete": False, "name": "keep"}
    )
    await region.instances.delete(r.ADMINISTRATOR, kept["id"], None)
    body["boot_volume_attachment"] = {
        "volume": {"id": kept["boot_volume_attachment"]["volume"]["id"]}
    }

    second = await region.create(**body)

    assert list(targets(attached.value)) == ["boot_volume_attachment.volume.id"]
    assert second["image"]["id"] == r.IMAGE
    assert (
        second["boot_volume_attachment"]["volume"]["id"]
        == body["boot_volume_attachment"]["volume"]["id"]
    )


VARIANTS: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"image": None}, {"image": "missing_field"}),
    (
        {"image": None, "catalog_offering": {"version": {"crn": "crn"}}},
        {"catalog_offering": "bad_field"},
    ),
    ({"zone": None}, {"zone": "missing_field"}),
    ({"zone": {"name": "eu-de-1"}}, {"zone.name": "not_found"}),
    (
        {"zone": {"name": "us-south-2"}},
        {"primary_network_attachment.virtual_network_interface.subnet.id": "bad_field"},
    ),
    ({"primary_network_attachment": None}, {"primary_network_attachment": "missing_field"}),
    (
        {"primary_network_interface": {"subnet": {"id": r.SUBNET_2}}},
        {"primary_network_interface": "bad_field"},
    ),
    ({"image": {"id": "nowhere"}}, {"image.id": "not_found"}),
    ({"image": {"id": r.OLD_IMAGE}}, {"image.id": "bad_field"}),
    ({"image": {"id": r.S390X_IMAGE}}, {"image.id": "bad_field"}),
    ({"image": {"id": r.WINDOWS_IMAGE}}, {"keys": "missing_field"}),
    (
        {"image": {"id": r.WINDOWS_IMAGE}, "keys": [{"id": r.RSA_KEY}, {"id": r.KEY}]},
        {"keys[1].id": "bad_field"},
    ),
    ({"profile": {"name": "nx9-1x1"}}, {"profile.name": "not_found"}),
    ({"keys": [{"id": r.KEY}, {"id": r.FOREIGN_KEY}]}, {"keys[1].id": "not_found"}),
    ({"vpc": {"id": r.OTHER_VPC}}, {"vpc": "bad_field"}),
    ({"vpc": {"id": "nowhere"}}, {"vpc.id": "not_found"}),
    ({"resource_group": {"id": "d" * 32}}, {"resource_group.id": "not_found"}),
    ({"placement_target": {"id": "host-1"}}, {"placement_target.id": "not_found"}),
    (
        {"default_trusted_profile": {"target": {"id": r.FOREIGN_PROFILE}}},
        {"default_trusted_profile.target.id": "not_found"},
    ),
    (
        {"default_trusted_profile": {"target": {}}},
        {"default_trusted_profile.target.id": "missing_field"},
    ),
    ({"threads_per_core": 8}, {"threads_per_core": "bad_field"}),
    ({"vcpu": {"percentage": 7}}, {"vcpu.percentage": "bad_field"}),
    ({"total_volume_bandwidth": 1}, {"total_volume_bandwidth": "bad_field"}),
    (
        {"reservation_affinity": {"pool": [{"id": "x"}]}},
        {"reservation_affinity.pool": "not_found"},
    ),
    ({"reservation_affinity": {"policy": "manual"}}, {"reservation_affinity.policy": "bad_field"}),
    ({"confidential_compute_mode": "tdx"}, {"confidential_compute_mode": "bad_field"}),
    ({"cluster_network_attachments": [{}]}, {"cluster_network_attachments": "bad_field"}),
    ({"name": "ibm-mine"}, {"name": "bad_field"}),
    (
        {
            "image": {"id": r.S390X_IMAGE},
            "profile": {"name": "bz2-2x8"},
            "metadata_service": ON_HTTPS_7,
        },
        {"metadata_service.enabled": "bad_field"},
    ),
    (
        {"network_attachments": [attachment()] * 5},
        {"network_attachments": "bad_field"},
    ),
]


@pytest.mark.parametrize(("members", "expected"), VARIANTS)
async def test_a_body_that_does_not_fit_is_refused_by_its_member(
    region: Region, members: dict[str, Any], expected: dict[str, str]
) -> None:
    assert await refused(region, **members) == expected


async def test_all_problems_of_a_body_are_reported_together(region: Region) -> None:
    found = await refused(
        region,
        image={"id": "nowhere"},
        keys=[{"id": "nowhere"}],
        zone={"name": "mars-1"},
        default_trusted_profile={"target": {"id": "Profile-0"}},
        threads_per_core=9,
    )

    assert set(found) == {
        "image.id",
        "keys[0].id",
        "zone.name",
        "default_trusted_profile.target.id",
        "threads_per_core",
    }


async def test_s390x_is_fine_without_the_metadata_service(region: Region) -> None:
    instance = await region.create(image={"id": r.S390X_IMAGE}, profile={"name": "bz2-2x8"})

    assert instance["vcpu"]["architecture"] == "s390x"


async def test_a_name_is_taken_once(region: Region) -> None:
    await region.create(name="web")

    with pytest.raises(Invalid) as error:
        await region.create(name="web")

    assert targets(error.value) == {"name": "validation_unique_failed"}


async def test_a_placement_group_has_room_for_twelve(region: Region) -> None:
    for _ in range(12):
        await region.create(placement_target={"id": r.PLACEMENT_GROUP})

    with pytest.raises(Invalid) as error:
        await region.create(placement_target={"id": r.PLACEMENT_GROUP})

    assert targets(error.value) == {"placement_target.id": "bad_field"}


# Trusted profiles


@pytest.mark.differs(
    "VPC API: the automatic link of a new instance",
    "when it is there is not published",
    "there with the 201",
)
@pytest.mark.parametrize(
    ("given", "linked"), [({}, True), ({"auto_link": True}, True), ({"auto_link": False}, False)]
)
async def test_the_link_is_there_with_the_answer(
    region: Region, given: dict[str, bool], linked: bool
) -> None:
    """Contract 0, item 3, and 2.3."""
    profile = {"target": {"id": r.PROFILE}, **given}
    instance = await region.create(default_trusted_profile=profile)

    initialization = await region.instances.initialization(r.ADMINISTRATOR, instance["id"])

    assert await region.links() == ([instance["crn"]] if linked else [])
    assert initialization["default_trusted_profile"]["auto_link"] is linked
    assert initialization["default_trusted_profile"]["target"]["id"] == r.PROFILE


async def test_an_answer_never_shows_user_data(region: Region) -> None:
    instance = await region.create(user_data="s3cret")
    initialization = await region.instances.initialization(r.ADMINISTRATOR, instance["id"])

    assert "s3cret" not in str(await region.get(instance["id"]))
    assert "s3cret" not in str(initialization)


@pytest.mark.differs(
    "VPC API: `primary_ip` in the answer to a create",
    "`0.0.0.0` until an address is bound",
    "bound in that answer",
)
async def test_addresses_are_bound_when_the_answer_comes(region: Region) -> None:
    instance = await region.create()
    address = instance["primary_network_interface"]["primary_ip"]["address"]

    async with region.database.read() as connection:
        statement = select(reserved_ips.c.target_id).where(reserved_ips.c.address == address)
        bound = (await connection.execute(statement.where(reserved_ips.c.owner == "user"))).all()

    assert [row.target_id for row in bound] == [
        instance["primary_network_attachment"]["virtual_network_interface"]["id"]
    ]


@pytest.mark.differs(
    "VPC API: unknown members of a body",
    "not published",
    "ignored at the top of a POST; 400 within `metadata_service` and in a PATCH",
)
def test_what_a_prototype_does_not_know_is_ignored_at_the_top_only() -> None:
    """A newer SDK may send more; a typo in the metadata service must not pass (contract 1.1, 2.2)."""
    assert prototype(new_thing=1).image is not None
    with pytest.raises(ValueError, match="enabld"):
        prototype(metadata_service={"enabld": True})
    with pytest.raises(ValueError, match="autolink"):
        prototype(default_trusted_profile={"target": {"id": "x"}, "autolink": True})
