"""The agents' own prompts: Markdown files with front matter, or text in the roster.

Rules:
1. A `prompt` in the roster counts before an `agentFile`.
2. A relative `agentFile` is looked for beside the roster, then in the agents' folder, there also by
   its bare name.
3. A prompt that cannot be had is never an error: that agent is just not recognised by it.
4. Front matter, a block between two `---` lines at the very start, is not part of the prompt.
   Source: the agent files of Claude Code, `.claude/agents/*.md`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ccproxy.config.roster import LoadedRoster, PromptSource

MAX_FILE_BYTES: Final = 1_000_000
"""A larger file is no prompt."""

_FRONT_MATTER: Final = re.compile(r"---[ \t]*\r?\n(?:(.*?)\r?\n)??---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_NAME: Final = re.compile(r"^name:[ \t]*(.*?)[ \t]*\r?$", re.MULTILINE)
_EXAMPLES: Final = 3


class UnusablePrompt(Exception):
    """An agent file that cannot be read; the message is a phrase that says why."""


@dataclass(frozen=True, slots=True)
class LoadedPrompts:
    """The prompts of a roster's agents, as far as they could be had."""

    prompts: Mapping[str, str] = field(default_factory=dict)
    """Slug -> prompt without front matter; may be empty text."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Slug -> why there is none, a phrase."""
    files: Mapping[str, Path] = field(default_factory=dict)
    """Slug -> the file its prompt is from; a change of one calls for loading again."""

    def remark(self) -> str | None:
        """Return one line about all that is missing, or None."""
        if not self.missing:
            return None
        some = ", ".join(sorted(self.missing)[:_EXAMPLES])
        more = ", …" if len(self.missing) > _EXAMPLES else ""
        return (
            f"{len(self.missing)} of {len(self.missing) + len(self.prompts)} agents have no prompt "
            f"to be recognised by ({some}{more}); `ccproxy agents list --prompts` says why."
        )


def load_prompts(
    loaded: LoadedRoster, roster_file: Path, agents_folder: Path | None = None
) -> LoadedPrompts:
    """Read the prompts of all agents.

    Args:
        loaded: The roster.
        roster_file: Where it is; relative files are looked for beside it.
        agents_folder: Another folder to look in.
    """
    folders = [roster_file.absolute().parent]
    if agents_folder is not None:
        folders.append(agents_folder.absolute())
    prompts: dict[str, str] = {}
    missing: dict[str, str] = {}
    files: dict[str, Path] = {}
    for slug, source in loaded.prompts.items():
        if source.text is not None:
            prompts[slug] = source.text
            continue
        try:
            files[slug], prompts[slug] = _read(source, folders)
        except UnusablePrompt as reason:
            missing[slug] = str(reason)
    return LoadedPrompts(prompts, missing, files)


def read_agent_file(path: Path) -> str:
    """Return the text of an agent file, front matter included, line endings as they are.

    Raises:
        UnusablePrompt: It is missing, too large, or no UTF-8 text.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnusablePrompt(f"{path.name} is not UTF-8 text") from None
    except OSError as exc:
        raise UnusablePrompt(f"{path.name}: {exc.strerror or exc}") from None
    if len(data) > MAX_FILE_BYTES:
        raise UnusablePrompt(f"{path.name} has more than {MAX_FILE_BYTES} bytes")
    return text


def split_front_matter(text: str) -> tuple[str, str]:
    """Return the front matter without its `---` lines, and the rest; the former may be empty."""
    found = _FRONT_MATTER.match(text)
    return (found[1] or "", text[found.end() :]) if found else ("", text)


def front_matter_name(text: str) -> str | None:
    """Return `name` of an agent file's front matter.

    Read by pattern, because descriptions with colons in them make many front matters bad YAML.
    """
    found = _NAME.search(split_front_matter(text)[0])
    name = found[1].strip("\"'").strip() if found else ""
    return name or None


def _read(source: PromptSource, folders: list[Path]) -> tuple[Path, str]:
    if source.file is None:
        raise UnusablePrompt("the roster has neither `agentFile` nor `prompt`")
    for path in _places(source.file, folders):
        if _is_there(path):
            return path, split_front_matter(read_agent_file(path))[1]
    raise UnusablePrompt(f"there is no file {source.file}")


def _places(file: str, folders: list[Path]) -> Iterator[Path]:
    """Yield where a file may be; one that is absolute or below `~` is in one place only."""
    path = Path(file)
    try:
        path = path.expanduser()
    except RuntimeError:
        return
    yield folders[0] / path
    for folder in folders[1:]:
        yield folder / path
        yield folder / path.name


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long, a folder that is closed to us: no prompt there either
        return False
