"""The figures of a report as rows of texts, for the terminal and for the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ccproxy.bench.report import ALL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NOTHING: Final = "-"


@dataclass(frozen=True, slots=True)
class Metric:
    """How one measurement is told to people."""

    name: str
    """Its key in a report."""
    title: str
    shown: Callable[[float], str]
    unit_size: float = 1.0
    """What a plot divides by."""


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.0f}" if seconds >= 0.01 else f"{seconds * 1000:.2f}"


METRICS: Final = (
    Metric("ttft_s", "first token, ms", _ms, 0.001),
    Metric("inter_token_s", "between tokens, ms", _ms, 0.001),
    Metric("total_s", "total, ms", _ms, 0.001),
    Metric("tokens_per_s", "tokens/s", "{:,.1f}".format),
    Metric("cost_microusd", "cost, $/1000 requests", lambda cost: f"{cost / 1000:,.3f}", 1000),
    Metric("output_tokens", "output tokens", "{:,.0f}".format),
)
OUTCOME_HEADINGS: Final = (
    "profile", "route", "ok/sent", "failed", "repaired", "fell back", "cost in all",
)  # fmt: skip
FIGURE_HEADINGS: Final = ("profile", "route", *(metric.title for metric in METRICS))
RATIO_HEADINGS: Final = ("profile", "route", "against", *(m.title.split(",")[0] for m in METRICS))
SPARE: Final = (
    "repaired", "output tokens", "between tokens, ms", "between tokens", "tokens/s", "fell back",
)  # fmt: skip
"""What a narrow screen loses first, in this order."""


def outcome_rows(document: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return what became of the requests, a row for each profile and route of a report."""
    return [
        (
            found["profile"],
            found["route"],
            f"{found['ok']}/{found['sent']}" + _unsent(found),
            *(percent(found[name]) for name in ("failure_rate", "repair_rate", "fallback_rate")),
            _total_cost(found),
        )
        for found in _shown(document["figures"])
    ]


def figure_rows(document: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the medians, a row for each profile and route of a report."""
    return [
        (
            found["profile"],
            found["route"],
            *(interval(found[metric.name], metric.shown) for metric in METRICS),
        )
        for found in _shown(document["figures"])
    ]


def ratio_rows(document: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return a row for each ratio of a report or a comparison; `*` marks those that are not 1."""
    return [
        (
            found["profile"],
            found["route"],
            found["to"],
            *(_ratio(found[metric.name]) for metric in METRICS),
        )
        for found in _shown(document["ratios"])
    ]


def interval(figure: Mapping[str, Any], shown: Callable[[float], str]) -> str:
    """Return a value with its interval."""
    if figure["value"] is None:
        return NOTHING
    middle = shown(figure["value"])
    if figure["low"] is None:
        return middle
    low, high = shown(figure["low"]), shown(figure["high"])
    return middle if low == middle == high else f"{middle} ({low}-{high})"


def percent(figure: Mapping[str, Any]) -> str:
    """Return a rate with its interval."""
    return interval(figure, lambda share: f"{share * 100:.0f}%")


def differs(figure: Mapping[str, Any]) -> bool:
    """Return whether a ratio's interval leaves no room for 1."""
    return figure["low"] is not None and not figure["low"] <= 1 <= figure["high"]


def _ratio(figure: Mapping[str, Any]) -> str:
    return interval(figure, "{:.2f}".format) + ("*" if differs(figure) else "")


def _total_cost(found: Mapping[str, Any]) -> str:
    known = f"${found['cost_total_microusd'] / 1e6:.4f}"
    return f"{known} and {found['cost_unknown']} unknown" if found["cost_unknown"] else known


def _unsent(found: Mapping[str, Any]) -> str:
    return "" if found["sent"] == found["planned"] else f" of {found['planned']}"


def _shown(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return rows with the routes of one profile together, in the order they came.

    Where there is one profile, that over all says nothing new.
    """
    profiles = list(dict.fromkeys(row["profile"] for row in rows))
    routes = list(dict.fromkeys(row["route"] for row in rows))
    return sorted(
        (row for row in rows if len(profiles) > 2 or row["profile"] != ALL),
        key=lambda row: (profiles.index(row["profile"]), routes.index(row["route"])),
    )
