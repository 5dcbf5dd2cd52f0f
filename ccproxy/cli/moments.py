"""Times on the command line: a span before now, a day, or a moment; all local."""

from __future__ import annotations

import re
import time
from datetime import UTC, date, datetime, timedelta
from typing import Final

import typer

SPAN: Final = re.compile(r"(\d{1,6})([mhdw])")
SECONDS: Final = {"m": 60, "h": 3600}
DAYS: Final = {"d": 1, "w": 7}
LONGEST_SPAN_S: Final = 10 * 366 * 86400
FORMS: Final = "90m, 24h, 30d, 2w, 2026-03-31 or 2026-03-31T14:30"


def since(text: str, option: str) -> float:
    """Return Unix time of a beginning.

    Days and weeks begin at midnight: `1d` is since yesterday's. Minutes and hours are exact.

    Raises:
        BadParameter: It is no time.
    """
    span = SPAN.fullmatch(text)
    try:
        if span is not None and span[2] in SECONDS:
            return time.time() - int(span[1]) * SECONDS[span[2]]
        if span is not None:
            return _midnight(_today() - timedelta(days=int(span[1]) * DAYS[span[2]]))
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise _no_time(text, option) from None


def until(text: str, option: str) -> float:
    """Return Unix time of an end, excluded; of a day that is named, the whole day is before it.

    Raises:
        BadParameter: It is no time.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return since(text, option)
    try:
        return _midnight(day + timedelta(days=1))
    except OverflowError:  # the last day of the calendar, which people write for never
        return _midnight(day)


def ahead(text: str, option: str) -> float:
    """Return Unix time of an end to come: so long from now, or a moment; of a day its end.

    Raises:
        BadParameter: It is no time, or none to come.
    """
    span = SPAN.fullmatch(text)
    try:
        if span is not None:
            seconds = SECONDS.get(span[2]) or DAYS[span[2]] * 86400
            moment_s = time.time() + int(span[1]) * seconds
        else:
            moment_s = until(text, option)
        datetime.fromtimestamp(moment_s, UTC)
    except (ValueError, OverflowError):
        raise _no_time(text, option) from None
    if moment_s <= time.time():
        raise typer.BadParameter(f"{option}: {text!r} is over already")
    return moment_s


def span_s(text: str, option: str) -> int:
    """Return the seconds of a span such as `24h`, ten years at most; `0` is none.

    Raises:
        BadParameter: It is no span, or too long.
    """
    span = SPAN.fullmatch(text)
    if text == "0":
        return 0
    if span is None:
        raise typer.BadParameter(f"{option}: {text!r} is no span; write 90m, 24h, 7d, 2w or 0")
    seconds = int(span[1]) * (SECONDS.get(span[2]) or DAYS[span[2]] * 86400)
    if seconds > LONGEST_SPAN_S:
        raise typer.BadParameter(f"{option}: {text!r} is more than ten years")
    return seconds


def _today() -> date:
    return datetime.now().astimezone().date()


def _midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day).astimezone().timestamp()


def _no_time(text: str, option: str) -> typer.BadParameter:
    return typer.BadParameter(f"{option}: {text!r} is no time; write {FORMS}")
