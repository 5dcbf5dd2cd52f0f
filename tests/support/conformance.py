"""docs/conformance.md: every item of docs/conformance-items.yaml, and the tests that name it.

    python -m tests.support.conformance > docs/conformance.md

A test names items at the end of its docstring: `(conformance 134)`, `(conformance 080, 083)`, or
short `(080, 083)`. A table of rows names them row by row, in the first word of a row's name
("083 empty block") or at its end ("empty block (083)"); the test that runs the rows then gives the
range that counts, `(conformance 066-116)`, and has of it the numbers of its rows. Without the word
a number from 300 on is an HTTP status.

Nothing is run: tests are read as text, so a marker that says more than its test does is a mistake
for reviewers to find.
"""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

ROOT: Final = Path(__file__).parents[2]
ITEMS_FILE: Final = ROOT / "docs/conformance-items.yaml"
PAGE: Final = ROOT / "docs/conformance.md"

_SIMULATORS: Final = ROOT / "tests/ccproxy/demo"
"""What the simulators keep says nothing of the proxy."""
_LIST: Final = r"\d{3}(?:-\d{3})?(?:, \d{3}(?:-\d{3})?)*"
_CITATION: Final = re.compile(
    rf"\((?:[^()]*; )?(?:conformance |(?=[012]))({_LIST})(?:[,;] [^()\d][^()]*)?\)"
)
_ROW: Final = re.compile(r"(\d{3}(?:,? \d{3})*):? .|.* \((\d{3}(?:, \d{3})*)\)$", re.DOTALL)

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of the list."""

    number: int
    side: str
    """`L` local, `P` Claude (pass-through), `B` both."""
    severity: str
    """`M` must, `S` should."""
    sources: tuple[str, ...]
    rule: str
    ours: str = ""
    """What we chose where the item leaves a choice."""
    open: str = ""
    """What does not hold yet, or is not tested."""
    exception: Mapping[str, str] = field(default_factory=dict)
    """`link` of an upstream's bug, and the `test` that fails once it is fixed."""

    @property
    def local(self) -> bool:
        """The item is about the local side."""
        return self.side in "LB"


@dataclass(frozen=True, slots=True)
class Section:
    """A letter, a title and items."""

    letter: str
    title: str
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Test:
    """A test function that names items."""

    __test__ = False

    path: str
    """Relative to the root."""
    name: str
    numbers: frozenset[int]
    empty_ranges: tuple[str, ...]
    """Ranges of which no row has a number."""
    needs: str
    """An outside tool without which the test is left out, or empty."""

    @property
    def link(self) -> str:
        """The test as Markdown, seen from docs/."""
        needs = f" (needs {self.needs})" if self.needs else ""
        return f"[{Path(self.path).stem}::{self.name}](../{self.path}){needs}"


def read_items(path: Path = ITEMS_FILE) -> tuple[dict[str, str], tuple[Section, ...]]:
    """Return the legend of sources and the sections."""
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    sections = tuple(
        Section(
            section["letter"],
            section["title"],
            tuple(Item(**{**item, "sources": tuple(item["sources"])}) for item in section["items"]),
        )
        for section in document["sections"]
    )
    return document["sources"], sections


