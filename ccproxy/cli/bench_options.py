"""The options of `ccproxy bench`, in the groups of its help."""

from pathlib import Path
from typing import Annotated, Final

import typer

from ccproxy.cli.completing import agent_names, deployment_names

_ROUTES: Final = "Routes"
_WORK: Final = "Work"
_MONEY: Final = "Money"
_REPORTS: Final = "Reports"


def _workloads(incomplete: str) -> list[str]:
    """Return what `--workload` may be."""
    from ccproxy.bench.asked import LEDGER  # noqa: PLC0415 - slow, and only for the Tab key
    from ccproxy.bench.profiles import shipped_profiles  # noqa: PLC0415 - as above

    return [name for name in (*shipped_profiles().names, LEDGER) if name.startswith(incomplete)]


RouteOption = Annotated[
    list[str] | None,
    typer.Option(
        "--route",
        "-r",
        metavar="ROUTE",
        help="[LABEL=]MODEL[+AGENT][@URL]; repeat it. The others are compared with the first.",
        autocompletion=deployment_names,
        rich_help_panel=_ROUTES,
    ),
]
WorkloadOption = Annotated[
    str,
    typer.Option(
        "--workload",
        "-w",
        metavar="NAME",
        help="A workload, a task profile, or `ledger`: requests as large as earlier ones.",
        autocompletion=_workloads,
        rich_help_panel=_WORK,
    ),
]
TasksOption = Annotated[
    int,
    typer.Option(
        "--tasks",
        "-n",
        min=1,
        help="On each route; a task is one conversation.",
        rich_help_panel=_WORK,
    ),
]
ConcurrencyOption = Annotated[
    int,
    typer.Option(
        "--concurrency",
        "-c",
        min=1,
        help="Tasks at once, on one route at a time.",
        rich_help_panel=_WORK,
    ),
]
WarmUpOption = Annotated[
    int,
    typer.Option(
        "--warm-up",
        min=0,
        help="Tasks on each route that no figure has in it.",
        rich_help_panel=_WORK,
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        "--seed",
        help="Makes the same requests again; a new one by default.",
        rich_help_panel=_WORK,
    ),
]
TimeoutOption = Annotated[
    float,
    typer.Option(
        "--timeout",
        metavar="S",
        min=0.1,
        help="For one answer, seconds.",
        rich_help_panel=_ROUTES,
    ),
]
BaseUrlOption = Annotated[
    str | None,
    typer.Option(
        "--base-url",
        metavar="URL",
        help="Of routes without one; $ANTHROPIC_BASE_URL or the config's address by default.",
        rich_help_panel=_ROUTES,
    ),
]
TokenOption = Annotated[
    list[str] | None,
    typer.Option(
        "--token-env",
        metavar="LABEL=NAME",
        help="The variable a route's token is in; ANTHROPIC_AUTH_TOKEN by default.",
        rich_help_panel=_ROUTES,
    ),
]
FreeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--free",
        metavar="LABEL",
        help="Nobody bills this route; repeatable.",
        rich_help_panel=_MONEY,
    ),
]
MaxUsdOption = Annotated[
    float | None,
    typer.Option(
        "--max-usd",
        metavar="USD",
        min=0,
        help="Stop when so much has been spent.",
        rich_help_panel=_MONEY,
    ),
]
ShapesOption = Annotated[
    str | None,
    typer.Option(
        "--shapes-of",
        metavar="SLUG",
        help="With `ledger`: requests of this agent.",
        autocompletion=agent_names,
        rich_help_panel=_WORK,
    ),
]
SimulateOption = Annotated[
    bool,
    typer.Option(
        "--simulate",
        help="In front of simulated upstreams; nothing is spent, and no route is needed.",
        rich_help_panel=_MONEY,
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "--output",
        "-o",
        metavar="FILE",
        help="Write the report as JSON.",
        rich_help_panel=_REPORTS,
    ),
]
HtmlOption = Annotated[
    Path | None,
    typer.Option(
        "--html",
        metavar="FILE",
        help="Write it as a page that needs nothing else.",
        rich_help_panel=_REPORTS,
    ),
]
ShowOption = Annotated[
    Path | None,
    typer.Option(
        "--show",
        metavar="FILE",
        help="Show a report again; runs nothing.",
        rich_help_panel=_REPORTS,
    ),
]
CompareOption = Annotated[
    tuple[Path, Path] | None,
    typer.Option(
        "--compare",
        metavar="FIRST SECOND",
        help="Compare two reports; runs nothing.",
        rich_help_panel=_REPORTS,
    ),
]
