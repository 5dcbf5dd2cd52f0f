"""How a table is made to fit a screen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccproxy.cli.narrow import fit

ROUTES = ("agent", "tier", "route")
ROUTE_ROWS = [
    ("chief-architect", "opus", "claude-opus > claude-sonnet > qwen-coder"),
    ("debugger", "sonnet", "qwen-coder > claude-sonnet"),
]
USAGE = ("agent", "requests", "failed", "cache write", "cost", "TTFT", "tokens/s")
USAGE_ROWS = [
    ("python-specialist", "12,345", "", "99,999", "$0.1230 + ?", "12.34 s", "50.1"),
    ("total", "12,345", "", "99,999", "$0.1230 + ?", "12.34 s", "50.1"),
]


def shown(headings, rows, room, spare=()):
    fitting = fit(headings, rows, room, spare)
    names = [headings[place] for place in fitting.shown]
    return dict(zip(names, fitting.widths, strict=True)), fitting


@pytest.mark.parametrize("room", [None, 200, 80])
def test_a_table_that_fits_is_whole(room):
    """Also its empty columns; in a pipe nothing is too wide."""
    widths, fitting = shown(USAGE, USAGE_ROWS, room)

    assert list(USAGE) == list(widths)
    assert (80, 11, ()) == (fitting.total, widths["cache write"], fitting.left_out)


def test_what_is_empty_goes_first():
    """A column without a text in any row is not missed, and not spoken of."""
    widths, fitting = shown(USAGE, USAGE_ROWS, 79)

    assert "failed" not in widths
    assert (72, ()) == (fitting.total, fitting.left_out)


def test_a_heading_is_broken_before_a_cell():
    """Between its words; every cell is whole still."""
    widths, fitting = shown(USAGE, USAGE_ROWS, 67)

    assert (6, 17, ()) == (widths["cache write"], widths["agent"], fitting.left_out)


def test_long_texts_are_broken_and_short_ones_never():
    """What is long gives way, down to its longest word; names and amounts do not."""
    widths, fitting = shown(ROUTES, ROUTE_ROWS, 45)

    assert {"agent": 15, "tier": 6, "route": 20} == widths
    assert 45 == fitting.total


@pytest.mark.parametrize(
    ("room", "spare", "left_out"),
    [
        (63, (), ("tokens/s",)),
        (54, (), ("TTFT", "tokens/s")),
        (63, ("requests",), ("requests",)),
        (50, ("requests", "tokens/s"), ("requests", "tokens/s")),
        (40, ("requests", "tokens/s", "cost", "agent"), ("requests", "cost", "tokens/s")),
        (30, (), ("TTFT", "tokens/s")),
        (30, USAGE, ("requests", "cache write", "cost", "TTFT")),
    ],
)
def test_the_least_needed_is_left_out(room, spare, left_out):
    """In the order that is said, then from the end down to four columns; never the first."""
    widths, fitting = shown(USAGE, USAGE_ROWS, room, spare)

    assert left_out == fitting.left_out
    assert "agent" in widths
    assert fitting.total <= room


def test_few_columns_stay_on_any_screen():
    """Then words are broken: better than to say nothing of them."""
    widths, fitting = shown(ROUTES, ROUTE_ROWS, 30)

    assert list(ROUTES) == list(widths)
    assert (30, ()) == (fitting.total, fitting.left_out)


def test_a_table_without_rows():
    """Its headings are all it has, so none of them is empty."""
    assert list(USAGE) == list(shown(USAGE, [], 60)[0])


CELLS = st.text(st.sampled_from("abc 日\n\t"), max_size=40)


@given(
    st.integers(1, 6).flatmap(
        lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=4)
    ),
    st.integers(20, 120),
)
def test_whatever_is_in_it_fits(table, room):
    """No table is wider than its screen, and the columns that are shown keep their order."""
    headings, *rows = table
    fitting = fit(headings, rows, room)

    assert fitting.total <= room
    assert list(fitting.shown) == sorted(set(fitting.shown))
