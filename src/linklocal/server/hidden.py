"""What must not be repeated: errors and events quote what was sent, and somebody may put a token anywhere."""

from __future__ import annotations

import re
from dataclasses import replace

from linklocal.errors import Problem

_TOKEN = r"eyJ[A-Za-z0-9_-]{8}[A-Za-z0-9_.-]*"  # noqa: S105 - a pattern
# Keys and join tokens are long, with letters of both kinds; fingerprints are as long, and public.
_KEY = r"(?<![A-Za-z0-9_-])(?<!SHA256:)(?=[a-z0-9_-]*[A-Z])[A-Za-z0-9_-]{40,}"
_SECRET = re.compile(f"{_TOKEN}|{_KEY}")
# Ids that are as long: `Profile-<uuid>`, `ApiKey-<uuid>`, `iam-Profile-<uuid>`, `ClaimRule-<uuid>`.
_ID = re.compile(r"([A-Za-z0-9]{1,12}[_-]){1,2}[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def without_secrets(text: str) -> str:
    """The text with `<hidden>` for what looks like a token or a key."""
    return _SECRET.sub(lambda found: found[0] if _ID.fullmatch(found[0]) else "<hidden>", text)


def clean(problem: Problem) -> Problem:
    """The problem as it may be told, also to whoever sent the secret: answers get into logs of clients."""
    target = problem.target
    if target is not None:
        value = None if target.value is None else without_secrets(target.value)
        target = replace(target, name=without_secrets(target.name), value=value)
    return replace(problem, message=without_secrets(problem.message), target=target)
