"""Every command there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer.core import TyperGroup

from ccproxy.cli.tree import CommandTree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typer._click.core import Command


def walk(
    command: Command, path: tuple[str, ...] = ("ccproxy",)
) -> Iterator[tuple[tuple[str, ...], Command]]:
    """Yield a command and all below it, each with the words that call it; parents come first."""
    yield path, command
    if not isinstance(command, TyperGroup):
        return
    below = command.loaded() if isinstance(command, CommandTree) else command.commands.values()
    for each in below:
        yield from walk(each, (*path, str(each.name)))
