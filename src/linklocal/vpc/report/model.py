"""What the report says, and how it is found out: from instances, links and recorded calls. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel

from linklocal.clock import rfc3339_ms
from linklocal.fleet.events import IdentityUse

Finding = Literal["http", "hop_limit", "unused_profile", "legacy_path", "no_nonce"]
# Finding -> what it means, for people; the order is the report's.
FINDINGS: Final[dict[Finding, str]] = {
    "http": "Metadata is served over http: tokens cross the link unencrypted.",
    "hop_limit": "Answers travel more than one hop: containers and forwarders can get them.",
    "unused_profile": "A trusted profile is linked, and no token was taken for it in this time.",
    "legacy_path": "Callers use /instance_identity, which ends with version 2025-08-26.",
    "no_nonce": "Callers take identity tokens without a nonce.",
}
LEGACY_PREFIX: Final = "/instance_identity/"
TOKEN_ACTIONS: Final = frozenset(
    {"is.metadata.jwt-token.create", "is.metadata.identity-token.create"}
)
EXCHANGE_ACTIONS: Final = frozenset(
    {"is.metadata.computeresource-token.request", "is.metadata.computeresource-token.read"}
)


@dataclass(frozen=True, slots=True)
class Configured:
    """An instance as it is configured."""

    id: str
    name: str
    crn: str
    enabled: bool
    protocol: str
    hop_limit: int


@dataclass(frozen=True, slots=True)
class Linked:
    """A link from an instance to a trusted profile."""

    instance_crn: str
    profile_id: str
    profile_name: str
    automatic: bool
    linked_at: datetime


class ReportedProfile(BaseModel):
    """A linked trusted profile; `used` counts IAM tokens that were taken for it, `last_used_at` the last."""

    id: str
    name: str
    automatic: bool
    linked_at: str
    used: int
    last_used_at: str | None


class ReportedCalls(BaseModel):
    """Identity calls: tokens made, those without a nonce, calls under the old paths, and the last one."""

    tokens: int
    without_nonce: int
    legacy_path: int
    last_at: str | None


class ReportedSettings(BaseModel):
    enabled: bool
    protocol: str
    response_hop_limit: int


class ReportedInstance(BaseModel):
    """One instance and what was found."""

    id: str
    name: str
    crn: str
    metadata_service: ReportedSettings
    profiles: list[ReportedProfile]
    calls: ReportedCalls
    findings: list[Finding]


class ReportSummary(BaseModel):
    """How many instances there are, with the service on, and with each finding."""

    instances: int
    metadata_enabled: int
    http: int
    hop_limit: int
    unused_profile: int
    legacy_path: int
    no_nonce: int


class Report(BaseModel):
    """The state of one account's instances. Calls are those from `since` on; findings are explained."""

    generated_at: str
    since: str
    summary: ReportSummary
    instances: list[ReportedInstance]
    explanations: dict[Finding, str]


def make_report(
    instances: Sequence[Configured],
    links: Iterable[Linked],
    uses: Iterable[IdentityUse],
    *,
    now: datetime,
    since: datetime,
) -> Report:
    """The report; instances in the order given. Links and calls of other instances are passed over."""
    linked: dict[str, list[Linked]] = {}
    for link in links:
        linked.setdefault(link.instance_crn, []).append(link)
    used: dict[str, list[IdentityUse]] = {}
    for use in uses:
        used.setdefault(use.instance_id, []).append(use)
    reported = [_reported(one, linked.get(one.crn, ()), used.get(one.id, ())) for one in instances]

    def having(finding: Finding) -> int:
        return sum(finding in one.findings for one in reported)

    return Report(
        generated_at=rfc3339_ms(now),
        since=rfc3339_ms(since),
        summary=ReportSummary(
            instances=len(reported),
            metadata_enabled=sum(one.enabled for one in instances),
            http=having("http"),
            hop_limit=having("hop_limit"),
            unused_profile=having("unused_profile"),
            legacy_path=having("legacy_path"),
            no_nonce=having("no_nonce"),
        ),
        instances=reported,
        explanations=FINDINGS,
    )


def _reported(
    one: Configured, links: Iterable[Linked], uses: Sequence[IdentityUse]
) -> ReportedInstance:
    made = [use for use in uses if use.action in TOKEN_ACTIONS and use.outcome == "success"]
    calls = ReportedCalls(
        tokens=sum(use.count for use in made),
        without_nonce=sum(use.count for use in made if not use.nonce),
        # Refused calls count: somebody who still asks there is who has to be found.
        legacy_path=sum(use.count for use in uses if (use.path or "").startswith(LEGACY_PREFIX)),
        last_at=_last(uses),
    )
    profiles = [_profile(link, uses) for link in links]
    wrong: dict[Finding, bool] = {
        "http": one.enabled and one.protocol == "http",
        "hop_limit": one.enabled and one.hop_limit > 1,
        "unused_profile": any(not profile.used for profile in profiles),
        "legacy_path": calls.legacy_path > 0,
        "no_nonce": calls.without_nonce > 0,
    }
    return ReportedInstance(
        id=one.id,
        name=one.name,
        crn=one.crn,
        metadata_service=ReportedSettings(
            enabled=one.enabled, protocol=one.protocol, response_hop_limit=one.hop_limit
        ),
        profiles=profiles,
        calls=calls,
        findings=[finding for finding in FINDINGS if wrong[finding]],
    )


def _profile(link: Linked, uses: Iterable[IdentityUse]) -> ReportedProfile:
    taken = [
        use
        for use in uses
        if use.action in EXCHANGE_ACTIONS
        and use.outcome == "success"
        and use.profile_id == link.profile_id
    ]
    return ReportedProfile(
        id=link.profile_id,
        name=link.profile_name,
        automatic=link.automatic,
        linked_at=rfc3339_ms(link.linked_at),
        used=sum(use.count for use in taken),
        last_used_at=_last(taken),
    )


def _last(uses: Sequence[IdentityUse]) -> str | None:
    return rfc3339_ms(max(use.last_at for use in uses)) if uses else None
