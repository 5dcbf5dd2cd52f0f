"""`ccproxy routes show`: what the routing table comes to."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import os
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Annotated

import typer

from ccproxy.cli.completing import profile_names
from ccproxy.cli.options import ConfigOption, JsonOption, config_path
from ccproxy.cli.output import print_csv, print_json, print_table, remark

if TYPE_CHECKING:
    from collections.abc import Sequence

    from routing.resolved import ResolvedRoute
    from routing.types import Roster, RoutingTable

ProfileOption = Annotated[
    str | None,
    typer.Option(
        "--profile",
        metavar="NAME",
        help="Another profile than the active one.",
        autocompletion=profile_names,
    ),
]


def show(
    config: ConfigOption = None,
    profile: ProfileOption = None,
    *,
    as_json: JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV for spreadsheets.")] = False,
    as_markdown: Annotated[
        bool,
        typer.Option(
            "--markdown", help="Print a page with every profile, as if nothing were unavailable."
        ),
    ] = False,
) -> None:
    """Show where each agent's requests go, as things are configured.

    Rules about what is in a request (its length, images, ...) do not count here; see `explain`.

    Examples:
        ccproxy routes show
        ccproxy routes show --profile local-only --csv

    Read on: docs/routing.md, docs/explain.md
    """
    from ccproxy.cli.offline import read_offline
    from routing.resolved import agent_routes

    if as_json + as_csv + as_markdown > 1:
        raise typer.BadParameter("--json, --csv and --markdown exclude each other")
    routing = read_offline(config_path(config), os.environ)
    if as_markdown:
        typer.echo(routing_page(routing.table, routing.loaded.roster), nl=False)
        return
    table = with_profile(routing.table, profile)
    routes = list(agent_routes(table, routing.loaded.roster))
    if as_json:
        print_json([asdict(each) for each in routes])
    elif as_csv:
        _print_csv(routes)
    else:
        _print_table(routes)
    remark(f"profile {table.active.name}, table version {table.version}, {len(routes)} agents")


def routing_page(table: "RoutingTable", roster: "Roster") -> str:
    """Return a Markdown page: a table of all agents and unknown callers for every profile."""
    from routing.resolved import (
        agent_routes,
        ignoring_outages,
        policies_told,
        stranger_routes,
    )

    lines = [
        "# The routing table of the shipped profiles",
        "",
        "Written by `make docs`; `ccproxy routes show` prints your own. Rules about what is in a",
        "request are left out: [routing.md](routing.md) explains them.",
    ]
    for name in table.profiles:
        profile = ignoring_outages(with_profile(table, name))
        active = " (active as shipped)" if name == table.active.name else ""
        lines += ["", f"## {name}{active}", ""]
        lines += [
            "| agent | tier | category | route | privacy | policies |",
            "|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {each.agent} | {each.tier} | {each.category} | "
            f"{' > '.join(each.route) or each.problem} | {each.privacy or ''} | "
            f"{policies_told(each)} |"
            for each in (*agent_routes(profile, roster), *stranger_routes(profile, roster))
        ]
    return "\n".join(lines) + "\n"


def with_profile(table: "RoutingTable", name: str | None) -> "RoutingTable":
    """Return the table with another profile active.

    Raises:
        BadParameter: There is none of that name.
    """
    from routing.nearest import did_you_mean

    if name is None:
        return table
    profile = table.profiles.get(name)
    if profile is None:
        hint = did_you_mean(name, table.profiles) or f" There are: {', '.join(table.profiles)}."
        raise typer.BadParameter(f"--profile: there is no profile {name!r}.{hint}")
    asked = frozenset(header for rule in profile.rules for header in rule.when.header)
    return replace(table, active=profile, asked_headers=asked)


def _print_table(routes: "Sequence[ResolvedRoute]") -> None:
    from routing.resolved import policies_told

    headings = ["agent", "tier", "category", "route", "privacy"]
    rows = [
        [
            each.agent,
            each.tier,
            each.category,
            " > ".join(each.route) or f"none: {'; '.join(each.skipped) or each.problem}",
            each.privacy or "",
        ]
        for each in routes
    ]
    if any(map(policies_told, routes)):
        headings.append("policies")
        rows = [[*row, policies_told(each)] for row, each in zip(rows, routes, strict=True)]
    print_table(headings, rows, spare=("category",))


def _print_csv(routes: "Sequence[ResolvedRoute]") -> None:
    rows = [asdict(each) for each in routes]
    print_csv(
        [
            {
                key: "; ".join(value) if key == "skipped" else _plain(value)
                for key, value in row.items()
            }
            for row in rows
        ]
    )


def _plain(value: object) -> object:
    return " > ".join(value) if isinstance(value, tuple) else value
