"""The steps between what is served and what is wanted, and that no step on the way is too open."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes.documents import full_document
from hypothesis import given
from hypothesis import strategies as st

from linklocal.document import InstanceDocument, MetadataService
from linklocal.ids import InstanceId
from linklocal.node.reconcile import Change, Close, Open, change, diff, effective, strictest

SETTINGS = st.builds(
    MetadataService,
    enabled=st.booleans(),
    protocol=st.sampled_from(["http", "https"]),
    response_hop_limit=st.integers(1, 64),
)
IDS = st.sampled_from([InstanceId(f"0717_{n}") for n in range(4)])
BASE = full_document()


@st.composite
def document_sets(draw: st.DrawFn) -> dict[InstanceId, InstanceDocument]:
    return {
        id: replace(
            BASE,
            instance_id=id,
            name=draw(st.sampled_from(["a", "b"])),
            serving=draw(st.booleans()),
            tokens_valid_after=draw(st.integers(1, 3)),
            metadata_service=draw(SETTINGS),
        )
        for id in draw(st.sets(IDS))
    }


def on(**settings: object) -> InstanceDocument:
    service = MetadataService(**{"enabled": True, **settings})  # type: ignore[arg-type]
    return replace(BASE, metadata_service=service)


def reach(service: MetadataService) -> tuple[int, bool]:
    """How far a listener's answers go, and whether it answers in the clear. (0, False): refuses all."""
    if not service.enabled:
        return 0, False
    return service.response_hop_limit, service.protocol == "http"


@given(document_sets(), document_sets())
def test_the_steps_lead_to_what_is_wanted(
    old: dict[InstanceId, InstanceDocument], new: dict[InstanceId, InstanceDocument]
) -> None:
    opened, wanted = effective(old, refuse_all=False), effective(new, refuse_all=False)
    steps = diff(wanted, opened)

    for step in steps:  # before saving
        if isinstance(step, Close):
            del opened[step.instance_id]
        elif isinstance(step, Change) and step.first is not None:
            opened[step.instance_id] = step.first
    for id, document in opened.items():
        assert reach(document.metadata_service) <= reach(wanted[id].metadata_service)
    for step in steps:  # after saving
        if isinstance(step, Open):
            assert step.document.instance_id not in opened
            opened[step.document.instance_id] = step.document
        elif isinstance(step, Change) and step.then is not None:
            opened[step.instance_id] = step.then
    assert opened == wanted
    assert diff(wanted, opened) == []


@given(SETTINGS, SETTINGS)
def test_between_two_settings_nothing_is_allowed_that_one_forbids(
    old: MetadataService, new: MetadataService
) -> None:
    between = reach(strictest(old, new))

    assert between[0] <= min(reach(old)[0], reach(new)[0])
    assert not between[1] or (reach(old)[1] and reach(new)[1])


@pytest.mark.parametrize(
    ("old", "new", "first", "then"),
    [
        (on(), on(enabled=False), on(enabled=False), None),
        (on(enabled=False), on(), None, on()),
        (on(response_hop_limit=5), on(response_hop_limit=2), on(response_hop_limit=2), None),
        (on(response_hop_limit=2), on(response_hop_limit=5), None, on(response_hop_limit=5)),
        (on(), on(protocol="https"), on(protocol="https"), None),
        (on(protocol="https"), on(), None, on()),
        # Both at once: https now, the higher limit once it is saved.
        (
            on(),
            on(protocol="https", response_hop_limit=9),
            on(protocol="https"),
            on(protocol="https", response_hop_limit=9),
        ),
        (on(), replace(on(), name="other"), None, replace(on(), name="other")),
        # Tokens of an earlier epoch are refused at once.
        (on(), replace(on(), tokens_valid_after=9), replace(on(), tokens_valid_after=9), None),
    ],
)
def test_what_comes_before_saving_and_what_after(
    old: InstanceDocument,
    new: InstanceDocument,
    first: InstanceDocument | None,
    then: InstanceDocument | None,
) -> None:
    assert change(old, new) == Change(first, then)


def test_refusing_all_disables_and_opens_nothing_else() -> None:
    stopped = replace(on(), instance_id=InstanceId("0717_1"), serving=False)
    documents = {BASE.instance_id: on(protocol="https"), stopped.instance_id: stopped}
    refusing = effective(documents, refuse_all=True)

    assert list(refusing) == [BASE.instance_id]
    assert refusing[BASE.instance_id] == on(enabled=False, protocol="https")
