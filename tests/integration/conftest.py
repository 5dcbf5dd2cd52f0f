"""One proxy per module, warm, with both simulated upstreams wiped before each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.support.proxy import FORGIVING, running_proxy, warm

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.proxy import RunningProxy


@pytest.fixture(scope="module")
def proxy_options(request: pytest.FixtureRequest) -> dict[str, object]:
    """Arguments of `running_proxy`; a module that wants others sets PROXY_OPTIONS."""
    return getattr(request.module, "PROXY_OPTIONS", {})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_proxy(proxy_options) -> AsyncIterator[RunningProxy]:
    """A warm proxy; see `warm`."""
    async with running_proxy(**(FORGIVING | proxy_options)) as proxy:
        await warm(proxy)
        for address in proxy.proxy.health.backends:
            # What is heard first of a backend decides about it.
            proxy.proxy.health.observe(address, ok=True, why="the tests begin")
        yield proxy


@pytest_asyncio.fixture(loop_scope="module")
async def proxy(shared_proxy: RunningProxy) -> AsyncIterator[RunningProxy]:
    """The module's proxy; its upstreams remember nothing of earlier tests."""
    shared_proxy.ollama.reset()
    shared_proxy.claude.reset()
    yield shared_proxy
    await shared_proxy.ollama.resume()
