"""All files of an installation, from what a person wants and what the machine has."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ccproxy.config.problems import ConfigError, ConfigProblem
from ccproxy.config.roster import load_roster
from ccproxy.setup.choice import choose
from ccproxy.setup.config_text import config_text
from ccproxy.setup.plan import DEFAULT_KEY, DEFAULT_OLLAMA, ProfileName, SetupPlan
from ccproxy.setup.recipes import FOLDER, SUFFIX, recipe_text
from ccproxy.setup.routing_text import routing_text
from ccproxy.setup.shipped import PRICES, ROSTER, shipped_file
from ccproxy.setup.wishes import read_wishes

if TYPE_CHECKING:
    from pathlib import Path

    from ccproxy.setup.arithmetic import Runner


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an installation is to be; the fields are `ccproxy init`'s options."""

    folder: Path
    ram_gib: float
    runner: Runner
    memory_gib: float | None = None
    """What models can have of the memory, if not the usual share."""
    roster: Path | None = None
    """A file of the fleet's own, used where it is; None takes a copy of the shipped one."""
    ollama_url: str = DEFAULT_OLLAMA
    key_reference: str | None = DEFAULT_KEY
    claude_url: str | None = None
    profile: ProfileName | None = None
    """None is the first of those that make sense."""
    port: int = 8081


def make_plan(wanted: Wanted) -> SetupPlan:
    """Return the plan for an installation; the roster is read, nothing is written.

    Raises:
        ConfigError: The roster cannot be used, or nothing could serve with these choices.
    """
    roster = load_roster(wanted.roster or shipped_file(ROSTER)).roster
    wishes = read_wishes(roster)
    choice = choose(
        wishes, ram_gib=wanted.ram_gib, runner=wanted.runner, memory_gib=wanted.memory_gib
    )
    plan = SetupPlan(
        choice,
        wishes,
        roster,
        ROSTER if wanted.roster is None else str(wanted.roster.absolute()),
        wanted.ram_gib,
        wanted.ollama_url.rstrip("/"),
        wanted.key_reference,
        wanted.claude_url,
        wanted.profile or ProfileName.BALANCED,
        wanted.port,
    )
    return _with_profile(plan, wanted)


def installation_files(plan: SetupPlan) -> dict[str, bytes]:
    """Return the files by path relative to the folder."""
    texts = {"ccproxy.yaml": config_text(plan), "routing.yaml": routing_text(plan)}
    for model in plan.local:
        if model.needs_recipe:
            texts[f"{FOLDER}/{model.role.value}{SUFFIX}"] = recipe_text(model)
    files = {name: text.encode() for name, text in texts.items()}
    files[PRICES] = shipped_file(PRICES).read_bytes()
    if plan.roster_path == ROSTER:
        files[ROSTER] = shipped_file(ROSTER).read_bytes()
    return files


def _with_profile(plan: SetupPlan, wanted: Wanted) -> SetupPlan:
    """Return the plan with an active profile that exists."""
    profiles = plan.profiles()
    if not profiles:
        message = (
            f"{plan.choice.memory_gib:.1f} GiB are too few for the smallest local model, and "
            "without Claude nothing could serve; give --key-from, or --memory if models have more"
        )
        raise ConfigError([ConfigProblem.of_file(str(wanted.folder), message)])
    if plan.profile in profiles:
        return plan
    if wanted.profile is not None:
        known = ", ".join(profiles)
        message = f"--profile {wanted.profile} makes no sense here; these do: {known}"
        raise ConfigError([ConfigProblem.of_file(str(wanted.folder), message)])
    return replace(plan, profile=profiles[0])
