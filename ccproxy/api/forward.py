"""Every other `/v1/…` path, as one plain ASGI endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ccproxy.api.asgi_client import BODY_TIMEOUT_S, AsgiClient
from ccproxy.api.body_memory import BodyMemory
from ccproxy.api.messages import incoming_from

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from ccproxy.ports import Client, Incoming


class ForwardService(Protocol):
    """The pipeline as this endpoint sees it."""

    async def serve(self, incoming: Incoming, client: Client) -> None:
        """Answer one request completely."""
        ...


class ForwardEndpoint:
    """Any method, any path."""

    def __init__(
        self,
        service: ForwardService,
        *,
        body_timeout_s: float = BODY_TIMEOUT_S,
        memory: BodyMemory | None = None,
    ) -> None:
        """Everything is the pipeline's; `memory` is for all endpoints together."""
        self._service = service
        self._body_timeout_s = body_timeout_s
        self._memory = memory or BodyMemory()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        client = AsgiClient(scope, receive, send, self._body_timeout_s, self._memory)
        try:
            await self._service.serve(incoming_from(scope), client)
        finally:
            client.let_go()
