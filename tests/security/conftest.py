"""One warm proxy per module, as in integration tests, behind the server that people run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest_asyncio

from tests.integration.conftest import proxy, proxy_options, shared_proxy
from tests.support.http_wire import ask
from tests.support.real_server import really_served
from tests.support.waiting import until_found

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.http_wire import Answer
    from tests.support.proxy import RunningProxy

__all__ = ["proxy", "proxy_options", "shared_proxy"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def base_url(shared_proxy: RunningProxy) -> AsyncIterator[str]:
    """Where the module's proxy is reached, once its ledger can be asked: until then that is a 503."""

    async def figures() -> Answer | None:
        headers = shared_proxy.headers
        answer = await ask(url, "/admin/usage", method="GET", headers=headers)
        return answer if answer.status == 200 else None

    async with really_served(shared_proxy.proxy.app) as url:
        await until_found(figures, 30)
        yield url
