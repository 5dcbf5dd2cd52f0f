"""Whether the configured local models fit: their training, and the memory of their machine.

What the files say of them is enough for some of it; an Ollama that answers within a second is
asked for the rest. Nothing is loaded by that.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ccproxy.config.settings import to_routing_deployment
from ccproxy.config.yaml_marks import read_marked
from routing.fit import UNSEEN, beyond_training, too_big
from routing.types import THIS_HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ccproxy.config.deployments import DeploymentSettings
    from ccproxy.config.problems import ConfigProblem
    from ccproxy.config.settings import Settings
    from routing.fit import SeenModel

ASK_FOR_S: Final = 1.0
"""The longest that one Ollama is waited for."""
_BYTES_PER_GIB: Final = 1024**3


@dataclass(frozen=True, slots=True)
class SeenModels:
    """What the Ollamas of a configuration said."""

    models: Mapping[str, SeenModel] = field(default_factory=dict)
    """By deployment."""
    silent: tuple[str, ...] = ()
    """Addresses from which no usable answer came."""


@dataclass(slots=True)
class ModelFindings:
    """What is wrong with the models, by the places of the config file."""

    errors: list[ConfigProblem] = field(default_factory=list)
    warnings: list[ConfigProblem] = field(default_factory=list)


def ask_ollama(settings: Settings) -> SeenModels:
    """Ask every Ollama of the settings about the deployments on it; waits a second at most."""
    return asyncio.run(_ask_all(settings))


def check_models(
    settings: Settings,
    seen: SeenModels,
    *,
    memory_gib: float | None,
    physical_gib: Callable[[], float | None] | None = None,
) -> ModelFindings:
    """Return an error for each pinned context that a model was not trained for, a warning for size.

    Args:
        settings: Of a file that can be read.
        seen: What was said of the models.
        memory_gib: What this machine has for models, by the routing table, whose own check has said
            what follows from the config file alone; where it is not said, all of the machine's
            memory counts, for models that an Ollama was asked about.
        physical_gib: Returns how much memory this machine has.
    """
    found = ModelFindings()
    document = read_marked(settings.path)
    # `deployments` are in the order of the file, and a file that can be read has no other entries.
    for index, each in enumerate(settings.deployments):
        if not each.is_ollama:
            continue
        place = ("model_list", index, "litellm_params", "num_ctx")
        deployment = to_routing_deployment(each)
        said = seen.models.get(each.name)
        too_long = beyond_training(deployment, said)
        if too_long is not None:
            message = f"{too_long}: {each.name} is not used like this. Lower num_ctx"
            found.errors.append(document.problem(place, message))
        limit_gib = memory_gib
        if limit_gib is None and said is not None:
            limit_gib = (physical_gib or physical_memory_gib)()
        is_told = memory_gib is not None and deployment.weights_gib is not None
        if deployment.host != THIS_HOST or limit_gib is None or is_told:
            continue
        arithmetic = too_big(deployment, said or UNSEEN, limit_gib)
        if arithmetic is not None:
            message = f"{each.name} needs {arithmetic}. Lower num_ctx, or take a smaller model"
            found.warnings.append(document.problem(place, message))
    return found


def physical_memory_gib() -> float | None:
    """Return how much memory this machine has; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _BYTES_PER_GIB
    except (ValueError, OSError):
        return None


async def _ask_all(settings: Settings) -> SeenModels:
    by_address: dict[str, list[DeploymentSettings]] = {}
    for each in settings.deployments:
        if each.is_ollama and each.unavailable is None:
            by_address.setdefault(each.api_base or "", []).append(each)
    answers = await asyncio.gather(*(_ask(*item) for item in by_address.items()))
    models: dict[str, SeenModel] = {}
    silent = []
    for address, answer in zip(by_address, answers, strict=True):
        if answer is None:
            silent.append(address)
        else:
            models |= answer
    return SeenModels(models, tuple(silent))


async def _ask(api_base: str, deployments: list[DeploymentSettings]) -> dict[str, SeenModel] | None:
    """Return what one Ollama says of the deployments' models, or None without a usable answer."""
    from ccproxy.health.board import HealthBoard  # noqa: PLC0415
    from ccproxy.health.monitor import OllamaMonitor, ollama_backend  # noqa: PLC0415
    from ccproxy.health.seen import seen_model  # noqa: PLC0415
    from ccproxy.upstreams.ollama import OllamaControl  # noqa: PLC0415 - 0.1 s to import

    control = OllamaControl(api_base)
    names = {each.name: each.upstream_model for each in deployments}
    board = HealthBoard((ollama_backend(api_base),), {})
    monitor = OllamaMonitor({api_base: control}, {api_base: set(names.values())}, board)
    monitor.start()
    try:
        await asyncio.gather(
            *(monitor.wait_facts(api_base, model, ASK_FOR_S) for model in set(names.values()))
        )
        facts = {name: monitor.facts(api_base, model) for name, model in names.items()}
        is_silent = not monitor.is_up(api_base)
    finally:
        await monitor.aclose()
        await control.aclose()
    if is_silent:
        return None
    return {name: seen_model(each) for name, each in facts.items() if each is not None}
