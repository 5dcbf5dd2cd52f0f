"""The figures of a running proxy, drawn for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ccproxy.cli import amounts

if TYPE_CHECKING:
    from ccproxy.cli.live_figures import Figures, Flow


def drawn(figures: Figures, heading: str) -> Group:
    """Return what to print; `heading` says where it comes from."""
    return Group(_head(figures, heading), "", _deployments(figures), "", _backends(figures))


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


def _deployments(figures: Figures) -> Table:
    table = _table(
        ("deployment", "side"),
        ("running", "waiting", "per min", "tokens/s", "TTFT", "requests", "failed", "cost"),
        ("state",),
    )
    for each in figures.deployments:
        table.add_row(
            Text(each.name),
            Text(each.side),
            str(each.busy or ""),
            str(each.waiting or ""),
            *_flow(each.flow),
            Text(each.state, "yellow") if each.state else Text("ok", "green"),
        )
    return table


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


def _backends(figures: Figures) -> Table:
    table = _table(("backend", "state"), (), ("in memory", "why"))
    colours = {"up": "green", "down": "red"}
    for each in figures.backends:
        table.add_row(
            Text(each.address),
            Text(each.state, colours.get(each.state, "")),
            Text(", ".join(each.resident)),
            Text(each.why),
        )
    return table


def _table(left: tuple[str, ...], numbers: tuple[str, ...], right: tuple[str, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for names, justify in ((left, "left"), (numbers, "right"), (right, "left")):
        for name in names:
            # A narrow terminal loses the end of a cell, not the line that it is on.
            options: dict[str, Any] = {"justify": justify, "overflow": "ellipsis", "no_wrap": True}
            table.add_column(name, **options)
    return table
