"""Who asked the framework's endpoints for what, on record: refusals, and all that admins do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from ccproxy.api.messages import peer_of
from ccproxy.outcome import Origin
from ccproxy.wire.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from ccproxy.auth import Principal

ADMIN_PREFIX: Final = "/admin/"
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class Auditor(Protocol):
    """Whoever keeps the records."""

    def refused(self, origin: Origin, status: int, request_id: str, *, principal: str = "") -> None:
        """Take note of refused access."""
        ...

    def done(self, origin: Origin, status: int, request_id: str, *, principal: str) -> None:
        """Take note of what an operator did."""
        ...


class RequestAudit:
    """Tells of what the framework serves; the pipeline's requests are told of by their outcomes."""

    def __init__(
        self,
        auditor: Auditor,
        authenticate: Callable[[Sequence[tuple[bytes, bytes]]], Principal],
    ) -> None:
        """`authenticate` raises `ApiError` for a caller without a valid token."""
        self._auditor = auditor
        self._authenticate = authenticate

    def refused(self, scope: Scope, status: int, request_id: str) -> None:
        """Tell of a request that was answered with 401 or 403."""
        principal = self._name(scope) or ""
        self._auditor.refused(_origin(scope), status, request_id, principal=principal)

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return the app, telling of every admin request that is no mere reading.

        Those that end in 401 or 403 are left to `refused`.
        """

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            principal = self._name(scope) if _is_admin_action(scope) else None
            if principal is None:
                await app(scope, receive, send)
                return

            async def noted(message: Message) -> None:
                if message["type"] == "http.response.start" and message["status"] != 403:
                    request_id = dict(message["headers"]).get(b"request-id", b"").decode()
                    self._auditor.done(
                        _origin(scope), message["status"], request_id, principal=principal
                    )
                await send(message)

            await app(scope, receive, noted)

        return serve

    def _name(self, scope: Scope) -> str | None:
        """Return whose token a request carries, or None."""
        try:
            return self._authenticate(scope["headers"]).name
        except ApiError:
            return None


def _is_admin_action(scope: Scope) -> bool:
    is_admin = scope["type"] == "http" and scope["path"].startswith(ADMIN_PREFIX)
    return is_admin and scope["method"] not in _READS


def _origin(scope: Scope) -> Origin:
    return Origin(peer_of(scope), scope["method"], scope["path"])
