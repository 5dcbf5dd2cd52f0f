"""One proxy per module for black-box tests; its upstreams remember nothing of earlier tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from ccproxy.demo.ollama_server import SimulatedOllama
from tests.support.black_box import RelayProxy
from tests.support.proxy import FORGIVING, UPSTREAM_KEY, running_proxy, warm
from tests.support.raw_upstream import raw_upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.proxy import RunningProxy


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_proxy(request: pytest.FixtureRequest) -> AsyncIterator[RunningProxy]:
    """A warm proxy; see `warm`."""
    options = getattr(request.module, "PROXY_OPTIONS", {})
    async with running_proxy(**(FORGIVING | options)) as proxy:
        await warm(proxy)
        yield proxy


@pytest_asyncio.fixture(loop_scope="module")
async def proxy(shared_proxy: RunningProxy) -> AsyncIterator[RunningProxy]:
    """The module's proxy, its upstreams wiped."""
    shared_proxy.ollama.reset()
    shared_proxy.claude.reset()
    yield shared_proxy
    await shared_proxy.ollama.resume()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_relay() -> AsyncIterator[RelayProxy]:
    """See `RelayProxy`."""

    def deployment(name: str, model: str, base: str, **params: object) -> dict[str, object]:
        info = {"base_model": "claude-any-1"} if model == "anthropic/*" else {}
        return {
            "model_name": name,
            "litellm_params": {"model": model, "api_base": base, **params},
            "model_info": info,
        }

    key = {"api_key": UPSTREAM_KEY}
    closed = "http://127.0.0.1:9"
    silent = SimulatedOllama()  # that it is there can be seen, but it never answers a question
    silent.add_fault("hang", times=10**6)
    async with (
        raw_upstream(b"") as claude,
        raw_upstream(b"", deaf=True) as deaf,
        silent.serve() as silent_url,
    ):
        models = [
            deployment("raw", "anthropic/*", claude.base_url, **key),
            deployment("named", "anthropic/claude-named-1", claude.base_url, **key),
            deployment("deaf", "anthropic/*", deaf.base_url, timeout=0.3, **key),
            deployment("closed", "anthropic/*", closed, **key),
            deployment("local-deaf", "ollama_chat/qwen-fast", silent_url, stream_timeout=0.3),
            deployment("local-closed", "ollama_chat/qwen", closed),
        ]
        profile = {"tiers": {"opus": {"route": ["raw"]}}, "default": {"route": ["local-closed"]}}
        table = {"version": 1, "active_profile": "p", "profiles": {"p": profile}}
        async with running_proxy(
            routing=table, changes={"model_list": models}, **FORGIVING
        ) as proxy:
            yield RelayProxy(proxy, claude)


@pytest_asyncio.fixture(loop_scope="module")
async def relay(shared_relay: RelayProxy) -> RelayProxy:
    """The module's relay proxy; what arrived earlier is forgotten."""
    shared_relay.claude.heads.clear()
    shared_relay.claude.bodies.clear()
    return shared_relay
