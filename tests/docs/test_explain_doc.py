"""docs/explain.md: every command with an output is run, and prints what the page shows."""

import re

import pytest

from tests.support.doc_steps import CHECKOUT, run_step, steps_of

STEPS = steps_of("explain.md")
VERSION = re.compile(r"version [0-9a-f]{6,12}…?")


def words(text: str) -> list[list[str]]:
    """Return lines of words, without what differs between edits of the table."""
    return [VERSION.sub("version …", line).split() for line in text.strip().splitlines()]


@pytest.mark.parametrize(("command", "shown"), STEPS, ids=range(len(STEPS)))
def test_a_command_prints_what_the_page_shows(tmp_path, command, shown):
    """In an empty home, with a key for Claude; warnings are left out."""
    done = run_step(command, tmp_path)

    checkout = str(tmp_path / CHECKOUT)
    printed = words((done.stdout + done.stderr).replace(checkout, "…"))
    assert words(shown) == [line for line in printed if line[:1] != ["warning:"]]


def test_the_page_has_its_examples():
    """The blocks are found, so that the test above is not empty."""
    assert len(STEPS) == 6
