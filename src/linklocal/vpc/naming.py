"""Names: unique per kind and region; `ibm-` belongs to the provider (control-plane contract 1.6)."""

from __future__ import annotations

from linklocal.errors import Problem, Target, bad_field

PROVIDER_PREFIX = "ibm-"


def name_taken(kind: str, name: str, field: str = "name") -> Problem:
    """400 `validation_unique_failed` (contract 1.4)."""
    return Problem(
        "validation_unique_failed",
        f"There is already a {kind} named {name!r} in this region: choose another name.",
        Target(field, "field", name),
    )


def name_reserved(name: str | None, field: str = "name") -> list[Problem]:
    """A problem when a user takes a name of the provider's."""
    if name is None or not name.startswith(PROVIDER_PREFIX):
        return []
    return [bad_field(field, f"Names that begin with `{PROVIDER_PREFIX}` are reserved.", name)]
