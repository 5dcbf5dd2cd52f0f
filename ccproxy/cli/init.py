"""`ccproxy init`: look at the machine, and write the files of an installation that fits it."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ccproxy.cli.init_answers import AGENTS_TOKEN, DEFAULT_PORT, Answers, KvCache, Profile
from ccproxy.cli.init_checks import LEAST_MEMORY_GIB, LEAST_RAM_GIB, claude_of, gib_of, of_option
from ccproxy.cli.init_questions import ask, refuse_without_terminal, store_the_key
from ccproxy.cli.init_told import MadeToken, next_steps, result, tell, tell_tokens, tokens_told
from ccproxy.cli.options import JsonOption
from ccproxy.cli.output import print_json, remark
from ccproxy.cli.working import working

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccproxy.setup.plan import SetupPlan
    from ccproxy.setup.sight import OllamaSight

_TOKENS_FILE: Final = "tokens.json"
_INSTALLATION: Final = "The installation"
_MEMORY: Final = "Memory, which decides about models"
_UPSTREAMS: Final = "Upstreams"
_OPS_TOKEN: Final = "ops"  # noqa: S105 - its name, not its value


def init(  # noqa: PLR0913, PLR0917 - options of a command
    folder: Annotated[
        Path | None,
        typer.Option(
            "--dir",
            metavar="FOLDER",
            help="Where to.",
            show_default="~/.ccproxy",
            rich_help_panel=_INSTALLATION,
        ),
    ] = None,
    ram: Annotated[
        float | None,
        typer.Option(
            "--ram",
            min=LEAST_RAM_GIB,
            metavar="GIB",
            help="Memory of the machine; asked of it by default.",
            rich_help_panel=_MEMORY,
        ),
    ] = None,
    memory: Annotated[
        float | None,
        typer.Option(
            "--memory",
            min=LEAST_MEMORY_GIB,
            metavar="GIB",
            help="What models can have of it; by default what macOS gives the GPU.",
            rich_help_panel=_MEMORY,
        ),
    ] = None,
    ollama: Annotated[
        str | None,
        typer.Option(
            "--ollama",
            metavar="URL",
            help="Where Ollama is.",
            rich_help_panel=_UPSTREAMS,
        ),
    ] = None,
    roster: Annotated[
        Path | None,
        typer.Option(
            "--roster",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="Your orchestra-config.json, used in its place; else a copy of the shipped one.",
            rich_help_panel=_INSTALLATION,
        ),
    ] = None,
    key_from: Annotated[
        str | None,
        typer.Option(
            "--key-from",
            metavar="REF",
            help="Where Claude's key is: os.environ/NAME, file/PATH, keychain/SERVICE/ACCOUNT, "
            "or none for an installation without Claude.",
            show_default="ANTHROPIC_API_KEY if it is set, else the keychain or a file",
            rich_help_panel=_UPSTREAMS,
        ),
    ] = None,
    claude: Annotated[
        str | None,
        typer.Option(
            "--claude",
            metavar="URL",
            help="A gateway in place of Anthropic's address.",
            rich_help_panel=_UPSTREAMS,
        ),
    ] = None,
    profile: Annotated[
        Profile | None,
        typer.Option(
            help="The active profile.", show_default="balanced", rich_help_panel=_INSTALLATION
        ),
    ] = None,
    kv_cache: Annotated[
        KvCache | None,
        typer.Option(
            "--kv-cache",
            help="OLLAMA_KV_CACHE_TYPE to reckon with; by default what Ollama has.",
            rich_help_panel=_MEMORY,
        ),
    ] = None,
    parallel: Annotated[
        int | None,
        typer.Option(
            "--parallel",
            min=1,
            max=64,
            help="OLLAMA_NUM_PARALLEL; by default what Ollama has.",
            rich_help_panel=_MEMORY,
        ),
    ] = None,
    port: Annotated[
        int,
        typer.Option(
            "--port",
            min=1,
            max=65535,
            help="TCP port.",
            rich_help_panel=_INSTALLATION,
        ),
    ] = DEFAULT_PORT,
    token: Annotated[
        str,
        typer.Option(
            "--token",
            metavar="NAME",
            help="Name of the agents' token; an empty name makes no tokens.",
            rich_help_panel=_INSTALLATION,
        ),
    ] = AGENTS_TOKEN,
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing; take what is found.")] = (
        False
    ),
    force: Annotated[
        bool, typer.Option("--force", help="Replace files that are there, each kept as a backup.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write ccproxy.yaml and routing.yaml for this machine, its Ollama and your roster.

    Models are chosen by arithmetic, so that all of them stay loaded together. Nothing is pulled
    (`ccproxy models pull`), and no file is replaced without a backup. Two tokens are printed once:
    one for the agents, good for /v1 alone, and `ops` for you.

    Examples:
        ccproxy init                        # asks, with an answer proposed for each question
        ccproxy init --yes                  # asks nothing, for scripts
        ccproxy init --yes --ram 64 --dir /tmp/mini --key-from keychain/ccproxy/anthropic

    Read on: docs/install.md, docs/models.md, docs/secrets.md
    """
    from ccproxy.setup.commands import run_command
    from ccproxy.setup.installation import installation_files, make_plan
    from ccproxy.setup.machine import read_machine
    from ccproxy.setup.ollama_environment import read_environment
    from ccproxy.setup.plan import DEFAULT_OLLAMA, default_key
    from ccproxy.setup.writing import write_files

    if token == _OPS_TOKEN:
        raise typer.BadParameter("--token: 'ops' is the operator's; give the agents' another name")
    machine = read_machine(run_command)
    environment = read_environment(run_command, is_macos=machine.is_macos, home=Path.home())
    usual = Answers(
        Path.home() / ".ccproxy",
        machine.ram_gib or 16.0,
        DEFAULT_OLLAMA,
        None,
        default_key(os.environ, is_macos=machine.is_macos),
    )
    answers = Answers(
        folder or usual.folder,
        usual.ram_gib if ram is None else ram,
        ollama or usual.ollama,
        roster,
        key_from or usual.key,
        profile,
        of_option("--memory", _memory_gib, memory),
        None if claude is None else of_option("--claude", claude_of, claude),
        kv_cache,
        parallel,
        port,
        token,
    )
    seen = environment.runner()
    if not yes:
        refuse_without_terminal()
        ask(answers, machine, seen)
    wanted = answers.wanted(machine, seen)
    plan = make_plan(wanted)
    files = installation_files(plan)
    missing = _missing_tokens(wanted.folder, token)
    _refuse_overwriting(wanted.folder, files, yes=yes, force=force)
    with working("asking Ollama"):
        sight = _look(plan)
    # Until here nothing was written, and from here on nothing is waited for.
    made = _make_tokens(wanted.folder, missing)
    if not as_json:
        tell_tokens(made)
    try:
        store_the_key(answers)
        written = write_files(wanted.folder, files)
    except BaseException:
        if as_json:  # What was made is shown once, whatever becomes of the rest.
            print_json({"tokens": tokens_told(made)})
        raise
    if as_json:
        print_json(result(plan, written, sight, made))
        return
    tell(plan, written, sight, environment)
    again = f"ccproxy init --force{' --yes' if yes else ''}{answers.options_beside(usual)}"
    next_steps(plan, wanted.folder, sight, again)


