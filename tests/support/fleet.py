"""Prompts for a whole fleet, made up from a seed, and texts that only nearly hold one.

The prompts look like agent files: a role, headings that many agents share, bullets, a code block.
117 of them make about 600 kB.
"""

# ruff: noqa: S311, SIM905 -- made-up text needs no cryptography, and word lists read best as text

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

_VERBS: Final = tuple(
    "check write read measure compare explain trace remove rename review split merge sketch list "
    "verify collect plan reduce name test profile document repair migrate question record".split()
)
_THINGS: Final = tuple(
    "the failing test|each public interface|every assumption|the slowest query|the error path|"
    "all inputs|the build|a small example|the change log|the data model|the open questions|"
    "the deployment steps|every dependency|the schema|the access rules|the retry logic|"
    "the oldest module|the user's words|each boundary|the memory use|the naming|the log lines".split(
        "|"
    )
)
_ENDS: Final = tuple(
    "before you answer|and say what you found|without changing behaviour|in one sentence|"
    "when two sources differ|with numbers and units|for the next reader|until nothing is left|"
    "and keep the old one working|only if it was asked for|with the file and the line|"
    "and name what you did not look at|as a table|step by step|from the outside in".split("|")
)
_HEADINGS: Final = ("Approach", "Rules", "Output", "What to avoid", "Checklist", "Examples")

PROMPT_BYTES: Final = (2_000, 8_300)
"""Smallest and largest prompt, about; evenly spread."""


def fleet_prompts(slugs: Iterable[str], seed: int = 1) -> dict[str, str]:
    """Return a prompt for each slug; the same for the same seed, all different."""
    return {slug: _prompt(slug, Random(f"{seed} {slug}")) for slug in slugs}


def system_filler(size_bytes: int, seed: int = 1) -> str:
    """Return text of about this size that could stand in a system prompt around a prompt."""
    random = Random(f"{seed} filler")
    return "\n".join(_lines(random, size_bytes))


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A system prompt that holds no agent's whole prompt."""

    kind: str
    slug: str
    """The agent it is made from; a `mixed` one is made from another as well."""
    system_texts: tuple[str, ...]


def near_misses(prompts: Mapping[str, str], count: int, seed: int = 1) -> Iterator[NearMiss]:
    """Yield near misses of all kinds in turn, of agents drawn from a seed."""
    random = Random(f"{seed} near")
    slugs = sorted(prompts)
    kinds = sorted(_KINDS)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        slug, other = random.sample(slugs, 2)
        texts = _KINDS[kind](random, prompts[slug].strip(), prompts[other].strip())
        before, after = system_filler(400, random.randrange(10**6)), "\n\nNotes follow."
        yield NearMiss(kind, slug, (before, f"{before}\n\n{texts[0]}{after}", *texts[1:]))


def _prompt(slug: str, random: Random) -> str:
    name = slug.replace("-", " ")
    lines = [
        f"You are the {name} of this team. {_sentence(random)}",
        "",
        f"{_sentence(random)} {_sentence(random)} {_sentence(random)}",
    ]
    lines += _lines(random, random.randint(*PROMPT_BYTES))
    return "\n".join([*lines, "", f"End as the {name} would: {_sentence(random)}"])


def _lines(random: Random, size_bytes: int) -> list[str]:
    lines: list[str] = []
    written = 0
    while written < size_bytes:
        lines += _section(random)
        written = sum(map(len, lines)) + len(lines)
    return lines


def _section(random: Random) -> list[str]:
    lines = ["", f"## {random.choice(_HEADINGS)}", ""]
    lines += [f"- {_sentence(random)} {_sentence(random)}" for _ in range(random.randint(3, 8))]
    if random.random() < 0.3:
        lines += ["", "```sh", f"make {random.choice(_VERBS)}", "```"]
    return lines


def _sentence(random: Random) -> str:
    words = (random.choice(_VERBS), random.choice(_THINGS), random.choice(_ENDS))
    return f"{' '.join(words).capitalize()}."


def _truncated(random: Random, prompt: str, _other: str) -> Sequence[str]:
    cut = random.randint(1, max(1, len(prompt) // 3))
    return [(prompt[:-cut], prompt[cut:], prompt[:200] + prompt[200 + cut :])[random.randrange(3)]]


def _quoted(random: Random, prompt: str, _other: str) -> Sequence[str]:
    mark = random.choice(["> ", "    ", "// ", "| "])
    return ["\n".join(mark + line for line in prompt.split("\n"))]


def _reordered(random: Random, prompt: str, _other: str) -> Sequence[str]:
    lines = prompt.split("\n")
    first, second = sorted(random.sample(range(len(lines)), 2))
    while lines[first] == lines[second]:
        first, second = sorted(random.sample(range(len(lines)), 2))
    lines[first], lines[second] = lines[second], lines[first]
    return ["\n".join(lines)]


def _mixed(_random: Random, prompt: str, other: str) -> Sequence[str]:
    mine, theirs = prompt.split("\n"), other.split("\n")
    return ["\n".join(mine[: len(mine) * 2 // 3] + theirs[len(theirs) // 3 :])]


def _edited(random: Random, prompt: str, _other: str) -> Sequence[str]:
    words = prompt.split(" ")
    # Not the last word: behind it the whole prompt would still stand.
    words[random.randrange(len(words) - 1)] += "s"
    return [" ".join(words)]


def _split(random: Random, prompt: str, _other: str) -> Sequence[str]:
    at = random.randint(1, len(prompt) - 1)
    return [prompt[:at], prompt[at:]]


def _joined(_random: Random, prompt: str, _other: str) -> Sequence[str]:
    return [prompt.replace("\n", " ")]


_KINDS: Final[Mapping[str, Callable[[Random, str, str], Sequence[str]]]] = {
    "truncated": _truncated,
    "quoted": _quoted,
    "reordered": _reordered,
    "mixed": _mixed,
    "edited": _edited,
    "split": _split,
    "joined": _joined,
}
