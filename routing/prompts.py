"""Which agent's own prompt stands in the system prompt of a request.

Clients send no agent's name, but they do send the agent's prompt: Claude Code puts the body of
the agent's file, trimmed, into a `system` text and its own notes behind it (seen in 2.1.329).

Rules:
1. An agent is recognised when its whole prompt occurs within one system text, at any place. Line
   endings, spaces at the end of a line and blank space around the prompt do not count.
2. A tag line of its own, `<!-- ccproxy-agent: slug -->`, is recognised like a prompt, also of an
   agent whose prompt we do not have, or whose prompt alone would not do.
3. Of several that occur, those inside another one's prompt are left out. Of the rest the longest
   is chosen, of equally long ones the earliest; the others are rivals, which count as a conflict.
4. Less than the whole prompt is nobody. An agent most of whose lines occur is near, which is only
   reported. Only lines count that are rare in the fleet and not of a prompt that was recognised.
5. A prompt that is empty, too short, or the same as another agent's recognises nobody.

The cost of `find` is linear in the system prompt and hardly depends on the number of agents,
except that each prompt without a line between its first and its last costs one search.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MIN_PROMPT_CHARS: Final = 64
"""A shorter prompt recognises nobody unless it is tagged.

The client's own one-line prompts are 57 and 62 characters long and stand in every request
(`You are Claude Code, …` and `You are a Claude agent, …`; Claude Code 2.1.329).
"""

Value = TypeVar("Value")

_TAG_START: Final = "<!-- ccproxy-agent: "
_TAG_END: Final = " -->"

_RARE: Final = 3
"""A line of more prompts than this says nothing about which agent it is."""
_MIN_NEAR_LINES: Final = 3
_MAX_UNKNOWN_TAGS: Final = 5


def tag_line(slug: str) -> str:
    """Return the line that names an agent in its prompt, without a line ending."""
    return f"{_TAG_START}{slug}{_TAG_END}"


def tagged_slug(line: str) -> str | None:
    """Return the slug that a line names, None if it is no tag; inverse of `tag_line`."""
    if not line.startswith(_TAG_START) or not line.endswith(_TAG_END):
        return None
    return line[len(_TAG_START) : -len(_TAG_END)]


def normalise_prompt(prompt: str) -> str:
    """Return a prompt as it is compared: see rule 1."""
    return "\n".join(_lines(prompt)).strip()


@dataclass(frozen=True, slots=True)
class PromptFinding:
    """What `find` found; empty by default."""

    matches: tuple[str, ...] = ()
    """Every agent that was recognised, longest prompt first."""
    chosen: str | None = None
    rivals: tuple[str, ...] = ()
    """Those of `matches` that neither were chosen nor are inside another one's prompt."""
    near: tuple[str, ...] = ()
    """Agents most of whose prompt occurs, sorted."""
    unknown_tags: tuple[str, ...] = ()
    """The first few slugs of tag lines that no agent has, sorted."""


@dataclass(frozen=True, slots=True)
class PromptReport:
    """Whether an agent can be recognised by its prompt."""

    slug: str
    recognisable: bool
    reason: str
    """How, or why not and what to do; a phrase such as `its prompt, 88 lines`."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """One prompt that recognises an agent."""

    slug: str
    text: str
    """Normalised."""
    anchor: str
    """A line between the first and the last, between line feeds; empty if there is none."""
    offset: int
    """Where `anchor` begins in `text`."""

    def start_in(self, text: str) -> int:
        """Return where the prompt begins in a normalised system text, or -1."""
        if not self.anchor:
            return text.find(self.text)
        at = text.find(self.anchor)
        while at >= 0:
            if text.startswith(self.text, max(0, at - self.offset)):
                return at - self.offset
            at = text.find(self.anchor, at + 1)
        return -1


@dataclass(frozen=True, slots=True)
class _Hit:
    """An agent's prompt, or tag line, at a place."""

    slug: str
    length: int
    """Characters that occur."""
    place: tuple[int, int]
    """Number of the system text, and the first character or line in it."""
    tag_only: bool = False


