"""The `ccproxy` command.

Importing this module imports no server, no LiteLLM, no Rich and no command: one is imported when
it is run (`ccproxy.cli.tree`), and imports what it needs itself, so that `--help` and completion
are quick.

Exit codes: 0 fine, 1 a problem was found or what was asked for could not be done, 2 wrong usage,
130 stopped by Ctrl-C. What runs until Ctrl-C ends by it with 0.
"""

# ruff: noqa: PLC0415 -- see above

from collections.abc import Sequence
from typing import Annotated, Final

import typer
from typer.main import get_command

from ccproxy.cli.help_page import use_help_page
from ccproxy.cli.output import remark
from ccproxy.cli.shells import use_plain_completion
from ccproxy.cli.tree import CommandTree

OWN_MISTAKE: Final = (
    "This is a mistake of ccproxy's own. Please report it, with what `ccproxy version` prints."
)
BY_CTRL_C: Final = 130
"""As a shell has it of a command that SIGINT ended."""

app: Final = typer.Typer(
    name="ccproxy", cls=CommandTree, no_args_is_help=True, rich_markup_mode=None
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 (Typer's callback signature)
    if wanted:
        from ccproxy.cli.version import tell

        tell()
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            "-V",
            callback=_print_version,
            is_eager=True,
            help="Say what is installed, as the command `version` does.",
        ),
    ] = False,
) -> None:
    """One base URL for a fleet of Claude agents: local qwen models where they do, Claude where not.

    `ccproxy COMMAND --help` explains a command, with examples; options of a command go behind its
    name. Exit codes: 0 fine, 1 a problem was found or what was asked for could not be done, 2 wrong
    usage, 130 stopped by Ctrl-C. What runs until Ctrl-C (serve, run, demo, top, service logs) ends
    by it with 0.

    Examples:
        ccproxy init                  # write the files of an installation
        ccproxy doctor                # what is wrong here, and how to fix it
        ccproxy run                   # start, with simulated upstreams where there are none
        ccproxy --install-completion  # commands, agents, profiles by the Tab key

    Read on: README.md, docs/commands.md
    """


def command_tree() -> CommandTree:
    """Return the command with all that is below it."""
    command = get_command(app)
    assert isinstance(command, CommandTree)  # noqa: S101 - what Typer was told to make
    use_help_page(command)
    use_plain_completion()
    return command


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; the entry point of the installed command.

    Args:
        arguments: Without the program's name; those of the process by default.
    """
    try:
        code = command_tree().main(arguments, prog_name="ccproxy", standalone_mode=False)
    except typer.TyperException as error:
        from ccproxy.cli.wrong_usage import tell

        tell(error)
        raise SystemExit(error.exit_code) from None
    except typer.Abort as stopped:
        remark("Stopped: nothing was changed.")
        # A prompt keeps behind it what ended it: Ctrl-C, or else a no or the end of its input.
        by_signal = isinstance(stopped.__context__, KeyboardInterrupt)
        raise SystemExit(BY_CTRL_C if by_signal else 1) from None
    except Exception as error:
        explanation = _explain(error)
        if explanation is None:
            error.add_note(OWN_MISTAKE)
            raise
        remark(explanation)
        raise SystemExit(1) from None
    raise SystemExit(code or 0)


def _explain(error: Exception) -> str | None:
    """Return what to tell the person at the terminal, or None for a mistake of this program."""
    from ccproxy.auth import TokenError
    from ccproxy.config.problems import ConfigError
    from ccproxy.config.secrets import SecretError
    from ccproxy.ledger.ledger import LedgerDownError
    from ccproxy.service.problems import ServiceError

    if isinstance(error, ConfigError):
        return "\n".join(f"error: {problem}" for problem in error.problems)
    if isinstance(error, TokenError | SecretError | ServiceError | LedgerDownError):
        return f"error: {error}"
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"error: {place}{error.strerror}"
    return None
