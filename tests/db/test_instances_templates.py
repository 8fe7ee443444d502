"""Instances made from templates, lists of instances, and who may make one. Contract 2.1, 2.5, 7.2."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import region as r
from fakes.region import Region, targets
from ibm_vpc.vpc_v1 import Instance
from sqlalchemy import insert

from linklocal.errors import Invalid, NotAuthorized
from linklocal.store.engine import Database
from linklocal.vpc.instances.queries import InstanceFilter
from linklocal.vpc.paging import Page
from linklocal.vpc.templates.tables import instance_templates

ON_HTTPS_7 = {"enabled": True, "protocol": "https", "response_hop_limit": 7}


@pytest.fixture
async def region(database: Database) -> Region:
    return await Region(database).furnish()


# Templates


async def template(region: Region, **members: Any) -> str:
    """A row as the templates' service writes it."""
    id = f"0717-template-{len(members)}"
    async with region.database.transaction() as connection:
        await connection.execute(
            insert(instance_templates).values(
                id=id,
                account_id=r.ACCOUNT,
                region=r.NAME,
                zone=r.ZONE,
                name="template",
                crn=r.crn(r.ZONE, "instance-template", id),
                prototype=r.body(**members),
                resource_group_id=r.GROUP,
                created_at=region.clock.now(),
            )
        )
    return id


async def from_template(region: Region, id: str, **members: Any) -> dict[str, Any]:
    nothing = dict.fromkeys(("image", "zone", "profile", "primary_network_attachment"))
    return await region.create(**{**nothing, "source_template": {"id": id}, **members})


async def test_an_instance_inherits_all_of_a_template_but_the_name(region: Region) -> None:
    source = await template(
        region,
        name="not-this",
        keys=[{"id": r.KEY}],
        user_data="#!/bin/sh\n",
        metadata_service=ON_HTTPS_7,
        default_trusted_profile={"target": {"id": r.PROFILE}},
    )

    instance = await from_template(region, source)

    initialization = await region.instances.initialization(r.ADMINISTRATOR, instance["id"])
    document = (await region.published())[instance["id"]]
    assert instance["name"] != "not-this"
    assert instance["metadata_service"] == ON_HTTPS_7
    assert [key["id"] for key in initialization["keys"]] == [r.KEY]
    assert await region.links() == [instance["crn"]]
    assert document.metadata["initialization"]["user_data"] == "#!/bin/sh\n"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ({"enabled": True}, ON_HTTPS_7),
        ({"enabled": False}, {**ON_HTTPS_7, "enabled": False}),
        ({"protocol": "http"}, {**ON_HTTPS_7, "protocol": "http"}),
        ({}, ON_HTTPS_7),
        (None, ON_HTTPS_7),
        ({"enabled": None}, ON_HTTPS_7),
    ],
)
async def test_the_metadata_service_of_a_template_merges_by_member(
    region: Region, override: dict[str, Any] | None, expected: dict[str, Any]
) -> None:
    source = await template(region, metadata_service=ON_HTTPS_7)

    instance = await from_template(region, source, metadata_service=override)

    assert instance["metadata_service"] == expected


async def test_other_members_replace_the_template_s(region: Region) -> None:
    source = await template(region, keys=[{"id": r.KEY}], vcpu={"percentage": 100})
    keys = [{"id": r.RSA_KEY}]

    instance = await from_template(region, source, keys=keys, profile={"name": "cx2-2x4"})

    initialization = await region.instances.initialization(r.ADMINISTRATOR, instance["id"])
    assert [key["id"] for key in initialization["keys"]] == [r.RSA_KEY]
    assert instance["profile"]["name"] == "cx2-2x4"


async def test_a_template_that_is_not_there_is_the_body_s_problem(region: Region) -> None:
    with pytest.raises(Invalid) as error:
        await from_template(region, "nowhere")

    assert targets(error.value) == {"source_template.id": "not_found"}


# Rights


@pytest.mark.parametrize(
    ("role", "allowed"), [("Viewer", False), ("Operator", False), ("Editor", True)]
)
async def test_editors_create(region: Region, role: str, allowed: bool) -> None:
    caller = await region.grant(role)
    if allowed:
        assert (await region.create(caller))["status"] == "pending"
        return
    with pytest.raises(NotAuthorized):
        await region.create(caller)


async def test_linking_a_profile_needs_rights_on_iam(region: Region) -> None:
    """Whoever may create instances must not give them a profile's rights by that (contract 2.3)."""
    editor = await region.grant("Editor")

    with pytest.raises(NotAuthorized) as error:
        await region.create(editor, default_trusted_profile={"target": {"id": r.PROFILE}})

    assert error.value.action == "iam-identity.profile.linkToResource"


async def test_another_account_sees_nothing(region: Region) -> None:
    instance = await region.create()

    views, total, following = await region.instances.list(r.STRANGER, Page(), InstanceFilter())

    assert (views, total, following) == ([], 0, None)
    assert instance["id"] not in [view["id"] for view in views]


# Lists


async def test_lists_are_filtered_and_paged(region: Region) -> None:
    made = []
    for number in range(3):
        region.clock.advance(1)
        made.append(await region.create(name=f"vm-{number}"))
    spot = await region.create(
        name="spot", availability={"class": "spot"}, placement_target={"id": r.PLACEMENT_GROUP}
    )
    newest_first = [spot["id"], *(view["id"] for view in reversed(made))]

    async def ids(page: Page | None = None, **asked: Any) -> list[str]:
        views, _, _ = await region.instances.list(
            r.ADMINISTRATOR, page or Page(), InstanceFilter(**asked)
        )
        for view in views:
            Instance.from_dict(view)
        return [view["id"] for view in views]

    views, total, following = await region.instances.list(
        r.ADMINISTRATOR, Page(3), InstanceFilter()
    )
    listed = [view["id"] for view in views] + await ids(Page(3, following))

    assert sorted(listed) == sorted(newest_first)
    assert (total, len(views)) == (4, 3)
    assert await ids(name="vm-1") == [made[1]["id"]]
    assert len(await ids(vpc_id=r.VPC)) == 4
    assert len(await ids(vpc_name="vpc")) == 4
    assert len(await ids(vpc_crn=r.crn(r.NAME, "vpc", r.VPC))) == 4
    assert await ids(vpc_id=r.OTHER_VPC) == []
    assert len(await ids(resource_group_id=r.GROUP)) == 4
    assert await ids(availability_class="spot") == [spot["id"]]
    assert len(await ids(affinity_policy="disabled")) == 4
    assert await ids(affinity_policy="automatic") == []
    assert await ids(placement_group_id=r.PLACEMENT_GROUP) == [spot["id"]]
    assert await ids(placement_group_name="spread") == [spot["id"]]
    assert await ids(placement_group_crn="crn:v1:no") == []
    assert await ids(nothing=True) == []