class PromptIndex:
    """The prompts of a fleet, prepared for searching. Immutable once built."""

    __slots__ = (
        "_agents",
        "_anchors",
        "_containers",
        "_known",
        "_owners",
        "_rare",
        "_reports",
        "_short",
        "_tag_holders",
    )

    @classmethod
    def build(cls, prompts: Mapping[str, str], agents: Iterable[str] = ()) -> PromptIndex:
        """Return the index of a fleet.

        Args:
            prompts: Slug -> prompt, without front matter.
            agents: Further slugs, of agents without a prompt; only a tag line recognises them.
        """
        return cls(prompts, agents)

    def __init__(self, prompts: Mapping[str, str], agents: Iterable[str] = ()) -> None:
        """Prepare everything that `find` needs."""
        texts = {slug: normalise_prompt(prompt) for slug, prompt in prompts.items()}
        self._agents = frozenset((*texts, *agents))
        self._reports = _judge(texts, self._agents)
        lines = {
            slug: frozenset(filter(None, text.split("\n")))
            for slug, text in texts.items()
            if self._reports[slug].recognisable and len(text) >= MIN_PROMPT_CHARS
        }
        owners = Counter(line for own in lines.values() for line in own)
        entries = [_entry(slug, texts[slug], owners) for slug in lines]
        self._short = tuple(entry for entry in entries if not entry.anchor)
        self._anchors = _grouped((entry.anchor[1:-1], entry) for entry in entries if entry.anchor)
        self._rare = {
            slug: frozenset(line for line in own if owners[line] <= _RARE)
            for slug, own in lines.items()
        }
        self._owners = _grouped((line, slug) for slug, own in self._rare.items() for line in own)
        self._known = frozenset((*self._anchors, *self._owners))
        self._tag_holders = {
            slug: frozenset(holder for holder, own in lines.items() if tag_line(slug) in own)
            for slug in self._agents
        }
        self._containers = self._find_containers({slug: texts[slug] for slug in lines})

    @property
    def agents(self) -> frozenset[str]:
        """All agents of the fleet, recognisable or not."""
        return self._agents

    def report(self) -> tuple[PromptReport, ...]:
        """Return for every agent whether its prompt or tag recognises it, sorted by slug."""
        return tuple(self._with_containers(report) for _, report in sorted(self._reports.items()))

    def find(self, system_texts: Sequence[str]) -> PromptFinding:
        """Return whose prompts occur in the texts of `system`. Keeps nothing of them."""
        hits: dict[str, _Hit] = {}
        unknown: set[str] = set()
        seen: set[str] = set()
        for number, system_text in enumerate(system_texts):
            lines = _lines(system_text)
            known = self._known.intersection(lines)
            seen |= known
            for hit in self._whole_prompts(number, lines, known):
                hits.setdefault(hit.slug, hit)
            if _TAG_START in system_text:
                self._add_tags(number, lines, hits, unknown)
        if not hits and not seen and not unknown:
            return PromptFinding()
        return self._finding(hits, seen, unknown)

    def _whole_prompts(
        self, number: int, lines: Sequence[str], known: Iterable[str]
    ) -> Iterable[_Hit]:
        candidates = [
            *(entry for line in known for entry in self._anchors.get(line, ())),
            *self._short,
        ]
        if not candidates:
            return
        text = "\n".join(lines)
        for entry in candidates:
            start = entry.start_in(text)
            if start >= 0:
                yield _Hit(entry.slug, len(entry.text), (number, start))

    def _add_tags(
        self, number: int, lines: Sequence[str], hits: dict[str, _Hit], unknown: set[str]
    ) -> None:
        for position, line in enumerate(lines):
            slug = tagged_slug(line)
            if slug in self._agents:
                hits.setdefault(slug, _Hit(slug, len(line), (number, position), tag_only=True))
            elif slug is not None and len(unknown) < _MAX_UNKNOWN_TAGS:
                unknown.add(slug)

    def _finding(
        self, hits: Mapping[str, _Hit], seen: set[str], unknown: Iterable[str]
    ) -> PromptFinding:
        ordered = sorted(hits.values(), key=lambda hit: (-hit.length, hit.place, hit.slug))
        whole = {hit.slug for hit in ordered if not hit.tag_only}
        outermost = [hit.slug for hit in ordered if self._holders(hit).isdisjoint(whole)]
        return PromptFinding(
            matches=tuple(hit.slug for hit in ordered),
            chosen=outermost[0] if outermost else None,
            rivals=tuple(outermost[1:]),
            near=self._near(hits.keys(), seen, whole),
            unknown_tags=tuple(sorted(unknown)),
        )

    def _holders(self, hit: _Hit) -> frozenset[str]:
        """Return the agents whose prompt has this hit inside."""
        if hit.tag_only:
            return self._tag_holders[hit.slug]
        return self._containers.get(hit.slug, frozenset())

    def _near(self, found: Iterable[str], seen: set[str], whole: Iterable[str]) -> tuple[str, ...]:
        unexplained = seen.difference(*(self._rare[slug] for slug in whole))
        if len(unexplained) < _MIN_NEAR_LINES:
            return ()
        counts = Counter(slug for line in unexplained for slug in self._owners.get(line, ()))
        return tuple(
            sorted(
                slug
                for slug, count in counts.items()
                if count >= _MIN_NEAR_LINES
                and 2 * count > len(self._rare[slug])
                and slug not in found
            )
        )

    def _find_containers(self, texts: Mapping[str, str]) -> Mapping[str, frozenset[str]]:
        """Return for each prompt that is inside others whose they are."""
        inside: dict[str, set[str]] = {}
        for holder, text in texts.items():
            lines = text.split("\n")
            for hit in self._whole_prompts(0, lines, self._known.intersection(lines)):
                if hit.slug != holder:
                    inside.setdefault(hit.slug, set()).add(holder)
        return {slug: frozenset(holders) for slug, holders in inside.items()}

    def _with_containers(self, report: PromptReport) -> PromptReport:
        holders = self._containers.get(report.slug)
        if not holders:
            return report
        note = f"{report.reason}; inside the prompt of {', '.join(sorted(holders))}, which wins"
        return PromptReport(report.slug, report.recognisable, note)


