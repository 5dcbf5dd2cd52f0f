"""The commands, each with where it is: nothing of them is imported before one of them is run."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from ccproxy.cli.help_page import use_help_page

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typer._click.core import Command, Context

SETUP: Final = "Set up"
RUN: Final = "Run"
ROUTE: Final = "Route"
WATCH: Final = "Watch and account"


@dataclass(frozen=True, slots=True)
class Place:
    """A command of the first level.

    Its module in `ccproxy.cli` has its name, and either `app`, with commands of its own, or a
    function of that name.
    """

    name: str
    section: str
    summary: str
    """The first sentence of its help, word by word."""


PLACES: Final = (
    Place(
        "init",
        SETUP,
        "Write ccproxy.yaml and routing.yaml for this machine, its Ollama and your roster.",
    ),
    Place(
        "doctor",
        SETUP,
        "Look at the machine, Ollama, the models, the files, the keys and the clock.",
    ),
    Place("config", SETUP, "Check the configuration, print its schema."),
    Place(
        "secret",
        SETUP,
        "Keep secrets in files of mode 0600 or in the keychain, and out of ccproxy.yaml.",
    ),
    Place("token", SETUP, "Create, list, rotate and revoke clients' tokens."),
    Place(
        "models",
        SETUP,
        "List, fetch and verify the local models of the config file, and report on them.",
    ),
    Place(
        "service", SETUP, "Run the proxy as a service: by launchd on macOS, by systemd on Linux."
    ),
    Place("serve", RUN, "Start the proxy."),
    Place(
        "run",
        RUN,
        "Start the proxy with the upstreams found here, or simulated ones where there is none.",
    ),
    Place(
        "demo",
        RUN,
        "Start the proxy in front of a simulated Ollama and a simulated Claude, always.",
    ),
    Place("agents", ROUTE, "Show the agents of the roster."),
    Place("routes", ROUTE, "Check, show and compare routing tables, and take edits back."),
    Place(
        "explain",
        ROUTE,
        "Say who would be calling and where the request would go, and why; nothing is sent.",
    ),
    Place(
        "estimate",
        ROUTE,
        "Say what tokens, money and time a request would take on each route; nothing is sent.",
    ),
    Place(
        "bench",
        ROUTE,
        "Compare routes: the same tasks on each in turn; latency, speed, cost and failures of "
        "each.",
    ),
    Place(
        "top",
        WATCH,
        "Show deployments, backends, queues and rates of a running proxy, until Ctrl-C.",
    ),
    Place("usage", WATCH, "What was used and spent, what was saved, what failed."),
    Place(
        "budgets",
        WATCH,
        "Show what was used of each budget in its present window, from the ledger.",
    ),
    Place("alerts", WATCH, "Try the alerts of ccproxy.yaml."),
    Place("export", WATCH, "Write every request of a time, oldest first, however many there are."),
    Place("ledger", WATCH, "Look after the ledger's database."),
    Place(
        "version", WATCH, "Say what is installed: ccproxy, Python and the libraries that matter."
    ),
)
"""In the order of `ccproxy --help`, sections together."""


class CommandTree(TyperGroup):
    """The command of the first level: it knows the names of the others, and fetches them late."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - Typer's own, passed on
        super().__init__(**settings)
        for place in PLACES:
            self.commands[place.name] = TyperCommand(
                place.name,
                help=place.summary,
                rich_markup_mode=None,
                rich_help_panel=place.section,
            )

    def resolve_command(
        self, ctx: Context, args: list[str]
    ) -> tuple[str | None, Command | None, list[str]]:
        """Return the command that is named, imported."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, found and load(str(found.name)), rest

    def loaded(self) -> Iterator[Command]:
        """Yield every command of the first level, imported."""
        for place in PLACES:
            yield load(place.name)


def load(name: str) -> Command:
    """Import a command of the first level and return it."""
    module = import_module(f"ccproxy.cli.{name}")
    app: typer.Typer | None = getattr(module, "app", None)
    if app is None:
        app = typer.Typer()
        app.command(name)(getattr(module, name))
        app.rich_markup_mode = None
        command = get_group(app).commands[name]
    else:
        app.rich_markup_mode = None
        command = get_group(app)
        command.name = name
    use_help_page(command)
    return command
