"""Text that both databases can hold, and whether given text is such.

PostgreSQL refuses NUL, and neither takes half a surrogate pair. No identifier of ours contains either,
so a look-up by such text finds nothing: it must not become an error of the server.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError


def storable(text: str) -> bool:
    """Whether the text may be sent to the database."""
    return "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def _check(text: str) -> str:
    if not storable(text):
        raise PydanticCustomError("text", "must not contain the NUL character")
    return text


# For members of request bodies that are stored or looked up.
StoredText = Annotated[str, AfterValidator(_check)]
