"""docs/reliability.md says what the code does."""

import re
from dataclasses import fields, replace

import pytest

from routing import breaker, health, retry
from tests.support.reliability import PAGE, with_table


@pytest.fixture(scope="module")
def page():
    return PAGE.read_text(encoding="utf-8")


def test_the_table_of_failures_is_generated(page):
    """A changed consequence needs `make docs`."""
    assert with_table(page) == page


def test_a_page_without_markers_is_refused():
    """Rather than losing the table without a word."""
    with pytest.raises(ValueError, match="markers"):
        with_table("# Reliability\n")


@pytest.mark.parametrize(
    "rules", [retry.DEFAULT_RULES, health.DEFAULT_RULES, breaker.DEFAULT_RULES], ids=type
)
def test_every_default_is_told_with_its_source(page, rules):
    """Each has a row with its value, what it means and where it comes from, and there are no others."""
    _, _, table = page.partition(f"| `{type(rules).__name__}` |")
    rows = [line.split(" | ") for line in table.split("\n\n")[0].splitlines()[2:]]

    told = {row[0].strip("|` "): float(row[1]) for row in rows}
    assert told == {field.name: getattr(rules, field.name) for field in fields(rules)}
    assert all(len(row) == 4 and row[2].strip() and row[3].strip("| ") for row in rows)


def test_the_stated_times_are_those_of_the_defaults(page):
    """How soon a backend is known to be dead or back is reckoned, not guessed."""
    stated = [float(text) for text in re.findall(r"\| (\d+\.\d) s \|", page)]
    assert stated == pytest.approx([health.time_to_down_s(), health.time_to_up_s()])

    refused = health.time_to_down_s(replace(health.DEFAULT_RULES, probe_timeout_s=0))
    assert f"then it is {refused:.1f} s" in page
