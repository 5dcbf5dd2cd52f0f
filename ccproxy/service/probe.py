"""Asking the proxy itself how it is, as a load balancer would."""

from __future__ import annotations

import http.client
import json
import socket
from contextlib import closing
from dataclasses import dataclass
from typing import Final

_TIMEOUT_S: Final = 3.0
_BODY_BYTES: Final = 4096
_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read, not bound


@dataclass(frozen=True, slots=True)
class ProxyProbe:
    """Where the proxy of a service listens."""

    host: str
    """As in the settings: a name or an address; one that means all of them is asked at loopback."""
    port: int

    @property
    def url(self) -> str:
        """The base URL by which a client on this machine reaches it."""
        host = self._address
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    def is_live(self) -> bool:
        """Return whether a ccproxy answers."""
        return self._status("/health/live") == "live"

    def is_ready(self) -> bool:
        """Return whether it can serve at least one route."""
        return self._status("/health/ready") == "ready"

    def is_taken(self) -> bool:
        """Return whether anything accepts connections there."""
        try:
            socket.create_connection((self._address, self.port), _TIMEOUT_S).close()
        except OSError:
            return False
        return True

    @property
    def _address(self) -> str:
        bare = self.host.removeprefix("[").removesuffix("]")
        return _ANY_ADDRESS.get(bare, bare)

    def _status(self, path: str) -> str | None:
        """Return the `status` of a health endpoint's answer; None if there is no such answer."""
        connection = http.client.HTTPConnection(self._address, self.port, timeout=_TIMEOUT_S)
        try:
            with closing(connection):
                connection.request("GET", path)
                answer = json.loads(connection.getresponse().read(_BODY_BYTES))
        except (OSError, http.client.HTTPException, ValueError):
            return None
        status = answer.get("status") if isinstance(answer, dict) else None
        return status if isinstance(status, str) else None
