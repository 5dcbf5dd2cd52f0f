"""What the project aims at, what it calls not acceptable, and how a figure stands to both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Aim:
    """One row of the table; a missing bound is None."""

    figure: str
    title: str
    unit: str
    aim: float
    not_acceptable: float | None = None
    more_is_better: bool = False

    def verdict(self, value: float) -> str:
        """Return `met`, `missed`, or `NOT ACCEPTABLE`."""
        sign = -1 if self.more_is_better else 1
        if sign * value <= sign * self.aim:
            return "met"
        if self.not_acceptable is not None and sign * value >= sign * self.not_acceptable:
            return "NOT ACCEPTABLE"
        return "missed"


AIMS: Final = (
    Aim("added_json_p50_ms", "added latency of a JSON answer, p50", "ms", 0.45, 1.3),
    Aim("added_json_p99_ms", "the same, p99", "ms", 1.0, 5.0),
    Aim("added_ttft_p50_ms", "added time to the first byte of a stream, p50", "ms", 0.6, 2.0),
    Aim("loaded_cpu_ms", "CPU per JSON request, 16 connections", "ms", 0.33, 1.15),
    Aim("json_cpu_ms", "the same, one connection, one at a time", "ms", 0.33, 1.15),
    Aim("event_cpu_us", "CPU per relayed event", "us", 42, 110),
    Aim("rps", "requests per second, 16 connections", "1/s", 3000, 850, more_is_better=True),
    Aim("added_large_p50_ms", "added latency with a body of 400 KB, p50", "ms", 2.5, 7.0),
    Aim("rss_mb", "resident memory after the load, without LiteLLM", "MB", 70, 130),
    Aim("kb_per_stream", "memory per open stream, of 500", "KB", 20, 60),
    Aim("start_s", "start to first answer", "s", 0.75, 2.0),
    Aim("left_after_1s", "upstream streams open 1 s after 500 clients vanished", "", 0, 1),
    Aim("local_added_json_p50_ms", "local: added latency of a short answer, p50", "ms", 6.0),
    Aim("local_event_cpu_us", "local: CPU per relayed event", "us", 400),
)


def table(figures: Mapping[str, float]) -> str:
    """Return aim, bound, measured and verdict as Markdown, one row per aim."""
    lines = [
        "| figure | aim | not acceptable | measured | verdict |",
        "|---|---:|---:|---:|---|",
    ]
    for aim in AIMS:
        value = figures.get(aim.figure)
        measured = "not measured" if value is None else f"{_number(value)} {aim.unit}"
        verdict = "" if value is None else aim.verdict(value)
        bound = "" if aim.not_acceptable is None else f"{_number(aim.not_acceptable)} {aim.unit}"
        lines.append(
            f"| {aim.title} | {_number(aim.aim)} {aim.unit} | {bound} | {measured} | {verdict} |"
        )
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
