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
   reported. Only lines count that are rare in the fleet, not of a prompt that was recognised, and
   not far from where the search met such lines: between the first such place of a text and the
   last, and 2048 characters before and behind; where it met none, in the first 2048 characters.
5. A prompt that is empty, too short, or the same as another agent's recognises nobody.

The cost of `find` is linear in the system prompt and hardly depends on the number of agents; how
is in `routing.prompt_search`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from routing.prompt_search import AROUND_CHARS, RARE, PromptSearch, normalised_lines

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

_TAG_MARK: Final = "!"
_MARKS_LOOKED_AT: Final = 50

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
    return "\n".join(normalised_lines(prompt)).strip()


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


NOTHING_FOUND: Final = PromptFinding()


@dataclass(frozen=True, slots=True)
class PromptReport:
    """Whether an agent can be recognised by its prompt."""

    slug: str
    recognisable: bool
    reason: str
    """How, or why not and what to do; a phrase such as `its prompt, 88 lines`."""


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

    __slots__ = ("_agents", "_containers", "_rare", "_reports", "_search", "_tag_holders")

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
        usable = {
            slug: text
            for slug, text in texts.items()
            if self._reports[slug].recognisable and len(text) >= MIN_PROMPT_CHARS
        }
        self._search = PromptSearch(usable)
        lines = {slug: frozenset(text.split("\n")) - {""} for slug, text in usable.items()}
        holders = Counter(line for own in lines.values() for line in own)
        self._rare = {
            slug: frozenset(line for line in own if holders[line] <= RARE)
            for slug, own in lines.items()
        }
        self._tag_holders = {
            slug: frozenset(holder for holder, own in lines.items() if tag_line(slug) in own)
            for slug in self._agents
        }
        self._containers = self._find_containers(usable)

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
        touched: set[str] = set()
        parts: list[str] = []
        for number, text in enumerate(system_texts):
            found = self._search.find(text)
            touched |= found.touched
            parts.append(found.around or text[:AROUND_CHARS])
            for slug, start in found.starts.items():
                if slug not in hits or hits[slug].tag_only:
                    hits[slug] = _Hit(slug, len(self._search.text(slug)), (number, start))
            if _may_hold_tag(text):
                self._add_tags(number, text, hits, unknown)
        touched -= hits.keys()
        if not hits and not touched and not unknown:
            return NOTHING_FOUND
        near = self._near(touched, parts, hits) if touched else ()
        return self._finding(hits, near, unknown)

    def _add_tags(self, number: int, text: str, hits: dict[str, _Hit], unknown: set[str]) -> None:
        for position, line in enumerate(normalised_lines(text)):
            slug = tagged_slug(line)
            if slug in self._agents:
                hits.setdefault(slug, _Hit(slug, len(line), (number, position), tag_only=True))
            elif slug is not None and len(unknown) < _MAX_UNKNOWN_TAGS:
                unknown.add(slug)

    def _finding(
        self, hits: Mapping[str, _Hit], near: tuple[str, ...], unknown: Iterable[str]
    ) -> PromptFinding:
        ordered = sorted(hits.values(), key=lambda hit: (-hit.length, hit.place, hit.slug))
        whole = {hit.slug for hit in ordered if not hit.tag_only}
        outermost = [hit.slug for hit in ordered if self._holders(hit).isdisjoint(whole)]
        return PromptFinding(
            matches=tuple(hit.slug for hit in ordered),
            chosen=outermost[0] if outermost else None,
            rivals=tuple(outermost[1:]),
            near=near,
            unknown_tags=tuple(sorted(unknown)),
        )

    def _holders(self, hit: _Hit) -> frozenset[str]:
        """Return the agents whose prompt has this hit inside."""
        if hit.tag_only:
            return self._tag_holders[hit.slug]
        return self._containers.get(hit.slug, frozenset())

    def _near(
        self, touched: Iterable[str], parts: Iterable[str], hits: Mapping[str, _Hit]
    ) -> tuple[str, ...]:
        """Return those of the touched agents most of whose rare lines are there unexplained."""
        lines = {line for part in parts for line in normalised_lines(part)}
        for hit in hits.values():
            if not hit.tag_only:
                lines -= self._rare[hit.slug]
        near = []
        for slug in sorted(touched):
            own = self._rare[slug]
            count = len(own & lines)
            if count >= _MIN_NEAR_LINES and 2 * count > len(own):
                near.append(slug)
        return tuple(near)

    def _find_containers(self, texts: Mapping[str, str]) -> Mapping[str, frozenset[str]]:
        """Return for each prompt that is inside others whose they are."""
        inside: dict[str, set[str]] = {}
        for holder, text in texts.items():
            for slug in self._search.find(text).starts:
                if slug != holder:
                    inside.setdefault(slug, set()).add(holder)
        return {slug: frozenset(holders) for slug, holders in inside.items()}

    def _with_containers(self, report: PromptReport) -> PromptReport:
        holders = self._containers.get(report.slug)
        if not holders:
            return report
        note = f"{report.reason}; inside the prompt of {', '.join(sorted(holders))}, which wins"
        return PromptReport(report.slug, report.recognisable, note)


def _may_hold_tag(text: str) -> bool:
    """Return whether the start of a tag stands in a text.

    A single rare character is found ten times faster than a longer text.
    """
    at = 0
    for _ in range(_MARKS_LOOKED_AT):
        at = text.find(_TAG_MARK, at) + 1
        if at == 0:
            return False
        if at >= len("<!") and text.startswith(_TAG_START, at - len("<!")):
            return True
    return text.find(_TAG_START, at - len("<!")) >= 0


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
