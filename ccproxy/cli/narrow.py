"""How a table is made to fit a screen: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

GAP_COLUMNS: Final = 2
"""Between two columns of a table."""
SHORT_COLUMNS: Final = 20
"""A cell up to here is never broken: names, amounts, a moment like `2026-11-30 23:59:59`."""
WORD_COLUMNS: Final = 32
"""A word up to here is never broken, unless leaving columns out does not help either."""
FEWEST: Final = 4
"""A table of so many columns has none to spare but those that are said to be."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What of a table is shown."""

    shown: tuple[int, ...]
    """Places of its columns, in order."""
    widths: tuple[int, ...]
    """Of each of those."""
    left_out: tuple[str, ...] = ()
    """Headings of columns that hold something and are not shown, in the table's order."""

    @property
    def total(self) -> int:
        """The table's width."""
        return _total(self.widths)


def fit(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    room: int | None,
    spare: Sequence[str] = (),
) -> Fit:
    """Return what of a table a screen has room for; a table that fits is shown whole.

    Of one that does not, columns without a text in any row go first. Then headings are broken
    between words, then long cells, the widest first; and then columns are left out.

    Args:
        headings: One for each column; may be empty.
        rows: Cells, one for each column.
        room: Width of the screen; None is no bound.
        spare: Headings in the order in which their columns are left out; others come after these,
            the last of the table first. The first column is never left out.
    """
    columns = [
        _Column(heading, tuple(cells))
        for heading, *cells in zip(headings, *rows, strict=True)
    ]  # fmt: skip
    whole = [each.whole for each in columns]
    if room is None or _total(whole) <= room:
        return Fit(tuple(range(len(columns))), tuple(whole))
    kept = [place for place, each in enumerate(columns) if each.cells_columns or not rows]
    order = _leaving(headings, kept, spare)
    left_out = []
    while _total([columns[place].least for place in kept]) > room and order:
        left_out.append(order.pop(0))
        kept.remove(left_out[-1])
    return Fit(
        tuple(kept),
        tuple(_widths([columns[place] for place in kept], room)),
        tuple(headings[place] for place in sorted(left_out)),
    )


class _Column:
    """Widths that a column could have."""

    def __init__(self, heading: str, cells: Collection[str]) -> None:
        head_word = _widest(heading.split())
        cell_word = _widest([word for cell in cells for word in cell.split()])
        self.cells_columns = _widest([line for cell in cells for line in _lines(cell)])
        self.whole = max(cell_len(heading), self.cells_columns)
        self.whole_cells = max(head_word, self.cells_columns)
        self.whole_words = max(head_word, cell_word)
        if self.cells_columns <= SHORT_COLUMNS:
            self.least = self.whole_cells
        else:
            self.least = max(head_word, min(cell_word, WORD_COLUMNS))


def _lines(cell: str) -> list[str]:
    return cell.expandtabs().split("\n")


def _widest(texts: Sequence[str]) -> int:
    return max(map(cell_len, texts), default=0)


def _leaving(headings: Sequence[str], kept: Sequence[int], spare: Sequence[str]) -> list[int]:
    """Return the columns that may be left out, in that order."""
    named = [place for name in spare for place in kept[1:] if headings[place] == name]
    others = [place for place in reversed(kept[1:]) if place not in named]
    return named + others[: max(0, len(kept) - len(named) - FEWEST)]


def _widths(columns: Sequence[_Column], room: int) -> list[int]:
    """Return widths that fit, if need be by breaking words."""
    widths = [each.whole for each in columns]
    stages = zip(*((c.whole_cells, c.least, c.whole_words, 1) for c in columns), strict=True)
    for least in stages:
        _narrow(widths, least, room)
    return widths


def _narrow(widths: list[int], least: Sequence[int], room: int) -> None:
    """Make the widest that may be narrower a little so, until all fit or none may."""
    while _total(widths) > room:
        wide = [place for place, width in enumerate(widths) if width > least[place]]
        if not wide:
            return
        widths[max(wide, key=widths.__getitem__)] -= 1


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + GAP_COLUMNS * (len(widths) - 1)
