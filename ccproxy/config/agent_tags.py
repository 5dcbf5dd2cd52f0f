"""Tag lines in agent files: the least that makes an agent recognisable by its prompt.

The tag is one line at the end of the file, `<!-- ccproxy-agent: slug -->`. It is a comment to
people, a hardly noticeable line to the model, and Claude Code sends it verbatim within the prompt
(seen in 2.1.329). The alternative, `model: agent/<slug>` in the front matter, would take the
agent's own model away, which other tools and a proxy without that agent need.

Rules:
1. Only files that need it are tagged: an agent file of the roster's agents whose body is not
   recognised as that agent, unless all are asked for.
2. A tag that is there already, anywhere in the body, is left alone; so is a file with another
   agent's tag, which is a problem for a person.
3. Nothing but the end of the file changes, and `remove_tag` restores every byte.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from ccproxy.config.agent_files import (
    UnusablePrompt,
    front_matter_name,
    read_agent_file,
    split_front_matter,
)
from ccproxy.config.roster import slug_of
from routing.nearest import did_you_mean
from routing.prompts import normalise_prompt, tag_line, tagged_slug

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from routing.prompts import PromptIndex

_LINE_END = re.compile(rb"\r?\n")
_LAST_LINE = re.compile(rb"(?:\A|\n)([^\n]*?)(\r?\n)?\Z")


class TagAction(StrEnum):
    """What is to be done with a file."""

    TAG = "tag"
    UNTAG = "untag"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    """It is no file of an agent of the roster."""
    PROBLEM = "problem"
    """A person has to look at it."""


@dataclass(frozen=True, slots=True)
class TagChange:
    """One file, and what is to be done with it."""

    path: Path
    action: TagAction
    reason: str
    slug: str | None = None
    before: bytes = b""
    after: bytes = b""

    def diff(self) -> str:
        """Return the change as a unified diff."""
        before, after = (
            data.decode("utf-8", "surrogateescape").split("\n")
            for data in (self.before, self.after)
        )
        lines = difflib.unified_diff(before, after, str(self.path), str(self.path), "", "", 2, "")
        return "\n".join(lines)

    def write(self) -> None:
        """Replace the file in one step, keeping its mode and links to it.

        Raises:
            OSError: The file or its folder cannot be written.
        """
        target = self.path.resolve()
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(self.after)
            shutil.copymode(target, name)
            Path(name).replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise


def add_tag(data: bytes, slug: str) -> bytes:
    """Return a file with a tag as its last line, in the file's own style of line ends."""
    tag = tag_line(slug).encode()
    if not data or data.endswith(b"\n"):
        return data + tag + (b"\r\n" if data.endswith(b"\r\n") else b"\n")
    first = _LINE_END.search(data)
    return data + (first[0] if first else b"\n") + tag


def remove_tag(data: bytes) -> bytes:
    """Return the file that `add_tag` was given; one that does not end in its tag is unchanged."""
    last = _LAST_LINE.search(data)
    slug = tagged_slug(last[1].decode("utf-8", "surrogateescape")) if last else None
    if last is None or slug is None or slug != slug_of(slug):
        return data
    start = last.start(1)
    for candidate in (data[:start], data[: start - 1], data[: max(0, start - 2)]):
        if add_tag(candidate, slug) == data:
            return candidate
    return data


def plan_tags(
    folder: Path, index: PromptIndex, agents: Container[str], *, every: bool = False
) -> list[TagChange]:
    """Return what tagging a folder means, one entry for each Markdown file, sorted by path.

    Args:
        folder: With agent files, also in folders below it.
        index: The prompts as the proxy knows them.
        agents: The roster's slugs.
        every: Tag also agents that are recognised without.
    """
    return [_plan_tag(path, index, agents, every=every) for path in _agent_files(folder)]


def plan_undo(folder: Path) -> list[TagChange]:
    """Return what taking all tags out again means, as `plan_tags` does."""
    return [_plan_undo(path) for path in _agent_files(folder)]


def _agent_files(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*.md") if path.is_file())


def _plan_tag(path: Path, index: PromptIndex, agents: Container[str], *, every: bool) -> TagChange:
    try:
        text = read_agent_file(path)
    except UnusablePrompt as exc:
        return TagChange(path, TagAction.PROBLEM, str(exc))
    front_matter, body = split_front_matter(text)
    if not front_matter:
        return TagChange(path, TagAction.SKIPPED, "no agent file: it has no front matter")
    slug = slug_of(front_matter_name(text) or path.stem)
    if slug not in agents:
        hint = did_you_mean(slug, index.agents)
        return TagChange(path, TagAction.SKIPPED, f"{slug} is not in the roster.{hint}", slug)
    tags = set(_tags(body))
    if tags == {slug}:
        return TagChange(path, TagAction.UNCHANGED, "it is tagged", slug)
    if tags:
        reason = f"it is tagged as {', '.join(sorted(tags))}; take that out or rename the agent"
        return TagChange(path, TagAction.PROBLEM, reason, slug)
    found = index.find([body])
    if found.chosen == slug and not every:
        return TagChange(path, TagAction.UNCHANGED, "its prompt recognises it", slug)
    before = path.read_bytes()
    reason = f"its prompt recognises {found.chosen or 'nobody'}"
    return TagChange(path, TagAction.TAG, reason, slug, before, add_tag(before, slug))


def _plan_undo(path: Path) -> TagChange:
    try:
        text = read_agent_file(path)
    except UnusablePrompt as exc:
        return TagChange(path, TagAction.PROBLEM, str(exc))
    slug = next(_tags(split_front_matter(text)[1]), None)
    if slug is None:
        return TagChange(path, TagAction.UNCHANGED, "it has no tag")
    before = path.read_bytes()
    after = remove_tag(before)
    if after == before:
        reason = "its tag is not at the end, where we write it; take it out by hand"
        return TagChange(path, TagAction.PROBLEM, reason, slug)
    return TagChange(path, TagAction.UNTAG, "it ends in a tag", slug, before, after)


def _tags(body: str) -> Iterator[str]:
    """Yield the slugs of the tags in a body, those that it shows indented or quoted not."""
    for line in normalise_prompt(body).split("\n"):
        slug = tagged_slug(line)
        if slug is not None:
            yield slug
