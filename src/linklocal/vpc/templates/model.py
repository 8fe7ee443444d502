"""Instance templates: request bodies and the answers' schemas (contract 2.5).

A template's body is an instance's (`vpc/instances/model.py`), and its answer repeats the body: what the
body named by `{id}` stays `{id}`.
"""

from __future__ import annotations

from typing import Any

from pydantic import ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from linklocal.vpc.http import Paginated, ResponseModel
from linklocal.vpc.instances.model import InstancePrototype
from linklocal.vpc.metadata_service import MetadataServiceView
from linklocal.vpc.references import Name, Patch, Prototype, Text
from linklocal.vpc.resource_groups import ResourceGroupReference


class CatalogIdentity(Prototype):
    """What a private catalog has is named by CRN only."""

    crn: Text


class CatalogOfferingPrototype(Prototype):
    """`{offering}` or `{version}`, and the plan. Only its shape is looked at: there is no catalog here."""

    offering: CatalogIdentity | None = None
    version: CatalogIdentity | None = None
    plan: CatalogIdentity | None = None


class TemplatePrototype(InstancePrototype):
    """One flat body for all variants: by image, catalog offering, snapshot and source template."""

    catalog_offering: CatalogOfferingPrototype | None = None  # type: ignore[assignment]  # narrower: it is kept


class TemplatePatch(Patch):
    """`{name}`. Everything else is refused by name, with what to do instead (contract 2.5)."""

    name: Name = "a"

    @model_validator(mode="wrap")
    @classmethod
    def _only_the_name(
        cls, data: Any, handler: ModelWrapValidatorHandler[TemplatePatch]
    ) -> TemplatePatch:
        try:
            return handler(data)
        except ValidationError as error:
            raise ValidationError.from_exception_data(
                cls.__name__, [_immutable(details) for details in error.errors()]
            ) from error


def _immutable(error: ErrorDetails) -> InitErrorDetails:
    details = InitErrorDetails(type=error["type"], loc=error["loc"], input=error["input"])
    if "ctx" in error:
        details["ctx"] = error["ctx"]
    if error["type"] == "extra_forbidden":
        message = (
            "`{property}`: only the name of an instance template can be changed. Create another "
            "template: name this one in `source_template`, and add what differs."
        )
        details["type"] = PydanticCustomError("immutable", message, {"property": error["loc"][0]})
    return details


class InstanceTemplate(ResponseModel):
    """The body that it was made from, completed with these. See `create_instance_template`."""

    availability: dict[str, Any] | None = None
    availability_policy: dict[str, Any] | None = None
    boot_volume_attachment: dict[str, Any] | None = None
    catalog_offering: dict[str, Any] | None = None
    confidential_compute_mode: str | None = None
    created_at: str
    crn: str
    default_trusted_profile: dict[str, Any] | None = None
    enable_secure_boot: bool | None = None
    href: str
    id: str
    image: dict[str, str] | None = None
    keys: list[dict[str, str]] | None = None
    metadata_service: MetadataServiceView
    name: str
    network_attachments: list[dict[str, Any]] | None = None
    network_interfaces: list[dict[str, Any]] | None = None
    placement_target: dict[str, str] | None = None
    primary_network_attachment: dict[str, Any] | None = None
    primary_network_interface: dict[str, Any] | None = None
    profile: dict[str, str] | None = None
    reservation_affinity: dict[str, Any] | None = None
    resource_group: ResourceGroupReference
    threads_per_core: int | None = None
    total_volume_bandwidth: int | None = None
    user_data: str | None = None
    vcpu: dict[str, Any] | None = None
    volume_attachments: list[dict[str, Any]] | None = None
    volume_bandwidth_qos_mode: str | None = None
    vpc: dict[str, str] | None = None
    zone: dict[str, str]


class InstanceTemplateCollection(Paginated):
    """All templates, always: there is no `next`."""

    templates: list[InstanceTemplate]
