"""A fleet of simulated upstreams in place of the real ones a config file names."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ccproxy.demo.claude import SimulatedClaude
from ccproxy.demo.ollama_server import SimulatedOllama

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ccproxy.config.deployments import DeploymentSettings
    from ccproxy.config.settings import Settings

SIMULATED_KEY: Final = "simulated-key"
OLLAMA_SPEED: Final = 20.0
"""Simulated seconds per second: a 20k-token prompt is read in some 5 s instead of 90."""
OLLAMA_MEMORY_GIB: Final = 48.0
"""Room for a 32b model and the small one side by side."""


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
async def simulated_upstreams() -> AsyncIterator[Simulation]:
    """Run both simulators on free loopback ports while the block runs."""
    ollama = SimulatedOllama(memory_gib=OLLAMA_MEMORY_GIB, speed=OLLAMA_SPEED)
    claude = SimulatedClaude()
    async with ollama.serve() as ollama_url, claude.serve() as claude_url:
        yield Simulation(ollama, claude, ollama_url, claude_url)
