"""What somebody typed while their session ended: kept in the sign-in page, sealed, and for them alone.

The page holds it as one hidden field that only this server can read; so what was typed (user data may be
in it) is in no database, and not readable in a page that anybody at the browser sees.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from linklocal.clock import Clock
from linklocal.console.forms import Form
from linklocal.console.sessions import REMEMBERED
from linklocal.iam.secrets import Sealer

FIELD = "typed"  # of the sign-in form, and of the form that goes back
_CONTEXT = "console-typed"
_NOT_TYPED = ("csrf", "api_key", FIELD)


@dataclass(frozen=True, slots=True)
class Typed:
    """A form that was sent too late: where to, by whom."""

    path: str
    iam_id: str
    form: Form


class TypedForms:
    """One per server; keeps nothing."""

    def __init__(self, sealer: Sealer, clock: Clock) -> None:
        self._sealer = sealer
        self._clock = clock

    def seal(self, typed: Typed) -> str:
        """The text of the hidden field. Tokens and keys are left out."""
        kept = {
            "path": typed.path,
            "iam_id": typed.iam_id,
            "fields": typed.form.without(*_NOT_TYPED).values(),
            "until": int((self._clock.now() + REMEMBERED).timestamp()),
        }
        return self._sealer.seal(json.dumps(kept).encode(), _CONTEXT)

    def open(self, text: str, iam_id: str) -> Typed | None:
        """What was typed; None when it is too old, another user's, or none of this server's."""
        plain = self._sealer.open(text, _CONTEXT) if text else None
        if plain is None:
            return None
        kept = json.loads(plain)
        if kept["until"] <= self._clock.now().timestamp() or kept["iam_id"] != iam_id:
            return None
        return Typed(kept["path"], kept["iam_id"], Form(kept["fields"]))
