"""Numbers for people."""

import pytest

from ccproxy.cli import amounts


@pytest.mark.parametrize(
    ("microusd", "text"),
    [
        (0, "$0.0000"), (1, "$0.000001"), (99, "$0.000099"), (100, "$0.0001"),
        (123_449, "$0.1234"), (999_999, "$1.0000"), (1_000_000, "$1.00"),
        (1_234_565_000, "$1,234.57"), (-5_000_000, "-$5.00"),
    ],
)  # fmt: skip
def test_dollars(microusd, text):
    """To the cent from a dollar on, below it to a hundredth of one, and never 0 for something."""
    assert amounts.dollars(microusd) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (99_999, "99,999"), (100_000, "100k"), (1_234_567, "1.23M"), (12_345_678, "12.3M"), (9_990_000_000, "9.99G")],
)  # fmt: skip
def test_counted(number, text):
    """Whole below 100,000, then three digits."""
    assert amounts.counted(number) == text


def test_costs_that_are_not_known():
    """They are never shown as 0, nor left out of what is known."""
    assert [amounts.cost(0, 2), amounts.cost(5_000_000, 2), amounts.cost(0, 0)] == [
        "?", "$5.00 + ?", "$0.0000",
    ]  # fmt: skip
