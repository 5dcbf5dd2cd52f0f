"""How much of the clients' bodies may be in memory at once.

One body has a limit; a hundred clients at that limit would be 3 GB. A client that sends a body for
which there is no room hears 529 and comes again: the SDKs and Claude Code do so by themselves.
"""

from __future__ import annotations

from typing import Final

from ccproxy.wire.errors import ApiError

MOST_BYTES: Final = 512 * 1024 * 1024
"""Two batches of Anthropic's largest size, or 1300 conversations of 100 000 tokens (400 kB)."""


class BodyMemory:
    """Counts the bytes that are held, of everybody together."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """Begin with nothing held."""
        self._most_bytes = most_bytes
        self.held_bytes = 0

    def take(self, size_bytes: int) -> None:
        """Hold so many bytes more.

        Raises:
            ApiError: 529; there is no room. Nothing more is held.
        """
        if self.held_bytes + size_bytes > self._most_bytes:
            message = (
                f"The requests that are being read hold {self.held_bytes} bytes, and all of them "
                f"together may hold {self._most_bytes}. Try again in a moment."
            )
            raise ApiError(529, message, retry_after_s=2)
        self.held_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Hold so many bytes less."""
        self.held_bytes -= size_bytes
