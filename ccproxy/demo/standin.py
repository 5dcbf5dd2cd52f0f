"""A fleet of simulated upstreams in place of the real ones a config file names."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ccproxy.demo.claude import SimulatedClaude
from ccproxy.demo.ollama_server import SimulatedOllama

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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
        """Return the settings with every deployment pointed at the simulators."""
        deployments = tuple(
            replace(
                deployment,
                api_base=self.claude_url if deployment.is_claude else self.ollama_url,
                api_key=SIMULATED_KEY,
                unavailable=None,
            )
            for deployment in settings.deployments
        )
        return replace(settings, deployments=deployments)


@asynccontextmanager
async def simulated_upstreams() -> AsyncIterator[Simulation]:
    """Run both simulators on free loopback ports while the block runs."""
    ollama = SimulatedOllama(memory_gib=OLLAMA_MEMORY_GIB, speed=OLLAMA_SPEED)
    claude = SimulatedClaude()
    async with ollama.serve() as ollama_url, claude.serve() as claude_url:
        yield Simulation(ollama, claude, ollama_url, claude_url)
