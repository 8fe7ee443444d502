"""What the report finds in instances, links and recorded calls."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from linklocal.fleet.events import IdentityUse
from linklocal.vpc.report.model import (
    FINDINGS,
    Configured,
    Linked,
    Report,
    ReportedInstance,
    make_report,
)

NOW = datetime(2026, 11, 25, 8, tzinfo=UTC)
QUIET = Configured("0717_a", "a", "crn:a", enabled=True, protocol="https", hop_limit=1)
LINK = Linked("crn:a", "Profile-1", "one", automatic=True, linked_at=NOW)
TOKEN = IdentityUse(
    "0717_a",
    "is.metadata.jwt-token.create",
    "success",
    "/identity/v1/token",
    nonce=True,
    profile_id=None,
    count=3,
    last_at=NOW - timedelta(hours=1),
)
EXCHANGE = replace(
    TOKEN,
    action="is.metadata.computeresource-token.request",
    path="/identity/v1/iam_tokens",
    nonce=False,
    profile_id="Profile-1",
    count=2,
    last_at=NOW,
)


def report(*uses: IdentityUse, one: Configured = QUIET, links: tuple[Linked, ...] = ()) -> Report:
    return make_report([one], links, uses, now=NOW, since=NOW - timedelta(days=1))


def only(made: Report) -> ReportedInstance:
    (one,) = made.instances
    return one


def test_a_well_kept_instance_has_no_finding() -> None:
    one = only(report(TOKEN, EXCHANGE, links=(LINK,)))

    assert one.findings == []
    assert (one.calls.tokens, one.calls.without_nonce, one.calls.legacy_path) == (3, 0, 0)
    assert one.calls.last_at == "2026-11-25T08:00:00.000Z"
    assert (one.profiles[0].used, one.profiles[0].last_used_at) == (2, "2026-11-25T08:00:00.000Z")


def test_settings_count_only_while_the_service_is_on() -> None:
    wide = replace(QUIET, protocol="http", hop_limit=2)

    assert only(report(one=wide)).findings == ["http", "hop_limit"]
    off = report(one=replace(wide, enabled=False))
    assert only(off).findings == []
    assert (off.summary.instances, off.summary.metadata_enabled) == (1, 0)


def test_a_profile_is_used_by_a_token_that_was_made_for_it() -> None:
    refused = replace(EXCHANGE, outcome="failure")
    of_another = replace(EXCHANGE, profile_id="Profile-2")

    for uses in ((), (refused,), (of_another,), (TOKEN,)):
        assert only(report(*uses, links=(LINK,))).findings == ["unused_profile"]


def test_callers_on_old_paths_are_found_even_when_they_are_refused() -> None:
    old = replace(TOKEN, path="/instance_identity/v1/token", outcome="failure", count=5)
    one = only(report(old))

    assert one.findings == ["legacy_path"]
    assert (one.calls.legacy_path, one.calls.tokens) == (5, 0)


def test_only_tokens_that_were_made_lack_a_nonce() -> None:
    assert only(report(replace(TOKEN, nonce=False))).findings == ["no_nonce"]
    assert only(report(replace(TOKEN, nonce=False, outcome="failure"))).findings == []
    assert only(report(EXCHANGE)).findings == []


def test_what_is_about_others_is_passed_over() -> None:
    other = replace(TOKEN, instance_id="0717_gone", nonce=False)
    one = only(report(other, links=(replace(LINK, instance_crn="crn:gone"),)))

    assert (one.profiles, one.calls.tokens, one.findings) == ([], 0, [])


def test_the_summary_counts_instances_by_finding_and_each_is_explained() -> None:
    made = report(replace(TOKEN, nonce=False), one=replace(QUIET, protocol="http"))

    assert (made.summary.http, made.summary.no_nonce, made.summary.hop_limit) == (1, 1, 0)
    assert set(made.explanations) == set(FINDINGS)
