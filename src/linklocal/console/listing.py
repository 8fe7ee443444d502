"""Lists of the console: a search over all of them, and pages. Knows no resource.

The VPC's lists go on from an opaque `start` and tell how many there are; IAM's go on from a number.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from linklocal.console.pages import Visit
from linklocal.errors import Invalid, bad_field
from linklocal.iam.http import Found
from linklocal.iam.http import Page as IamPage
from linklocal.vpc.paging import Page
from linklocal.vpc.rows import View, ViewPage

ROWS = 50
_MOST_DIGITS = 9


def searched(text: str) -> str:
    """What somebody typed into a search field, without characters that no name has."""
    return "".join(character for character in text.strip() if character.isprintable())


@dataclass(frozen=True, slots=True)
class Asked:
    """What a visitor wants to see of the list at `path`. `kept`: other parameters of its address."""

    path: str
    search: str
    start: str
    kept: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, visit: Visit, path: str, kept: tuple[tuple[str, str], ...] = ()) -> Asked:
        start = visit.query("start")
        return cls(path, searched(visit.query("search")), start, tuple(k for k in kept if k[1]))

    def page(self) -> Page:
        """For the VPC's lists: newest first."""
        return Page(ROWS, self.start or None, self.search)

    def iam_page(self, *, sort: str, descending: bool = False) -> IamPage:
        """For IAM's lists, and others that go on from a number. Raises Invalid (`start`)."""
        if self.start and not (self.start.isdecimal() and len(self.start) <= _MOST_DIGITS):
            message = "`start` is not a page of this list: begin with its first page."
            raise Invalid(bad_field("start", message, self.start, type="parameter"))
        return IamPage(ROWS, int(self.start or 0), sort, descending, self.search)

    def listing(self, page: ViewPage) -> Listing:
        """What one of the VPC's services found."""
        items, total, following = page
        return Listing(self, items, total, following or "")

    def iam_listing(self, found: Found) -> Listing:
        """What one of IAM's services found."""
        following = str(found.page.offset + found.page.size) if found.more else ""
        return Listing(self, found.items, None, following)

    def href(self, start: str = "") -> str:
        """The address of another page of the same search."""
        pairs = [*self.kept, ("search", self.search), ("start", start)]
        query = urlencode([pair for pair in pairs if pair[1]])
        return f"{self.path}?{query}" if query else self.path


@dataclass(frozen=True, slots=True)
class Listing:
    """The items of one page, how many there are in all (None: not known), where the next page begins."""

    asked: Asked
    items: list[View]
    total: int | None
    following: str

    @property
    def first(self) -> str:
        """Link to the first page; empty on it."""
        return self.asked.href() if self.asked.start else ""

    @property
    def next(self) -> str:
        """Link to the next page; empty on the last."""
        return self.asked.href(self.following) if self.following else ""

    @property
    def told(self) -> str:
        """How many there are, for people."""
        if self.total is None:
            return f"{len(self.items)} on this page" if self.first or self.next else ""
        found = "found" if self.asked.search else "in all"
        return f"{self.total} {found}"

    @property
    def searchable(self) -> bool:
        """Whether a search field is of use: an empty list has none."""
        return bool(self.items or self.asked.search or self.asked.start)
