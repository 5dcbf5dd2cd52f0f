"""`ccproxy routes`: what the routing table comes to."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import os
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

import typer

from ccproxy.cli.options import ConfigOption, JsonOption, config_path
from ccproxy.cli.output import print_json, print_table, remark
from ccproxy.cli.routes_versions import rollback, versions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from routing.types import Agent, Roster, RoutingTable, TraceEntry

app: Final = typer.Typer(
    no_args_is_help=True, help="Show the routing table, and take edits of it back."
)


@app.callback()
def group() -> None:
    """Show the routing table, and take edits of it back."""


app.command()(versions)
app.command()(rollback)


@dataclass(frozen=True, slots=True)
class ResolvedRoute:
    """Where one agent's requests go; `problem` is set exactly where `route` is empty."""

    agent: str
    tier: str
    category: str
    route: tuple[str, ...] = ()
    skipped: tuple[str, ...] = ()
    """Candidates that are left out, each with the reason."""
    privacy: str | None = None
    """None where no plan came about."""
    problem: str | None = None


@app.command()
def show(config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Show where each agent's requests go under the active profile, as things are configured."""
    from ccproxy.cli.checking import check_configuration
    from ccproxy.config.problems import ConfigError

    findings = check_configuration(config_path(config), os.environ)
    if findings.errors or findings.roster is None or findings.table is None:
        raise ConfigError(findings.errors)
    roster, table = findings.roster.roster, findings.table
    routes = [_resolve(agent, table, roster) for agent in roster.agents.values()]
    if as_json:
        print_json([asdict(each) for each in routes])
    else:
        print_table(
            ("agent", "tier", "category", "route", "privacy"),
            [
                (
                    each.agent,
                    each.tier,
                    each.category,
                    " > ".join(each.route) or f"none: {'; '.join(each.skipped) or each.problem}",
                    each.privacy or "",
                )
                for each in routes
            ],
        )
    remark(f"profile {table.active.name}, table version {table.version}, {len(routes)} agents")


def _resolve(agent: "Agent", table: "RoutingTable", roster: "Roster") -> ResolvedRoute:
    from routing.errors import NoAttempt, UnknownModel
    from routing.plan import build_plan
    from routing.types import AgentMatch, AgentSource, RequestFacts

    line = ResolvedRoute(agent.slug, agent.tier.value, agent.category)
    match = AgentMatch(agent.slug, AgentSource.PATH)
    try:
        plan = build_plan(RequestFacts(requested_model=""), match, table, roster)
    except NoAttempt as refusal:
        return replace(line, skipped=_skipped(refusal.trace), problem=str(refusal))
    except UnknownModel:
        return replace(line, problem="No entry of the profile has a route for it.")
    return replace(
        line, route=plan.attempts, skipped=_skipped(plan.trace), privacy=plan.privacy.value
    )


def _skipped(trace: "Sequence[TraceEntry]") -> tuple[str, ...]:
    return tuple(
        f"{step.name}: {step.reason}"
        for step in trace
        if step.kind == "candidate" and not step.kept
    )
