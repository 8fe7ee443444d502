"""Pointing IBM's SDKs at a server: their environment variables, and their built-in addresses.

The variables are those that `get_authenticator_from_environment` and `Service.new_instance` read, in this
process and in those that it starts. A program that gives no URL at all uses addresses that are class
attributes in the SDKs; those are changed in this process, for as long as the block lasts.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ibm_cloud_sdk_core.authenticators import VPCInstanceAuthenticator
from ibm_cloud_sdk_core.token_managers.iam_request_based_token_manager import (
    IAMRequestBasedTokenManager,
)
from ibm_cloud_sdk_core.token_managers.vpc_instance_token_manager import VPCInstanceTokenManager
from ibm_platform_services import IamIdentityV1, IamPolicyManagementV1
from ibm_vpc import VpcV1

# Service name in the SDKs -> path of its API on the server.
SERVICES = {"vpc": "/v1", "iam_identity": "", "iam_policy_management": ""}


def variables(api: str, api_key: str, metadata: str | None) -> dict[str, str]:
    """The environment of a program on the instance at `metadata`, or of one with an API key."""
    # A file of credentials, in the home folder for one, would win over the variables; an empty one ends
    # the search.
    found = {"IBM_CREDENTIALS_FILE": os.devnull}
    for service, path in SERVICES.items():
        prefix = service.upper()
        found[f"{prefix}_URL"] = f"{api}{path}"
        if metadata is None:
            found[f"{prefix}_AUTH_TYPE"] = "iam"
            found[f"{prefix}_AUTH_URL"] = api
            found[f"{prefix}_APIKEY"] = api_key
        else:
            found[f"{prefix}_AUTH_TYPE"] = "vpc"
            found[f"{prefix}_AUTH_URL"] = metadata
    return found


@contextmanager
def pointed(api: str, api_key: str, metadata: str | None) -> Iterator[dict[str, str]]:
    """The SDKs reach the server inside the block. Yields the environment variables that were set."""
    addresses: list[tuple[type, str, str]] = [
        (IAMRequestBasedTokenManager, "DEFAULT_IAM_URL", api),
        (VpcV1, "DEFAULT_SERVICE_URL", f"{api}/v1"),
        (IamIdentityV1, "DEFAULT_SERVICE_URL", api),
        (IamPolicyManagementV1, "DEFAULT_SERVICE_URL", api),
    ]
    if metadata is not None:
        addresses += [
            (owner, "DEFAULT_IMS_ENDPOINT", metadata)
            for owner in (VPCInstanceAuthenticator, VPCInstanceTokenManager)
        ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in addresses]
    names = variables(api, api_key, metadata)
    # The other way's variables would be read, too.
    gone = {f"{service.upper()}_APIKEY" for service in SERVICES} - names.keys()
    kept = {name: os.environ.get(name) for name in names.keys() | gone}
    try:
        os.environ.update(names)
        for name in gone:
            os.environ.pop(name, None)
        for owner, name, value in addresses:
            setattr(owner, name, value)
        yield names
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)
        for name, old in kept.items():
            if old is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = old
