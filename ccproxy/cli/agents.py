"""`ccproxy agents`: who is in the roster."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ccproxy.cli.agents_tag import tag
from ccproxy.cli.completing import agent_names
from ccproxy.cli.options import (
    ConfigOption,
    JsonOption,
    RosterOption,
    agents_folder,
    roster_path,
)
from ccproxy.cli.output import print_json, print_table, remark

if TYPE_CHECKING:
    from ccproxy.config.roster import LoadedRoster

app: Final = typer.Typer(no_args_is_help=True)


@app.callback()
def root() -> None:
    """Show the agents of the roster.

    The roster says who there is and which tier each was written for; the routing table says where
    each one's requests go (`ccproxy routes`).

    Examples:
        ccproxy agents list
        ccproxy agents show python-pro

    Read on: docs/recognition.md
    """


app.command()(tag)


@app.command("list")
def list_(
    roster: RosterOption = None,
    config: ConfigOption = None,
    *,
    prompts: Annotated[
        bool,
        typer.Option("--prompts", help="Show who can be recognised by the prompt, and who not."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """List all agents, in the order of the roster.

    Slugs are what the routing table, tokens and base URLs (/agents/SLUG) name agents by.

    Examples:
        ccproxy agents list
        ccproxy agents list --prompts
        ccproxy agents list --roster orchestra-config.json --json

    Read on: docs/recognition.md
    """
    from ccproxy.config.roster import load_roster, summary

    path = roster_path(roster, config)
    loaded = load_roster(path)
    if prompts:
        _list_prompts(loaded, path, agents_folder(roster, config), as_json=as_json)
        return
    agents = loaded.roster.agents.values()
    if as_json:
        from dataclasses import asdict

        print_json([asdict(agent) for agent in agents])
    else:
        print_table(
            ("agent", "tier", "category", "type"),
            [(agent.slug, agent.tier.value, agent.category, agent.type) for agent in agents],
            spare=("type", "category"),
        )
    remark(*(f"warning: {warning}" for warning in loaded.warnings), summary(loaded))


@app.command()
def show(
    slug: Annotated[
        str,
        typer.Argument(help="An agent's slug, e.g. python-pro.", autocompletion=agent_names),
    ],
    roster: RosterOption = None,
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Show one agent.

    Examples:
        ccproxy agents show python-pro
        ccproxy agents show python-pro --json

    Read on: docs/recognition.md
    """
    from dataclasses import asdict

    from ccproxy.config.roster import load_roster
    from routing.nearest import did_you_mean

    agents = load_roster(roster_path(roster, config)).roster.agents
    agent = agents.get(slug)
    if agent is None:
        hint = did_you_mean(slug, agents) or " `ccproxy agents list` shows them all."
        remark(f"error: there is no agent {slug!r} in the roster.{hint}")
        raise typer.Exit(1)
    fields = asdict(agent)
    if as_json:
        print_json(fields)
    else:
        fields["further_categories"] = ", ".join(agent.further_categories)
        rows = [(key.replace("_", " "), str(value)) for key, value in fields.items() if value]
        print_table(("", ""), rows)


def _list_prompts(
    loaded: "LoadedRoster", roster_file: Path, folder: Path | None, *, as_json: bool
) -> None:
    from ccproxy.config.agent_files import load_prompts
    from routing.prompts import PromptIndex

    prompts = load_prompts(loaded, roster_file, folder)
    agents = loaded.roster.agents
    reports = {each.slug: each for each in PromptIndex.build(prompts.prompts, agents).report()}
    reasons = {slug: reports[slug].reason for slug in agents} | dict(prompts.missing)
    if as_json:
        print_json(
            [
                {
                    "slug": slug,
                    "name": agent.name,
                    "recognisable": reports[slug].recognisable,
                    "reason": reasons[slug],
                    "file": str(prompts.files[slug]) if slug in prompts.files else None,
                }
                for slug, agent in agents.items()
            ]
        )
    else:
        print_table(
            ("agent", "by prompt", "how, or why not"),
            [
                (slug, "yes" if reports[slug].recognisable else "no", reasons[slug])
                for slug in agents
            ],
        )
    known = sum(report.recognisable for report in reports.values())
    remark(f"{known} of {len(agents)} agents can be recognised by their prompt")
