"""The provider's public images: what a fresh installation has (contract 3)."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from linklocal.ids import AccountId, region_prefix, vpc_crn
from linklocal.settings import Region
from linklocal.vpc.images.operating_systems import stored
from linklocal.vpc.images.tables import images

# Owns the stock images. It is nobody's account: no caller ever has it.
PROVIDER_ACCOUNT = AccountId("00000000000000000000000000000001")

ANY_USE = "true"
NEEDS_SECURE_METADATA = "metadata_service.enabled == true && metadata_service.protocol == 'https'"
# The API date with whose properties the expressions are written.
_ALLOWED_USE_VERSION = "2026-06-23"
# Ids are derived from names, so that one image has one id in every installation of a region.
_IDS = uuid.UUID("6f0c1c38-6d0b-4b55-9b2e-2f6c5f0d7a11")


@dataclass(frozen=True, slots=True)
class StockImage:
    """A public image. `allowed_use` is an expression over the instance (contract 8)."""

    name: str
    operating_system: str
    allowed_use: str = ANY_USE
    minimum_provisioned_size: int = 10  # GB

    def id(self, region: Region) -> str:
        return f"{region_prefix(region.name)}-{uuid.uuid5(_IDS, self.name)}"


STOCK_IMAGES = (
    StockImage("ibm-ubuntu-22-04-1-minimal-amd64-2", "ubuntu-22-04-amd64"),
    StockImage("ibm-debian-11-3-minimal-amd64-4", "debian-11-amd64"),
    StockImage("ibm-ubuntu-24-04-3-minimal-amd64-1", "ubuntu-24-04-amd64"),
    StockImage("ibm-debian-12-secure-metadata-amd64-1", "debian-12-amd64", NEEDS_SECURE_METADATA),
    StockImage("ibm-ubuntu-22-04-1-minimal-s390x-2", "ubuntu-22-04-s390x"),
)


async def seed_images(
    connection: AsyncConnection, region: Region, resource_group_id: str, now: datetime
) -> None:
    """Make the stock images that the region does not have yet; those that are there stay as they are.

    `resource_group_id` is shown with them, because the API requires every image to have one.
    """
    present = select(images.c.id).where(images.c.account_id == PROVIDER_ACCOUNT)
    known = set((await connection.execute(present)).scalars())
    rows = []
    for position, image in enumerate(STOCK_IMAGES):
        id = image.id(region)
        if id in known:
            continue
        digest = hashlib.sha256(image.name.encode()).hexdigest()
        rows.append(
            {
                "id": id,
                "account_id": PROVIDER_ACCOUNT,
                "region": region.name,
                "name": image.name,
                "crn": vpc_crn(region.name, PROVIDER_ACCOUNT, "image", id),
                "status": "available",
                "visibility": "public",
                "operating_system": image.operating_system,
                "user_data_format": stored(image.operating_system).user_data_format,
                "minimum_provisioned_size": image.minimum_provisioned_size,
                "file": {"checksums": {"sha256": digest}, "size": 1},
                "allowed_use": {
                    "api_version": _ALLOWED_USE_VERSION,
                    "bare_metal_server": ANY_USE,
                    "instance": image.allowed_use,
                },
                "resource_group_id": resource_group_id,
                # Lists show the newest first: keep the order above.
                "created_at": now - timedelta(seconds=position),
            }
        )
    if rows:
        await connection.execute(insert(images), rows)
