"""`/v1/messages` and `/v1/messages/count_tokens` as plain ASGI endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import unquote_to_bytes

from ccproxy.api.asgi_client import BODY_TIMEOUT_S, AsgiClient
from ccproxy.api.body_memory import BodyMemory
from ccproxy.api.refusals import respond_with_error
from ccproxy.ports import Incoming
from ccproxy.wire.errors import ApiError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from ccproxy.ports import Client

PEER_LIMIT: Final = 64
"""The longest address, IPv6 with a zone, and no more of what a reverse proxy may pass on."""


class MessagesService(Protocol):
    """The pipeline as this endpoint sees it."""

    async def serve(self, incoming: Incoming, client: Client, *, counting: bool) -> None:
        """Answer one request completely."""
        ...


class MessagesEndpoint:
    """One path, POST only; everything else is the pipeline's."""

    def __init__(
        self,
        service: MessagesService,
        *,
        counting: bool,
        body_timeout_s: float = BODY_TIMEOUT_S,
        memory: BodyMemory | None = None,
    ) -> None:
        """`counting` is True for count_tokens; `memory` is for all endpoints together."""
        self._service = service
        self._counting = counting
        self._body_timeout_s = body_timeout_s
        self._memory = memory or BodyMemory()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            incoming = incoming_from(scope)
        except ApiError as refusal:
            await respond_with_error(refusal, send)
            return
        if scope["method"] != "POST":
            await respond_with_error(
                ApiError(405, "Method Not Allowed", headers=(("allow", "POST"),)), send
            )
            return
        client = AsgiClient(scope, receive, send, self._body_timeout_s, self._memory)
        try:
            await self._service.serve(incoming, client, counting=self._counting)
        finally:
            client.let_go()


def incoming_from(scope: Scope) -> Incoming:
    """Return the request line and headers of an ASGI scope, the agent's prefix taken off.

    Raises:
        ApiError: 404 where the prefix is there only after percent-decoding.
    """
    raw_path: bytes = scope["raw_path"]
    slug: str | None = scope.get("path_params", {}).get("slug")
    if slug is not None:
        # b"/agents/<slug>/v1/..." -> b"/v1/...", whatever percent-encoding the slug has.
        parts = raw_path.split(b"/", 3)
        if len(parts) < 4 or unquote_to_bytes(parts[2]) != slug.encode():
            raise ApiError(404, "Not found")  # a percent-encoded slash is no separator
        raw_path = b"/" + parts[3]
    return Incoming(
        scope["method"],
        raw_path.decode("ascii"),
        scope["query_string"],
        scope["headers"],
        slug,
        peer_of(scope),
    )


def peer_of(scope: Scope) -> str:
    """Return the address of whoever connected; empty where the server does not tell.

    Behind a trusted reverse proxy it is the client's, as that proxy wrote it down.
    """
    peer = scope.get("client")
    return peer[0][:PEER_LIMIT] if peer else ""
