"""Options that several commands share."""

import os
from pathlib import Path
from typing import Annotated

import typer

from ccproxy.cli.completing import agent_names

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="The ccproxy.yaml to use. Found by default at $CCPROXY_CONFIG, "
        "./config/ccproxy.yaml, ~/.ccproxy/ccproxy.yaml.",
        show_default=False,
    ),
]
"""`--config FILE`."""

RosterOption = Annotated[
    Path | None,
    typer.Option(
        "--roster",
        metavar="FILE",
        help="An orchestra-config.json to read instead of the config's.",
        show_default=False,
    ),
]
"""`--roster FILE`."""

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
"""`--json`."""

StrictOption = Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")]
"""`--strict`."""

AgentOption = Annotated[
    str | None,
    typer.Option(
        "--agent",
        metavar="SLUG",
        help="As in the base URL /agents/SLUG.",
        autocompletion=agent_names,
    ),
]
"""`--agent SLUG`."""

PortOption = Annotated[
    int | None,
    typer.Option("--port", min=0, max=65535, help="TCP port; 0 takes a free one."),
]
"""`--port N`."""

TrafficOption = Annotated[
    bool,
    typer.Option(
        "--demo-traffic/--no-demo-traffic",
        "--traffic/--no-traffic",
        help="Let a few simulated agents of the roster send work.",
    ),
]
"""`--demo-traffic`, also `--traffic`."""


def config_path(given: Path | None, home: Path | None = None) -> Path:
    """Return the config file to use: the given one, else where the design looks for it.

    Where this folder's own hides the one of the installation, a remark says so.

    Args:
        given: Of the command line.
        home: The home folder of whom it is for; by default of whoever runs this.

    Raises:
        ConfigError: There is none.
    """
    from ccproxy.cli.output import remark  # noqa: PLC0415 (commands import when they run)
    from ccproxy.config.locate import CONFIG_VARIABLE  # noqa: PLC0415 (as above)

    home = home or Path.home()
    found = found_config(given, home)
    hidden = home / ".ccproxy" / "ccproxy.yaml"
    is_named = given is not None or bool(os.environ.get(CONFIG_VARIABLE))
    if not is_named and os.access(hidden, os.R_OK) and not found.samefile(hidden):
        remark(
            f"note: this folder's {found} is used, not {hidden}; for that one `cd ~` first, or "
            f"`export CCPROXY_CONFIG={hidden}`"
        )
    return found


def found_config(given: Path | None, home: Path | None = None) -> Path:
    """Return the same, and say nothing."""
    from ccproxy.config.locate import find_config  # noqa: PLC0415 (as above)

    return find_config(given, os.environ, Path.cwd(), home or Path.home())


def agents_folder(roster: Path | None, config: Path | None) -> Path | None:
    """Return the folder of the agents' files that the config names, if its roster is read.

    Asked after `roster_path`, which has said what there is to say of the config.

    Raises:
        ConfigError: The config is missing or cannot be used.
    """
    if roster is not None:
        return None
    from ccproxy.config.settings import load_settings  # noqa: PLC0415 (as above)

    return load_settings(found_config(config), os.environ).agents_folder


def roster_path(given: Path | None, config: Path | None) -> Path:
    """Return the roster to read: the given one, else the config's.

    Raises:
        ConfigError: The config is missing or cannot be used.
    """
    if given is not None:
        return given
    from ccproxy.config.settings import load_settings  # noqa: PLC0415 (as above)

    return load_settings(config_path(config), os.environ).roster_file
