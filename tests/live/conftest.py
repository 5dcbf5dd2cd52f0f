"""A proxy in front of a real Ollama, or of what stands in for one; see docs/live-ollama.md."""

from __future__ import annotations

import math
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
import pytest_asyncio

from ccproxy.demo.ollama_server import SimulatedOllama
from ccproxy.upstreams.ollama import OllamaControl
from tests.support.engine_ollama import EngineOllama
from tests.support.live_ollama import VARIABLES, LiveOllama, NoLiveOllama, find_live_ollama
from tests.support.ollama_tap import OllamaTap, TappedChat
from tests.support.proxy import RunningProxy, running_proxy
from tests.support.tiny_model import write_tiny_model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

OLLAMA = "ollama"
"""The real one."""
ENGINE = "engine"
SIMULATED = "simulated"
LIVE_TIMEOUT_S = 1800
"""For one test: a big model may have to be loaded, and to read a long prompt on a small machine."""
API_VERSION = "2023-06-01"
"""The one that takes `temperature`: these tests want the likeliest answer."""


@dataclass(frozen=True)
class Live:
    """Everything a test needs."""

    ollama: LiveOllama
    control: OllamaControl
    """Asks Ollama directly, past the proxy."""
    tap: OllamaTap
    """Between the proxy and Ollama."""
    tap_url: str
    proxy: RunningProxy
    client: anthropic.AsyncAnthropic

    def model(self, part: str) -> str:
        """Return the model that plays a part, or leave the test out, saying what is missing."""
        if part not in self.ollama.models:
            pytest.skip(
                f"no model at {self.ollama.url} is known for {part}: pull one, or name one in "
                f"{VARIABLES[part]}"
            )
        return self.ollama.models[part]

    async def say(self, part: str = "text", text: str = "Say hello.", **more: Any) -> Any:
        """Return a whole answer."""
        return await self.client.messages.create(**self.request(part, text, **more))

    def request(self, part: str = "text", text: str = "Say hello.", **more: Any) -> dict[str, Any]:
        """Return the SDK's arguments for a request to the model that plays a part."""
        self.model(part)
        return {
            "model": f"live-{part}",
            "max_tokens": 300,
            "messages": [{"role": "user", "content": text}],
            "extra_body": {"temperature": 0},
            **more,
        }

    @property
    def last_chat(self) -> TappedChat:
        """What was said to Ollama, and by it, most recently."""
        return self.tap.chats[-1]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Have each test run against a stand-in always, and against a real Ollama when asked."""
    if "live" not in metafunc.fixturenames:
        return
    stand_in = metafunc.module.STAND_INS.get(metafunc.function.__name__, ENGINE)
    needs = [pytest.mark.needs("llamacpp")] if stand_in == ENGINE else []
    targets = [
        pytest.param(stand_in, marks=needs),
        pytest.param(OLLAMA, marks=[pytest.mark.live, pytest.mark.timeout(LIVE_TIMEOUT_S)]),
    ]
    metafunc.parametrize("target", targets, indirect=True, scope="module")


@pytest.fixture(scope="module")
def target(request: pytest.FixtureRequest) -> str:
    """What plays Ollama."""
    return request.param


@asynccontextmanager
async def served(target: str, folder: Path) -> AsyncIterator[Mapping[str, str]]:
    """Serve what plays Ollama; gives the environment by which it is found."""
    if target == OLLAMA:
        yield os.environ
    elif target == SIMULATED:
        async with SimulatedOllama(speed=math.inf).serve() as url:
            yield {"OLLAMA_HOST": url}
    else:
        write_tiny_model(folder / "tiny.gguf")
        async with EngineOllama(folder / "tiny.gguf").serve() as url:
            yield {"OLLAMA_HOST": url}


@asynccontextmanager
async def proxy_before(tap_url: str, ollama: LiveOllama) -> AsyncIterator[RunningProxy]:
    """Run a proxy with one deployment for each part."""
    models = [
        {
            "model_name": f"live-{part}",
            "litellm_params": {
                "model": f"ollama_chat/{model}",
                "api_base": tap_url,
                "num_ctx": ollama.num_ctx,
                "keep_alive": "10m",
            },
        }
        for part, model in ollama.models.items()
    ]
    profile = {"default": {"route": ["live-text"]}}
    table = {"version": 1, "active_profile": "live", "profiles": {"live": profile}}
    async with running_proxy(routing=table, changes={"model_list": models}) as proxy:
        yield proxy


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_live(target: str, tmp_path_factory) -> AsyncIterator[Live]:
    """One proxy for all tests; its models are loaded once."""
    async with served(target, tmp_path_factory.mktemp("engine")) as environ:
        try:
            ollama = await find_live_ollama(environ)
        except NoLiveOllama as error:
            pytest.exit(str(error), returncode=1)
        tap = OllamaTap(ollama.url)
        control = OllamaControl(ollama.url)
        async with (
            tap.serve() as tap_url,
            proxy_before(tap_url, ollama) as proxy,
            anthropic.AsyncAnthropic(
                base_url=proxy.base_url,
                api_key=proxy.token,
                max_retries=0,
                timeout=LIVE_TIMEOUT_S,
                default_headers={"anthropic-version": API_VERSION},
            ) as client,
        ):
            yield Live(ollama, control, tap, tap_url, proxy, client)
        await control.aclose()


@pytest_asyncio.fixture(loop_scope="module")
async def live(shared_live: Live) -> Live:
    """The module's proxy; what was tapped earlier is forgotten."""
    shared_live.tap.chats.clear()
    shared_live.tap.paths.clear()
    return shared_live