def _memory_gib(given: float | None) -> float | None:
    return None if given is None else gib_of(given, LEAST_MEMORY_GIB)


def _refuse_overwriting(folder: Path, files: dict[str, bytes], *, yes: bool, force: bool) -> None:
    from ccproxy.setup.writing import in_the_way

    there = in_the_way(folder, files)
    if not there or force:
        return
    names = ", ".join(str(path) for path in there)
    if not yes and typer.confirm(f"{names}: replace (the old ones stay as backups)?"):
        return
    remark(f"error: there already, and different: {names}; --force replaces them and keeps backups")
    raise typer.Exit(1)


def _missing_tokens(folder: Path, agents_name: str) -> dict[str, tuple[str, ...]]:
    """Return the tokens to be made, with their scopes; one whose name is there stays as it is.

    What agents read may tell them to call `/admin`, so that theirs has no scope.

    Raises:
        TokenError: The tokens that are there cannot be read.
    """
    from ccproxy.auth import list_tokens

    if not agents_name:
        return {}
    there = {each.name for each in list_tokens(folder / _TOKENS_FILE)}
    wanted: dict[str, tuple[str, ...]] = {agents_name: (), _OPS_TOKEN: ("ops",)}
    return {name: scopes for name, scopes in wanted.items() if name not in there}


def _make_tokens(folder: Path, missing: "Mapping[str, tuple[str, ...]]") -> list[MadeToken]:
    """Make tokens, by name, with these scopes.

    Raises:
        TokenError: A name is unusable; then none is made.
    """
    from ccproxy.auth import create_token
    from ccproxy.cli.auditing import note

    tokens_file = folder / _TOKENS_FILE
    made = []
    for name, scopes in missing.items():
        made.append(MadeToken(name, create_token(tokens_file, name, scopes), scopes))
        note(tokens_file, " ".join(("token create", name, *(f"--scope {s}" for s in scopes))))
    return made


def _look(plan: "SetupPlan") -> "OllamaSight":
    from ccproxy.setup.sight import look_at_all

    return look_at_all({plan.ollama_url: ()})[plan.ollama_url]
