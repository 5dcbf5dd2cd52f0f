"""The pages about models that are generated are what the shipped files come to."""

import pytest

from tests.support import orchestra_pages


@pytest.mark.parametrize("name", ["assignments", "report"])
def test_a_page_is_generated_from_the_shipped_files(name):
    """An edit of roster, table, settings or the comparison needs `make docs`."""
    page = getattr(orchestra_pages, f"{name}_page")()

    assert page == getattr(orchestra_pages, name.upper()).read_text("utf-8")


def test_every_agent_is_in_the_assignments():
    """115 agents, each with what it is asked first."""
    rows = [line for line in orchestra_pages.assignments_page().splitlines() if " > " in line]

    assert 115 == len(rows)
    assert all(cell.strip() for row in rows for cell in row.split("|")[5:7])
