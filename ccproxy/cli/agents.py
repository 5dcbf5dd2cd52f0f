"""`ccproxy agents`: who is in the roster."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ccproxy.cli.options import ConfigOption, JsonOption, RosterOption, config_path
from ccproxy.cli.output import print_json, print_table, remark

if TYPE_CHECKING:
    from ccproxy.config.roster import LoadedRoster

app: Final = typer.Typer(no_args_is_help=True, help="Show the agents of the roster.")


@app.command("list")
def list_(
    roster: RosterOption = None, config: ConfigOption = None, *, as_json: JsonOption = False
) -> None:
    """List all agents, in the order of the roster."""
    from ccproxy.config.roster import summary

    loaded = _load(roster, config)
    agents = loaded.roster.agents.values()
    if as_json:
        from dataclasses import asdict

        print_json([asdict(agent) for agent in agents])
    else:
        print_table(
            ("agent", "tier", "category", "type"),
            [(agent.slug, agent.tier.value, agent.category, agent.type) for agent in agents],
        )
    remark(*(f"warning: {warning}" for warning in loaded.warnings), summary(loaded))


@app.command()
def show(
    slug: Annotated[str, typer.Argument(help="An agent's slug, e.g. python-pro.")],
    roster: RosterOption = None,
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show one agent."""
    from dataclasses import asdict

    from routing.nearest import did_you_mean

    agents = _load(roster, config).roster.agents
    agent = agents.get(slug)
    if agent is None:
        remark(f"error: there is no agent {slug!r} in the roster.{did_you_mean(slug, agents)}")
        raise typer.Exit(1)
    fields = asdict(agent)
    if as_json:
        print_json(fields)
    else:
        rows = [(key.replace("_", " "), str(value)) for key, value in fields.items() if value]
        print_table(("", ""), rows)


def _load(roster: Path | None, config: Path | None) -> "LoadedRoster":
    from ccproxy.config.roster import load_roster
    from ccproxy.config.settings import load_settings

    path = roster or load_settings(config_path(config), os.environ).roster_file
    return load_roster(path)
