"""`ccproxy routes diff`: what an edit of the routing table would change."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import os
import re
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ccproxy.cli.options import ConfigOption, JsonOption, config_path
from ccproxy.cli.output import print_json, print_table, remark
from ccproxy.cli.routes_show import ProfileOption, with_profile
from ccproxy.cli.working import working

if TYPE_CHECKING:
    from ccproxy.cli.replay import Replay
    from ccproxy.cli.table_changes import TableChanges
    from ccproxy.config.problems import ConfigProblem
    from ccproxy.config.roster import LoadedRoster
    from ccproxy.config.settings import Settings
    from ccproxy.pipeline.explainer import AssumedState
    from routing.types import RoutingTable

SPAN: Final = re.compile(r"(\d+)([mhdw])")
SECONDS: Final = {"m": 60, "h": 3600, "d": 86400, "w": 604800}


def diff(
    old: Annotated[Path, typer.Argument(help="A routing file.")],
    new: Annotated[Path, typer.Argument(help="The one that would take its place.")],
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="TIME",
            help="Also replay the decisions recorded since: 90m, 24h, 7d or 2026-03-31T14:30.",
        ),
    ] = None,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    *,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 1 if an agent or a rule changes.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show which agents and rules change between two routing files; outages do not count.

    With --since also how many requests would have gone elsewhere, and what they would have cost.

    Examples:
        ccproxy routes diff routing.yaml edited.yaml
        ccproxy routes diff routing.yaml edited.yaml --since 7d --json

    Read on: docs/routing.md, docs/explain.md
    """
    from ccproxy.cli.table_changes import compare_tables

    start = _moment(since) if since is not None else None
    settings, loaded, tables = _read(config, old, new)
    before, after = (with_profile(each, profile) for each in tables)
    changes = compare_tables(before, after, loaded.roster)
    replayed = None
    if start is not None:
        with working("replaying recorded decisions"):
            replayed = _replay(settings, loaded, before, after, start)
    if as_json:
        told = changes.as_json()
        print_json(told if replayed is None else told | {"replay": _replay_json(replayed)})
    else:
        _print_changes(changes)
        if replayed is not None:
            _print_replay(replayed, str(since))
    if exit_code and changes:
        raise typer.Exit(1)


def _read(
    config: Path | None, old: Path, new: Path
) -> "tuple[Settings, LoadedRoster, list[RoutingTable]]":
    """Return both tables, compiled against the config's deployments and roster."""
    from ccproxy.config.problems import ConfigError
    from ccproxy.config.roster import load_roster
    from ccproxy.config.routing_file import load_routing
    from ccproxy.config.settings import load_settings, routing_deployments
    from routing.resolved import ignoring_outages

    settings = load_settings(config_path(config), os.environ)
    loaded = load_roster(settings.roster_file)
    deployments = routing_deployments(settings)
    tables: list[RoutingTable] = []
    problems: list[ConfigProblem] = []
    for path in (old, new):
        try:
            table, _warnings = load_routing(path, deployments, loaded.roster)
        except ConfigError as error:
            problems.extend(error.problems)
        else:
            tables.append(ignoring_outages(table))
    if problems:
        raise ConfigError(problems)
    return settings, loaded, tables


def _moment(text: str) -> float:
    """Return Unix time of a span before now, or of a local time."""
    span = SPAN.fullmatch(text)
    if span is not None:
        return time.time() - int(span[1]) * SECONDS[span[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        message = f"--since: {text!r} is no time; write 90m, 24h, 7d or 2026-03-31T14:30"
        raise typer.BadParameter(message) from None


def _replay(
    settings: "Settings",
    loaded: "LoadedRoster",
    old: "RoutingTable",
    new: "RoutingTable",
    start: float,
) -> "Replay":
    from ccproxy.cli.replay import Prices, replay
    from ccproxy.config.pricing_file import load_pricing, pricing_file
    from ccproxy.observability.decision_log import FILE_NAME, read_decisions
    from routing.pricing import PriceList

    price_file = pricing_file(settings)
    prices = PriceList("", {})
    if price_file.exists():
        prices = load_pricing(price_file)
    else:
        remark(f"note: there is no {price_file}, so what Claude's answers cost is not known")
    before, after = _state(old, loaded), _state(new, loaded)
    deployments = {each.name: each for each in settings.deployments}
    recorded = read_decisions(
        settings.tokens_file.with_name(FILE_NAME),
        start,
        on_bad_line=lambda why: remark(f"note: a recorded decision is left out: {why}"),
    )
    return replay(recorded, before, after, Prices(deployments, prices, before))


def _state(table: "RoutingTable", loaded: "LoadedRoster") -> "AssumedState":
    """Return a state for facts that say already whose prompt was found."""
    from ccproxy.pipeline.explainer import AssumedState
    from routing.prompts import PromptIndex

    return AssumedState(table, loaded.roster, PromptIndex.build({}))


def _print_changes(changes: "TableChanges") -> None:
    if not changes:
        print("No agent and no rule changes.")
        return
    rows = [row for each in changes.agents for row in each.rows()]
    rows += [("", f"rule {name}", word, "") for name, word in changes.rules.items()]
    print_table(("agent", "what", "before", "after"), rows)
    remark(f"agents or callers that change: {len(changes.agents)}; rules: {len(changes.rules)}")


def _print_replay(replayed: "Replay", since: str) -> None:
    print()
    print(
        f"Of {replayed.requests} requests since {since}, {replayed.elsewhere} would have gone "
        "elsewhere."
    )
    if not replayed.moves:
        return
    print_table(
        ("from", "to", "requests", "cost before", "cost after", "without a cost"),
        [
            (
                before,
                after,
                str(move.requests),
                _dollars(move.before_microusd),
                _dollars(move.after_microusd),
                str(move.unpriced),
            )
            for (before, after), move in sorted(
                replayed.moves.items(), key=lambda item: -item[1].requests
            )
        ],
    )
    for reason, requests in replayed.unpriced.most_common():
        remark(f"note: {requests} of them cost something unknown: {reason}")


def _replay_json(replayed: "Replay") -> dict[str, object]:
    return {
        "requests": replayed.requests,
        "elsewhere": replayed.elsewhere,
        "moves": [
            {
                "from": before,
                "to": after,
                "requests": move.requests,
                "before_microusd": move.before_microusd,
                "after_microusd": move.after_microusd,
                "unpriced": move.unpriced,
            }
            for (before, after), move in replayed.moves.items()
        ],
        "unpriced": dict(replayed.unpriced),
    }


def _dollars(microusd: int) -> str:
    return f"${microusd // 1_000_000}.{microusd % 1_000_000:06d}"
