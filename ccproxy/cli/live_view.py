"""The figures of a running proxy, drawn for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ccproxy.cli import amounts
from ccproxy.cli.narrow import fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from ccproxy.cli.live_figures import Figures, Flow

_NUMBERS: Final = (
    "running", "waiting", "per min", "tokens/s", "TTFT", "requests", "failed", "cost",
)  # fmt: skip
_DEPLOYMENT: Final = ("deployment", "side", *_NUMBERS, "state")
_BACKEND: Final = ("backend", "state", "in memory", "why")
_SPARE: Final = ("side", "tokens/s", "cost", "TTFT", "requests", "per min", "waiting")
"""What a narrow screen loses first, in this order; never what says that something is wrong."""


def drawn(figures: Figures, heading: str, room: int | None) -> Group:
    """Return what to print; `heading` says where it comes from.

    `room` is the screen's width, None where there is no bound: a narrow one loses figures whole,
    those first that are the least needed, and is told which.
    """
    deployments, left_out = _deployments(figures, room)
    backends, _ = _backends(figures, room)
    parts: list[RenderableType] = [_head(figures, heading), "", deployments, "", backends]
    if left_out:
        parts.append(Text(f"no room for {', '.join(left_out)}", "dim"))
    return Group(*parts)


def _head(figures: Figures, heading: str) -> Text:
    total = figures.total
    text = Text(heading, style="bold")
    text.append("  ready" if figures.ready else "  NOT READY", "green" if figures.ready else "red")
    text.append(f"  profile {figures.profile}  ledger {figures.ledger}", "not bold")
    text.append(f"\n{total.requests:,} requests, {total.failed:,} failed, ", "not bold")
    text.append(f"${total.cost_usd:,.2f} since the start", "not bold")
    if total.requests_per_min is not None:
        rate = f"; {total.requests_per_min:.0f}/min, {total.output_tokens_per_s or 0:.0f} tokens/s"
        text.append(rate, "not bold")
    return text


def _deployments(figures: Figures, room: int | None) -> tuple[Table, Sequence[str]]:
    rows = [
        (
            Text(each.name),
            Text(each.side),
            Text(str(each.busy or "")),
            Text(str(each.waiting or "")),
            *map(Text, _flow(each.flow)),
            Text(each.state, "yellow") if each.state else Text("ok", "green"),
        )
        for each in figures.deployments
    ]
    return _table(_DEPLOYMENT, rows, room)


def _flow(flow: Flow) -> tuple[str, ...]:
    return (
        _rate(flow.requests_per_min),
        _rate(flow.output_tokens_per_s),
        "" if flow.ttft_s is None else f"{flow.ttft_s:.2f} s",
        amounts.counted(flow.requests),
        amounts.counted(flow.failed) if flow.failed else "",
        f"${flow.cost_usd:,.2f}" if flow.cost_usd else "",
    )


def _rate(value: float | None) -> str:
    return f"{value:.1f}" if value else ""


def _backends(figures: Figures, room: int | None) -> tuple[Table, Sequence[str]]:
    colours = {"up": "green", "down": "red"}
    rows = [
        (
            Text(each.address),
            Text(each.state, colours.get(each.state, "")),
            Text(", ".join(each.resident)),
            Text(each.why),
        )
        for each in figures.backends
    ]
    return _table(_BACKEND, rows, room)


def _table(
    headings: Sequence[str], rows: Sequence[Sequence[Text]], room: int | None
) -> tuple[Table, Sequence[str]]:
    """Return a table and the headings of what it has no room for."""
    fitting = fit(headings, [[cell.plain for cell in row] for row in rows], room, _SPARE)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, width in zip(fitting.shown, fitting.widths, strict=True):
        table.add_column(
            Text(headings[place], no_wrap=False, overflow="fold"),
            justify="right" if headings[place] in _NUMBERS else "left",
            overflow="fold",
            width=width,
        )
    for row in rows:
        table.add_row(*(row[place] for place in fitting.shown))
    return table, fitting.left_out
