"""The plots of a report, as inline SVG without script or reference; see docs/adr/0013."""

from __future__ import annotations

import sys
from itertools import chain
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree as ET

import pygal  # type: ignore[import-untyped]
from pygal.style import Style  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Importing pygal leaves a finder for its map plugins in the way of every later import, in a form
# that Python 3.12 no longer asks and 3.11 warns of.
sys.meta_path[:] = [each for each in sys.meta_path if not isinstance(each, pygal.PluginImportFixer)]

_COLORS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's, which colour-blind people can tell apart."""
_STYLE: Final = {
    "background": "transparent",
    "plot_background": "transparent",
    "opacity": ".85",
    "opacity_hover": "1",
    "transition": "0s",
    "colors": _COLORS,
    "guide_stroke_color": "#bbb",
    "major_guide_stroke_color": "#bbb",
    "font_family": "system-ui, sans-serif",
    "label_font_size": 12,
    "major_label_font_size": 12,
    "legend_font_size": 13,
    "title_font_size": 15,
}
_ROW_PX: Final = 26
_FRAME_PX: Final = 130
_LEGEND_PX: Final = 36


def intervals(
    title: str, groups: Sequence[str], series: Mapping[str, Sequence[Mapping[str, Any]]]
) -> str:
    """Return bars with intervals: for each group one bar of each series.

    Args:
        title: With the unit.
        groups: Names of the groups, top first.
        series: By name, a figure for each group; one without a value has no bar.
    """
    rows = len(groups) * max(1, len(series))
    chart = _chart(pygal.HorizontalBar, title, _FRAME_PX + _ROW_PX * rows)
    highest = [each["high"] or each["value"] or 0 for each in chain.from_iterable(series.values())]
    # Else an interval that is wider than its value ends outside of the plot.
    chart.range = (0, max(highest, default=0) * 1.02 or 1)
    # Drawn from the bottom up.
    chart.x_labels = list(reversed(groups))
    for name, figures in series.items():
        chart.add(name, [_bar(figure) for figure in reversed(figures)])
    return _inline(chart)


def distribution(title: str, series: Mapping[str, Sequence[float]]) -> str:
    """Return, for each series, which share of its values is at most how large."""
    chart = _chart(pygal.XY, title, 300, show_dots=False, stroke_style={"width": 2})
    for name, values in series.items():
        ordered = sorted(values)
        steps = [(ordered[0], 0.0)] if ordered else []
        for number, value in enumerate(ordered, 1):
            steps += [(value, (number - 1) / len(ordered)), (value, number / len(ordered))]
        chart.add(name, steps)
    return _inline(chart)


def course(title: str, series: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Return a dot for each pair of when (seconds since the beginning) and how much."""
    chart = _chart(pygal.XY, title, 300, stroke=False, dots_size=2.5)
    for name, points in series.items():
        chart.add(name, list(points))
    return _inline(chart)


def _chart(kind: Any, title: str, height_px: int, **more: Any) -> Any:  # noqa: ANN401 - untyped
    return kind(
        title=title,
        style=Style(**_STYLE),
        js=(),
        width=900,
        height=height_px,
        explicit_size=False,
        legend_at_bottom=True,
        legend_at_bottom_columns=4,
        x_labels_major_every=1,
        margin=8,
        margin_bottom=_LEGEND_PX,
        truncate_legend=60,
        truncate_label=40,
        print_values=False,
        include_x_axis=True,
        **more,
    )


def _bar(figure: Mapping[str, Any]) -> Any:  # noqa: ANN401 - pygal takes many things
    if figure["value"] is None:
        return None
    if figure["low"] is None:
        return {"value": figure["value"]}
    return {"value": figure["value"], "ci": {"low": figure["low"], "high": figure["high"]}}


def _inline(chart: Any) -> str:  # noqa: ANN401 - untyped
    """Return a chart as an element of a page: no script, no comment, nothing to be fetched."""
    root = chart.render_tree()
    for parent in list(root.iter()):
        for child in list(parent):
            if not isinstance(child.tag, str) or child.tag.rpartition("}")[2] == "script":
                parent.remove(child)
    root.set("role", "img")
    return ET.tostring(root, encoding="unicode")
