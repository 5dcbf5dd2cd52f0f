"""A proxy in front of a real engine, with the SDK in front of the proxy."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import anthropic

from tests.support.engine_ollama import PLAIN, THINKER, EngineOllama
from tests.support.proxy import running_proxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.proxy import RunningProxy

NUM_CTX: Final = 8192
"""Of the deployment `plain`."""
SMALL_NUM_CTX: Final = 2048
"""Of the deployment `thinker`."""


@dataclass(frozen=True, slots=True)
class EngineProxy:
    """The proxy, the engine behind it, and the SDK in front of it."""

    proxy: RunningProxy
    engine: EngineOllama
    engine_url: str
    client: anthropic.AsyncAnthropic


@asynccontextmanager
async def running_engine_proxy(model_file: Path) -> AsyncIterator[EngineProxy]:
    """Run all of it while the block runs; no model is loaded yet."""
    engine = EngineOllama(model_file)
    async with engine.serve() as engine_url:

        def deployment(name: str, model: str, num_ctx: int) -> dict[str, Any]:
            params = {"model": f"ollama_chat/{model}", "api_base": engine_url, "num_ctx": num_ctx}
            return {"model_name": name, "litellm_params": params}

        models = [
            deployment("plain", PLAIN, NUM_CTX),
            deployment("thinker", THINKER, SMALL_NUM_CTX),
        ]
        profile = {"default": {"route": ["plain"]}}
        table = {"version": 1, "active_profile": "p", "profiles": {"p": profile}}
        async with (
            running_proxy(routing=table, changes={"model_list": models}) as proxy,
            anthropic.AsyncAnthropic(
                base_url=proxy.base_url, api_key=proxy.token, max_retries=0
            ) as client,
        ):
            yield EngineProxy(proxy, engine, engine_url, client)
