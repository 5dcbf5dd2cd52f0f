"""The questions of `ccproxy init`; one whose answer cannot be used is asked again."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TypeVar

import typer

from ccproxy.cli.init_answers import Profile
from ccproxy.cli.init_checks import (
    LEAST_RAM_GIB,
    SHIPPED_ROSTER,
    folder_of,
    gib_of,
    key_of,
    ollama_of,
    roster_of,
)
from ccproxy.cli.output import remark

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ccproxy.cli.init_answers import Answers
    from ccproxy.setup.arithmetic import Runner
    from ccproxy.setup.machine import Machine

Meant = TypeVar("Meant")


def refuse_without_terminal() -> None:
    """Exit 2 where nobody could answer."""
    if sys.stdin.isatty():
        return
    remark(
        "error: init asks questions, and there is nobody at a terminal; --yes takes what it finds"
    )
    raise typer.Exit(2)


def ask(answers: Answers, machine: Machine, seen: Runner) -> None:
    """Let a person confirm or change what was found. Nothing is written or stored.

    Args:
        answers: What is proposed; changed to what was answered.
        machine: What was found.
        seen: How its Ollama runs.

    Raises:
        ConfigError: With these answers nothing could serve.
    """
    found = "unknown" if machine.ram_gib is None else f"{machine.ram_gib:.1f} GiB"
    remark(f"{machine.system} {machine.version}, {machine.cores} cores, memory: {found}", "")
    answers.folder = _ask("Folder for the files", str(answers.folder), folder_of)
    proposed = round(answers.ram_gib, 1)
    ram_gib = _ask("Memory of this machine in GiB", str(proposed), _ram_gib)
    if ram_gib != proposed:
        answers.ram_gib = ram_gib
    answers.ollama = _ask("Where Ollama is", answers.ollama, ollama_of)
    answers.roster = _ask(
        f"Your roster (orchestra-config.json), or {SHIPPED_ROSTER} for a copy of the shipped one",
        str(answers.roster or SHIPPED_ROSTER),
        roster_of,
    )
    remark(
        "Claude's key is never written into a config file; say where it is:",
        "  os.environ/NAME, file/PATH, keychain/SERVICE/ACCOUNT, or none",
    )
    answers.key = _ask("Claude's key", answers.key, lambda given: _key(given, answers.folder))
    answers.secret = _ask_for_the_key(answers)
    _ask_for_the_profile(answers, answers.profiles(machine, seen))


def store_the_key(answers: Answers) -> None:
    """Store the key that was answered; where that fails a remark says so."""
    from ccproxy.config.secrets import SecretError, Secrets

    if not answers.secret:
        return
    try:
        Secrets(os.environ, answers.folder).store(answers.key, answers.secret)
    except SecretError as error:
        remark(f"warning: {error}")


def _ask(question: str, proposed: str, check: Callable[[str], Meant]) -> Meant:
    def meant(given: str) -> Meant:
        try:
            return check(given)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    answer: Meant = typer.prompt(question, default=proposed, value_proc=meant)
    return answer


def _ram_gib(given: str) -> float:
    return gib_of(given, LEAST_RAM_GIB)


def _key(given: str, folder: Path) -> str:
    key_of(given, folder, os.environ)
    return given


def _ask_for_the_key(answers: Answers) -> str:
    """Ask for a key that is not there yet, where it can be stored from here."""
    from ccproxy.config.secrets import Secrets

    if not answers.key.startswith(("file/", "keychain/")):
        return ""
    if Secrets(os.environ, answers.folder).look((), answers.key).problem is None:
        return ""
    question = "The key (hidden; empty to store it later)"
    given: str = typer.prompt(question, default="", hide_input=True)
    return given


def _ask_for_the_profile(answers: Answers, profiles: Sequence[str]) -> None:
    def check(given: str) -> Profile:
        if given not in profiles:
            raise ValueError(f"{given!r} is none of {', '.join(profiles)}")
        return Profile(given)

    usual = profiles[0]
    if len(profiles) == 1:
        remark(f"Active profile: {usual}, the only one that makes sense with these answers")
        answers.profile = None
        return
    proposed = str(answers.profile) if answers.profile in profiles else usual
    chosen = _ask(f"Active profile ({', '.join(profiles)})", proposed, check)
    answers.profile = None if chosen == usual else chosen
