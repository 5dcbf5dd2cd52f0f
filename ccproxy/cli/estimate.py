"""`ccproxy estimate`: what a request would come to on each route, before it is sent."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccproxy.cli.completing import deployment_names
from ccproxy.cli.options import AgentOption, ConfigOption, JsonOption, config_path
from ccproxy.cli.output import print_json, print_table, remark
from ccproxy.cli.working import working

if TYPE_CHECKING:
    from ccproxy.pipeline.estimator import Estimator

FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="A Messages request as JSON; - reads stdin.")
]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="ID",
        help="Instead of the request's own model.",
        autocompletion=deployment_names,
    ),
]


def estimate(
    file: FileArgument,
    agent: AgentOption = None,
    model: ModelOption = None,
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Say what tokens, money and time a request would take on each route; nothing is sent.

    Lengths and times are those of earlier requests in the ledger. Exit code 1 if the request would
    be refused.

    Examples:
        ccproxy estimate request.json --agent debugger
        ccproxy estimate - --model claude-opus-4-1 --json < request.json

    Read on: docs/usage.md, docs/benchmarks.md
    """
    from ccproxy.cli.requests import read_request
    from ccproxy.wire.errors import ApiError

    given = {"agent": agent, "model": model}
    try:
        document = read_request(file, "FILE")
        with working("asking the ledger"):
            told = _estimator(config).estimate(document | {k: v for k, v in given.items() if v})
    except ApiError as error:
        raise typer.BadParameter(error.message) from error
    if as_json:
        print_json(told)
    else:
        _print(told)
    if told["refused"] is not None:
        raise typer.Exit(1)


def _estimator(config: Path | None) -> "Estimator":
    """Return what a proxy with these files would say, without one that runs."""
    from ccproxy.cli.offline import read_offline
    from ccproxy.ledger.opening import history_at
    from ccproxy.pipeline.estimator import Estimator
    from ccproxy.pipeline.explainer import Explainer
    from ccproxy.pipeline.token_ratios import TokenRatios
    from ccproxy.ports import HistoryUnknownError
    from routing.capabilities import FleetSnapshot

    routing = read_offline(config_path(config), os.environ)
    settings, state = routing.settings, routing.state()
    history = history_at(settings.ledger_url)
    ratios = TokenRatios({each.name: each.model for each in settings.deployments})
    with suppress(HistoryUnknownError):  # the estimate tells of it
        ratios.restore(history.learned_ratios())
    known = FleetSnapshot(token_ratios=ratios.snapshot())
    explainer = Explainer(lambda: state, lambda: known, routing.ollama, ours=settings.our_tokens)
    return Estimator(explainer, lambda: history)


def _print(told: Mapping[str, Any]) -> None:
    """Print an answer for people."""
    output = told["output_tokens"]
    if output["from"] == "history":
        length = f"about {output['expected']:,} tokens ({output['low']:,} to {output['high']:,})"
        rests_on = f"{output['requests']} earlier requests of this agent and class"
    else:
        length = f"up to {output['at_most']:,} tokens (max_tokens)"
        rests_on = f"only {output['requests']} earlier requests of this agent and class"
    rows = [
        ("agent", f"{told['agent']}, {told['request_class']}"),
        ("model", told["requested_model"] or "(none)"),
        ("prompt", f"about {told['input_tokens']:,} tokens"),
        ("answer", f"{length}, from {rests_on}"),
        ("prices", f"of {told['prices_as_of']}" if told["prices_as_of"] else "none"),
    ]
    print_table(("", ""), rows)
    print()
    headings = (
        "attempt", "deployment", "prompt", "cost", "at most", "first token", "total", "confidence",
    )  # fmt: skip
    print_table(headings, [_row(route) for route in told["routes"]], spare=("prompt", "confidence"))
    if refused := told.get("refused"):
        print(f"\nRefused with {refused['status']} {refused['type']}: {refused['message']}")
    remark(*_remarks(told))


def _row(route: Mapping[str, Any]) -> tuple[str, ...]:
    cost = route["cost_microusd"]
    return (
        str(route["position"] or "-"),
        route["deployment"],
        f"{route['input_tokens']:,}",
        "unknown" if cost is None else _range(cost, _usd),
        "unknown" if cost is None else _usd(cost["at_most"]),
        _range(route["ttft_s"], _seconds),
        _range(route["total_s"], _seconds),
        f"{route['confidence']} ({route['requests']})",
    )


def _remarks(told: Mapping[str, Any]) -> list[str]:
    remarks = [
        f"{route['deployment']}: not tried: {route['skipped']}"
        for route in told["routes"]
        if route["skipped"]
    ]
    remarks += [
        f"{route['deployment']}: cost unknown: {route['price_unknown']}"
        for route in told["routes"]
        if route["price_unknown"]
    ]
    if told["history"]:
        remarks.append(f"no earlier requests: {told['history']}")
    remarks.append("From the files and the ledger: what goes on at the moment was not asked.")
    return remarks


def _range(spread: Mapping[str, float] | None, shown: Any) -> str:  # noqa: ANN401 - a function
    if spread is None:
        return "unknown"
    expected = shown(spread["expected"])
    if spread["low"] == spread["high"]:
        return str(expected)
    return f"{expected} ({shown(spread['low'])} to {shown(spread['high'])})"


def _usd(microusd: float) -> str:
    return f"${microusd / 1_000_000:.4f}" if microusd else "$0"


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds:.0f} s"
