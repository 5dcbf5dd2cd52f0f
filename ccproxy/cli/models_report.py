"""`ccproxy models report`: what the local models are, and how they did against others."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ccproxy.cli.options import ConfigOption

_MODELS_HEAD: Final = (
    "| deployment | model | weights | context | memory | can |\n|---|---|---:|---:|---:|---|"
)
_FIGURES_HEAD: Final = (
    "| route | requests | failed | first byte | whole answer | tokens per s | cost |\n"
    "|---|---:|---:|---:|---:|---:|---:|"
)
_UNKNOWN: Final = "?"
_MICROUSD_PER_USD: Final = 10**6


def report(
    bench: Annotated[
        Path | None,
        typer.Argument(metavar="BENCH.json", help="What `ccproxy bench --out` has written."),
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Write a page about the local models: what they are, and how fast they answered.

    Markdown, to stdout. What a model is comes from the config file and, where Ollama answers, from
    Ollama; how it did comes from a comparison of routes. Nothing is loaded or sent.

    Examples:
        ccproxy models report > models.md
        ccproxy bench -r qwen-coder -r claude-sonnet --out b.json
        ccproxy models report b.json > models.md

    Read on: docs/qwen-model-report.md, docs/benchmarks.md
    """
    from ccproxy.cli.bench import read_report
    from ccproxy.cli.models import model_entries

    measured = None if bench is None else read_report(bench)
    print(model_report(model_entries(config), measured), end="")


def model_report(entries: Sequence[Mapping[str, Any]], bench: Mapping[str, Any] | None) -> str:
    """Return the page.

    Args:
        entries: As `ccproxy models list --json` prints them.
        bench: A report of `ccproxy bench`, or None for what the models are alone.
    """
    lines = ["## The models", "", _MODELS_HEAD, *map(_model_row, entries), ""]
    if bench is not None:
        lines += ["## How they did", "", *_circumstances(bench), "", _FIGURES_HEAD]
        lines += [*_figure_rows(bench), ""]
    return "\n".join(lines)


def _model_row(entry: Mapping[str, Any]) -> str:
    weights = _told(entry["weights_gib"], lambda gib: f"{gib:.1f} GiB")
    memory = _told(entry["memory_gib"], lambda gib: f"{gib:.1f} GiB")
    context = _told(entry["num_ctx"], lambda tokens: f"{tokens:,}")
    can = ", ".join(entry["capabilities"])
    cells = (entry["deployment"], entry["model"], weights, context, memory, can)
    return f"| {' | '.join(cells)} |"


def _circumstances(bench: Mapping[str, Any]) -> Iterator[str]:
    machine, settings = bench["machine"], bench["settings"]
    place = f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB"
    if bench["simulated"]:
        yield "**Simulated**: the models' speeds are made up; only the arithmetic is real."
        yield ""
    yield (
        f"Measured {bench['at'][:10]}: workload `{settings['workload']}`, "
        f"{settings['concurrency']} at a time, on {place}. Medians; prices of "
        f"{bench['prices_as_of']}."
    )


def _figure_rows(bench: Mapping[str, Any]) -> Iterator[str]:
    for figure in bench["figures"]:
        if figure["profile"] != "all":
            continue
        seconds = [
            _told(figure[name]["value"], lambda value: f"{value:.2f} s")
            for name in ("ttft_s", "total_s")
        ]
        speed = _told(figure["tokens_per_s"]["value"], lambda value: f"{value:.0f}")
        cost = f"${figure['cost_total_microusd'] / _MICROUSD_PER_USD:.4f}"
        if figure["cost_unknown"]:
            cost += f" and {figure['cost_unknown']} unknown"
        yield (
            f"| {figure['route']} | {figure['sent']} | {figure['failure_rate']['value']:.0%} | "
            f"{' | '.join(seconds)} | {speed} | {cost} |"
        )


def _told(value: float | None, how: Callable[[float], str]) -> str:
    return _UNKNOWN if value is None else how(value)
