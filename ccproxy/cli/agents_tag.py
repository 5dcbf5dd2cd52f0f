"""`ccproxy agents tag`: make the agents of a folder recognisable by their prompts."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ccproxy.cli.options import (
    ConfigOption,
    JsonOption,
    RosterOption,
    agents_folder,
    roster_path,
)
from ccproxy.cli.output import print_json, remark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ccproxy.config.agent_tags import TagChange


def tag(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="A folder with agent files, e.g. .claude/agents.",
        ),
    ],
    roster: RosterOption = None,
    config: ConfigOption = None,
    *,
    write: Annotated[
        bool, typer.Option("--write", help="Change the files; without it they are only shown.")
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take all tags out again.")] = False,
    every: Annotated[
        bool, typer.Option("--all", help="Tag also agents that are recognised without.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Add a line to those agent files whose prompt does not tell which agent it is.

    The line is a comment, `<!-- ccproxy-agent: SLUG -->`, at the end of the file. Without --write
    the changes are printed as a diff.

    Examples:
        ccproxy agents tag .claude/agents
        ccproxy agents tag .claude/agents --write
        ccproxy agents tag .claude/agents --undo --write

    Read on: docs/recognition.md
    """
    from ccproxy.config.agent_tags import plan_undo

    changes = plan_undo(folder) if undo else _tags_of(folder, roster, config, every)
    if write:
        _write(changes)
    if as_json:
        print_json(
            [
                {
                    "file": str(change.path),
                    "slug": change.slug,
                    "action": change.action.value,
                    "reason": change.reason,
                }
                for change in changes
            ]
        )
    elif not write:
        for change in changes:
            if change.before != change.after:
                print(change.diff())
    _summarise(changes, write=write)


def _write(changes: "Sequence[TagChange]") -> None:
    for change in changes:
        if change.before == change.after:
            continue
        try:
            change.write()
        except OSError as exc:
            remark(f"error: cannot write {change.path}: {exc.strerror}. Files before it are done.")
            raise typer.Exit(1) from exc


def _tags_of(
    folder: Path,
    roster: Path | None,
    config: Path | None,
    every: bool,  # noqa: FBT001
) -> "Sequence[TagChange]":
    from ccproxy.config.agent_files import load_prompts
    from ccproxy.config.agent_tags import plan_tags
    from ccproxy.config.roster import load_roster
    from routing.prompts import PromptIndex

    roster_file = roster_path(roster, config)
    loaded = load_roster(roster_file)
    agents = loaded.roster.agents
    prompts = load_prompts(loaded, roster_file, agents_folder(roster, config)).prompts
    index = PromptIndex.build(prompts, agents)
    return plan_tags(folder, index, agents, every=every)


def _summarise(changes: "Sequence[TagChange]", *, write: bool) -> None:
    """Name what needs a person, count the rest; exit 1 if something needs a person."""
    from ccproxy.config.agent_tags import TagAction

    for change in changes:
        if change.action in (TagAction.PROBLEM, TagAction.SKIPPED):
            remark(f"{change.action}: {change.path}: {change.reason}")
    counts = Counter(change.action for change in changes)
    told = ", ".join(f"{counts[action]} {action}" for action in TagAction if counts[action])
    todo = counts[TagAction.TAG] + counts[TagAction.UNTAG]
    remark(f"{told or 'no agent files'}{'' if write or not todo else '; --write does it'}")
    if counts[TagAction.PROBLEM]:
        raise typer.Exit(1)
