"""IBM's own SDKs pointed at a running `linklocal dev`, and what tests do with them over and over."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import Any

from ibm_cloud_sdk_core.authenticators import IAMAuthenticator
from ibm_platform_services import IamIdentityV1, IamPolicyManagementV1
from ibm_vpc import VpcV1
from live import Dev

STATUS_SECONDS = 20.0
_numbers = itertools.count(1)


@dataclass
class Cloud:
    """IBM's own clients of the running server, and what tests do over and over with them."""

    dev: Dev
    vpc: VpcV1
    iam: IamIdentityV1
    policies: IamPolicyManagementV1

    @property
    def account_id(self) -> str:
        return str(self.dev.ready["account_id"])

    def name(self, kind: str) -> str:
        """A name that no other test has."""
        return f"{kind}-{next(_numbers)}-{time.time_ns() % 10**9}"

    def prototype(self, **members: Any) -> dict[str, Any]:
        """The smallest body of an instance by image."""
        image = next(
            image
            for image in self.vpc.list_images().result["images"]
            if image["operating_system"]["architecture"] == "amd64"
            and image["allowed_use"]["instance"] == "true"
        )
        subnet = next(
            subnet
            for subnet in self.vpc.list_subnets().result["subnets"]
            if subnet["zone"]["name"] == "us-south-1"
        )
        return {
            "name": self.name("vm"),
            "image": {"id": image["id"]},
            "profile": {"name": "bx2-2x8"},
            "zone": {"name": "us-south-1"},
            "vpc": {"id": subnet["vpc"]["id"]},
            "primary_network_attachment": {
                "virtual_network_interface": {"subnet": {"id": subnet["id"]}}
            },
            **members,
        }

    def create(self, **members: Any) -> dict[str, Any]:
        """An instance that is running."""
        made = self.vpc.create_instance(self.prototype(**members)).result
        return self.wait(made["id"], "running")

    def wait(self, instance_id: str, status: str) -> dict[str, Any]:
        """Poll as Terraform does, but faster."""
        deadline = time.monotonic() + STATUS_SECONDS
        while True:
            instance: dict[str, Any] = self.vpc.get_instance(instance_id).result
            if instance["status"] == status:
                return instance
            assert time.monotonic() < deadline, instance
            time.sleep(0.02)

    def profile(self, **members: Any) -> dict[str, Any]:
        made: dict[str, Any] = self.iam.create_profile(
            name=self.name("profile"), account_id=self.account_id, **members
        ).result
        return made

    def grant(
        self, iam_id: str, role: str, service: str = "is", *, subject: str = "iam_id"
    ) -> None:
        """Attach a role to a trusted profile, or with `subject` "apikey_id" to an API key."""
        self.policies.create_policy(
            type="access",
            subjects=[{"attributes": [{"name": subject, "value": iam_id}]}],
            roles=[{"role_id": f"crn:v1:bluemix:public:iam::::role:{role}"}],
            resources=[
                {
                    "attributes": [
                        {"name": "accountId", "value": self.account_id},
                        {"name": "serviceName", "value": service},
                    ]
                }
            ],
        )

    def links(self, profile_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.iam.list_links(profile_id=profile_id).result["links"]
        return found


def clients(dev: Dev) -> Cloud:
    """IBM's SDKs for this server, logged in with its administrator's key."""
    authenticator = IAMAuthenticator(dev.api_key, url=dev.api)
    vpc = VpcV1(authenticator=authenticator)
    vpc.set_service_url(f"{dev.api}/v1")
    iam = IamIdentityV1(authenticator=authenticator)
    iam.set_service_url(dev.api)
    policies = IamPolicyManagementV1(authenticator=authenticator)
    policies.set_service_url(dev.api)
    return Cloud(dev, vpc, iam, policies)
