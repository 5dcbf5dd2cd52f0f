"""The questions of `ccproxy init`."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ccproxy.cli.output import remark

if TYPE_CHECKING:
    from ccproxy.setup.machine import Machine


class Profile(StrEnum):
    """The values of `ccproxy.setup.plan.ProfileName`, which help must not wait for."""

    BALANCED = "balanced"
    MAX_SAVINGS = "max-savings"
    CLAUDE_ONLY = "claude-only"
    LOCAL_ONLY = "local-only"


@dataclass
class Answers:
    """What is wanted, by options or by a person's answers."""

    folder: Path
    ram_gib: float
    ollama: str
    roster: Path | None
    key: str
    profile: Profile | None


def refuse_without_terminal() -> None:
    """Exit 2 where nobody could answer."""
    if sys.stdin.isatty():
        return
    remark(
        "error: init asks questions, and there is nobody at a terminal; --yes takes what it finds"
    )
    raise typer.Exit(2)


def ask(answers: Answers, machine: Machine) -> None:
    """Let a person confirm or change what was found."""
    found = "unknown" if machine.ram_gib is None else f"{machine.ram_gib:.1f} GiB"
    remark(f"{machine.system} {machine.version}, {machine.cores} cores, memory: {found}", "")
    answers.folder = Path(typer.prompt("Folder for the files", default=str(answers.folder)))
    answers.ram_gib = typer.prompt(
        "Memory of this machine in GiB", default=round(answers.ram_gib, 1)
    )
    answers.ollama = typer.prompt("Where Ollama is", default=answers.ollama)
    given = typer.prompt(
        "Your roster (orchestra-config.json), or - for a copy of the shipped one",
        default=str(answers.roster) if answers.roster else "-",
    )
    answers.roster = None if given == "-" else Path(given).expanduser()
    remark(
        "Claude's key is never written into a config file; say where it is:",
        "  os.environ/NAME, file/PATH, keychain/SERVICE/ACCOUNT, or none",
    )
    answers.key = typer.prompt("Claude's key", default=answers.key)
    _offer_to_store(answers)
    choices = ", ".join(Profile)
    given = typer.prompt(f"Active profile ({choices})", default=str(answers.profile or "balanced"))
    if given not in list(Profile):
        remark(f"error: {given!r} is none of {choices}")
        raise typer.Exit(2)
    answers.profile = Profile(given)


def _offer_to_store(answers: Answers) -> None:
    """Ask for a key that is not there yet, where it can be stored from here."""
    from ccproxy.config.secrets import SecretError, Secrets

    if not answers.key.startswith(("file/", "keychain/")):
        return
    secrets = Secrets(os.environ, answers.folder.expanduser().absolute())
    if secrets.look((), answers.key).problem is None:
        return
    value = typer.prompt("The key (hidden; empty to store it later)", default="", hide_input=True)
    if not value:
        return
    try:
        secrets.store(answers.key, value)
    except SecretError as error:
        remark(f"warning: {error}")
