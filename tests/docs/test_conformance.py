"""docs/conformance.md is what the list of items and the tests come to."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

import pytest

from tests.support import conformance
from tests.support.conformance import PAGE, ROOT, Item, Test, citing_tests, page, read_items, status

if TYPE_CHECKING:
    from pathlib import Path

SEVERITIES, SIDES = {"M", "S"}, {"L", "P", "B"}
COUNT = 298


@pytest.fixture(scope="module")
def tests() -> tuple[Test, ...]:
    """Every test that names an item."""
    return citing_tests()


@pytest.fixture(scope="module")
def items() -> dict[int, Item]:
    """Every item, by number."""
    return {item.number: item for section in read_items()[1] for item in section.items}


def test_the_page_is_generated() -> None:
    """A new item or a test that names one needs `make docs`."""
    assert page() == PAGE.read_text(encoding="utf-8")


def test_the_list_is_whole(items: dict[int, Item]) -> None:
    """Items are numbered through, with a side, a severity, known sources and a rule."""
    sources, sections = read_items()

    assert list(range(1, COUNT + 1)) == [item.number for each in sections for item in each.items]
    for item in items.values():
        assert item.side in SIDES, item.number
        assert item.severity in SEVERITIES, item.number
        assert set(item.sources) <= set(sources), item.number
        assert item.sources, item.number
        assert item.rule, item.number


def test_every_must_of_the_local_side_has_a_test(
    items: dict[int, Item], tests: tuple[Test, ...]
) -> None:
    """What the local side must keep is tested, or is told as open."""
    untested = [
        number
        for number, item in items.items()
        if item.local and item.severity == "M" and status(item, tests) == "not tested"
    ]

    assert [] == untested, "name the number in the docstring of a test that covers it"


def test_only_items_that_exist_are_named(items: dict[int, Item], tests: tuple[Test, ...]) -> None:
    """No test names a number that the list does not have."""
    assert [] == [
        (test.path, test.name, number)
        for test in tests
        for number in test.numbers
        if number not in items
    ]


def test_a_range_is_of_rows(tests: tuple[Test, ...]) -> None:
    """A range stands for the numbers of a test's rows, so there must be some."""
    assert [] == [(test.path, test.name, test.empty_ranges) for test in tests if test.empty_ranges]


def test_an_exception_has_a_link_and_a_test(items: dict[int, Item]) -> None:
    """What an upstream's bug excuses names the bug, and the test that fails once it is fixed."""
    names = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", file.read_text(encoding="utf-8"))
    }
    for item in items.values():
        if item.exception:
            assert item.exception["link"].startswith("https://"), item.number
            assert item.exception["test"] in names, item.number


SAMPLE = """
import pytest
from tests.rows import FAR

NEAR = [("101 first", 1), ("second (102, 103)", 2), (f"104 {NEAR}", 3), ("105", 4), ("207 far", 5)]
BOTH = [*NEAR, *FAR]
pytestmark = pytest.mark.needs("node")

@pytest.mark.parametrize("row", BOTH)
def test_rows(row):
    '''Rows (conformance 100-199, 250).'''

def test_short():
    '''Short (001,
    002).'''

class TestGroup:
    async def test_with_more(self):
        '''More (conformance 003, design 5) and (design 4.2; conformance 004).'''

def test_no_rows():
    '''Nothing (conformance 100-199).'''

def test_without(row):
    '''Without: 404 (5 s), (12), (1234), (431).'''

def helper():
    '''A helper (conformance 009).'''
"""


def test_what_counts_as_naming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers at the end of a docstring count, and those of the rows inside its ranges."""
    folder = tmp_path / "tests"
    folder.mkdir()
    (folder / "test_sample.py").write_text(textwrap.dedent(SAMPLE))
    (folder / "rows.py").write_text("FAR = {'106 other': 1}\n")
    monkeypatch.setattr(conformance, "ROOT", tmp_path)

    found = {test.name: test for test in citing_tests()}

    assert {101, 102, 103, 104, 106, 250} == found["test_rows"].numbers
    assert {1, 2} == found["test_short"].numbers
    assert {3, 4} == found["test_with_more"].numbers
    assert ("100-199",) == found["test_no_rows"].empty_ranges
    assert {"test_rows", "test_short", "test_with_more", "test_no_rows"} == set(found)
    assert {"node"} == {test.needs for test in found.values()}


def test_status(items: dict[int, Item]) -> None:
    """Held by a test that runs, held where a tool is, open, excused, or not tested."""
    item = items[1]
    runs = Test("tests/test_a.py", "test_a", frozenset({1}), (), "")
    needs = Test("tests/test_a.py", "test_b", frozenset({1}), (), "node")
    other = Test("tests/test_a.py", "test_c", frozenset({2}), (), "")
    excused = Item(1, "L", "M", ("DSN",), "x", exception={"link": "https://x", "test": "test_x"})

    assert status(item, (runs, needs)) == "holding"
    assert status(item, (needs, other)) == "holding where node is installed"
    assert status(item, (other,)) == "not tested"
    assert status(Item(1, "L", "M", ("DSN",), "x", open="why"), (runs,)) == "open: why"
    assert status(excused, (runs,)) == "exception: <https://x>, ends with `test_x`"
