"""The layout of netlink attributes: length, kind, content, padding. Knows no protocol on top of it."""

from __future__ import annotations

import struct
from collections.abc import Iterator

NESTED = 0x8000  # of an attribute's kind: its content is attributes


def attribute(kind: int, content: bytes) -> bytes:
    """One attribute."""
    length = 4 + len(content)
    return struct.pack("=HH", length, kind) + content + b"\0" * (-length % 4)


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and content of each attribute, up to the first that is none."""
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4:
            return
        yield kind & 0x3FFF, data[4:length]
        data = data[(length + 3) & ~3 :]


def text(value: str) -> bytes:
    """As the kernel reads names."""
    return value.encode() + b"\0"
