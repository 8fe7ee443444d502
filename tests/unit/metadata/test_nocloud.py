"""The seed for cloud-init: what is in it, and who gets it. That cloud-init reads it: tests/netns."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from fakes.documents import KEY, USER_DATA, bare_metal_document, full_document
from fakes.upstream import FakeUpstream
from hypothesis import given
from hypothesis import strategies as st
from unit.metadata.harness import Instance, assert_refused

from linklocal.document import InstanceDocument, MetadataService
from linklocal.metadata.routes import handle
from linklocal.metadata.served import Served
from linklocal.metadata.wire import Request, Response

NAMES = ("meta-data", "user-data", "vendor-data", "network-config")


def with_seed(document: InstanceDocument | None = None) -> Instance:
    instance = Instance(document)
    plain = instance.served
    instance.served = Served(plain.document, plain.signer, plain.clock, nocloud=True)
    return instance


def read(instance: Instance, name: str) -> Response:
    return instance.ask("GET", f"/nocloud/{name}", query="")


@pytest.mark.differs(
    "Metadata: what cloud-init reads",
    "a volume labelled `cidata`",
    "a NoCloud seed over http, where a node is told to serve it",
)
def test_it_says_who_the_instance_is_and_which_keys_it_has() -> None:
    instance = with_seed()
    document = instance.served.document

    answer = read(instance, "meta-data")

    assert answer.status == 200
    assert json.loads(answer.body) == {
        "instance-id": document.instance_id,
        "local-hostname": document.name,
        "public-keys": [document.metadata["keys"][0]["public_key"]],
    }
    assert document.metadata["keys"][0]["id"] == KEY["id"]


def test_user_data_is_as_given_and_plain_text() -> None:
    answer = read(with_seed(), "user-data")
    assert (answer.status, answer.body.decode()) == (200, USER_DATA)
    assert answer.type.startswith("text/plain")


def test_an_instance_without_user_data_has_an_empty_file_of_it() -> None:
    document = full_document()
    metadata = {**document.metadata, "initialization": {"keys": []}}

    answer = read(with_seed(replace(document, metadata=metadata)), "user-data")

    assert (answer.status, answer.body) == (200, b"")


def test_every_read_is_audited_as_one_of_the_initialization() -> None:
    for name in NAMES:
        assert read(with_seed(), name).operation == "is.metadata.instance.initialization"


@pytest.mark.parametrize("name", NAMES)
def test_without_the_setting_there_is_no_seed(name: str) -> None:
    assert_refused(read(Instance(), name), 404, "not_found")


@pytest.mark.parametrize("name", NAMES)
def test_a_disabled_service_has_none(name: str) -> None:
    instance = with_seed(full_document(metadata_service=MetadataService()))
    assert_refused(read(instance, name), 403, "unauthorized")


def test_a_change_of_the_document_is_in_the_seed_at_once() -> None:
    instance = with_seed()
    instance.served = instance.served.updated(replace(instance.served.document, name="renamed"))
    assert json.loads(read(instance, "meta-data").body)["local-hostname"] == "renamed"


@pytest.mark.parametrize("header", ["x_forwarded_for", "origin", "sec_fetch_mode"])
def test_what_a_proxy_or_a_browser_passes_on_is_refused(header: str) -> None:
    answer = with_seed().ask("GET", "/nocloud/user-data", query="", **{header: "x"})
    assert_refused(answer, 400, "forbidden_header")


def test_what_else_is_asked_there() -> None:
    instance = with_seed()
    assert_refused(read(instance, "user-data/"), 404, "not_found")
    assert_refused(read(instance, "../metadata/v1/instance"), 404, "not_found")
    assert_refused(read(instance, ""), 404, "not_found")
    refused = instance.ask("PUT", "/nocloud/user-data", query="")
    assert_refused(refused, 405, "invalid_request")
    assert refused.headers == (("Allow", "GET"),)
    assert_refused(
        instance.ask("GET", "/nocloud/user-data", query="x=1"), 400, "unknown_field", "x"
    )


def test_a_bare_metal_server_has_no_metadata_and_no_seed() -> None:
    served = with_seed(bare_metal_document()).served
    answer = handle(Request("GET", "/nocloud/meta-data"), served, FakeUpstream())
    assert isinstance(answer, Response)
    assert_refused(answer, 404, "not_found")


SEED = with_seed()


@given(
    st.sampled_from(["GET", "PUT", "HEAD", "x"]),
    st.one_of(st.sampled_from(NAMES), st.text(max_size=12)),
    st.text(max_size=12),
)
def test_whatever_is_asked_there_is_answered(method: str, name: str, query: str) -> None:
    """A file of the seed, or a refusal with an envelope; never a file to what was not asked for one."""
    answer = SEED.send(Request(method, f"/nocloud/{name}", query))
    if answer.status == 200:
        assert method == "GET"
        assert name in NAMES
    else:
        assert json.loads(answer.body)["errors"][0]["code"] == answer.reason
