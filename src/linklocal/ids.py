"""Ids, CRNs and generated names: made and read here, in the forms of control-plane contract 1.6.

Nothing here knows what a resource is; kinds are passed as the contract's own words (`subnet`, `key`).
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import uuid
from dataclasses import dataclass
from typing import NewType

InstanceId = NewType("InstanceId", str)
NodeId = NewType("NodeId", str)
AccountId = NewType("AccountId", str)

# Prefixes read in IBM's material (us-south) or generally known; others are derived, stable and distinct.
_REGION_PREFIX = {
    "us-south": "r006",
    "us-east": "r014",
    "eu-de": "r010",
    "eu-gb": "r018",
    "jp-tok": "r022",
}
_ZONE_PREFIX = {"us-south-1": "0717", "us-south-2": "0727", "us-south-3": "0737"}

NAME_PATTERN = r"^([a-z]|[a-z][-a-z0-9]*[a-z0-9])$"
NAME_MAX = 63


def region_prefix(region: str) -> str:
    """Four characters that begin the id of a regional resource: `r006` for us-south."""
    known = _REGION_PREFIX.get(region)
    return known or "r" + f"{int(hashlib.sha256(region.encode()).hexdigest(), 16) % 900 + 100}"


def zone_prefix(zone: str) -> str:
    """Four characters that begin the id of a zonal resource: `0717` for us-south-1."""
    known = _ZONE_PREFIX.get(zone)
    return known or f"{int(hashlib.sha256(zone.encode()).hexdigest(), 16) % 9000 + 1000}"


def new_instance_id(zone: str) -> InstanceId:
    """`0717_<uuid>`: instances alone have an underscore."""
    return InstanceId(f"{zone_prefix(zone)}_{uuid.uuid4()}")


def new_zonal_id(zone: str) -> str:
    """`0717-<uuid>`: subnets, templates, attachments, interfaces, reserved ips."""
    return f"{zone_prefix(zone)}-{uuid.uuid4()}"


def new_regional_id(region: str) -> str:
    """`r006-<uuid>`: vpcs, images, keys, placement groups, security groups, volumes, floating ips."""
    return f"{region_prefix(region)}-{uuid.uuid4()}"


def new_iam_id(prefix: str) -> str:
    """`Profile-<uuid>`, `ApiKey-<uuid>`, `ClaimRule-<uuid>`, `link-<uuid>`, `node-<uuid>`."""
    return f"{prefix}-{uuid.uuid4()}"


def new_hex_id() -> str:
    """32 lower-case hex digits: accounts and resource groups."""
    return secrets.token_hex(16)


def new_request_id() -> str:
    """A fresh id for `X-Request-Id` and `trace`, in the form of a random UUID."""
    # Not by way of `uuid.UUID`, which takes most of the time: every call on the data plane makes one.
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def is_crn(text: str) -> bool:
    """Whether the text claims to be a CRN; `parse_crn` says whether it is one."""
    return text.startswith("crn:")


@dataclass(frozen=True, slots=True)
class Crn:
    """A cloud resource name. `str(crn)` has the ten segments that clients count."""

    service: str
    location: str
    account_id: str
    resource_type: str
    resource: str
    cname: str = "bluemix"
    ctype: str = "public"

    def __str__(self) -> str:
        return (
            f"crn:v1:{self.cname}:{self.ctype}:{self.service}:{self.location}:"
            f"a/{self.account_id}::{self.resource_type}:{self.resource}"
        )


def parse_crn(text: str) -> Crn:
    """Read a CRN. Raises ValueError with a sentence for the user when it is not one."""
    parts = text.split(":")
    if len(parts) != 10 or parts[:2] != ["crn", "v1"]:
        raise ValueError("a CRN has ten segments separated by `:` and begins with `crn:v1:`")
    _, _, cname, ctype, service, location, scope, _instance, resource_type, resource = parts
    if not scope.startswith("a/"):
        raise ValueError("the seventh segment of a CRN is `a/<account id>`")
    return Crn(service, location, scope[2:], resource_type, resource, cname, ctype)


def vpc_crn(location: str, account_id: str, resource_type: str, resource: str) -> str:
    """The CRN of a VPC resource (service `is`). `location` is a zone for zonal things, else a region."""
    return str(Crn("is", location, account_id, resource_type, resource))


def profile_crn(account_id: str, profile_id: str) -> str:
    """The CRN of a trusted profile: empty location."""
    return str(Crn("iam-identity", "", account_id, "profile", profile_id))


def is_valid_name(name: str) -> bool:
    """1-63 characters: a letter, then letters, digits and inner hyphens."""
    return len(name) <= NAME_MAX and re.fullmatch(NAME_PATTERN, name) is not None


_WORDS = [
    "amber",
    "anchor",
    "apple",
    "arbor",
    "autumn",
    "badge",
    "bamboo",
    "barley",
    "basil",
    "beacon",
    "birch",
    "bison",
    "breeze",
    "brick",
    "brisk",
    "brook",
    "cactus",
    "candle",
    "canyon",
    "cedar",
    "chalk",
    "cherry",
    "cinder",
    "clover",
    "cobalt",
    "copper",
    "coral",
    "cotton",
    "crane",
    "crisp",
    "daisy",
    "dapper",
    "delta",
    "dune",
    "eager",
    "ember",
    "fable",
    "falcon",
    "fern",
    "fiddle",
    "flint",
    "forest",
    "fossil",
    "garnet",
    "gentle",
    "ginger",
    "glacier",
    "granite",
    "gravel",
    "grove",
    "harbor",
    "hazel",
    "heron",
    "hollow",
    "honey",
    "indigo",
    "iris",
    "island",
    "ivory",
    "jasper",
    "jolly",
    "juniper",
    "kettle",
    "kite",
    "lagoon",
    "lantern",
    "lemon",
    "lilac",
    "linen",
    "lively",
    "lotus",
    "lunar",
    "maple",
    "marble",
    "meadow",
    "mellow",
    "mint",
    "mirror",
    "moss",
    "nectar",
    "nimble",
    "noble",
    "north",
    "oak",
    "ocean",
    "olive",
    "onyx",
    "orbit",
    "orchid",
    "otter",
    "paddle",
    "pebble",
    "pepper",
    "pine",
    "plum",
    "polar",
    "pollen",
    "prairie",
    "quartz",
    "quiet",
    "quill",
    "rapid",
    "raven",
    "reef",
    "ribbon",
    "river",
    "robin",
    "rustic",
    "saffron",
    "sage",
    "sandal",
    "shadow",
    "silver",
    "slate",
    "solar",
    "sparrow",
    "spruce",
    "sturdy",
    "summit",
    "sunny",
    "thistle",
    "tidal",
    "timber",
    "topaz",
    "tulip",
    "umber",
    "valley",
    "velvet",
    "violet",
    "walnut",
    "willow",
    "winter",
    "wren",
    "yarrow",
    "zephyr",
    "zinc",
]


def generated_name() -> str:
    """Four random words with hyphens, as the API gives to what the user did not name."""
    return "-".join(secrets.choice(_WORDS) for _ in range(4))
