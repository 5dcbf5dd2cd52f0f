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
    """From 1; 0 where nothing in the file is meant, e.g. because it is missing."""
    column: int
    """From 1, in characters; 0 likewise."""
    key: str
    """Key path such as `model_list[2].litellm_params.api_base`; empty for the file as a whole."""
    message: str
    """What is wrong and how to fix it; never a secret's value."""

    @classmethod
    def of_file(cls, file: str, message: str) -> ConfigProblem:
        """Return a problem of a file as a whole: it is missing, or nobody may read it."""
        return cls(file, 0, 0, "", message)

    def __str__(self) -> str:
        """Render as `file:line:column: key: message`, which editors can jump to."""
        place = f":{self.line}:{self.column}" if self.line else ""
        key = f"{self.key}: " if self.key else ""
        return f"{self.file}{place}: {key}{self.message}"


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
