"""Write `docs/differences.md`: what linklocal does otherwise than IBM's service, in one table.

It comes from the marks `differs` on the tests that hold each difference, read from their source without
running them, and from the server's table of what is absent. `make differences` runs it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from linklocal.server.absent import ABSENT

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "differences.md"
ABSENT_TEST = "tests/wire/test_operations.py::test_every_operation_of_the_sdk_is_offered_or_absent"
HEAD = """# Differences from IBM's service

One row for each known difference, and for each point that IBM's public material leaves open and that
linklocal had to decide: those may turn out to be no difference, or another one.
Each is held by the test in its row. `make differences` makes this page from the marks on those tests and
from the table of what is absent; [cli.md](cli.md) has the options of IBM's commands that are left out.

| Where | IBM | linklocal | Held by |
|---|---|---|---|
"""


class Difference(NamedTuple):
    where: str
    ibm: str
    linklocal: str
    test: str

    def row(self) -> str:
        cells = [cell.replace("|", "\\|") for cell in self[:3]]
        return f"| {' | '.join([*cells, f'`{self.test}`'])} |\n"


def marked(path: Path) -> Iterator[Difference]:
    """The marks of one file. Raises ValueError for one that is not three texts."""
    source = path.read_text()
    if "mark.differs" not in source:
        return
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for decorator in node.decorator_list:
            if not isinstance(decorator, ast.Call):
                continue
            if ast.unparse(decorator.func) == "pytest.mark.differs":
                where, ibm, ours = (ast.literal_eval(argument) for argument in decorator.args)
                test = f"{path.relative_to(TESTS.parent)}::{node.name}"
                yield Difference(where, ibm, ours, test)


def differences() -> list[Difference]:
    """All of them, in the order of the page."""
    found = [one for path in sorted(TESTS.rglob("test_*.py")) for one in marked(path)]
    found += [
        Difference(f"VPC API: {row.what}", "has them", f"501: {row.instead}", ABSENT_TEST)
        for row in ABSENT
    ]
    return sorted(found)


def page() -> str:
    """The whole page."""
    return HEAD + "".join(one.row() for one in differences())


if __name__ == "__main__":
    PAGE.write_text(page())
