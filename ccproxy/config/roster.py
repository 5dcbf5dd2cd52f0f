"""The roster file: who the agents are, and which tier each one was written for.

Two shapes are read, also mixed in one file, keys in camelCase or snake_case:
1. `architect` (one agent) and lists named `…Agents`;
2. `agents`, an object keyed by slug or a list.
All other keys are tolerated, because the file belongs to the fleet, not to this proxy.

Rules:
1. The key of an agent is the kebab-case slug of its name; `type` identifies nobody.
2. Entries with the same slug are merged with a warning; different tiers are an error, since
   nobody could say which one was meant. Different categories are all kept, the first one first.
3. All problems of a file are reported at once, each with its place and what to do.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from ccproxy.config.fallback_block import EXAMPLE, read_triggers
from ccproxy.config.json_places import JsonPlaces, find_places
from ccproxy.config.problems import ConfigError, ConfigProblem, KeyPath, render_key
from ccproxy.config.roster_document import read_document
from routing.requested_model import TIER_WORDS
from routing.types import Agent, AgentFallback, Roster, Tier

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_TIER_OF_OTHER_WORDS: Final = {"gpt-4": Tier.SONNET, "gpt-3.5-turbo": Tier.HAIKU}
"""Words of rosters that were written before their agents moved to Claude."""

_LIST_SUFFIX: Final = "Agents"


@dataclass(frozen=True, slots=True)
class PromptSource:
    """Where the roster says an agent's own prompt is; both may be missing."""

    file: str | None = None
    """`agentFile`, as written: a Markdown file."""
    text: str | None = None
    """`prompt`, which wins over the file."""


@dataclass(frozen=True, slots=True)
class LoadedRoster:
    """A roster that can be used, and what is odd about its file."""

    roster: Roster
    entries: int
    """Entries in the file; at least the number of agents, as duplicates are merged."""
    warnings: tuple[ConfigProblem, ...] = ()
    prompts: Mapping[str, PromptSource] = field(default_factory=dict)
    """For every agent, by slug."""
    phases: Mapping[str, int] = field(default_factory=dict)
    """The number in `ccproxyMapping.phase`, where there is one; 2 of "Phase 2 - Coding"."""


def load_roster(path: Path) -> LoadedRoster:
    """Read a roster file.

    Raises:
        ConfigError: It is missing, not JSON, of another shape, or contradicts itself; every
            problem is listed.
    """
    text, document = read_document(path)
    reader = _Reader(path, find_places(text))
    reader.check_repeated_keys()
    entries = tuple(reader.entries(document))
    merged = reader.merge(entries)
    if reader.problems:
        raise ConfigError(tuple(reader.problems))
    agents = {slug: entry.agent for slug, entry in merged.items()}
    prompts = {slug: entry.prompt for slug, entry in merged.items()}
    roster = Roster(agents=agents, aliases=_unique_aliases(entries))
    phases = {slug: entry.phase for slug, entry in merged.items() if entry.phase is not None}
    return LoadedRoster(roster, len(entries), tuple(reader.warnings), prompts, phases)


def summary(loaded: LoadedRoster) -> str:
    """Return e.g. "117 entries, 115 agents, 1/76/38 opus/sonnet/haiku"."""
    agents = loaded.roster.agents
    counts = Counter(agent.tier for agent in agents.values())
    per_tier = "/".join(str(counts[tier]) for tier in Tier)
    return f"{loaded.entries} entries, {len(agents)} agents, {per_tier} {'/'.join(Tier)}"


