"""Which metrics and labels a PromQL expression uses: enough of its grammar to cross names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_STRING: Final = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'""")
_RANGE: Final = re.compile(r"\[[^\]]*\]")
_SELECTOR: Final = re.compile(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}")
_MATCHER: Final = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_GROUPING: Final = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_NAME: Final = re.compile(r"(?<![\w:.$])[a-zA-Z_:][\w:]*(?!\s*\(|[\w:])")
_WORDS: Final = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan"})


@dataclass(frozen=True, slots=True)
class Used:
    """What an expression names."""

    metrics: frozenset[str]
    selected: frozenset[tuple[str, str]]
    """Metric and label of every matcher in braces."""
    grouped: frozenset[str]
    """Labels after `by`, `on` and so on, of whichever metric."""


def names_in(expression: str) -> Used:
    """Return what an expression names."""
    text = _RANGE.sub(" ", _STRING.sub("''", expression))
    selected = {
        (metric, label)
        for metric, matchers in _SELECTOR.findall(text)
        for label in _MATCHER.findall(matchers)
    }
    text = _SELECTOR.sub(r" \1 ", text)
    grouped = {label.strip() for labels in _GROUPING.findall(text) for label in labels.split(",")}
    names = _NAME.findall(_GROUPING.sub(" ", text))
    metrics = {name for name in names if name.lower() not in _WORDS}
    return Used(frozenset(metrics), frozenset(selected), frozenset(grouped))
