"""`ccproxy routes import-roster`: the roster's wishes for local models as entries of the table."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import os
from dataclasses import dataclass, field
from difflib import unified_diff
from typing import TYPE_CHECKING, Annotated

import typer

from ccproxy.cli.options import ConfigOption, config_path
from ccproxy.cli.output import remark
from ccproxy.cli.routes_show import ProfileOption, with_profile

if TYPE_CHECKING:
    from pathlib import Path

    from ccproxy.config.roster import LoadedRoster
    from routing.types import RoutingTable


@dataclass(slots=True)
class _Import:
    """What following the wishes takes."""

    entries: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """New entries: slug -> route."""
    by_hand: list[str] = field(default_factory=list)
    """Sentences about entries that are there already."""
    unserved: dict[str, list[str]] = field(default_factory=dict)
    """Wished model that no deployment serves -> agents."""


def import_roster(
    phase: Annotated[
        int | None,
        typer.Option("--phase", metavar="N", help="Only agents whose ccproxyMapping has phase N."),
    ] = None,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    *,
    write: Annotated[
        bool, typer.Option("--write", help="Put the entries into the routing file.")
    ] = False,
) -> None:
    """Turn the roster's wishes (ccproxyMapping.ollama) into entries of the routing table.

    Only for agents whose first local deployment is another one, or who have none. Without --write
    the change is shown, not made.

    Examples:
        ccproxy routes import-roster
        ccproxy routes import-roster --phase 1 --write

    Read on: docs/routing.md
    """
    from ccproxy.cli.offline import read_offline

    routing = read_offline(config_path(config), os.environ)
    table = with_profile(routing.table, profile)
    file = routing.settings.routing_file
    text = file.read_bytes().decode("utf-8-sig")
    found = _plan(text, table, routing.loaded, phase)
    failed = bool(found.entries) and not _apply(file, text, table.active.name, found, write=write)
    for model, agents in found.unserved.items():
        remark(
            f"note: no deployment serves {model}, which {len(agents)} agents wish "
            f"({', '.join(agents[:3])}{', …' if len(agents) > 3 else ''}); add one to model_list"
        )
    remark(*found.by_hand)
    if not found.entries:
        remark("Nothing to add.")
    if failed:
        raise typer.Exit(1)


def _plan(text: str, table: "RoutingTable", loaded: "LoadedRoster", phase: int | None) -> _Import:
    from ccproxy.config.routing_edit import own_agents
    from routing.wishes import wished_routes

    own = own_agents(text, table.active.name)
    found = _Import()
    for wish in wished_routes(table, loaded.roster):
        if phase is not None and loaded.phases.get(wish.agent) != phase:
            continue
        if wish.route is None:
            found.unserved.setdefault(wish.model, []).append(wish.agent)
        elif wish.agent in own:
            found.by_hand.append(
                f"note: {wish.agent} has an entry in line {own[wish.agent]}; to follow its wish "
                f"({wish.model}) give it the route [{', '.join(wish.route)}]"
            )
        else:
            found.entries[wish.agent] = wish.route
    return found


def _apply(file: "Path", text: str, profile: str, found: _Import, *, write: bool) -> bool:
    """Show the edit and, if wanted, make it; return whether what was wanted could be done."""
    from ccproxy.config.routing_edit import CannotEdit, add_agents, entry_line
    from ccproxy.replaced_files import replace_file

    try:
        edited = add_agents(text, profile, found.entries, str(file))
    except CannotEdit as reason:
        print("\n".join(f"      {entry_line(*entry)}" for entry in found.entries.items()))
        remark(
            f"note: {file} cannot be edited: {reason} "
            f"Put these lines under profiles.{profile}.agents."
        )
        return not write
    difference = unified_diff(
        text.splitlines(), edited.splitlines(), f"{file} (now)", f"{file} (then)", lineterm=""
    )
    print("\n".join(difference))
    if write:
        replace_file(file, edited.encode())
        remark(f"{len(found.entries)} entries are in {file} now.")
    else:
        remark(f"{len(found.entries)} entries; --write puts them into the file.")
    return True
