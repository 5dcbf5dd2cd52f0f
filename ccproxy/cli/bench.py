"""`ccproxy bench`: the same work over several routes in turn, and what came of it."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ccproxy.cli.bench_options import (
    BaseUrlOption,
    CompareOption,
    ConcurrencyOption,
    FreeOption,
    HtmlOption,
    MaxUsdOption,
    OutOption,
    RouteOption,
    SeedOption,
    ShapesOption,
    ShowOption,
    SimulateOption,
    TasksOption,
    TimeoutOption,
    TokenOption,
    WarmUpOption,
    WorkloadOption,
)
from ccproxy.cli.options import ConfigOption, JsonOption
from ccproxy.cli.output import print_json, print_table, remark

if TYPE_CHECKING:
    from ccproxy.bench.asked import Asked
    from ccproxy.bench.run import Bench


def bench(  # noqa: PLR0913 -- one parameter for each option
    *,
    route: RouteOption = None,
    workload: WorkloadOption = "mixed",
    tasks: TasksOption = 13,
    concurrency: ConcurrencyOption = 1,
    warm_up: WarmUpOption = 1,
    seed: SeedOption = None,
    timeout_s: TimeoutOption = 600.0,
    base_url: BaseUrlOption = None,
    token_env: TokenOption = None,
    free: FreeOption = None,
    max_usd: MaxUsdOption = None,
    shapes_of: ShapesOption = None,
    out: OutOption = None,
    html: HtmlOption = None,
    show: ShowOption = None,
    compare: CompareOption = None,
    config: ConfigOption = None,
    simulate: SimulateOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare routes: the same tasks on each in turn; latency, speed, cost and failures of each.

    Asks before it spends money; without a terminal it wants --max-usd. Exit code 1 if it was
    refused or stopped, or if a route gave no whole answer.

    Examples:
        ccproxy bench --simulate                                # try it, for nothing
        ccproxy bench --route local=qwen-coder --route claude=claude-sonnet-5-5 --max-usd 2
        ccproxy bench --workload ledger --shapes-of debugger --route a=qwen-coder --out today.json
        ccproxy bench --compare yesterday.json today.json

    Read on: docs/benchmarks.md
    """
    if compare is not None:
        _compare(*compare, as_json=as_json)
        return
    if show is not None:
        _tell(read_report(show), None, html, as_json=as_json)
        return
    from ccproxy.bench.asked import Asked, AskedError
    from ccproxy.bench.spending import CostUnknownError

    asked = Asked(
        routes=tuple(route or ()),
        workload=workload,
        tasks=tasks,
        concurrency=concurrency,
        warm_up=warm_up,
        seed=seed,
        base_url=base_url,
        tokens=tuple(token_env or ()),
        free=tuple(free or ()),
        shapes_of=shapes_of,
        simulate=simulate,
        config=config,
    )
    try:
        document = asyncio.run(_run(asked, max_usd, timeout_s))
    except AskedError as error:
        raise typer.BadParameter(str(error)) from error
    except CostUnknownError as error:
        remark(f"error: {error}")
        raise typer.Exit(1) from None
    _tell(document, out, html, as_json=as_json)


def _tell(
    document: Mapping[str, Any], out: Path | None, html: Path | None, *, as_json: bool
) -> None:
    """Print a report, and write it to files.

    Raises:
        Exit: 1; see `_remark_on`.
    """
    if out is not None:
        out.write_text(json.dumps(document, indent=1) + "\n")
    if html is not None:
        from ccproxy.bench.page import page

        html.write_text(page(document))
    if as_json:
        print_json(document)
    else:
        _print(document)
    _remark_on(document)


async def _run(asked: "Asked", max_usd: float | None, timeout_s: float) -> dict[str, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    from ccproxy.bench.run import run
    from routing.policies import MICRO

    async with asked.bench() as bench:
        _ask(bench, max_usd)
        progress = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Remaining(),
            console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True,
        )  # fmt: skip
        with progress:
            shown = progress.add_task("requests", total=bench.requests)
            return await run(
                bench,
                limit_microusd=None if max_usd is None else round(max_usd * MICRO),
                timeout_s=timeout_s,
                settings=asked.told(bench) | {"timeout_s": timeout_s, "max_usd": max_usd},
                on_answer=lambda sample: progress.update(
                    shown, advance=1, description=f"{sample.route}: {sample.profile}"
                ),
            )


