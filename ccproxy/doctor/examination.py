"""The whole examination: look at everything, then judge what was seen.

Nothing is loaded, nothing is spent, and it works with everything down.
"""

from __future__ import annotations

import asyncio
import shutil
import site
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ccproxy.config.locate import ledger_file
from ccproxy.config.problems import ConfigError
from ccproxy.config.secrets import Secrets
from ccproxy.config.yaml_marks import read_marked
from ccproxy.doctor.claude import check_claude, look_at_claude
from ccproxy.doctor.configuration import (
    check_configuration_problems,
    check_exposure,
    check_tokens,
)
from ccproxy.doctor.files import check_files
from ccproxy.doctor.hardware import check_hardware
from ccproxy.doctor.jwt_issuer import check_issuer, look_at_issuer
from ccproxy.doctor.ollama import check_environment, check_models, check_ollamas
from ccproxy.doctor.port import check_port, look_at_port
from ccproxy.doctor.power import check_power
from ccproxy.doctor.reverse_proxy import check_traefik
from ccproxy.doctor.room import check_room, room_gib
from ccproxy.doctor.secrets import check_secrets, open_file
from ccproxy.doctor.versions import check_packages
from ccproxy.setup.arithmetic import BYTES_PER_GIB
from ccproxy.setup.catalogue import CATALOGUE
from ccproxy.setup.deployed import look_at_deployments
from ccproxy.setup.machine import read_machine
from ccproxy.setup.ollama_environment import read_environment
from ccproxy.setup.recipes import RecipeError, find_recipe, load_recipes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ccproxy.config.problems import ConfigProblem
    from ccproxy.config.secrets import SecretPlace
    from ccproxy.config.settings import Settings
    from ccproxy.doctor.claude import ClaudeLook
    from ccproxy.doctor.finding import Finding
    from ccproxy.doctor.jwt_issuer import IssuerLook
    from ccproxy.doctor.port import PortLook
    from ccproxy.setup.commands import RunCommand
    from ccproxy.setup.deployed import Deployed
    from ccproxy.setup.machine import Machine

PACKAGES: Final = ("litellm", "python-jose", "starlette")
"""Whose versions are looked at."""


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined."""

    settings: Settings | None
    """None where the config file cannot be used; then only the machine is looked at."""
    errors: Sequence[ConfigProblem]
    """Of all config files."""
    warnings: Sequence[ConfigProblem]
    environ: Mapping[str, str]
    home: Path
    config: Path | None = None
    """The config file; None where none was found."""
    memory_gib: float | None = None
    """What models can have, as the routing table says it."""


def examine(patient: Patient, run: RunCommand, say: Callable[[str], None]) -> list[Finding]:
    """Return every finding, in the order of the report.

    Args:
        patient: The installation.
        run: Runs programs of the system.
        say: Hears what is looked at now, of looks that may take seconds.
    """
    machine = read_machine(run)
    settings = patient.settings
    deployed: tuple[Deployed, ...] = ()
    if settings is not None:
        say("asking Ollama")
        deployed = look_at_deployments(settings)
    findings = list(_of_machine(machine, run, deployed, patient))
    findings += check_packages(_installed(), _pth_files())
    findings += _of_configuration(patient)
    if settings is None:
        return findings
    findings += _of_files(settings, patient.environ)
    findings += _of_ollama(machine, run, deployed, patient)
    say("asking Claude")
    claude, port, issuer = asyncio.run(_look_outside(settings))
    findings += check_claude(claude)
    findings += check_issuer(issuer)
    ledger = ledger_file(settings.ledger_url)
    findings += check_port(port, has_run=ledger is None or ledger.exists())
    return findings


def _of_machine(
    machine: Machine, run: RunCommand, deployed: Sequence[Deployed], patient: Patient
) -> Iterator[Finding]:
    folder = None if patient.settings is None else patient.settings.path.parent
    yield from check_hardware(
        machine,
        memory_gib=room_gib(machine, patient.memory_gib),
        free_disk_gib=_free_gib(patient.home),
        to_pull_gib=_to_pull_gib(deployed, folder),
    )
    if machine.is_macos:
        yield from check_power(run(("pmset", "-g")))


def _of_configuration(patient: Patient) -> Iterator[Finding]:
    """Judge the config files; what another check can tell better is left to that one."""
    opened = _opened_secrets(patient)
    tokens = None if patient.settings is None else str(patient.settings.tokens_file)
    errors = [
        each
        for each in patient.errors
        if each.file != tokens and not any(str(place.problem) in each.message for place in opened)
    ]
    is_there = patient.config is not None
    if errors or not opened:
        yield from check_configuration_problems(errors, patient.warnings, is_there=is_there)
    if patient.config is not None:
        yield from check_secrets(opened, patient.config.parent, patient.environ)


def _opened_secrets(patient: Patient) -> Sequence[SecretPlace]:
    """Return the references for whose files' modes the config file was refused."""
    if patient.settings is not None or patient.config is None:
        return ()
    try:
        document = read_marked(patient.config).value
    except ConfigError:
        return ()
    folder = patient.config.parent
    places = Secrets(patient.environ, folder).places_in(document)
    return [each for each in places if open_file(each, folder, patient.environ) is not None]


def _of_files(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    folder = settings.path.parent
    yield from check_files(settings)
    places = Secrets(environ, folder).places_in(read_marked(settings.path).value)
    yield from check_secrets(places, folder, environ)
    yield from check_tokens(settings, datetime.now(UTC))
    yield from check_exposure(settings)
    yield from check_traefik(folder, settings.port)


def _of_ollama(
    machine: Machine, run: RunCommand, deployed: Sequence[Deployed], patient: Patient
) -> Iterator[Finding]:
    yield from check_ollamas([*{each.sight.api_base: each.sight for each in deployed}.values()])
    here = [each for each in deployed if each.is_here]
    environment = read_environment(run, is_macos=machine.is_macos, home=patient.home)
    yield from check_environment(environment, here)
    yield from check_models(deployed)
    memory_gib = room_gib(machine, patient.memory_gib)
    yield from check_room(here, environment.runner(), memory_gib)


async def _look_outside(
    settings: Settings,
) -> tuple[list[ClaudeLook], PortLook, IssuerLook | None]:
    return await asyncio.gather(
        look_at_claude(settings.deployments),
        look_at_port(settings.host, settings.port),
        look_at_issuer(settings.jwt),
    )


def _to_pull_gib(deployed: Sequence[Deployed], folder: Path | None) -> float:
    """Return the size of the models of the catalogue that are still to be fetched."""
    try:
        recipes = load_recipes(folder) if folder is not None else ()
    except RecipeError:
        recipes = ()
    missing = set()
    for each in deployed:
        if not each.is_here or each.pulled is not None:
            continue
        recipe = find_recipe(recipes, each.model)
        missing.add(each.model if recipe is None else recipe.base)
    return sum(CATALOGUE[name].weights_gib for name in missing if name in CATALOGUE)


def _free_gib(folder: Path) -> float:
    """Return what is free where a folder is, or would be."""
    there = next(each for each in (folder, *folder.parents) if each.is_dir())
    return shutil.disk_usage(there).free / BYTES_PER_GIB


def _installed() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _pth_files() -> Iterator[Path]:
    for folder in (*site.getsitepackages(), site.getusersitepackages()):
        yield from Path(folder).glob("*.pth")
