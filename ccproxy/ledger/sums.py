"""What was used, by whom, and what was saved: from `daily` and `hourly`, asked in SQL's own text.

A period is of whole hours, and thrown-away rows still count.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from ccproxy.ledger.schema import HOURS_PER_DAY, MS_PER_HOUR, SUMS
from ccproxy.ledger.words import By
from ccproxy.outcome import Ending
from routing.savings import SavingsSums
from routing.types import Side

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import TypeAlias

    from ccproxy.ledger.asking import Ask

    Sums: TypeAlias = dict[str, Any]

MESSAGES: Final = "messages"
FAILED: Final = (Ending.FAILED, Ending.BROKEN)
LEFT: Final = (Ending.CLIENT_GONE, Ending.TAKEN_OVER)
COLUMNS: Final[Mapping[By, str]] = {
    by: "upstream_model" if by is By.MODEL else by.value for by in By if by is not By.DAY
}
"""Of `dimensions`; also what requests can be limited to."""
COUNTS: Final = ("failed", "refused", "left")
"""Beside `SUMS`: requests that failed, broke off or got an upstream's own error; that the proxy
refused; whose client left."""
_ENDINGS: Final = {"failed": FAILED, "refused": (Ending.REFUSED,), "left": LEFT}


@dataclass(frozen=True, slots=True)
class Scope:
    """Which requests are looked at."""

    since_ms: int
    """Unix time in milliseconds; for sums the whole hour that it is in counts."""
    until_ms: int
    """Likewise, excluded; of an hour that began before it, all counts."""
    only: Mapping[By, str]
    """Limits; several must all hold."""
    endpoint: str | None = MESSAGES
    """None: counting tokens and the rest of the API too."""


def usage(ask: Ask, by: Sequence[By], scope: Scope) -> list[Sums]:
    """Return sums, a row for each combination: its names, then `SUMS` and `COUNTS`.

    Ordered by cost, then tokens, then requests, the most first; by day where days are told apart.
    A day is one of this machine's local time.
    """
    names = {each.value: f"dimensions.{COLUMNS[each]}" for each in by if each is not By.DAY}
    by_day = By.DAY in by
    rows: list[Sums] = []
    for part in _parts(scope, in_hours=by_day and not _is_utc()):
        keys = names | ({"hour": part.hour} if by_day else {})
        rows += ask(*part.question(keys, dict(_sums(part.table)), scope))
    for row in rows if by_day else ():
        row["day"] = _local_day(row["hour"])
    rows = _merged(rows, by)
    rows.sort(key=_spent_most)
    if by_day:
        rows.sort(key=lambda row: row["day"])
    return [{key: row[key] for key in (*by, *SUMS, *COUNTS)} for row in rows]


def savings(ask: Ask, scope: Scope) -> SavingsSums:
    """Return what `routing.savings` tells savings from.

    Where some answers of an hour, alike in everything that requests are told apart by, could be
    compared and some could not, the cost of all of them is subtracted.
    """
    numbers = [0] * len(fields(SavingsSums))
    for part in _parts(scope):
        (row,) = ask(*part.question({}, dict(_of_savings(part.table)), scope))
        more = [max(0, int(value or 0)) for value in row.values()]
        numbers = [known + value for known, value in zip(numbers, more, strict=True)]
    return SavingsSums(*numbers)


@dataclass(frozen=True, slots=True)
class _Part:
    """A table of sums, and which of its rows are asked for."""

    table: str
    unit: str
    """The column that says when: `hour` or `day`."""
    first: int
    end: int
    """Excluded."""

    @property
    def hour(self) -> str:
        """The hour with which a row begins."""
        column = f"{self.table}.{self.unit}"
        return column if self.unit == "hour" else f"{column} * {HOURS_PER_DAY}"

    def question(
        self, keys: Mapping[str, str], sums: Mapping[str, str], scope: Scope
    ) -> tuple[str, dict[str, object]]:
        """Return SQL and its parameters, for what is told apart and added up, by name."""
        values: dict[str, object] = {"first": self.first, "end_at": self.end}
        values |= {f"only_{by.value}": value for by, value in scope.only.items()}
        limits = [f"{self.table}.{self.unit} >= :first", f"{self.table}.{self.unit} < :end_at"]
        limits += [f"dimensions.{COLUMNS[by]} = :only_{by.value}" for by in scope.only]
        if scope.endpoint is not None:
            values["endpoint"] = scope.endpoint
            # Not to be looked up: SQLite adds up without sorting only in the order of the ids.
            limits.append("dimensions.endpoint || '' = :endpoint")
        shown = ", ".join(f"{what} AS {name}" for name, what in {**keys, **sums}.items())
        # Every word of it is ours; what people say are parameters.
        asked = (
            f"SELECT {shown} FROM dimensions "  # noqa: S608
            f"JOIN {self.table} ON {self.table}.dimension_id = dimensions.id "
            f"WHERE {' AND '.join(limits)}"
        )
        if not keys:
            return asked, values
        # `left` is a word of SQL's own, but not behind a dot.
        added = ", ".join((*keys, *(f"SUM(each.{name}) AS {name}" for name in sums)))
        grouped = ["dimensions.id", *([self.hour] if "hour" in keys else [])]
        return (
            f"SELECT {added} FROM ({asked} GROUP BY {', '.join(grouped)}) AS each "  # noqa: S608
            f"GROUP BY {', '.join(keys)}"
        ), values


def _parts(scope: Scope, *, in_hours: bool = False) -> Iterable[_Part]:
    """Yield what a period is made of: days, in UTC, and the hours that are left at either end."""
    first, end = scope.since_ms // MS_PER_HOUR, -(-scope.until_ms // MS_PER_HOUR)
    first_day, end_day = -(-first // HOURS_PER_DAY), end // HOURS_PER_DAY
    if in_hours or first_day >= end_day:
        yield _Part("hourly", "hour", first, end)
        return
    yield _Part("daily", "day", first_day, end_day)
    begin, rest = first_day * HOURS_PER_DAY, end_day * HOURS_PER_DAY
    for since, until in ((first, begin), (rest, end)):
        if since < until:
            yield _Part("hourly", "hour", since, until)


def _sums(table: str) -> Iterator[tuple[str, str]]:
    for name in SUMS:
        yield name, f"SUM({table}.{name})"
    for name in COUNTS:
        endings = ", ".join(f"'{each.value}'" for each in _ENDINGS[name])
        cases = f"WHEN {table}.ending IN ({endings}) THEN {table}.requests"
        if name == "failed":  # What was relayed to its end and is no answer is an upstream's error.
            relayed = f"{table}.requests - {table}.answers"
            cases += f" WHEN {table}.ending = '{Ending.COMPLETED.value}' THEN {relayed}"
        yield name, f"SUM(CASE {cases} ELSE 0 END)"


def _of_savings(table: str) -> Iterator[tuple[str, str]]:
    """Yield the fields of `SavingsSums`, in their order."""
    is_compared = f"{table}.compared > 0"
    is_not_claude = f"dimensions.route <> '{Side.CLAUDE.value}'"
    for number, value in enumerate(
        (
            f"{table}.compared",
            f"{table}.would_cost_low_microusd",
            f"{table}.would_cost_microusd",
            f"{table}.would_cost_high_microusd",
            f"CASE WHEN {is_compared} THEN {table}.cost_microusd ELSE 0 END",
            f"CASE WHEN {is_compared} THEN 0 ELSE {table}.wasted_microusd END",
            f"CASE WHEN {is_not_claude} THEN {table}.answers - {table}.compared ELSE 0 END",
            f"CASE WHEN {is_not_claude} THEN {table}.unpriced ELSE 0 END",
        )
    ):
        yield f"sum_{number}", f"SUM({value})"


def _merged(rows: Sequence[Sums], by: Sequence[By]) -> list[Sums]:
    """Return rows of the same names added up; rows of nothing are left out."""
    merged: dict[tuple[str, ...], Sums] = {}
    for row in rows:
        if not row["requests"]:  # what sums over nothing come to
            continue
        known = merged.setdefault(tuple([row[each] for each in by]), row)
        if known is not row:
            for name in (*SUMS, *COUNTS):
                known[name] += row[name]
    return list(merged.values())


def _is_utc() -> bool:
    """Return whether days here are those of `daily`."""
    return time.timezone == 0 and not time.daylight


def _local_day(hour: int) -> str:
    return datetime.fromtimestamp(hour * 3600).astimezone().date().isoformat()


def _spent_most(row: Sums) -> tuple[int, ...]:
    tokens = row["input_tokens"] + row["output_tokens"]
    return (-row["cost_microusd"], -tokens, -row["requests"])
