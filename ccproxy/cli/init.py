"""`ccproxy init`: look at the machine, and write the files of an installation that fits it."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ccproxy.cli.init_questions import Answers, Profile, ask, refuse_without_terminal
from ccproxy.cli.init_told import MadeToken, next_steps, result, tell, tell_tokens
from ccproxy.cli.options import JsonOption
from ccproxy.cli.output import print_json, remark
from ccproxy.cli.working import working

if TYPE_CHECKING:
    from ccproxy.setup.plan import SetupPlan
    from ccproxy.setup.sight import OllamaSight

_NO_KEY: Final = "none"
_INSTALLATION: Final = "The installation"
_MEMORY: Final = "Memory, which decides about models"
_UPSTREAMS: Final = "Upstreams"
_AGENTS_TOKEN: Final = "agents"  # noqa: S105 - its name, not its value
_OPS_TOKEN: Final = "ops"  # noqa: S105 - its name, not its value


class KvCache(StrEnum):
    """The values of `ccproxy.setup.arithmetic.KvCacheType`."""

    F16 = "f16"
    Q8_0 = "q8_0"
    Q4_0 = "q4_0"


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
            min=1,
            metavar="GIB",
            help="Memory of the machine; asked of it by default.",
            rich_help_panel=_MEMORY,
        ),
    ] = None,
    memory: Annotated[
        float | None,
        typer.Option(
            "--memory",
            min=0.1,
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
    ] = 8081,
    token: Annotated[
        str,
        typer.Option(
            "--token",
            metavar="NAME",
            help="Name of the agents' token; an empty name makes no tokens.",
            rich_help_panel=_INSTALLATION,
        ),
    ] = _AGENTS_TOKEN,
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
    from ccproxy.setup.arithmetic import KvCacheType, Runner
    from ccproxy.setup.commands import run_command
    from ccproxy.setup.installation import Wanted, installation_files, make_plan
    from ccproxy.setup.machine import read_machine
    from ccproxy.setup.ollama_environment import read_environment
    from ccproxy.setup.plan import DEFAULT_OLLAMA, ProfileName, default_key
    from ccproxy.setup.writing import write_files

    if token == _OPS_TOKEN:
        raise typer.BadParameter("--token: 'ops' is the operator's; give the agents' another name")
    machine = read_machine(run_command)
    environment = read_environment(run_command, is_macos=machine.is_macos, home=Path.home())
    answers = Answers(
        folder or Path.home() / ".ccproxy",
        ram or machine.ram_gib or 16.0,
        ollama or DEFAULT_OLLAMA,
        roster,
        key_from or default_key(os.environ, is_macos=machine.is_macos),
        profile,
    )
    if not yes:
        refuse_without_terminal()
        ask(answers, machine)
    seen = environment.runner()
    wanted = Wanted(
        answers.folder.expanduser().absolute(),
        answers.ram_gib,
        # With flash attention, which `doctor` asks for: without it everything takes more.
        Runner(
            seen.kv_cache if kv_cache is None else KvCacheType(kv_cache),
            flash_attention=True,
            parallel=parallel or seen.parallel,
        ),
        memory_gib=memory or (machine.wired_limit_gib if ram is None else None),
        roster=answers.roster,
        ollama_url=_address(answers.ollama),
        key_reference=None if answers.key == _NO_KEY else _reference(answers.key),
        claude_url=claude,
        profile=None if answers.profile is None else ProfileName(answers.profile),
        port=port,
    )
    plan = make_plan(wanted)
    files = installation_files(plan)
    _refuse_overwriting(wanted.folder, files, yes=yes, force=force)
    written = write_files(wanted.folder, files)
    made = _make_tokens(wanted.folder, token) if token else []
    with working("asking Ollama"):
        sight = _look(plan)
    if as_json:
        print_json(result(plan, written, sight, made))
        return
    tell(plan, written, sight, environment)
    next_steps(plan, wanted.folder, sight)
    tell_tokens(made)


def _address(text: str) -> str:
    """Return Ollama's address with a scheme, as OLLAMA_HOST may lack it."""
    return text.rstrip("/") if "://" in text else f"http://{text.rstrip('/')}"


def _reference(text: str) -> str:
    from ccproxy.config.references import is_reference

    if is_reference(text):
        return text
    remark(
        "error: --key-from says where the key is, not the key itself: os.environ/NAME, file/PATH, "
        "keychain/SERVICE/ACCOUNT, or none"
    )
    raise typer.Exit(2)


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


def _make_tokens(folder: Path, agents_name: str) -> list[MadeToken]:
    """Make the agents' token and the operator's; one whose name is there stays, and is left out.

    What agents read may tell them to call `/admin`, so that theirs has no scope.
    """
    from ccproxy.auth import create_token, list_tokens
    from ccproxy.cli.auditing import note

    tokens_file = folder / "tokens.json"
    there = {each.name for each in list_tokens(tokens_file)}
    made = []
    for name, scopes in ((agents_name, ()), (_OPS_TOKEN, ("ops",))):
        if name not in there:
            made.append(MadeToken(name, create_token(tokens_file, name, scopes), scopes))
            note(tokens_file, " ".join(("token create", name, *(f"--scope {s}" for s in scopes))))
    return made


def _look(plan: "SetupPlan") -> "OllamaSight":
    from ccproxy.setup.sight import look_at_all

    return look_at_all({plan.ollama_url: ()})[plan.ollama_url]
