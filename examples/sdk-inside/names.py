"""Prints the names of the account's instances. IBM's SDK finds out on which instance it runs, and as what."""

from __future__ import annotations

import os

from ibm_cloud_sdk_core import BaseService
from ibm_cloud_sdk_core.authenticators import VPCInstanceAuthenticator

service = BaseService(
    service_url=f"{os.environ['LINKLOCAL_API']}/v1", authenticator=VPCInstanceAuthenticator()
)
request = service.prepare_request(
    "GET", "/instances", params={"version": "2025-08-26", "generation": 2}
)
answer = service.send(request).get_result()
print("\n".join(sorted(instance["name"] for instance in answer["instances"])))
