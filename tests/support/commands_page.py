"""docs/commands.md: the help of every command, word by word.

    python -m tests.support.commands_page

writes it anew.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from ccproxy.cli.help_page import HelpContext, help_page
from ccproxy.cli.main import command_tree
from tests.support.command_tree import walk

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typer._click.core import Command

PAGE: Final = Path(__file__).parents[2] / "docs/commands.md"
COLUMNS: Final = 90
HEAD: Final = """\
# Commands

Written by `make docs` from `ccproxy COMMAND --help`.

- **Exit codes.** 0: fine. 1: a problem was found, or what was asked for could not be done; stderr
  says what and how to go on. 2: wrong usage; the line `try:` names the help to read. 130: stopped by
  Ctrl-C; what runs until then (serve, run, demo, top, service logs) ends by it with 0.
- **Output.** Results are on stdout, remarks, warnings and progress on stderr. `--json` prints a
  result for programs. A table is as wide as the terminal: of one that is too narrow columns are left out,
  which it says. A pipe gets whole lines.
- **Colours** on a terminal only. `NO_COLOR=1` turns them off, `FORCE_COLOR=1` turns them on where
  there is no terminal.
- **Completion.** `ccproxy --install-completion` sets up the shell it is called from (zsh, bash, fish);
  then the Tab key completes commands, options, and the names of agents, profiles, deployments,
  tokens, versions and references from your files. A package takes the script from
  `_CCPROXY_COMPLETE=source_zsh ccproxy` (or `source_bash`, `source_fish`).
- **Which config.** `--config FILE`, else `$CCPROXY_CONFIG`, `./config/ccproxy.yaml`,
  `~/.ccproxy/ccproxy.yaml`.
"""


def page() -> str:
    """Return the page."""
    commands = dict(walk(command_tree()))
    parts = [HEAD]
    for path in commands:
        mark = "#" * min(len(path) + 1, 3)
        told = help_of(path, commands)
        parts.append(f"\n{mark} {' '.join(path)}\n\n```text\n{told}\n```\n")
    return "".join(parts)


def help_of(path: tuple[str, ...], commands: Mapping[tuple[str, ...], Command]) -> str:
    """Return the help of a command as a pipe gets it; `commands` has those above it too."""
    context: HelpContext | None = None
    for count, name in enumerate(path, 1):
        context = HelpContext(commands[path[:count]], info_name=name, parent=context)
    assert context is not None
    lines = help_page(context, COLUMNS).splitlines()
    return _without_colours("\n".join(line.rstrip() for line in lines))


def _without_colours(text: str) -> str:
    for code in ("\x1b[0m", "\x1b[1m", "\x1b[36m"):
        text = text.replace(code, "")
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