class _Module:
    """One test module, read but not imported."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tree = ast.parse(path.read_text(encoding="utf-8"))

    @cached_property
    def assigned(self) -> dict[str, ast.expr]:
        """Module-level name -> what is assigned to it."""
        return {
            target.id: node.value
            for node in self.tree.body
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }

    @cached_property
    def imported(self) -> dict[str, Path]:
        """Name -> file of the test module that it is imported from."""
        return {
            alias.asname or alias.name: ROOT / f"{node.module.replace('.', '/')}.py"
            for node in self.tree.body
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests.")
            for alias in node.names
            if node.module is not None
        }

    def tests(self) -> Iterator[Function]:
        """Yield the functions that pytest collects."""
        for node in ast.walk(self.tree):
            if isinstance(node, Function) and node.name.startswith("test"):
                yield node


class _Reader:
    """Reads every test module once."""

    def __init__(self) -> None:
        self._modules: dict[Path, _Module] = {}

    def module(self, path: Path) -> _Module:
        if path not in self._modules:
            self._modules[path] = _Module(path)
        return self._modules[path]

    def tests(self) -> Iterator[Test]:
        for path in sorted((ROOT / "tests").rglob("test_*.py")):
            if path.is_relative_to(_SIMULATORS):
                continue
            module = self.module(path)
            for function in module.tests():
                cited = self._cited(module, function)
                if cited is not None:
                    yield cited

    def _cited(self, module: _Module, function: Function) -> Test | None:
        words = " ".join((ast.get_docstring(function) or "").split())
        parts = [part for found in _CITATION.finditer(words) for part in found[1].split(", ")]
        if not parts:
            return None
        numbers = {int(part) for part in parts if "-" not in part}
        ranges = [part for part in parts if "-" in part]
        rows = self._row_numbers(module, function) if ranges else set()
        empty = []
        for part in ranges:
            first, last = map(int, part.split("-"))
            within = {number for number in rows if first <= number <= last}
            numbers |= within
            if not within:
                empty.append(part)
        path = str(module.path.relative_to(ROOT))
        needs = _needed(module, function)
        return Test(path, function.name, frozenset(numbers), tuple(empty), needs)

    def _row_numbers(self, module: _Module, function: Function) -> set[int]:
        """Return the numbers in the names of the rows that a test runs."""
        numbers: set[int] = set()
        seen: set[tuple[Path, str]] = set()
        waiting: list[tuple[_Module, ast.AST]] = [(module, function)]
        while waiting:
            at, node = waiting.pop()
            numbers |= _named_rows(node)
            for part in ast.walk(node):
                if not isinstance(part, ast.Name) or (at.path, part.id) in seen:
                    continue
                seen.add((at.path, part.id))
                home = self.module(at.imported[part.id]) if part.id in at.imported else at
                if part.id in home.assigned:
                    waiting.append((home, home.assigned[part.id]))
        return numbers


def _named_rows(node: ast.AST) -> set[int]:
    """Return the numbers in keys of dicts and in first parts of tuples, calls and `param(id=)`."""
    names: list[ast.expr | None] = []
    for part in ast.walk(node):
        if isinstance(part, ast.Dict):
            names += part.keys
        elif isinstance(part, ast.Tuple):
            names += part.elts[:1]
        elif isinstance(part, ast.Call):
            names += part.args[:1]
            names += [keyword.value for keyword in part.keywords if keyword.arg == "id"]
    found = (_ROW.match(_text(name)) for name in names)
    return {
        int(number) for row in found if row for number in re.findall(r"\d+", row[1] or row[2] or "")
    }


def _needed(module: _Module, function: Function) -> str:
    """Return the outside tool that a test or its whole module is marked with."""
    marks = [*function.decorator_list, module.assigned.get("pytestmark")]
    marks += [module.assigned.get(mark.id) for mark in marks if isinstance(mark, ast.Name)]
    for words in (ast.unparse(mark) for mark in marks if mark is not None):
        found = re.search(r"mark\.needs\('([\w-]+)'", words)
        if found and "parametrize" not in words:
            return found[1]
    return ""


def _text(node: ast.expr | None) -> str:
    """Return a string; of an f-string the part before its first value."""
    if isinstance(node, ast.JoinedStr):
        node = node.values[0] if node.values else None
        return f"{_text(node)}…" if isinstance(node, ast.Constant) else ""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def citing_tests() -> tuple[Test, ...]:
    """Return every test that names an item, by file and line."""
    return tuple(_Reader().tests())


def status(item: Item, tests: Iterable[Test]) -> str:
    """Return `holding`, `holding where … is installed`, `exception: …`, `open: …`, `not tested`."""
    if item.exception:
        return f"exception: <{item.exception['link']}>, ends with `{item.exception['test']}`"
    if item.open:
        return f"open: {item.open}"
    named = [test for test in tests if item.number in test.numbers]
    if not named:
        return "not tested"
    if all(test.needs for test in named):
        return f"holding where {named[0].needs} is installed"
    return "holding"


def page() -> str:
    """Return docs/conformance.md."""
    sources, sections = read_items()
    tests = citing_tests()
    lines = [*_head(sections, tests), *_legend(sources)]
    for section in sections:
        lines += [
            f"## {section.letter}. {section.title}",
            "",
            "| No. | | Rule | Status | Tests |",
            "|---|---|---|---|---|",
            *(_row(item, tests) for item in section.items),
            "",
        ]
    return "\n".join(lines)


def _head(sections: tuple[Section, ...], tests: tuple[Test, ...]) -> list[str]:
    musts = [
        item
        for section in sections
        for item in section.items
        if item.local and item.severity == "M"
    ]
    holding = sum(status(item, tests).startswith("holding") for item in musts)
    return [
        "# Conformance to the Messages API",
        "",
        "Generated by `make docs` from [conformance-items.yaml](conformance-items.yaml) and the tests",
        "that name an item; do not edit. `holding` means that tests named here, which `make test`",
        "runs, would fail if the rule did not hold.",
        "",
        f"Of the {len(musts)} items that the local side must keep, {holding} are holding.",
        "",
    ]


def _legend(sources: Mapping[str, str]) -> list[str]:
    return [
        "`L` is the local side, `P` Claude's (pass-through), `B` both; `M` must, `S` should. Where an",
        "item is known from:",
        "",
        *(f"- **{tag}** {meaning}" for tag, meaning in sources.items()),
        "",
    ]


def _row(item: Item, tests: tuple[Test, ...]) -> str:
    rule = f"{item.rule} *Ours:* {item.ours}" if item.ours else item.rule
    named = [test.link for test in tests if item.number in test.numbers]
    cells = (
        f"{item.number:03d}",
        f"{item.side}/{item.severity} {' '.join(item.sources)}",
        rule.replace("|", "\\|"),
        status(item, tests),
        ", ".join(named),
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.stdout.write(page())
