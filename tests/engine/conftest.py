"""A proxy in front of a real engine: llama.cpp with a tiny model, behind Ollama's API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.support.engine_proxy import EngineProxy, running_engine_proxy
from tests.support.messages import turn
from tests.support.tiny_model import write_tiny_model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture(scope="module")
def model_file(tmp_path_factory) -> Path:
    """The tiny model, made anew."""
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    write_tiny_model(path)
    return path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_engine_proxy(model_file) -> AsyncIterator[EngineProxy]:
    """A proxy that has served its first request, so that LiteLLM's import is over."""
    async with running_engine_proxy(model_file) as running:
        await running.client.messages.create(**turn(model="plain"))
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def engine_proxy(shared_engine_proxy: EngineProxy) -> EngineProxy:
    """The module's proxy; the engine's log is empty, and its models stay loaded."""
    engine = shared_engine_proxy.engine
    engine.requests.clear()
    engine.final_records.clear()
    engine.cached_tokens.clear()
    engine.native_chat = False
    return shared_engine_proxy
