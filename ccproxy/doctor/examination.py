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

from ccproxy.config.secrets import Secrets
from ccproxy.config.yaml_marks import read_marked
from ccproxy.doctor.claude import check_claude, look_at_claude
from ccproxy.doctor.configuration import (
    check_configuration_problems,
    check_exposure,
    check_secrets,
    check_tokens,
)
from ccproxy.doctor.files import check_files
from ccproxy.doctor.hardware import check_hardware
from ccproxy.doctor.jwt_issuer import check_issuer, look_at_issuer
from ccproxy.doctor.ollama import check_environment, check_models, check_ollamas
from ccproxy.doctor.port import check_port, look_at_port
from ccproxy.doctor.power import check_power
from ccproxy.doctor.reverse_proxy import check_traefik
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
    findings += check_configuration_problems(patient.errors, patient.warnings)
    if settings is None:
        return findings
    findings += _of_files(settings, patient.environ)
    findings += _of_ollama(machine, run, deployed, patient.home)
    say("asking Claude")
    claude, port, issuer = asyncio.run(_look_outside(settings))
    findings += check_claude(claude)
    findings += check_issuer(issuer)
    findings += check_port(port)
    return findings


def _of_machine(
    machine: Machine, run: RunCommand, deployed: Sequence[Deployed], patient: Patient
) -> Iterator[Finding]:
    folder = None if patient.settings is None else patient.settings.path.parent
    yield from check_hardware(
        machine,
        free_disk_gib=_free_gib(patient.home),
        to_pull_gib=_to_pull_gib(deployed, folder),
    )
    if machine.is_macos:
        yield from check_power(run(("pmset", "-g")))


def _of_files(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    folder = settings.path.parent
    yield from check_files(settings)
    yield from check_secrets(Secrets(environ, folder).places_in(read_marked(settings.path).value))
    yield from check_tokens(settings, datetime.now(UTC))
    yield from check_exposure(settings)
    yield from check_traefik(folder, settings.port)


def _of_ollama(
    machine: Machine, run: RunCommand, deployed: Sequence[Deployed], home: Path
) -> Iterator[Finding]:
    yield from check_ollamas([*{each.sight.api_base: each.sight for each in deployed}.values()])
    here = [each for each in deployed if each.is_here]
    environment = read_environment(run, is_macos=machine.is_macos, home=home)
    yield from check_environment(environment, here)
    yield from check_models(deployed, environment.runner(), machine.memory_gib)


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
    return shutil.disk_usage(folder).free / BYTES_PER_GIB


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
