"""`ccproxy models`: the local models of the config file, at the Ollamas that serve them."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ccproxy.cli.completing import local_names
from ccproxy.cli.models_report import report
from ccproxy.cli.options import ConfigOption, JsonOption, config_path
from ccproxy.cli.output import print_json, print_table, remark
from ccproxy.cli.printable import printable
from ccproxy.cli.working import working

if TYPE_CHECKING:
    from ccproxy.config.settings import Settings
    from ccproxy.setup.arithmetic import Runner
    from ccproxy.setup.deployed import Deployed
    from ccproxy.setup.verifying import Doubt

app: Final = typer.Typer(no_args_is_help=True)
NamesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME",
        help="Deployments or models; all without a name.",
        autocompletion=local_names,
    ),
]
_BYTES_PER_GIB: Final = 1024**3


@app.callback()
def root() -> None:
    """List, fetch and verify the local models of the config file, and report on them.

    Which models there should be is in ccproxy.yaml; which there are, Ollama says. Nothing is loaded
    into memory unless an option says so.

    Examples:
        ccproxy models list
        ccproxy models pull

    Read on: docs/models.md
    """


@app.command("list")
def list_(config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """Show each local deployment's model: is it there, how big, what can it do, is it loaded?

    `memory` is what it takes with its pinned context: weights, KV cache, and for known models the
    buffers. Nothing is loaded.

    Examples:
        ccproxy models list
        ccproxy models list --json

    Read on: docs/models.md
    """
    if as_json:
        print_json(model_entries(config))
        return
    deployed = _look(_settings(config))
    runner = _runner()
    print_table(
        (
            *("deployment", "model", "there", "size", "quantisation", "family"),
            *("context", "trained", "memory", "can", "loaded"),
        ),
        [_row(each, runner) for each in deployed],
        spare=("family", "quantisation", "trained", "can", "there"),
    )
    remark(*sorted({each.sight.problem for each in deployed if each.sight.problem}))
    missing = sum(each.sight.answers and each.pulled is None for each in deployed)
    if missing:
        remark(f"{missing} missing: `ccproxy models pull` fetches them")


app.command()(report)


def model_entries(config: Path | None) -> list[dict[str, object]]:
    """Return what `list --json` prints."""
    runner = _runner()
    return [model_entry(each, runner) for each in _look(_settings(config))]


@app.command()
def pull(
    names: NamesArgument = None,
    config: ConfigOption = None,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Also those that are there: fetches newer ones.")
    ] = False,
) -> None:
    """Fetch the models that are missing, with progress; go on where a download broke off.

    Names that the registry does not have are made by the recipes in modelfiles/ beside the config
    file; one that is there is made anew by --all alone. Exit code 1 if one could not be had; the
    others are fetched all the same.

    Examples:
        ccproxy models pull
        ccproxy models pull qwen-coder --all

    Read on: docs/models.md
    """
    from ccproxy.cli.pulling import of_another_base, pull_all
    from ccproxy.setup.recipes import RecipeError, load_recipes
    from ccproxy.setup.verifying import START_OLLAMA

    settings = _settings(config)
    deployed = _named(_look(settings), names)
    try:
        recipes = load_recipes(settings.path.parent)
    except RecipeError as error:
        remark(f"error: {error}")
        raise typer.Exit(1) from None
    silent = sorted({each.sight.problem for each in deployed if each.sight.problem})
    remark(*(f"error: {problem}" for problem in silent))
    if silent:
        remark(f"try: {START_OLLAMA}, or correct api_base")
    wanted = [each for each in deployed if each.sight.answers]
    others: list[str] = []
    if not everything:
        others = of_another_base(wanted, recipes)
        wanted = [each for each in wanted if each.pulled is None]
    remark(*others)
    if not wanted and not silent and not others:
        remark("Every model is there; --all fetches newer ones.")
    failures = asyncio.run(pull_all(wanted, recipes, refetch=everything)) if wanted else []
    remark(*(f"error: {failure}" for failure in failures))
    if silent or failures:
        raise typer.Exit(1)


@app.command()
def verify(
    names: NamesArgument = None,
    config: ConfigOption = None,
    *,
    ask: Annotated[
        bool,
        typer.Option("--ask", help="Let each say a few tokens. This LOADS it: minutes, gigabytes."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare each model with what the config file says of it: context, abilities, size.

    Exit code 1 with an error. Without --ask nothing is loaded.

    Examples:
        ccproxy models verify
        ccproxy models verify qwen-coder --ask

    Read on: docs/models.md
    """
    from ccproxy.setup.verifying import verify as doubts_of

    deployed = _named(_look(_settings(config)), names)
    found = {each.settings.name: list(doubts_of(each)) for each in deployed}
    took_s: dict[str, float] = {}
    if ask:
        _ask([each for each in deployed if each.pulled is not None], found, took_s)
    if as_json:
        print_json(
            [
                {
                    "deployment": each.settings.name,
                    "model": each.model,
                    "digest": None if each.pulled is None else each.pulled.digest,
                    "answered_after_s": took_s.get(each.settings.name),
                    "errors": [d.what for d in found[each.settings.name] if d.is_error],
                    "warnings": [d.what for d in found[each.settings.name] if not d.is_error],
                }
                for each in deployed
            ]
        )
    else:
        for each in deployed:
            _say(each, found[each.settings.name], took_s.get(each.settings.name))
    if any(doubt.is_error for doubts in found.values() for doubt in doubts):
        raise typer.Exit(1)


