"""What is wrong with a configuration file, for the person who edits it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

KeyPath: TypeAlias = tuple[str | int, ...]
"""From the root of a document: keys of maps and indexes of lists."""


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One finding about one place of a file."""

    file: str
    line: int
    """From 1."""
    column: int
    """From 1, in characters."""
    key: str
    """Key path such as `model_list[2].litellm_params.api_base`; empty for the file as a whole."""
    message: str
    """What is wrong and how to fix it; never a secret's value."""

    def __str__(self) -> str:
        """Render as `file:line:column: key: message`, which editors can jump to."""
        key = f"{self.key}: " if self.key else ""
        return f"{self.file}:{self.line}:{self.column}: {key}{self.message}"


class ConfigError(Exception):
    """Configuration that cannot be used; a command that needs it exits 1.

    Attributes:
        problems: Every problem found, in the order of the file, not only the first.
    """

    def __init__(self, problems: Sequence[ConfigProblem]) -> None:
        """Keep the problems; the message has one line for each."""
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


def render_key(path: Sequence[str | int]) -> str:
    """Return a key path as people write it: `profiles.balanced.tiers.opus.route[1]`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text
