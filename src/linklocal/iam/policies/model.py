"""Access policies: the subset of IamPolicyManagementV1 that linklocal evaluates (contract 7.2).

One subject (`iam_id` of a user or trusted profile, or `apikey_id`), platform roles, one resource: a
service of the account or all of them. What cannot be evaluated is refused, never stored and ignored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from linklocal.errors import Problem
from linklocal.iam import problems
from linklocal.iam.http import Answer, Body
from linklocal.iam.roles import ROLES, SERVICES
from linklocal.iam.text import StoredText

ROLE_CRN = "crn:v1:bluemix:public:iam::::role:"
SubjectKind = Literal["iam_id", "apikey_id"]

Value = Annotated[StoredText, Field(min_length=1, max_length=1000)]


class SubjectAttribute(Body):
    name: Value
    value: Value


class ResourceAttribute(Body):
    name: Value
    value: Value
    operator: Value | None = None


class PolicySubject(Body):
    attributes: Annotated[list[SubjectAttribute], Field(min_length=1, max_length=10)]


class PolicyRole(Body):
    role_id: Value


class PolicyResource(Body):
    attributes: Annotated[list[ResourceAttribute], Field(min_length=1, max_length=10)]
    tags: Annotated[
        list[dict[str, Any]], Field(max_length=0, description="not supported: must be empty")
    ] = Field(default_factory=list)


class PolicyPrototype(Body):
    type: Annotated[Literal["access"], Field(description="authorizations are not supported")]
    subjects: Annotated[list[PolicySubject], Field(min_length=1, max_length=1)]
    roles: Annotated[list[PolicyRole], Field(min_length=1, max_length=10)]
    resources: Annotated[list[PolicyResource], Field(min_length=1, max_length=1)]
    description: Annotated[StoredText, Field(max_length=1000)] | None = None


class RoleAnswer(Answer):
    role_id: str
    display_name: str


class AttributeAnswer(Answer):
    name: str
    value: str
    operator: str | None = None


class SubjectAnswer(Answer):
    attributes: list[AttributeAnswer]


class ResourceAnswer(Answer):
    attributes: list[AttributeAnswer]


class Policy(Answer):
    id: str
    type: Literal["access"]
    description: str | None = Field(default=None, description="absent: none was given")
    subjects: list[SubjectAnswer]
    roles: list[RoleAnswer]
    resources: list[ResourceAnswer]
    href: str
    created_at: str
    created_by_id: str
    last_modified_at: str
    last_modified_by_id: str
    state: Literal["active"]


class PolicyCollection(Answer):
    policies: list[Policy]


@dataclass(frozen=True, slots=True)
class Grant:
    """What a policy says: these roles on this service (None: all) to this subject."""

    subject_kind: SubjectKind
    subject: str
    roles: list[str]
    service: str | None


def read_grant(prototype: PolicyPrototype, account_id: str) -> tuple[Grant | None, list[Problem]]:
    """What the body means, or everything that is wrong with it."""
    found: list[Problem] = []
    subject = _subject(prototype, found)
    roles = _roles(prototype, found)
    service = _service(prototype, account_id, found)
    if found or subject is None:
        return None, found
    return Grant(subject[0], subject[1], roles, service), []


def _subject(prototype: PolicyPrototype, found: list[Problem]) -> tuple[SubjectKind, str] | None:
    attributes = prototype.subjects[0].attributes
    match [(a.name, a.value) for a in attributes]:
        case [("iam_id" | "apikey_id" as kind, value)]:
            # mypy does not narrow a captured alternative to its literals.
            return ("iam_id" if kind == "iam_id" else "apikey_id"), value
    message = (
        "A subject has one attribute: `iam_id` (a user or `iam-Profile-...`) or `apikey_id` "
        "(`ApiKey-...`)."
    )
    names = ", ".join(a.name for a in attributes)
    found.append(problems.invalid("subjects[0].attributes", message, names))
    return None


def _roles(prototype: PolicyPrototype, found: list[Problem]) -> list[str]:
    given = set()
    for index, role in enumerate(prototype.roles):
        name = role.role_id.removeprefix(ROLE_CRN)
        if role.role_id.startswith(ROLE_CRN) and name in ROLES:
            given.add(name)
        else:
            message = f"A role is `{ROLE_CRN}` and one of {', '.join(ROLES)}."
            found.append(problems.invalid(f"roles[{index}].role_id", message, role.role_id))
    return in_order(given)


def in_order(roles: Iterable[str]) -> list[str]:
    """Roles from the weakest to the strongest."""
    return sorted(roles, key=ROLES.index)


def _service(prototype: PolicyPrototype, account_id: str, found: list[Problem]) -> str | None:
    service: str | None = None
    seen: set[str] = set()
    for index, attribute in enumerate(prototype.resources[0].attributes):
        at = f"resources[0].attributes[{index}]"
        if attribute.operator not in (None, "stringEquals"):
            message = "`operator` must be `stringEquals`, or left out."
            found.append(problems.invalid(f"{at}.operator", message, attribute.operator))
        if attribute.name in seen:
            found.append(problems.invalid(f"{at}.name", "This attribute is given twice."))
        seen.add(attribute.name)
        match attribute.name:
            case "accountId":
                if attribute.value != account_id:
                    message = "A policy is about the account that it is in: send its id."
                    found.append(problems.invalid(f"{at}.value", message, attribute.value))
            case "serviceName":
                service = attribute.value
                if service not in SERVICES:
                    message = (
                        f"`serviceName` must be one of {', '.join(SERVICES)}; without it the policy "
                        "is about all services."
                    )
                    found.append(problems.invalid(f"{at}.value", message, service))
            case other:
                message = "Policies here are about a whole service: use `accountId` and `serviceName` only."
                found.append(problems.invalid(f"{at}.name", message, other))
    if "accountId" not in seen:
        found.append(problems.missing("resources[0].attributes.accountId"))
    return service