def _ask(bench: "Bench", max_usd: float | None) -> None:
    """Ask before money is spent; go on where nothing can be, or where a limit was said.

    Raises:
        Exit: 1; nobody is there to ask, or the answer is no.
    """
    at_most, expected = bench.total.at_most_microusd / 1e6, bench.total.expected_microusd / 1e6
    if bench.simulated:
        remark(f"{bench.requests} requests to simulated upstreams; nothing is spent.")
        return
    if not at_most:
        remark(f"{bench.requests} requests; no route can cost anything.")
        return
    remark(
        f"{bench.requests} requests; estimated cost ${expected:.4f}, at most ${at_most:.4f} (every "
        "answer at the dearest of its attempts, nothing from a cache)."
    )
    if max_usd is not None:
        remark(f"Stops when ${max_usd:g} have been spent.")
        return
    if not sys.stdin.isatty():
        remark("error: nobody is here to be asked; say --max-usd USD if it may spend so much")
        raise typer.Exit(1)
    if not typer.confirm("Go on?", err=True):
        raise typer.Exit(1)


def _print(document: Mapping[str, Any]) -> None:
    from ccproxy.bench import tables

    print_table(tables.OUTCOME_HEADINGS, tables.outcome_rows(document), tables.SPARE)
    print("\nMedians of whole answers (95 % interval)")
    print_table(tables.FIGURE_HEADINGS, tables.figure_rows(document), tables.SPARE)
    if document["ratios"]:
        print("\nRatios of medians to those of the first route; * where the interval excludes 1")
        print_table(tables.RATIO_HEADINGS, tables.ratio_rows(document), tables.SPARE)


def _remark_on(document: Mapping[str, Any]) -> None:
    """Say what a reader of the figures has to know.

    Raises:
        Exit: 1; the run was stopped, or a route gave no whole answer.
    """
    from ccproxy.bench.report import ALL

    spending = document["spending"]
    spent = f"${spending['measured_microusd'] / 1e6:.4f}"
    if document["simulated"]:
        remark(f"Simulated: nothing was spent; at Claude's prices it would be {spent}.")
    else:
        unknown = f", and {spending['unknown']} of unknown cost" if spending["unknown"] else ""
        remark(f"Spent: {spent}{unknown}, the warm-up included.")
    failures = [
        f"{found['route']}: {count} of {found['sent']} requests: {outcome}"
        for found in document["figures"]
        if found["profile"] == ALL
        for outcome, count in found["failures"].items()
    ]
    silent = [
        f"{found['route']}: no whole answer"
        for found in document["figures"]
        if found["profile"] == ALL and not found["ok"]
    ]
    stopped = [f"stopped: {document['stopped']}"] if document["stopped"] else []
    remark(*failures, *silent, *stopped)
    if silent or stopped:
        raise typer.Exit(1)


def _compare(first: Path, second: Path, *, as_json: bool) -> None:
    from ccproxy.bench.report import compared
    from ccproxy.bench.tables import RATIO_HEADINGS, SPARE, ratio_rows

    documents = [read_report(file) for file in (first, second)]
    told = compared(*documents)
    if as_json:
        print_json(told)
        return
    print(f"Ratios of medians, {second} to {first}; * where the interval excludes 1")
    print_table(RATIO_HEADINGS, ratio_rows(told), SPARE)
    for file, which in ((first, "only_in_first"), (second, "only_in_second")):
        if told[which]:
            remark(f"only in {file}: {', '.join(told[which])}")
    machines = [dict(told[which]["machine"]) for which in ("first", "second")]
    loads = [machine.pop("load_1m_before", None) for machine in machines]
    if machines[0] != machines[1]:
        remark("The machines differ; see `machine` in both.")
    remark(f"Load of the machines before: {loads[0]} and {loads[1]}.")


def read_report(file: Path) -> dict[str, Any]:
    """Return a report of this command's.

    Raises:
        BadParameter: The file holds none; the message says what it holds.
    """
    from ccproxy.bench.report import ReportError, samples_in

    try:
        document = json.loads(file.read_bytes())
        samples_in(document)
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}") from error
    except ReportError as error:
        raise typer.BadParameter(f"{file} {error}") from error
    except (ValueError, AttributeError) as error:
        raise typer.BadParameter(f"{file} is no JSON object: {error}") from error
    return dict(document)