def _say(deployed: "Deployed", doubts: "list[Doubt]", took_s: float | None) -> None:
    name = f"{deployed.settings.name} ({deployed.model})"
    answered = "" if took_s is None else f", answered after {took_s:.1f} s"
    if not doubts:
        print(f"ok: {name}{answered}")
    for doubt in doubts:
        print(f"{'error' if doubt.is_error else 'warning'}: {name}: {printable(doubt.what)}")
        print(f"  {doubt.fix}")


def _ask(
    deployed: "list[Deployed]", found: "dict[str, list[Doubt]]", took_s: dict[str, float]
) -> None:
    from ccproxy.setup.verifying import Doubt
    from ccproxy.upstreams.ollama_ask import AskFailed, ask_once

    for each in deployed:
        settings = each.settings
        remark(f"asking {settings.name}, which loads {each.model} ...")
        request = ask_once(
            each.sight.api_base, each.model, settings.num_ctx or 0, settings.keep_alive
        )
        try:
            took_s[settings.name] = asyncio.run(request)
        except AskFailed as error:
            fix = "look into Ollama's log (docs/models.md)"
            found[settings.name].append(Doubt(True, f"does not answer: {error}", fix))


def _settings(config: Path | None) -> "Settings":
    from ccproxy.config.settings import load_settings

    return load_settings(config_path(config), os.environ)


def _look(settings: "Settings") -> "tuple[Deployed, ...]":
    from ccproxy.setup.deployed import look_at_deployments

    with working("asking Ollama"):
        return look_at_deployments(settings)


def _named(deployed: "tuple[Deployed, ...]", names: list[str] | None) -> "tuple[Deployed, ...]":
    from ccproxy.setup.deployed import named
    from routing.nearest import did_you_mean

    try:
        return named(deployed, names or ())
    except KeyError as error:
        name = error.args[0]
        known = [each.settings.name for each in deployed]
        hint = did_you_mean(name, known) or " `ccproxy models list` shows them all."
        message = f"no local deployment or model is called {name!r}.{hint}"
        raise typer.BadParameter(message) from None


def _runner() -> "Runner":
    """Return how an Ollama of this machine runs, as far as one can see."""
    import platform

    from ccproxy.setup.commands import run_command
    from ccproxy.setup.machine import MACOS
    from ccproxy.setup.ollama_environment import read_environment

    is_macos = platform.system() == MACOS
    return read_environment(run_command, is_macos=is_macos, home=Path.home()).runner()


def model_entry(each: "Deployed", runner: "Runner") -> dict[str, object]:
    """Return one object of what `list --json` prints."""
    facts, settings, loaded = each.facts, each.settings, each.loaded
    memory_gib, weights_gib = each.resident_gib(runner), each.weights_gib()
    return {
        "deployment": settings.name,
        "model": each.model,
        "ollama": each.sight.api_base,
        "present": each.pulled is not None if each.sight.answers else None,
        "digest": None if each.pulled is None else each.pulled.digest,
        "size_bytes": facts.weights_bytes,
        "weights_gib": None if weights_gib is None else round(weights_gib, 2),
        "quantisation": facts.quantisation,
        "family": facts.family,
        "num_ctx": settings.num_ctx,
        "trained_context_tokens": facts.trained_context_tokens or settings.trained_context_tokens,
        "memory_gib": None if memory_gib is None else round(memory_gib, 2),
        "capabilities": _abilities(each),
        "loaded": None if not each.sight.answers else loaded is not None,
        "loaded_context_tokens": None if loaded is None else loaded.context_tokens,
    }


def _row(each: "Deployed", runner: "Runner") -> tuple[str, ...]:
    facts, memory_gib = each.facts, each.resident_gib(runner)
    trained = facts.trained_context_tokens or each.settings.trained_context_tokens
    there = "no" if each.pulled is None else "yes"
    return (
        each.settings.name,
        each.model,
        there if each.sight.answers else "?",
        "" if facts.weights_bytes is None else f"{facts.weights_bytes / _BYTES_PER_GIB:.1f} GiB",
        facts.quantisation or "",
        facts.family or "",
        f"{each.settings.num_ctx or 0:,}",
        "" if trained is None else f"{trained:,}",
        "" if memory_gib is None else f"{memory_gib:.1f} GiB",
        ", ".join(_abilities(each)),
        "" if each.loaded is None else f"{each.loaded.context_tokens or 0:,}",
    )


def _abilities(each: "Deployed") -> list[str]:
    """Return what a model can do: the config file's word, else Ollama's."""
    settings, facts = each.settings, each.facts
    said = {
        "tools": (settings.supports_tools, facts.supports_tools),
        "vision": (settings.supports_vision, facts.supports_vision),
        "thinking": (settings.supports_reasoning, facts.supports_thinking),
    }
    return [name for name, (file, seen) in said.items() if (seen if file is None else file)]