def _lines(text: str) -> list[str]:
    """Return the lines of a text without line endings and spaces before them."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return list(map(str.rstrip, text.split("\n")))


def _entry(slug: str, text: str, owners: Mapping[str, int]) -> _Entry:
    """Return the entry of a prompt; its anchor is its rarest inner line, then the longest."""
    inner = [line for line in text.split("\n")[1:-1] if line]
    if not inner:
        return _Entry(slug, text, "", 0)
    line = min(inner, key=lambda line: (owners[line], -len(line), line))
    anchor = f"\n{line}\n"
    return _Entry(slug, text, anchor, text.index(anchor))


def _grouped(pairs: Iterable[tuple[str, Value]]) -> Mapping[str, tuple[Value, ...]]:
    groups: dict[str, list[Value]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in groups.items()}


def _judge(texts: Mapping[str, str], agents: Iterable[str]) -> dict[str, PromptReport]:
    """Return for each agent whether rule 5 or a missing prompt stands against it."""
    holders = _grouped((text, slug) for slug, text in texts.items())
    reports = {}
    for slug in agents:
        reason = _why_not(slug, texts.get(slug), holders)
        if reason is None:
            lines = texts[slug].split("\n")
            how = "its tag line" if tag_line(slug) in lines else f"its prompt, {len(lines)} lines"
            reports[slug] = PromptReport(slug, recognisable=True, reason=how)
        else:
            reports[slug] = PromptReport(slug, recognisable=False, reason=reason)
    return reports


def _why_not(slug: str, text: str | None, holders: Mapping[str, Sequence[str]]) -> str | None:
    if text is None:
        return "no prompt: name an `agentFile` that exists, or give it a `prompt`"
    if not text:
        return "its prompt is empty"
    if tag_line(slug) in text.split("\n"):
        return None
    if len(text) < MIN_PROMPT_CHARS:
        return (
            f"its prompt has only {len(text)} of at least {MIN_PROMPT_CHARS} characters: "
            "extend or tag it"
        )
    others = sorted(other for other in holders[text] if other != slug)
    if others:
        return f"its prompt is the same as that of {', '.join(others)}: change or tag it"
    return None
