"""One warm proxy per module, as in integration tests, behind the server that people run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from tests.integration.conftest import proxy, proxy_options, shared_proxy
from tests.support.real_server import really_served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.proxy import RunningProxy

__all__ = ["proxy", "proxy_options", "shared_proxy"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def base_url(shared_proxy: RunningProxy) -> AsyncIterator[str]:
    """Where the module's proxy is reached."""
    async with really_served(shared_proxy.proxy.app) as url:
        yield url
