"""Among which rows something is looked for: a statement that is made once, and its parameters.

To build a statement and the key by which SQLAlchemy finds its compiled form takes longer than to run it.
So what every request asks is a constant with `bindparam`s, and this is how it is handed on to what
narrows it further (a name, an id). Knows no resource.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Select, Table, bindparam, select

# Statements kept that were derived from scopes: there are some 100, but what is kept must have an end.
DERIVED = 512


class Scope(NamedTuple):
    """`statement` selects whole rows of one table and is made once, as a constant; `parameters` are what
    its `bindparam`s stand for. (`wanted` is taken: what is looked for.)
    """

    statement: Select[Any]
    parameters: Mapping[str, Any]

    def seeking(self, wanted: Any) -> dict[str, Any]:
        """The parameters of a statement that looks for `wanted` in here."""
        return {**self.parameters, "wanted": wanted}


@cache
def account_rows(table: Table) -> Select[Any]:
    """Rows of one account (`own_account`) in one region (`own_region`)."""
    return select(table).where(
        table.c.account_id == bindparam("own_account"), table.c.region == bindparam("own_region")
    )


def account_scope(table: Table, account_id: str, region: str) -> Scope:
    """The rows of `table` (columns `account_id` and `region`) that an account has in a region."""
    return Scope(account_rows(table), {"own_account": account_id, "own_region": region})
