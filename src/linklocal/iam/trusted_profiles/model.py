"""Trusted profiles, their links and claim rules: request bodies and the answers' schema (contract 4.4)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from linklocal.errors import Problem
from linklocal.iam import problems
from linklocal.iam.http import Answer, Body, PagedAnswer
from linklocal.iam.rules import TYPE_COMPUTE, condition_problems
from linklocal.iam.text import StoredText
from linklocal.ids import parse_crn

CrType = Literal["VSI", "PVS", "BMS", "IKS_SA", "ROKS_SA", "CE"]
# Kinds that get tokens here, and the resource type in their CRNs; links to others are only stored.
COMPUTE = {"VSI": "instance", "BMS": "bare-metal-server"}
COMPUTE_NAMES = {"instance": "an instance", "bare-metal-server": "a bare metal server"}
RuleType = Literal["Profile-CR", "Profile-SAML"]

RULES_PER_PROFILE = 20
DEFAULT_EXPIRATION = 3600  # seconds; IBM's model requires the member even where it means nothing
EMAIL_PATTERN = r"^([^@\s]+@[^@\s]+)?$"

Name = Annotated[StoredText, Field(min_length=1, max_length=255)]
Description = Annotated[StoredText, Field(max_length=1000)]
Email = Annotated[StoredText, Field(max_length=255, pattern=EMAIL_PATTERN)]
Word = Annotated[StoredText, Field(min_length=1, max_length=255)]


class ProfilePrototype(Body):
    name: Name
    account_id: Annotated[StoredText, Field(max_length=64)]
    description: Description | None = None
    email: Email | None = None


class ProfileUpdate(Body):
    """Members given replace; an empty `description` or `email` clears it."""

    name: Name | None = None
    description: Description | None = None
    email: Email | None = None


class TrustedProfile(Answer):
    id: str
    entity_tag: str
    crn: str
    name: str
    description: str | None = Field(default=None, description="absent: none was given")
    email: str | None = Field(default=None, description="absent: none was given")
    created_at: str
    modified_at: str
    iam_id: str
    account_id: str


class TrustedProfilesList(PagedAnswer):
    profiles: list[TrustedProfile]


class LinkTarget(Body):
    """The compute resource of a link."""

    crn: Annotated[StoredText, Field(min_length=1, max_length=512)]
    namespace: Word | None = None
    name: Word | None = None
    component_type: Word | None = None
    component_name: Word | None = None


class LinkPrototype(Body):
    cr_type: CrType
    link: LinkTarget
    name: Word | None = None
    is_cross_account: bool | None = None

    def problems(self, account_id: str) -> list[Problem]:
        """What is wrong with the link of a profile of this account."""
        try:
            crn = parse_crn(self.link.crn)
        except ValueError as error:
            message = f"`link.crn` is not a CRN: {error}."
            return [problems.invalid("link.crn", message, self.link.crn, code=problems.CRN_INVALID)]
        found = []
        wanted = COMPUTE.get(self.cr_type)
        if wanted is not None and (crn.service, crn.resource_type) != ("is", wanted):
            message = (
                f"A link of type {self.cr_type} needs the CRN of {COMPUTE_NAMES[wanted]} "
                f"(`...:is:...::{wanted}:...`)."
            )
            found.append(
                problems.invalid("link.crn", message, self.link.crn, code=problems.CRN_INVALID)
            )
        if crn.account_id != account_id and not self.is_cross_account:
            message = (
                "The CRN is of another account than the profile: send `is_cross_account` true if "
                "that is meant."
            )
            found.append(problems.invalid("link.crn", message, self.link.crn))
        needed: tuple[str, ...] = ()
        if self.cr_type in ("IKS_SA", "ROKS_SA"):
            needed = ("namespace",)
        elif self.cr_type == "CE":
            needed = ("component_type", "component_name")
        given = self.link.model_dump()
        return found + [problems.missing(f"link.{name}") for name in needed if given[name] is None]


class ProfileLinkLink(Answer):
    crn: str
    namespace: str | None = None
    name: str | None = None
    component_type: str | None = None
    component_name: str | None = None


class ProfileLink(Answer):
    id: str
    entity_tag: str
    created_at: str
    modified_at: str
    name: str | None = Field(default=None, description="absent: none was given")
    cr_type: CrType
    is_cross_account: bool
    link: ProfileLinkLink


class ProfileLinkList(Answer):
    links: list[ProfileLink]


class Condition(Body):
    """`value` is JSON text: `"\\"us-south\\""`; for IN a list."""

    claim: Word
    operator: Annotated[str, Field(max_length=64)]
    value: Annotated[StoredText, Field(min_length=1, max_length=2000)]


class RulePrototype(Body):
    type: RuleType
    conditions: Annotated[list[Condition], Field(min_length=1, max_length=20)]
    name: Word | None = None
    realm_name: Word | None = None
    cr_type: CrType | None = None
    expiration: Annotated[int, Field(ge=1, le=86_400)] | None = None

    def problems(self) -> list[Problem]:
        """What is wrong with the rule."""
        found = []
        if self.type == TYPE_COMPUTE and self.cr_type is None:
            found.append(problems.missing("cr_type"))
        if self.type != TYPE_COMPUTE and self.realm_name is None:
            found.append(problems.missing("realm_name"))
        known = self.type == TYPE_COMPUTE and self.cr_type in (*COMPUTE, None)
        for index, condition in enumerate(self.conditions):
            found += condition_problems(
                index, condition.claim, condition.operator, condition.value, known_claims=known
            )
        return found


class RuleCondition(Answer):
    claim: str
    operator: str
    value: str


class ProfileClaimRule(Answer):
    id: str
    entity_tag: str
    created_at: str
    modified_at: str
    name: str | None = Field(default=None, description="absent: none was given")
    type: RuleType
    realm_name: str | None = None
    expiration: int
    cr_type: CrType | None = None
    conditions: list[RuleCondition]


class ProfileClaimRuleList(Answer):
    rules: list[ProfileClaimRule]
