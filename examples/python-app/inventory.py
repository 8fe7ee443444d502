"""Prints the names of the account's instances: a program that runs on an instance, as what the instance is.

It knows no address and no key. IBM's SDK finds the metadata service of the instance that it runs on and
exchanges the instance's identity for an IAM token.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from ibm_cloud_sdk_core import ApiException
from ibm_cloud_sdk_core.authenticators import VPCInstanceAuthenticator
from ibm_vpc import VpcV1

ATTEMPTS = 3
Wait = Callable[[float], None]


class NotAllowed(Exception):
    """The instance may not do this, and trying again will not help."""


def names(wait: Wait = time.sleep) -> list[str]:
    """The names of all instances, sorted.

    Raises NotAllowed when no trusted profile is linked, ApiException when the service keeps failing.
    """
    for left in reversed(range(ATTEMPTS)):
        try:
            return _names()
        except ApiException as error:
            pause = _pause(error)
            if pause is None or left == 0:
                raise
        except OSError:  # of requests: the connection ended, or never began
            pause = 1.0
            if left == 0:
                raise
        wait(pause)
    raise AssertionError("the last attempt returns or raises")


def _names() -> list[str]:
    vpc = VpcV1(authenticator=VPCInstanceAuthenticator())
    return sorted(instance["name"] for instance in vpc.list_instances().result["instances"])


def _pause(error: ApiException) -> float | None:
    """Seconds after which another attempt makes sense, None for never."""
    if "profile_not_linked" in error.http_response.text:
        raise NotAllowed("Link a trusted profile to this instance.") from error
    if error.status_code == 429:
        return float(error.http_response.headers.get("Retry-After", "1"))
    # 401: the identity token has run out on the way; the next attempt gets a new one.
    return 1.0 if error.status_code in (401, 500, 503) else None


if __name__ == "__main__":
    print("\n".join(names()))
