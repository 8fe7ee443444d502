"""Volumes and their attachments as the VPC API shows them: pure, hrefs beginning with `/v1/`."""

from __future__ import annotations

from typing import Any

from linklocal.clock import rfc3339_ms
from linklocal.vpc.volumes.attach import LoadedVolume, LoadedVolumeAttachment


def volume_reference(volume: LoadedVolume) -> dict[str, Any]:
    """VolumeReferenceVolumeAttachmentContext."""
    return {
        "crn": volume.crn,
        "href": f"/v1/volumes/{volume.id}",
        "id": volume.id,
        "name": volume.name,
        "resource_type": "volume",
    }


def volume_attachment_reference(attachment: LoadedVolumeAttachment) -> dict[str, Any]:
    """VolumeAttachmentReferenceInstanceContext."""
    return {
        "device": {"id": attachment.device_id},
        "href": f"/v1/instances/{attachment.instance_id}/volume_attachments/{attachment.id}",
        "id": attachment.id,
        "name": attachment.name,
        "volume": volume_reference(attachment.volume),
    }


def volume_attachment(attachment: LoadedVolumeAttachment) -> dict[str, Any]:
    """VolumeAttachment."""
    return {
        **volume_attachment_reference(attachment),
        "bandwidth": attachment.volume.bandwidth,
        "created_at": rfc3339_ms(attachment.created_at),
        "delete_volume_on_instance_delete": attachment.delete_volume_on_instance_delete,
        "status": "attached",
        "type": attachment.type,
    }
