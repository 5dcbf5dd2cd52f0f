"""`ccproxy explain`: who would be calling, and where a request would go, from the files alone."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ccproxy.cli.completing import deployment_names, health_words, token_names
from ccproxy.cli.options import AgentOption, ConfigOption, JsonOption, config_path
from ccproxy.cli.output import print_json, print_table, remark

if TYPE_CHECKING:
    from ccproxy.config.settings import Settings

ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="ID",
        help="The model that is asked for.",
        autocompletion=deployment_names,
    ),
]
RequestOption = Annotated[
    Path | None,
    typer.Option("--request", metavar="FILE", help="A Messages request as JSON; - reads stdin."),
]
HeaderOption = Annotated[
    list[str] | None,
    typer.Option("--header", metavar="NAME:VALUE", help="A header of the request; repeatable."),
]
PrincipalOption = Annotated[
    str | None,
    typer.Option(
        "--principal",
        metavar="NAME",
        help="The name of the token; its limits count.",
        autocompletion=token_names,
    ),
]
HealthOption = Annotated[
    list[str] | None,
    typer.Option(
        "--health",
        metavar="NAME=down|up",
        help="Assume that a deployment, `ollama` or `claude` is down, or up; repeatable.",
        autocompletion=health_words,
    ),
]
AtOption = Annotated[
    str | None,
    typer.Option("--at", metavar="TIME", help="Local time, e.g. 2026-03-31T14:30; now by default."),
]
CountOption = Annotated[
    bool, typer.Option("--count-tokens", help="The request is one to count_tokens.")
]


def explain(  # noqa: PLR0913 -- one parameter for each option
    agent: AgentOption = None,
    model: ModelOption = None,
    request: RequestOption = None,
    header: HeaderOption = None,
    principal: PrincipalOption = None,
    health: HealthOption = None,
    at: AtOption = None,
    config: ConfigOption = None,
    *,
    count_tokens: CountOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say who would be calling and where the request would go, and why; nothing is sent.

    Exit code 1 if the request would be refused.

    Examples:
        ccproxy explain --agent debugger --model claude-sonnet-5-5
        ccproxy explain --request request.json --health ollama=down
        ccproxy explain --agent debugger --principal laptop --at 2026-03-31T22:30 --json

    Read on: docs/explain.md, docs/routing.md
    """
    from ccproxy.cli.offline import read_offline
    from ccproxy.cli.requests import read_request
    from ccproxy.pipeline.explainer import Explainer
    from ccproxy.wire.errors import ApiError
    from routing.capabilities import NOTHING_KNOWN

    routing = read_offline(config_path(config), os.environ)
    given: dict[str, Any] = {
        "agent": agent,
        "model": model,
        "headers": _pairs(header, ":", "--header NAME:VALUE"),
        "health": _pairs(health, "=", "--health NAME=down or NAME=up"),
        "at": at,
        "counting": count_tokens or None,
        **_caller(principal, routing.settings),
    }
    state = routing.state()
    try:
        document = {} if request is None else read_request(request, "--request")
        document |= {key: each for key, each in given.items() if each}
        ours = routing.settings.our_tokens
        explainer = Explainer(lambda: state, lambda: NOTHING_KNOWN, routing.ollama, ours=ours)
        told = explainer.explain(document)
    except ApiError as error:
        raise typer.BadParameter(error.message) from error
    if as_json:
        print_json(told)
    else:
        _print(told)
        remark("From the files alone: what is up at the moment was not asked.")
    if told["refused"] is not None:
        raise typer.Exit(1)


def _pairs(items: Sequence[str] | None, sign: str, usage: str) -> dict[str, str]:
    pairs = {}
    for item in items or ():
        name, found, value = item.partition(sign)
        if not found or not name.strip():
            raise typer.BadParameter(f"{item!r}: write {usage}")
        pairs[name.strip()] = value.strip()
    return pairs


def _caller(principal: str | None, settings: "Settings") -> dict[str, Any]:
    """Return what a token's name says of a request."""
    from ccproxy.auth import list_tokens

    if principal is None:
        return {}
    tokens = list_tokens(settings.tokens_file)
    token = next((each for each in tokens if each.name == principal), None)
    if token is None:
        remark(f"note: there is no token {principal!r}; taken as one without limits")
        return {"principal": principal}
    return {
        "principal": principal,
        "token_agents": list(token.agents),
        "token_privacy": token.privacy.value,
    }


def _print(told: Mapping[str, Any]) -> None:
    """Print an answer for people."""
    print_table(("", ""), _summary(told))
    if told["trace"]:
        print()
        print_table(
            ("step", "", "why"),
            [
                (step["name"], "kept" if step["kept"] else "skipped", step["reason"])
                for step in told["trace"]
            ],
        )
    print()
    if refused := told.get("refused"):
        print(f"Refused with {refused['status']} {refused['type']}: {refused['message']}")
        return
    print_table(
        ("attempt", "deployment", "side"),
        [
            (str(each["position"]), each["deployment"], each["side"])
            for each in told["attempts"]
        ],
    )  # fmt: skip


def _summary(told: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = told["facts"]
    rows = [
        ("agent", f"{told['agent']}, from {told['source']} (confidence {told['confidence']:g})")
        if told["source"] != "none"
        else ("agent", "unknown: no signal names one"),
        ("model", told["requested_model"] or "(none)"),
        ("request", f"{told['request_class']}, {_content(facts)}"),
        ("table", f"profile {told['profile']}, version {told['table_version']}"),
    ]
    rows += [
        ("conflict", f"{each['source']} says {each['agent']}, which counts less")
        for each in told["conflicts"]
    ]
    if facts["prompt_near"]:
        rows.append(("near", f"most of the prompt of {', '.join(facts['prompt_near'])}"))
    if facts["unknown_tags"]:
        rows.append(("tags", f"{facts['unknown_tags']} that name no agent of the roster"))
    if told["privacy"] is not None:
        rows.append(("tier", told["tier"] or "none"))
        rows.append(("privacy", told["privacy"]))
        rows += _policies(told["policies"])
    return rows


def _content(facts: Mapping[str, Any]) -> str:
    parts = [f"about {facts['input_tokens']} tokens"]
    if facts["tool_names"]:
        parts.append(f"{len(facts['tool_names'])} tools")
    parts += [
        word
        for key, word in (
            ("has_images", "images"),
            ("has_documents", "documents"),
            ("has_server_tools", "server tools"),
            ("wants_thinking", "thinking"),
            ("wants_structured_output", "structured output"),
        )
        if facts[key]
    ]
    if facts["tool_loop_side"]:
        parts.append(f"in a tool loop of the side {facts['tool_loop_side']}")
    return ", ".join(parts)


def _policies(policies: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    if policies["deadline_s"] is not None:
        rows.append(("deadline", f"{policies['deadline_s']:g} s"))
    if policies["max_cost_microusd"] is not None:
        rows.append(("cost limit", f"${policies['max_cost_microusd'] / 1_000_000:.6f}"))
    if policies["thinking"] != "keep":
        budget = policies["thinking_max_budget_tokens"]
        limit = "" if budget is None else f" at {budget} tokens"
        rows.append(("thinking", f"{policies['thinking']}{limit}"))
    if policies["on_overflow"] != "reroute":
        rows.append(("overflow", policies["on_overflow"]))
    return rows
