"""Bodies of templates, and a client that makes them."""

from __future__ import annotations

from typing import Any

import httpx
import ibm_vpc.vpc_v1 as sdk
from fakes.region import ADMINISTRATOR, GROUP, KEY, PROFILE, SUBNET, VPC, Region, body
from fakes.vpc_api import client_of, errors

from linklocal.vpc.templates.routes import template_routes
from linklocal.vpc.templates.service import TemplateService

PATH = "/v1/instance/templates"
OFF = {"enabled": False, "protocol": "http", "response_hop_limit": 1}
ON = {"enabled": True, "protocol": "http", "response_hop_limit": 1}
ON_HTTPS_7 = {"enabled": True, "protocol": "https", "response_hop_limit": 7}
INTERFACE = {"subnet": {"id": SUBNET}}
OFFERING = {
    "version": {"crn": "crn:v1:bluemix:public:globalcatalog-collection:global:a/x::version:y"}
}
OWN = {"id", "crn", "href", "name", "created_at", "resource_group", "metadata_service"}


def sdk_class(variant: str, network: str) -> Any:
    """The class of IBM's SDK: `variant` is Image, CatalogOffering or SourceSnapshot."""
    context = f"InstanceBy{variant}InstanceTemplateContext"
    return getattr(sdk, f"InstanceTemplate{context}{context}InstanceByNetwork{network}")


FULL: dict[str, Any] = {
    "vpc": {"id": VPC},
    "keys": [{"id": KEY}, {"fingerprint": "SHA256:r006-rsa"}],
    "user_data": "#cloud-config\n",
    "default_trusted_profile": {"auto_link": False, "target": {"id": PROFILE}},
    "availability_policy": {"host_failure": "stop"},
    "availability": {"class": "standard"},
    "resource_group": {"id": GROUP},
    "boot_volume_attachment": {
        "delete_volume_on_instance_delete": True,
        "volume": {"capacity": 120, "profile": {"name": "general-purpose"}},
    },
    "volume_attachments": [{"volume": {"capacity": 10, "profile": {"name": "5iops-tier"}}}],
}


def template_client(region: Region) -> httpx.AsyncClient:
    """A client of the template routes, as the account's administrator."""
    return client_of(template_routes(TemplateService(region.context)), caller=ADMINISTRATOR)


async def made(api: httpx.AsyncClient, **members: Any) -> dict[str, Any]:
    answer = await api.post(PATH, json=body(**members))
    assert answer.status_code == 201, answer.text
    view: dict[str, Any] = answer.json()
    assert (await api.get(f"{PATH}/{view['id']}")).json() == view
    return view


async def derived(api: httpx.AsyncClient, source: dict[str, Any], **members: Any) -> dict[str, Any]:
    answer = await api.post(PATH, json={"source_template": {"id": source["id"]}, **members})
    assert answer.status_code == 201, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def refused(api: httpx.AsyncClient, given: dict[str, Any]) -> list[tuple[str, str]]:
    answer = await api.post(PATH, json=given)
    assert answer.status_code == 400, answer.text
    return errors(answer)
