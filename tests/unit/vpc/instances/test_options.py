"""The many small settings: named, defaulted by the profile, merged, refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linklocal.vpc.instances.options import (
    Options,
    OptionsPatch,
    OptionsPrototype,
    decide,
    moved,
)
from linklocal.vpc.profiles.catalog import PROFILES, stored

SMALL, LARGE, Z = stored("bx2-2x8"), stored("bx2-32x128"), stored("bz2-2x8")
DEFAULT = Options.of_profile(SMALL)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_defaults_fit_every_profile(profile: Any) -> None:
    options, problems = decide(Options.of_profile(profile), OptionsPrototype(), profile)

    assert problems == []
    assert Options.from_json(options.to_json()) == options


NAMED = st.fixed_dictionaries(
    {},
    optional={
        "availability": st.sampled_from([{}, {"class": "spot"}, {"class": "standard"}]),
        "availability_policy": st.fixed_dictionaries(
            {},
            optional={
                "host_failure": st.sampled_from(["restart", "stop"]),
                "preemption": st.sampled_from(["stop", "delete"]),
            },
        ),
        "enable_secure_boot": st.booleans(),
        "total_volume_bandwidth": st.integers(500, 3500),
    },
)


@given(NAMED, NAMED)
def test_a_patch_changes_what_it_names_and_nothing_else(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    created, _ = decide(DEFAULT, OptionsPrototype.model_validate(first), SMALL)
    after, problems = decide(created, OptionsPatch.model_validate(second), SMALL)

    assert problems == []
    view, before = after.view(), created.view()
    for name, value in second.items():
        expected = {**before[name], **value} if isinstance(value, dict) else value
        assert view.pop(name) == expected
        before.pop(name)
    assert view == before


@pytest.mark.parametrize(
    ("body", "target"),
    [
        ({"enable_secure_boot": True}, "enable_secure_boot"),
        ({"threads_per_core": 3}, "threads_per_core"),
        ({"total_volume_bandwidth": 499}, "total_volume_bandwidth"),
        ({"total_volume_bandwidth": 3501}, "total_volume_bandwidth"),
        ({"volume_bandwidth_qos_mode": "pooled"}, "volume_bandwidth_qos_mode"),
        ({"confidential_compute_mode": "sgx"}, "confidential_compute_mode"),
        ({"vcpu": {"percentage": 50}}, "vcpu.percentage"),
        ({"reservation_affinity": {"policy": "manual"}}, "reservation_affinity.policy"),
    ],
)
def test_what_a_profile_cannot_do_is_refused_with_what_it_can(
    body: dict[str, Any], target: str
) -> None:
    _, problems = decide(Options.of_profile(Z), OptionsPrototype.model_validate(body), Z)

    assert [problem.target and problem.target.name for problem in problems] == [target]
    assert "`" in problems[0].message


def test_null_says_nothing_on_create() -> None:
    body = OptionsPrototype.model_validate(
        {"availability": None, "vcpu": {"percentage": None}, "threads_per_core": None}
    )

    assert decide(DEFAULT, body, SMALL) == (DEFAULT, [])


@pytest.mark.parametrize(
    "body", [{"availability": None}, {"vcpu": {"percentage": None}}, {"availability": {"x": 1}}]
)
def test_null_and_unknown_members_are_refused_in_a_patch(body: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"availability|vcpu"):
        OptionsPatch.model_validate(body)


def test_another_profile_brings_its_defaults_and_keeps_what_was_chosen() -> None:
    chosen, _ = decide(DEFAULT, OptionsPrototype(total_volume_bandwidth=700), SMALL)

    assert moved(DEFAULT, SMALL, LARGE) == Options.of_profile(LARGE)
    assert moved(chosen, SMALL, LARGE).total_volume_bandwidth == 700
