"""Which of many prompts occur whole in a text, fast: the search behind `routing.prompts`.

Rules:
1. The answer is exactly that of a substring search of the normalised text for each prompt.
2. Long prompts are found by samples: every `step` characters the next line is looked up among the
   lines of all prompts, and a telling one says which prompt could stand there, and from where on. A
   step is short enough that a whole prompt cannot lie between two samples.
3. A prompt that could stand somewhere is compared as a whole, and if that fails line by line, so
   that the text as a whole is not normalised for it.
4. Prompts too short for samples, or without telling lines, are looked for one by one, or, if they
   are many, by all lines.
5. A carriage return that is a line end of its own has all line ends of the text replaced, but only
   if it stands where the search looks.

The cost is linear in the text, whatever it holds.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

RARE: Final = 3
"""A line of more prompts than this says nothing about whose it is."""

_LONE_RETURN: Final = re.compile("\r(?!\n)")

_STEPS: Final = (2048, 1024, 512, 256)
AROUND_CHARS: Final = max(_STEPS)
"""A copy of a prompt begins at most so far from the first sample in it."""

_SAMPLE_US: Final = 0.5
_SEARCH_US: Final = 8.0
_ALL_LINES_US: Final = 130.0
_TYPICAL_CHARS: Final = 100_000
"""Costs by which the step is chosen. Source: benchmarks/identify.py's machine, per 100 kB."""


def unify_line_ends(text: str) -> str:
    """Return a text whose lines end in line feeds only."""
    if "\r" not in text:
        return text
    if _LONE_RETURN.search(text) is None:
        return text.replace("\r", "")  # one character is replaced faster than two
    return text.replace("\r\n", "\n").replace("\r", "\n")


def normalised_lines(text: str) -> list[str]:
    """Return the lines of a text without line ends and spaces before them."""
    return list(map(str.rstrip, unify_line_ends(text).split("\n")))


@dataclass(frozen=True, slots=True)
class Occurrences:
    """What `PromptSearch.find` found in one text."""

    starts: Mapping[str, int]
    """Slug -> first character of its whole prompt."""
    touched: frozenset[str]
    """Slugs some of whose lines were seen, but not the whole prompt; not all such slugs."""
    around: str
    """The text from the first place where one was touched to the last, and `AROUND_CHARS` before
    and behind these; in whole lines."""


NOTHING: Final = Occurrences({}, frozenset(), "")


class _LoneReturnError(Exception):
    """A line end is a carriage return alone."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One prompt."""

    slug: str
    text: str
    """Normalised."""
    lines: tuple[str, ...]
    """Of `text`."""
    probe: str
    """Its rarest line, an inner one if there is; of those the longest."""
    reach: int
    """A sample at fewer characters than this after the start meets a telling line."""


class _Telling(NamedTuple):
    """A line that a prompt has once, inside, and few others have."""

    entry: _Entry
    number: int
    """Among its lines."""
    offset: int
    """Of its first character in the prompt."""


class _Finding:
    """What was found in one text so far."""

    __slots__ = ("_failed", "_first", "_last", "_text", "starts")

    def __init__(self, text: str) -> None:
        """Begin with nothing."""
        self._text = text
        self.starts: dict[str, int] = {}
        self._failed: dict[str, tuple[int, int]] = {}
        """Slug -> where its prompt was looked for in vain: around the line that begins there, and
        from this start on if no line has spaces behind it."""
        self._first = self._last = 0

    def look(self, telling: _Telling, begin: int) -> None:
        """Compare a prompt with the text, one of whose lines begins at `begin`."""
        entry = telling.entry
        if entry.slug in self.starts:
            return
        start = begin - telling.offset
        if start >= 0 and self._text.startswith(entry.text, start):
            self.starts[entry.slug] = start
            return
        failed, failed_start = self._failed.get(entry.slug, (-1, None))
        if start != failed_start:
            at = _start_around(self._text, begin, entry.lines, telling.number, failed)
            if at >= 0:
                self.starts[entry.slug] = at
                return
        # At the same start it has failed before: the telling line of then, which a prompt has
        # once, is that of this copy as well, or stands between two of its lines.
        self.touch(entry, begin, start)

    def touch(self, entry: _Entry, place: int, start: int) -> None:
        """Note that only some of a prompt stands at a place, whose start would be at `start`."""
        if not self._failed:
            self._first = self._last = place
        self._first, self._last = min(self._first, place), max(self._last, place)
        self._failed[entry.slug] = place, start

    def result(self) -> Occurrences:
        """Return all of it."""
        touched = self._failed.keys() - self.starts.keys()
        if not touched:
            return Occurrences(self.starts, frozenset(), "") if self.starts else NOTHING
        before = self._text.rfind("\n", 0, max(0, self._first - AROUND_CHARS)) + 1
        behind = self._text.find("\n", self._last + AROUND_CHARS)
        around = self._text[before : behind if behind >= 0 else None]
        return Occurrences(self.starts, frozenset(touched), around)


