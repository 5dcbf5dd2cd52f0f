"""The list of models: our deployments, then Claude's own ids when Claude can be asked.

A client's model picker must not wait for a slow or absent Claude: its list is fetched within a
second or taken from the last answer (conformance 254).
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Final

from ccproxy.ports import AttemptFailed, ForwardedRequest
from ccproxy.wire.errors import ApiError
from ccproxy.wire.json_body import parse_json_object
from ccproxy.wire.models_page import claude_entries, merge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ccproxy.ports import MessagesUpstream
    from ccproxy.wire.models_page import ModelEntry

FETCH_TIMEOUT_S: Final = 1.0
FRESH_S: Final = 300.0
"""How long Claude's list is used without asking again."""
BODY_LIMIT_BYTES: Final = 4 * 1024 * 1024


class ModelCatalogue:
    """Implements `api.models.Catalogue`."""

    def __init__(
        self,
        local: Sequence[ModelEntry],
        claude: MessagesUpstream | None,
        may_ask_claude: Callable[[], bool],
    ) -> None:
        """`may_ask_claude` is False while the active profile keeps everything on the host."""
        self._local = tuple(local)
        self._claude = claude
        self._may_ask_claude = may_ask_claude
        self._cached: list[ModelEntry] = []
        self._fetched_at: float | None = None
        self._asking = asyncio.Lock()

    async def entries(self) -> Sequence[ModelEntry]:
        """Return local entries, then Claude's without those that we have under the same id."""
        if self._claude is not None and self._may_ask_claude():
            await self._refresh(self._claude)
        return merge(self._local, self._cached)

    async def _refresh(self, claude: MessagesUpstream) -> None:
        try:
            async with asyncio.timeout(FETCH_TIMEOUT_S), self._asking:
                if self._fetched_at is not None and monotonic() - self._fetched_at < FRESH_S:
                    return
                fetched = await _fetch(claude)
        except (TimeoutError, AttemptFailed):
            return
        if fetched is not None:
            self._cached, self._fetched_at = fetched, monotonic()


async def _fetch(claude: MessagesUpstream) -> list[ModelEntry] | None:
    """Return Claude's models, or None where the answer is not a list of models."""
    reply = await claude.send(
        ForwardedRequest(
            "GET", "/v1/models", b"limit=1000", ((b"anthropic-version", b"2023-06-01"),), b""
        )
    )
    try:
        body = bytearray()
        async for chunk in reply.chunks():
            body += chunk
            if len(body) > BODY_LIMIT_BYTES:
                return None
    finally:
        await reply.aclose()
    if reply.status != 200:
        return None
    try:
        listing = parse_json_object(bytes(body))
    except ApiError:
        return None
    return claude_entries(listing.get("data"))
