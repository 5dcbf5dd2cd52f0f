"""Who may ask where no token is asked for: programs on this machine, and no web page of others.

With `auth: {mode: off}` being on this machine is all that a caller has to prove, and a browser is
on this machine with whatever page it shows. Rules:
1. `Host` names this machine. A page whose name was pointed at 127.0.0.1 after it was loaded (DNS
   rebinding) says its own name there.
2. `Origin`, which browsers send with everything but plain reading, is the address that was asked:
   the proxy's own dashboard (cross-site request forgery).

Programs send no `Origin`, and as `Host` what stands in their base URL.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ccproxy.api.refusals import respond_with_error
from ccproxy.wire.errors import ApiError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_WAY_OUT = (
    "Without tokens (`auth: {mode: off}`) the proxy serves programs on its own machine only: "
)


class OwnPagesOnly:
    """An ASGI app in front of another; it answers 403 to what a stranger's page sends."""

    def __init__(self, app: ASGIApp) -> None:
        """Stand in front of `app`."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection of any type."""
        if scope["type"] == "http" and (why := _refusal(scope)) is not None:
            await respond_with_error(ApiError(403, _WAY_OUT + why, should_retry=False), send)
            return
        await self._app(scope, receive, send)


def _refusal(scope: Scope) -> str | None:
    hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
    if len(hosts) > 1 or not all(map(_is_this_machine, hosts)):
        return "ask for it as localhost or 127.0.0.1, or switch tokens on."
    own = [f"{scheme}://{host}" for host in hosts for scheme in ("http", "https")]
    if any(origin.lower() not in map(str.lower, own) for origin in origins):
        return "web pages of other origins are refused."
    return None


def _is_this_machine(host: str) -> bool:
    """Return whether a `Host` header, which may carry a port, names the loopback interface."""
    try:
        parts = urlsplit(f"//{host}")
        name = parts.hostname or ""
    except ValueError:
        return False
    if parts.netloc != host or "@" in host:
        return False
    name = name.removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