def slug_of(name: str) -> str:
    """Return the kebab-case slug of a name, e.g. "TDD Coding Agent" -> "tdd-coding-agent".

    Accents are dropped, everything else that is no ASCII letter or digit separates words; the
    result is empty for a name without any.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall(r"[a-z0-9]+", plain))


def tier_of(word: str) -> Tier | None:
    """Return the tier of a roster's model word, e.g. `sonnet-4.5` or `gpt-4`; None if unknown."""
    lowered = word.strip().lower()
    for family, tier in TIER_WORDS:
        if family in lowered:
            return tier
    return _TIER_OF_OTHER_WORDS.get(lowered)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of the file, before merging."""

    agent: Agent
    path: KeyPath
    prompt: PromptSource = PromptSource()
    phase: int | None = None


@dataclass(slots=True)
class _Reader:
    """Walks one document and collects what is wrong with it."""

    file: Path
    places: JsonPlaces
    problems: list[ConfigProblem] = field(default_factory=list)
    warnings: list[ConfigProblem] = field(default_factory=list)

    def check_repeated_keys(self) -> None:
        """Complain of keys of which `json` keeps only the last."""
        for path in self.places.repeated:
            # A repeated list or agent loses agents; a repeated detail is merely odd.
            loses_agents = len(path) == 1 or (path[0] == "agents" and len(path) == 2)
            found = self.problems if loses_agents else self.warnings
            message = "this key occurs twice here, and only the last one counts. Remove one."
            found.append(self._problem(path, message))

    def entries(self, document: object) -> Iterator[_Entry]:
        """Yield every readable entry in the order of the file."""
        if not isinstance(document, dict):
            self._refuse((), f"expected an object with agents in it, not {_kind(document)}.")
            return
        keys = [key for key in document if self._holds_agents(key, document[key])]
        if not keys:
            self._refuse(
                (),
                "no agents found. Expected `architect`, lists named `…Agents`, or `agents`; "
                "does `roster` in ccproxy.yaml name the right file?",
            )
        for key in keys:
            yield from self._group(key, document[key])

    def merge(self, entries: Sequence[_Entry]) -> Mapping[str, _Entry]:
        """Return one entry per slug; the first entry wins, later ones fill what it lacks."""
        first: dict[str, _Entry] = {}
        for entry in entries:
            slug = entry.agent.slug
            known = first.setdefault(slug, entry)
            if known is entry:
                continue
            line, _ = self.places.line_and_column(known.path)
            other = f"{render_key(known.path)} (line {line})"
            if known.agent.tier != entry.agent.tier:
                self._refuse(
                    entry.path,
                    f"the agent {slug} has tier {entry.agent.tier} here, but "
                    f"{known.agent.tier} at {other}. Give both the same `model`, or rename one.",
                )
            else:
                self._warn(
                    entry.path,
                    f"the agent {slug} is at {other} too; the two are merged. "
                    f"{_in_both(known.agent, entry.agent)}Remove or rename one.",
                )
            first[slug] = _filled(known, entry)
        return first

    def _holds_agents(self, key: str, value: object) -> bool:
        if value is None:
            return False
        if key in {"architect", "agents"}:
            return True
        if not key.endswith(_LIST_SUFFIX):
            return False
        if isinstance(value, bool | int | float):
            # Like `maxConcurrentAgents: 5`: a setting of the fleet that only sounds like a list.
            self._warn((key,), f"ignored: {_kind(value)} is no list of agents.")
            return False
        return True

    def _group(self, key: str, value: object) -> Iterator[_Entry]:
        if key == "architect":
            yield from self._entry((key,), value, category=key)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from self._entry((key, index), item, category=key)
        elif isinstance(value, dict) and key == "agents":
            for slug, item in value.items():
                yield from self._entry((key, slug), item, category=key, known_as=slug)
        else:
            self._refuse((key,), f"expected a list of agents, not {_kind(value)}.")

    def _entry(
        self, path: KeyPath, value: object, *, category: str, known_as: str | None = None
    ) -> Iterator[_Entry]:
        if not isinstance(value, dict):
            self._refuse(path, f"expected an agent, an object with a `name`, not {_kind(value)}.")
            return
        errors_before = len(self.problems)
        name = self._text(path, value, "name") or known_as
        if name is None:
            if len(self.problems) == errors_before:
                self._refuse(path, 'this agent has no name. Add "name".')
            return
        slug = slug_of(known_as or name)
        if not slug:
            self._refuse((*path, "name"), f"{name!r} has no letters or digits to make a slug of.")
            return
        if known_as is not None and slug != slug_of(name):
            self._warn(path, f"called {slug} by its key but {name!r} by `name`; {slug} counts.")
        alias, wish, phase = self._mapping(path, value)
        if category == "agents":
            category = self._text(path, value, "category") or category
        agent = Agent(
            slug=slug,
            name=name,
            tier=self._tier(path, value),
            category=category,
            type=self._text(path, value, "type") or "",
            description=(
                self._text(path, value, "role") or self._text(path, value, "description") or ""
            ),
            api_alias=alias,
            wished_ollama_model=wish,
            fallback=self._fallback(path, value),
        )
        file_key = _present_key(value, "agentFile", "agent_file")
        prompt = PromptSource(
            self._text_if_any(path, value, file_key), self._text_if_any(path, value, "prompt")
        )
        yield _Entry(agent, path, prompt, phase)

    def _tier(self, path: KeyPath, value: Mapping[str, object]) -> Tier:
        errors_before = len(self.problems)
        word = self._text(path, value, "model")
        tier = tier_of(word) if word is not None else None
        if tier is None and len(self.problems) == errors_before:
            what = "no `model`" if word is None else f"the unknown model word {word!r}"
            known = ", ".join((*Tier, *_TIER_OF_OTHER_WORDS))
            self._warn(
                path if word is None else (*path, "model"),
                f"{what}: taken as sonnet. Known words: {known}.",
            )
        return tier or Tier.SONNET

    def _fallback(self, path: KeyPath, value: Mapping[str, object]) -> AgentFallback | None:
        """Return the `fallback` block; what cannot be understood of it is a warning."""
        block, where = value.get("fallback"), (*path, "fallback")
        if block is None:
            return None
        if not isinstance(block, dict):
            self._warn(where, f"ignored: expected an object such as {EXAMPLE}.")
            return None
        triggers = read_triggers(block.get("triggers"))
        if triggers.problem is not None:
            self._warn((*where, "triggers"), triggers.problem)
        if not triggers.known:
            return None
        return AgentFallback(self._tier(where, block), triggers.known)

    def _mapping(
        self, path: KeyPath, value: Mapping[str, object]
    ) -> tuple[str | None, str | None, int | None]:
        """Return `apiAlias`, `ollama` and the number of `phase`, where there is a mapping."""
        key = _present_key(value, "ccproxyMapping", "ccproxy_mapping")
        mapping = value.get(key)
        if mapping is None:
            return None, None, None
        if not isinstance(mapping, dict):
            self._refuse((*path, key), f"expected an object, not {_kind(mapping)}.")
            return None, None, None
        alias_key = _present_key(mapping, "apiAlias", "api_alias")
        alias = self._text((*path, key), mapping, alias_key)
        wish = self._text((*path, key), mapping, "ollama")
        return alias, wish, _number_in(mapping.get("phase"))

    def _text(self, path: KeyPath, value: Mapping[str, object], key: str) -> str | None:
        """Return a text, or None where it is absent, null or blank; another type is refused."""
        text = value.get(key)
        if text is None:
            return None
        if isinstance(text, str):
            return text.strip() or None
        self._refuse((*path, key), f"expected text, not {_kind(text)}.")
        return None

    def _text_if_any(self, path: KeyPath, value: Mapping[str, object], key: str) -> str | None:
        """Return a text as `_text` does; another type, which the fleet may mean, is a warning."""
        if value.get(key) is None or isinstance(value[key], str):
            return self._text(path, value, key)
        self._warn((*path, key), f"ignored: expected text, not {_kind(value[key])}.")
        return None

    def _refuse(self, path: KeyPath, message: str) -> None:
        self.problems.append(self._problem(path, message))

    def _warn(self, path: KeyPath, message: str) -> None:
        self.warnings.append(self._problem(path, message))

    def _problem(self, path: KeyPath, message: str) -> ConfigProblem:
        line, column = self.places.line_and_column(path)
        return ConfigProblem(str(self.file), line, column, render_key(path), message)


def _unique_aliases(entries: Sequence[_Entry]) -> Mapping[str, str]:
    """Return the aliases that stand at one agent only; a shared one names nobody."""
    holders: dict[str, set[str]] = {}
    for entry in entries:
        if entry.agent.api_alias is not None:
            holders.setdefault(entry.agent.api_alias, set()).add(entry.agent.slug)
    return {alias: slugs.pop() for alias, slugs in holders.items() if len(slugs) == 1}


def _filled(entry: _Entry, other: _Entry) -> _Entry:
    """Return `entry` with what only `other` says."""
    agent, more = entry.agent, other.agent
    filled = replace(
        agent,
        type=agent.type or more.type,
        description=agent.description or more.description,
        api_alias=agent.api_alias or more.api_alias,
        wished_ollama_model=agent.wished_ollama_model or more.wished_ollama_model,
        fallback=agent.fallback or more.fallback,
        further_categories=tuple(dict.fromkeys((*agent.categories, more.category)))[1:],
    )
    prompt = PromptSource(
        entry.prompt.file or other.prompt.file, entry.prompt.text or other.prompt.text
    )
    phase = entry.phase if entry.phase is not None else other.phase
    return _Entry(filled, entry.path, prompt, phase)


def _in_both(agent: Agent, more: Agent) -> str:
    """Return what follows from two categories, a sentence, or nothing."""
    if agent.category == more.category:
        return ""
    return (
        f"It has the privacy of both {agent.category} and {more.category}, and is otherwise "
        f"served as {agent.category} say. "
    )


def _number_in(phase: object) -> int | None:
    """Return the first number of a phase's name, or a phase that is a number; else None."""
    if isinstance(phase, bool) or not isinstance(phase, int | str):
        return None
    found = re.search(r"\d{1,9}", str(phase))
    return int(found[0]) if found else None


def _present_key(value: Mapping[str, object], *spellings: str) -> str:
    return next((key for key in spellings if key in value), spellings[0])


def _kind(value: object) -> str:
    """Return what a person would call the JSON value."""
    match value:
        case None:
            return "null"
        case bool() | int() | float():
            return json.dumps(value)
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "an object"
