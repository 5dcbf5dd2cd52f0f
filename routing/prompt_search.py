"""Which of many prompts occur whole in a text, fast: the search behind `routing.prompts`.

Rules:
1. The answer is exactly that of a substring search of the normalised text for each prompt.
2. Long prompts are found by samples: every `step` characters the next line is looked up among the
   lines of all prompts, and a line that few prompts have makes those candidates. A step is short
   enough that a whole prompt cannot lie between two samples.
3. Prompts too short for that are looked for one by one, or, if they are many, by all lines.
4. A candidate is compared as a whole, and if that fails line by line around each place of its
   probe, so that the text as a whole is never normalised for it.

The cost is linear in the text, whatever it holds.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

RARE: Final = 3
"""A line of more prompts than this says nothing about whose it is."""

_LONE_RETURN: Final = re.compile("\r(?!\n)")

_STEPS: Final = (2048, 1024, 512, 256)
_SAMPLE_US: Final = 0.3
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


@dataclass(frozen=True, slots=True)
class _Entry:
    """One prompt, with the line that is looked for."""

    slug: str
    text: str
    """Normalised."""
    probe: str
    """A line of it, whole: an inner one if there is, else the first."""
    offset: int
    """Where the line feed before `probe` is in `text`; -1 if `probe` is the first line."""
    reach: int
    """A sample at fewer characters than this after the start meets a rare line."""

    def start_in(self, text: str) -> int:
        """Return where the prompt begins in a text whose lines end in line feeds, or -1."""
        if self.offset < 0:
            start = text.find(self.text)
            return start if start >= 0 else "\n".join(normalised_lines(text)).find(self.text)
        anchor = f"\n{self.probe}"
        at = text.find(anchor)
        while at >= 0:
            if at >= self.offset and text.startswith(self.text, at - self.offset):
                return at - self.offset
            start = self._start_around(text, at)
            if start >= 0:
                return start
            at = text.find(anchor, at + 1)
        return -1

    def _start_around(self, text: str, line_feed: int) -> int:
        """Return the start of the prompt whose probe follows a line feed, or -1.

        Its lines may be followed by spaces; the first and the last may share theirs with others.
        """
        *before, first = reversed(self.text[: self.offset].split("\n"))
        *after, last = self.text[self.offset + 1 :].split("\n")
        end = line_feed
        for line in before:
            begin = text.rfind("\n", 0, end)
            if begin < 0 or text[begin + 1 : end].rstrip() != line:
                return -1
            end = begin
        head = text[text.rfind("\n", 0, end) + 1 : end].rstrip()
        if not head.endswith(first):
            return -1
        begin = line_feed
        for line in after:
            following = text.find("\n", begin + 1)
            if following < 0 or text[begin + 1 : following].rstrip() != line:
                return -1
            begin = following
        if not text.startswith(last, begin + 1):
            return -1
        return text.rfind("\n", 0, end) + 1 + len(head) - len(first)


class PromptSearch:
    """Some prompts, prepared for searching. Immutable once built."""

    __slots__ = ("_by_line", "_owners", "_searched", "_step", "_texts")

    def __init__(self, prompts: Mapping[str, str]) -> None:
        """Take normalised prompts, none of them empty."""
        self._texts = dict(prompts)
        holders = Counter(
            line for text in prompts.values() for line in set(text.split("\n")[1:-1]) if line
        )
        entries = [_entry(slug, text, holders) for slug, text in prompts.items()]
        self._step = min(_STEPS, key=lambda step: _cost_us(step, entries))
        self._owners = _owners([e for e in entries if e.reach >= self._step], holders)
        small = [entry for entry in entries if entry.reach < self._step]
        lined = [entry for entry in small if entry.offset >= 0]
        if len(lined) * _SEARCH_US <= _ALL_LINES_US:
            lined = []
        self._by_line: dict[str, list[_Entry]] = {}
        for entry in lined:
            self._by_line.setdefault(entry.probe, []).append(entry)
        self._searched = tuple(entry for entry in small if not lined or entry.offset < 0)

    def text(self, slug: str) -> str:
        """Return the prompt of an agent, as given."""
        return self._texts[slug]

    def find(self, text: str) -> Occurrences:
        """Return which prompts occur whole in a text."""
        text = unify_line_ends(text)
        starts: dict[str, int] = {}
        touched: set[str] = set()
        for entry in self._candidates(text):
            start = entry.start_in(text)
            if start >= 0:
                starts[entry.slug] = start
            else:
                touched.add(entry.slug)
        return Occurrences(starts, frozenset(touched))

    def _candidates(self, text: str) -> Iterator[_Entry]:
        yield from {entry.slug: entry for entry in self._sampled(text)}.values()
        for entry in self._searched:
            if entry.probe in text:
                yield entry
        if self._by_line:
            for line in self._by_line.keys() & normalised_lines(text):
                yield from self._by_line[line]

    def _sampled(self, text: str) -> Iterator[_Entry]:
        """Yield the owners of rare lines at the samples, some of them several times."""
        if not self._owners:
            return
        step, position, length = self._step, 0, len(text)
        while position < length:
            line_feed = text.find("\n", position)
            if line_feed < 0:
                return
            if line_feed >= position + step:
                # No line begins before it, so that the samples up to it would all see the same.
                position = line_feed // step * step
                continue
            yield from self._first_rare(text, line_feed, position + step)
            position += step

    def _first_rare(self, text: str, line_feed: int, stop: int) -> Sequence[_Entry]:
        """Return the owners of the first rare line; a line that no prompt has ends the search.

        What begins at `stop` or later is left to the next sample.
        """
        while line_feed < stop:
            following = text.find("\n", line_feed + 1)
            if following < 0:
                return ()
            line = text[line_feed + 1 : following].rstrip()
            if line:
                owners = self._owners.get(line)
                if owners is None or owners:
                    return owners or ()
            line_feed = following
        return ()


def _entry(slug: str, text: str, holders: Mapping[str, int]) -> _Entry:
    """Return the entry of a prompt; its probe is its rarest inner line, of those the longest."""
    lines = text.split("\n")
    probe, offset, reach = lines[0], -1, 0
    at = len(lines[0])
    for line in lines[1:-1]:
        if line:
            if offset < 0 or (holders[line], -len(line)) < (holders[probe], -len(probe)):
                probe, offset = line, at
            if holders[line] <= RARE:
                reach = at + 1
        at += len(line) + 1
    return _Entry(slug, text, probe, offset, reach)


def _owners(entries: Iterable[_Entry], holders: Mapping[str, int]) -> Mapping[str, list[_Entry]]:
    """Return every inner line with the entries that have it; with none where it is not rare."""
    owners: dict[str, list[_Entry]] = {}
    for entry in entries:
        for line in set(entry.text.split("\n")[1:-1]):
            owners.setdefault(line, [])
            if holders[line] <= RARE:
                owners[line].append(entry)
    return owners


def _cost_us(step: int, entries: Iterable[_Entry]) -> float:
    """Return about how long a search takes in a text of 100 kB."""
    small = sum(entry.reach < step for entry in entries)
    return _TYPICAL_CHARS / step * _SAMPLE_US + min(small * _SEARCH_US, _ALL_LINES_US)
