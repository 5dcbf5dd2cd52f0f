"""docs/security.md names files and tests that there are."""

import ast
import functools
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security.md").read_text()
HEADER = ["threat", "defence", "where", "test"]


def threats():
    """Every row of a table of threats, as its cells."""
    tables = re.findall(r"\| threat \|.*?\n\n", PAGE, re.DOTALL)
    for table in tables:
        rows = [line.strip("| ").split(" | ") for line in table.strip().splitlines()]
        assert HEADER == rows[0]
        yield from rows[2:]


ROWS = list(threats())


@functools.cache
def names_in(file):
    tree = ast.parse((ROOT / file).read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_each_threat_has_its_defence_and_its_test(row):
    """Where the defence is exists, and so does the test that names it."""
    assert 4 == len(row)
    assert all(cell.strip() for cell in row)
    places = re.findall(r"`([^`]+)`", row[2])
    names = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row[3])

    assert places
    assert [] == [place for place in places if not (ROOT / place).exists()]
    assert names
    assert row[3].count("::") == len(names)
    assert [] == [name for file, name in names if name not in names_in(file)]


@pytest.mark.parametrize(
    "threat",
    [
        "Guessing tokens", "Slowloris", "Request smuggling", "Path traversal", "SSRF through images",
        "SSRF through JWKS", "Decompression bombs", "Log injection", "DNS rebinding", "CSV injection",
        "ReDoS", "YAML", "SQL", "Header injection", "Cross-site",
    ],
)  # fmt: skip
def test_the_usual_threats_are_spoken_of(threat):
    """What a reviewer looks for first is in the tables."""
    assert any(threat in row[0] for row in ROWS)


def test_each_was_seen_to_fail():
    """Every test of the tables stands in the list of what was taken out."""
    seen = PAGE.partition("## Seen to fail")[2]
    named = {name for row in ROWS for name in re.findall(r"::(test_\w+)", row[3])}

    assert [] == sorted(name for name in named if f"`{name}`" not in seen)