class PromptSearch:
    """Some prompts, prepared for searching. Immutable once built."""

    __slots__ = ("_by_line", "_searched", "_step", "_texts", "_told")

    def __init__(self, prompts: Mapping[str, str]) -> None:
        """Take normalised prompts, none of them empty."""
        self._texts = dict(prompts)
        inner = {slug: Counter(text.split("\n")[1:-1]) for slug, text in prompts.items()}
        holders = Counter(line for lines in inner.values() for line in lines if line)
        again = {line for lines in inner.values() for line, times in lines.items() if times > 1}
        telling = {line for line, many in holders.items() if many <= RARE} - again
        entries = [_entry(slug, text, holders, telling) for slug, text in prompts.items()]
        self._step = min(_STEPS, key=lambda step: _cost_us(step, entries))
        self._told = _told([e for e in entries if e.reach >= self._step], telling)
        small = [entry for entry in entries if entry.reach < self._step]
        lined = [entry for entry in small if len(entry.lines) > len("\n\n")]
        if len(lined) * _SEARCH_US <= _ALL_LINES_US:
            lined = []
        self._by_line: dict[str, list[_Entry]] = {}
        for entry in lined:
            self._by_line.setdefault(entry.probe, []).append(entry)
        self._searched = tuple(e for e in small if e not in lined)

    def text(self, slug: str) -> str:
        """Return the prompt of an agent, as given."""
        return self._texts[slug]

    def find(self, text: str) -> Occurrences:
        """Return which prompts occur whole in a text."""
        try:
            return self._find(unify_line_ends(text) if self._searched or self._by_line else text)
        except _LoneReturnError:
            return self._find(unify_line_ends(text))

    def _find(self, text: str) -> Occurrences:
        """Return the same.

        Raises:
            _LoneReturnError: The search met a carriage return that is a line end of its own.
        """
        finding = _Finding(text)
        if len(self._told) > 1:
            self._look_at_samples(text, finding)
        if self._searched or self._by_line:
            self._look_for_small(text, finding)
        return finding.result()

    def _look_at_samples(self, text: str, finding: _Finding) -> None:
        step, position, length = self._step, 0, len(text)
        find, told_by = text.find, self._told.get
        returns, lone_return = "\r" in text, _LONE_RETURN.search
        while position < length:
            stop = position + step
            line_feed = following = find("\n", position)
            # The first telling line counts, and one that no prompt has ends the search. What
            # begins at the next sample or later is left to that.
            while 0 <= line_feed < stop:
                following = find("\n", line_feed + 1)
                if following < 0:
                    break
                if following > line_feed + 1:
                    told = told_by(text[line_feed + 1 : following].rstrip())
                    if told != ():
                        for telling in told or ():
                            finding.look(telling, line_feed + 1)
                        break
                line_feed = following
            if returns and lone_return(text, position, following + 1 or length):
                raise _LoneReturnError
            if following < 0:
                return
            # If no line begins before it, the samples up to it would all see the same.
            position = stop if line_feed < stop else line_feed // step * step

    def _look_for_small(self, text: str, finding: _Finding) -> None:
        candidates = [entry for entry in self._searched if entry.probe in text]
        lines = normalised_lines(text) if self._by_line else None
        if lines is not None:
            for line in self._by_line.keys() & lines:
                candidates += self._by_line[line]
        normal = None
        for entry in candidates:
            start = text.find(entry.text)
            if start < 0:
                lines = lines or normalised_lines(text)
                normal = normal or "\n".join(lines)
                start = _place_before_normalising(text, normal, normal.find(entry.text))
            if start >= 0:
                finding.starts[entry.slug] = start
            else:
                finding.touch(entry, text.find(entry.probe), start)


