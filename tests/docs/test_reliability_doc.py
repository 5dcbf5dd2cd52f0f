"""docs/reliability.md says what the code does."""

import pytest

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
