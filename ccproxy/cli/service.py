"""`ccproxy service`: run the proxy as a service of launchd or systemd."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ccproxy.cli.options import ConfigOption, JsonOption
from ccproxy.cli.output import print_json, print_table, remark
from ccproxy.service.asking import Patience
from ccproxy.service.spec import DEFAULT_LABEL

if TYPE_CHECKING:
    from collections.abc import Sequence


app: Final = typer.Typer(
    no_args_is_help=True,
    help="Run the proxy as a service: by launchd on macOS, by systemd on Linux.\n\n"
    "A user's service (LaunchAgent, systemd user unit) is installed without sudo and runs while "
    "that user is logged in, on a Mac at the screen.\n\n"
    "The machine's service (--daemon: LaunchDaemon, systemd system unit) is installed with sudo, "
    "starts at boot with nobody logged in, and runs as the user named with --user.\n\n"
    "Examples:\n    ccproxy service install\n    ccproxy service status\n\n"
    "Read on: docs/service.md",
)

LabelOption = Annotated[
    str, typer.Option(metavar="NAME", help="The service's name; a second proxy needs another one.")
]
DaemonOption = Annotated[
    bool,
    typer.Option("--daemon", help="The machine's service, where a user's is installed as well."),
]
WaitOption = Annotated[
    float,
    typer.Option(
        "--wait", metavar="SECONDS", min=0.1, max=600, help="How long the proxy may take to answer."
    ),
]
START_S: Final = Patience().start_s
_LOOK_EVERY_S: Final = 0.25
"""`logs -f`; a file tells nobody that it grew."""


@app.command()
def install(
    config: ConfigOption = None,
    user: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="With --daemon: whom it runs as; by default who called sudo."
        ),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Give the service this variable of your shell; repeatable. Secrets are refused.",
        ),
    ] = None,
    label: LabelOption = DEFAULT_LABEL,
    wait: WaitOption = START_S,
    *,
    daemon: Annotated[
        bool, typer.Option("--daemon", help="The machine's service: starts at boot, needs sudo.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the definition and change nothing.")
    ] = False,
) -> None:
    """Install the service and start it, or replace the one that is installed and start it anew.

    It is done when the proxy answers. If it does not, what was installed before is put back. An
    installed service gets other settings by --config alone, not because others were found here.

    Examples:
        ccproxy service install
        ccproxy service install --dry-run
        sudo ccproxy service install --daemon --user ccproxy

    Read on: docs/service.md
    """
    from ccproxy.cli.service_parts import planned, report
    from ccproxy.service.lifecycle import install as install_it

    plan = planned(label, config, env or [], user, daemon=daemon, changes=not dry_run)
    remark(*(f"warning: {warning}" for warning in plan.warnings))
    if dry_run:
        print(plan.manager.render(plan.spec).decode(), end="")
        return
    plan.make_log_folder()
    report(install_it(plan.service(remark, wait), plan.spec), plan.manager, plan.proxy)


@app.command()
def uninstall(label: LabelOption = DEFAULT_LABEL, *, daemon: DaemonOption = False) -> None:
    """Stop the service and remove it; settings, tokens, ledger and logs stay.

    Examples:
        ccproxy service uninstall

    Read on: docs/service.md
    """
    from ccproxy.cli.service_parts import installed, report
    from ccproxy.service.lifecycle import uninstall as uninstall_it

    found = installed(label, daemon=daemon, changes=True)
    report(uninstall_it(found.manager, Patience(), remark), found.manager)


@app.command()
def start(
    label: LabelOption = DEFAULT_LABEL, wait: WaitOption = START_S, *, daemon: DaemonOption = False
) -> None:
    """Start the installed service and wait until the proxy answers.

    Examples:
        ccproxy service start
        ccproxy service start --wait 120

    Read on: docs/service.md
    """
    from ccproxy.cli.service_parts import installed, report
    from ccproxy.service.lifecycle import start as start_it

    found = installed(label, daemon=daemon, changes=True)
    service = found.service(remark, wait)
    report(start_it(service), found.manager, service.proxy)


@app.command()
def stop(label: LabelOption = DEFAULT_LABEL, *, daemon: DaemonOption = False) -> None:
    """Stop the service until the next login (or boot, with --daemon) or `start`.

    Examples:
        ccproxy service stop

    Read on: docs/service.md
    """
    from ccproxy.cli.service_parts import installed, report
    from ccproxy.service.lifecycle import stop as stop_it

    found = installed(label, daemon=daemon, changes=True)
    report(stop_it(found.manager, Patience(), remark), found.manager)


@app.command()
def restart(
    label: LabelOption = DEFAULT_LABEL, wait: WaitOption = START_S, *, daemon: DaemonOption = False
) -> None:
    """Stop and start the service, after a look at its settings; running streams may end first.

    Examples:
        ccproxy service restart
        ccproxy service restart --label com.visiquate.ccproxy

    Read on: docs/service.md
    """
    from ccproxy.cli.service_parts import installed, report
    from ccproxy.service.lifecycle import restart as restart_it

    found = installed(label, daemon=daemon, changes=True)
    service = found.service(remark, wait)
    report(restart_it(service), found.manager, service.proxy)


@app.command()
def status(
    label: LabelOption = DEFAULT_LABEL, *, daemon: DaemonOption = False, as_json: JsonOption = False
) -> None:
    """Say whether the service runs and the proxy answers: exit code 0 if both, else 1.

    Examples:
        ccproxy service status
        ccproxy service status --json

    Read on: docs/service.md
    """
    from ccproxy.cli.service_parts import installed
    from ccproxy.cli.service_status import status_of

    facts = status_of(installed(label, daemon=daemon))
    if as_json:
        print_json(facts.as_json())
    else:
        print_table(("", ""), facts.rows())
    if not facts.is_running:
        raise typer.Exit(1)


@app.command()
def logs(
    lines: Annotated[
        int, typer.Option("-n", "--lines", min=0, max=100_000, help="How many of the last lines.")
    ] = 50,
    label: LabelOption = DEFAULT_LABEL,
    *,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on with what is logged from now on.")
    ] = False,
    daemon: DaemonOption = False,
) -> None:
    """Show the last lines of the service's log.

    Examples:
        ccproxy service logs
        ccproxy service logs -f
        ccproxy service logs -n 200

    Read on: docs/service.md
    """
    from ccproxy.cli.service_parts import installed
    from ccproxy.service.lifecycle import must_be_installed

    found = installed(label, daemon=daemon)
    must_be_installed(found.manager)
    files, command = found.log_files(), found.manager.log_command(lines, follow=follow)
    if not files and command:
        _hand_over(command)
    if command:
        remark(f"What it printed before it opened this file: {' '.join(command)}")
    with suppress(KeyboardInterrupt):
        _show(files, lines, follow=follow)


def _hand_over(command: "Sequence[str]") -> None:
    """Run the system's own command for its journal, and exit as it does."""
    import subprocess

    with suppress(KeyboardInterrupt):
        code = subprocess.run(command, check=False).returncode  # noqa: S603 - no shell
        raise typer.Exit(code)


def _show(files: "Sequence[Path]", lines: int, *, follow: bool) -> None:
    """Print the ends of files, each under its name if there are several, as `tail` does."""
    from ccproxy.service.logs import Follower, last_lines

    several = len(files) > 1
    with ExitStack() as stack:
        followers = {path: stack.enter_context(closing(Follower(path))) for path in files}
        for path in files:
            _print_lines(path, last_lines(path, lines), several=several)
        while follow:
            for path, follower in followers.items():
                _print_lines(path, follower.read(), several=several)
            time.sleep(_LOOK_EVERY_S)


def _print_lines(path: Path, lines: "Sequence[str]", *, several: bool) -> None:
    if lines and several:
        remark(f"==> {path} <==")
    for line in lines:
        print(line, flush=True)
