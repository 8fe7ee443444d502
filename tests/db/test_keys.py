"""SSH keys: the operations, and what instances see of a key (contract 2.6, keys)."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fakes.queries import counted
from fakes.region import ADMINISTRATOR, GROUP, KEY, RSA_KEY, STRANGER, Region
from fakes.vpc_api import client_of, errors, pages
from ibm_vpc.vpc_v1 import InstanceInitialization, Key, KeyCollection

from linklocal.errors import Invalid, NotAuthorized
from linklocal.iam.caller import Caller
from linklocal.store.engine import Database
from linklocal.vpc.keys.model import KeyPrototype
from linklocal.vpc.keys.routes import key_routes
from linklocal.vpc.keys.service import KeyService
from linklocal.vpc.paging import Page


@pytest.fixture
async def region(database: Database) -> Region:
    return await Region(database).furnish()


def public_key() -> str:
    public = Ed25519PrivateKey.generate().public_key()
    return f"{public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()} me@here\n"


def client(region: Region, caller: Caller = ADMINISTRATOR) -> httpx.AsyncClient:
    return client_of(key_routes(KeyService(region.context)), caller=caller)


def body(**members: Any) -> dict[str, Any]:
    return {"public_key": public_key(), "type": "ed25519", **members}


async def test_a_key_is_made_read_listed_and_removed(region: Region) -> None:
    async with client(region) as api:
        made = await api.post("/v1/keys", json=body(name="laptop"))
        key = made.json()
        read = await api.get(f"/v1/keys/{key['id']}")
        listed = (await api.get("/v1/keys")).json()
        gone = await api.delete(f"/v1/keys/{key['id']}")
        again = await api.delete(f"/v1/keys/{key['id']}")

    assert made.status_code == 201
    assert Key.from_dict(key).resource_group.id == GROUP
    assert key["href"] == f"http://api.test:8080/v1/keys/{key['id']}"
    assert (key["name"], key["length"], key["type"]) == ("laptop", 256, "ed25519")
    assert key["public_key"].count(" ") == 1
    assert read.json() == key
    assert key in listed["keys"]
    assert KeyCollection.from_dict(listed).total_count == 3
    assert (gone.status_code, gone.content) == (204, b"")
    assert (again.status_code, errors(again)) == (404, [("not_found", "id")])


async def test_a_name_is_made_up_if_none_is_given(region: Region) -> None:
    async with client(region) as api:
        key = (await api.post("/v1/keys", json={"public_key": public_key()})).json()

    assert len(key["name"].split("-")) == 4


async def test_every_problem_of_a_body_is_told(region: Region) -> None:
    async with client(region) as api:
        wrong = await api.post(
            "/v1/keys", json=body(type="rsa", name="key", resource_group={"id": "x"})
        )
        reserved = await api.post("/v1/keys", json={"public_key": "no", "name": "ibm-x"})
        missing = await api.post("/v1/keys", json={"name": "x"})

    assert wrong.status_code == 400
    assert errors(wrong) == [
        ("bad_field", "type"),
        ("not_found", "resource_group.id"),
        ("validation_unique_failed", "name"),
    ]
    assert errors(reserved) == [("bad_field", "public_key"), ("bad_field", "name")]
    assert errors(missing) == [("missing_field", "public_key")]


async def test_a_public_key_is_in_a_region_once(region: Region) -> None:
    text = public_key()
    async with client(region) as api:
        await api.post("/v1/keys", json=body(public_key=text, name="first"))
        twin = await api.post("/v1/keys", json=body(public_key=text, name="second"))

    assert errors(twin) == [("validation_unique_failed", "public_key")]
    assert "'first'" in twin.json()["errors"][0]["message"]


@pytest.mark.parametrize("same", ["name", "public_key"])
async def test_of_requests_at_the_same_time_one_wins(region: Region, same: str) -> None:
    service, text = KeyService(region.context), public_key()
    bodies = [
        body(name="shared") if same == "name" else body(public_key=text, name=f"key-{n}")
        for n in range(5)
    ]

    answers = await asyncio.gather(
        *(service.create(ADMINISTRATOR, KeyPrototype.model_validate(b)) for b in bodies),
        return_exceptions=True,
    )

    made = [answer for answer in answers if isinstance(answer, dict)]
    refused = [answer for answer in answers if isinstance(answer, Invalid)]
    assert (len(made), len(refused)) == (1, 4)
    assert {(p.code, p.target and p.target.name) for error in refused for p in error.problems} == {
        ("validation_unique_failed", same)
    }


async def test_pages_show_every_key_once_newest_first(region: Region) -> None:
    async with client(region) as api:
        for number in range(5):
            region.clock.advance(0 if number == 3 else 1)
            await api.post("/v1/keys", json=body(name=f"key-{number}"))
        found = await pages(api, "/v1/keys", limit="2")

    seen = [key["name"] for page in found for key in page["keys"]]
    assert [len(page["keys"]) for page in found] == [2, 2, 2, 1]
    assert {(page["limit"], page["total_count"]) for page in found} == {(2, 7)}
    assert seen[0] == "key-4"
    assert set(seen[1:3]) == {"key-2", "key-3"}
    assert seen[3:5] == ["key-1", "key-0"]
    assert set(seen[5:]) == {"key", "rsa"}


async def test_a_list_is_narrowed_by_resource_group(region: Region) -> None:
    async with client(region) as api:
        ours = (await api.get("/v1/keys", params={**api.params, "resource_group.id": GROUP})).json()
        none = (await api.get("/v1/keys", params={**api.params, "resource_group.id": "x"})).json()

    assert ours["total_count"] == 2
    assert f"resource_group.id={GROUP}" in ours["first"]["href"]
    assert (none["total_count"], none["keys"]) == (0, [])


async def test_a_list_takes_as_many_queries_for_many_keys_as_for_one(region: Region) -> None:
    service = KeyService(region.context)
    with counted(region.database) as one:
        await service.list(ADMINISTRATOR, Page(1))
    for _ in range(10):
        await service.create(ADMINISTRATOR, KeyPrototype.model_validate(body()))

    with counted(region.database) as many:
        views, _, _ = await service.list(ADMINISTRATOR, Page(50))

    assert len(views) == 12
    assert len(many) == len(one)


async def test_a_rename_is_checked_and_reaches_the_instances_that_use_the_key(
    region: Region,
) -> None:
    user = await region.create(keys=[{"id": KEY}, {"id": RSA_KEY}])
    other = await region.create(keys=[{"id": RSA_KEY}])
    before = await region.published()
    async with client(region) as api:
        renamed = await api.patch(f"/v1/keys/{KEY}", json={"name": "renamed"})
        unchanged = await api.patch(f"/v1/keys/{KEY}", json={})
        taken = await api.patch(f"/v1/keys/{KEY}", json={"name": "rsa"})
        strange = await api.patch(f"/v1/keys/{KEY}", json={"type": "rsa", "name": None})
    published = await region.published()

    assert renamed.json()["name"] == unchanged.json()["name"] == "renamed"
    assert errors(taken) == [("validation_unique_failed", "name")]
    assert sorted(errors(strange)) == [("bad_field", "name"), ("bad_field", "type")]
    assert [k["name"] for k in published[user["id"]].metadata["keys"]] == ["renamed", "rsa"]
    assert published[other["id"]] == before[other["id"]]
    assert await region.stale() == []


async def test_a_deleted_key_stays_with_the_instance_as_it_was_at_its_end(region: Region) -> None:
    user = await region.create(keys=[{"id": KEY}, {"id": RSA_KEY}])
    async with client(region) as api:
        await api.patch(f"/v1/keys/{KEY}", json={"name": "last-name"})
        await api.delete(f"/v1/keys/{KEY}")

    initialization = await region.instances.initialization(ADMINISTRATOR, user["id"])
    gone, kept = initialization["keys"]
    document = (await region.published())[user["id"]]
    assert InstanceInitialization.from_dict(initialization).keys[0].deleted.more_info
    assert gone["name"] == "last-name"
    assert "deleted" not in kept
    assert [k["name"] for k in document.metadata["keys"]] == ["last-name", "rsa"]
    assert await region.stale() == []


async def test_a_renamed_key_and_a_deleted_instance_do_not_wait_for_each_other(
    region: Region,
) -> None:
    """Both lock the key's instances and their uses, in one order."""
    for _ in range(5):
        made = await region.create(keys=[{"id": KEY}])
        service = KeyService(region.context)
        extra = await service.create(ADMINISTRATOR, KeyPrototype.model_validate(body()))
        both = await region.create(keys=[{"id": extra["id"]}, {"id": KEY}])
        async with asyncio.timeout(20):
            await asyncio.gather(
                service.delete(ADMINISTRATOR, extra["id"]),
                region.instances.delete(ADMINISTRATOR, both["id"], None),
                region.instances.delete(ADMINISTRATOR, made["id"], None),
            )
    assert await region.stale() == []


async def test_who_may_do_what(region: Region) -> None:
    viewer = await region.grant("Viewer")
    service = KeyService(region.context)
    async with client(region, STRANGER) as api:
        foreign = await api.get(f"/v1/keys/{KEY}")
        listed = (await api.get("/v1/keys")).json()

    assert foreign.status_code == 404
    assert listed["total_count"] == 1
    assert (await service.get(viewer, KEY))["id"] == KEY
    with pytest.raises(NotAuthorized):
        await service.create(viewer, KeyPrototype.model_validate(body()))
    with pytest.raises(NotAuthorized):
        await service.delete(viewer, KEY)
