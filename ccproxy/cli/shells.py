"""What zsh and fish are told at the Tab key: values with a line about each.

Typer's own classes send every line through Rich, which takes longer to import than all the rest,
breaks it at 80 columns, and takes what stands in brackets for markup.
"""

from __future__ import annotations

from typer._click.shell_completion import CompletionItem, add_completion_class
from typer._completion_classes import FishComplete, ZshComplete


class PlainZshComplete(ZshComplete):
    """Completion for zsh."""

    def format_completion(self, item: CompletionItem) -> str:
        """Return value and line, each quoted as zsh's `_arguments` wants it."""
        value = super().format_completion(CompletionItem(item.value))
        if not item.help:
            return value
        return f"{value}:{super().format_completion(CompletionItem(_line(item.help)))}"


class PlainFishComplete(FishComplete):
    """Completion for fish."""

    def format_completion(self, item: CompletionItem) -> str:
        """Return value and line with a tab between them."""
        return f"{item.value}\t{_line(item.help)}" if item.help else str(item.value)


def use_plain_completion() -> None:
    """Let these take the place of Typer's; to be called after Typer has registered its own."""
    add_completion_class(PlainZshComplete, PlainZshComplete.name)
    add_completion_class(PlainFishComplete, PlainFishComplete.name)


def _line(text: str) -> str:
    return " ".join(text.split())