def _refuse_lone_return(text: str, begin: int, end: int) -> None:
    """Return if all carriage returns in a part of a text, which does not end with one, are CRLF."""
    if text.find("\r", begin, end) >= 0 and _LONE_RETURN.search(text, begin, end) is not None:
        raise _LoneReturnError


def _start_around(text: str, begin: int, lines: Sequence[str], number: int, failed: int) -> int:
    """Return the start of the prompt one of whose lines begins at a place, or -1.

    Its lines may be followed by spaces; the first and the last may share theirs with others. The
    prompt is not there either if the line that begins at `failed` belongs to it.

    Raises:
        _LoneReturnError: A carriage return is a line end of its own.
    """
    there, first = _before(text, begin, lines[number - 1 :: -1], failed)
    there, last = _behind(text, begin, lines[number:]) if there else (False, begin)
    _refuse_lone_return(text, first, last)
    return first if there else -1


def _before(text: str, begin: int, lines: Sequence[str], failed: int) -> tuple[bool, int]:
    """Return whether lines, given backwards, stand before a place, and where that was decided."""
    *others, first = lines
    for line in others:
        end = begin - 1
        begin = text.rfind("\n", 0, end) + 1
        raw = text[begin:end]
        if begin in (0, failed) or (raw != line and raw.rstrip() != line):
            return False, begin
    end = begin - 1
    begin = text.rfind("\n", 0, end) + 1
    head = text[begin:end].rstrip()
    begin += len(head) - len(first)
    return head.endswith(first), max(0, begin)


def _behind(text: str, begin: int, lines: Sequence[str]) -> tuple[bool, int]:
    """Return whether lines stand from a place on, and where that was decided."""
    *others, last = lines
    for line in others:
        end = text.find("\n", begin)
        if end < 0:
            return False, len(text)
        raw = text[begin:end]
        begin = end + 1
        if raw != line and raw.rstrip() != line:
            return False, begin
    return text.startswith(last, begin), begin


def _place_before_normalising(text: str, normal: str, at: int) -> int:
    """Return where in a text the character stands that is at a place of its normal form."""
    if at < 0:
        return -1
    number = normal.count("\n", 0, at)
    column = at - normal.rfind("\n", 0, at) - 1
    return sum(len(line) + 1 for line in text.split("\n")[:number]) + column


def _entry(slug: str, text: str, holders: Mapping[str, int], telling: Collection[str]) -> _Entry:
    """Return the entry of a prompt."""
    lines = tuple(text.split("\n"))
    inner = [line for line in lines[1:-1] if line]
    probe = min(inner, key=lambda line: (holders[line], -len(line)), default=lines[0])
    reach, at = 0, len(lines[0]) + 1
    for line in lines[1:-1]:
        if line in telling:
            reach = at
        at += len(line) + 1
    return _Entry(slug, text, lines, probe, reach)


def _told(
    entries: Iterable[_Entry], telling: Collection[str]
) -> Mapping[str, tuple[_Telling, ...]]:
    """Return every inner line, and the empty one, with what it tells: none if it is not telling."""
    told: dict[str, tuple[_Telling, ...]] = {"": ()}
    for entry in entries:
        offset = len(entry.lines[0]) + 1
        for number, line in enumerate(entry.lines[1:-1], start=1):
            before = told.setdefault(line, ())
            if line in telling:
                told[line] = (*before, _Telling(entry, number, offset))
            offset += len(line) + 1
    return told


def _cost_us(step: int, entries: Iterable[_Entry]) -> float:
    """Return about how long a search takes in a text of 100 kB."""
    small = sum(entry.reach < step for entry in entries)
    return _TYPICAL_CHARS / step * _SAMPLE_US + min(small * _SEARCH_US, _ALL_LINES_US)
