"""What zsh and fish are told at the Tab key: values with a line about each.

Typer's own classes send every line through Rich, which takes longer to import than all the rest,
breaks it at 80 columns, and takes what stands in brackets for markup.
"""

from __future__ import annotations

from typing import Final

from typer._click.shell_completion import CompletionItem, add_completion_class
from typer._completion_classes import FishComplete, ZshComplete

_IN_ZSH: Final = str.maketrans(
    {
        # Once for the double quotes, once for the parting at colons.
        "\\": r"\\\\",
        ":": r"\\:",
        **{sign: f"\\{sign}" for sign in '"$`'},
        "'": r"'\''",
    }
)
"""zsh evaluates twice: single quotes around all of them, then double quotes around each. What comes
out of that is parted at the colons that have no backslash before them."""


class PlainZshComplete(ZshComplete):
    """Completion for zsh."""

    def format_completion(self, item: CompletionItem) -> str:
        """Return value and line, each quoted as zsh's `_arguments` wants it."""
        told = f":{_for_zsh(_line(item.help))}" if item.help else ""
        return f"{_for_zsh(item.value)}{told}"


class PlainFishComplete(FishComplete):
    """Completion for fish."""

    def format_completion(self, item: CompletionItem) -> str:
        """Return value and line with a tab between them."""
        return f"{item.value}\t{_line(item.help)}" if item.help else str(item.value)


def use_plain_completion() -> None:
    """Let these take the place of Typer's; to be called after Typer has registered its own."""
    add_completion_class(PlainZshComplete, PlainZshComplete.name)
    add_completion_class(PlainFishComplete, PlainFishComplete.name)


def _for_zsh(text: str) -> str:
    return f'"{text.translate(_IN_ZSH)}"'


def _line(text: str) -> str:
    return " ".join(text.split())
