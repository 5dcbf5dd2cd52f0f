"""A fleet of simulated upstreams in place of the real ones a config file names."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ccproxy.demo.claude import SimulatedClaude
from ccproxy.demo.ollama_models import default_fleet, normalised, of_weight
from ccproxy.demo.ollama_server import SimulatedOllama

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ccproxy.config.deployments import DeploymentSettings
    from ccproxy.config.settings import Settings
    from ccproxy.demo.ollama_models import SimModel

SIMULATED_KEY: Final = "simulated-key"
OLLAMA_SPEED: Final = 20.0
"""Simulated seconds per second: a 20k-token prompt is read in some 5 s instead of 90."""
OLLAMA_MEMORY_GIB: Final = 48.0
"""Room for a 32b model and the small one side by side; more only where one model needs it."""
UNTOLD_GIB: Final = 5.0
"""Weights of a model whose deployment does not tell them: those of an 8b one."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """Both simulators and where they listen."""

    ollama: SimulatedOllama
    claude: SimulatedClaude
    ollama_url: str
    claude_url: str

    def in_place_of_real(self, settings: Settings) -> Settings:
        """Return the settings with no deployment that reaches anything but the simulators."""
        return replace(settings, deployments=tuple(map(self._stand_in, settings.deployments)))

    def _stand_in(self, deployment: DeploymentSettings) -> DeploymentSettings:
        if not (deployment.is_claude or deployment.is_ollama):
            reason = f"there is no simulated {deployment.provider}"
            return replace(deployment, api_key=None, unavailable=reason)
        return replace(
            deployment,
            api_base=self.claude_url if deployment.is_claude else self.ollama_url,
            api_key=SIMULATED_KEY,
            unavailable=None,
        )


@asynccontextmanager
async def simulated_upstreams(settings: Settings) -> AsyncIterator[Simulation]:
    """Run both simulators on free loopback ports while the block runs.

    The Ollama has the demo's models and every other that the settings name, and room for each.
    """
    models = (*default_fleet(), *named_models(settings.deployments))
    ollama = SimulatedOllama(
        models, memory_gib=_memory_gib(models, settings.deployments), speed=OLLAMA_SPEED
    )
    claude = SimulatedClaude()
    async with ollama.serve() as ollama_url, claude.serve() as claude_url:
        yield Simulation(ollama, claude, ollama_url, claude_url)


def named_models(deployments: Sequence[DeploymentSettings]) -> tuple[SimModel, ...]:
    """Return the Ollama models that deployments name and the demo's fleet lacks, each once.

    Each is as its deployment describes it; what that leaves open is a small model's.
    """
    known = {normalised(model.name) for model in default_fleet()}
    named = {normalised(each.upstream_model): each for each in deployments if each.is_ollama}
    return tuple(_simulated(each) for name, each in named.items() if name not in known)


def _simulated(deployment: DeploymentSettings) -> SimModel:
    abilities = {
        "tools": deployment.supports_tools is not False,
        "vision": deployment.supports_vision,
        "thinking": deployment.supports_reasoning,
    }
    model = of_weight(deployment.upstream_model, deployment.weights_gib or UNTOLD_GIB)
    return replace(
        model,
        kv_kib_per_token=deployment.kv_kib_per_token or model.kv_kib_per_token,
        trained_context_tokens=deployment.trained_context_tokens
        or max(model.trained_context_tokens, deployment.num_ctx or 0),
        capabilities=("completion", *(name for name, has in abilities.items() if has)),
    )


def _memory_gib(models: Sequence[SimModel], deployments: Sequence[DeploymentSettings]) -> float:
    by_name = {normalised(model.name): model for model in models}
    needed = (
        by_name[normalised(each.upstream_model)].resident_bytes(each.num_ctx or 0, parallel=1)
        for each in deployments
        if each.is_ollama
    )
    return max(OLLAMA_MEMORY_GIB, max(needed, default=0) / 2**30)
