"""How much of the clients' bodies may be in memory at once, as they came and unpacked.

One body has a limit; a hundred clients at that limit would be 3 GB. A client that sends a body for
which there is no room hears 529 and comes again: the SDKs and Claude Code do so by themselves.
"""

from __future__ import annotations

from threading import Lock
from typing import Final

from ccproxy.ports import ClientGone
from ccproxy.wire.errors import ApiError

MOST_BYTES: Final = 512 * 1024 * 1024
"""Two batches of Anthropic's largest size, or 1300 conversations of 100 000 tokens (400 kB)."""


class BodyMemory:
    """Counts the bytes that are held, of everybody together; in any thread."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """Begin with nothing held."""
        self.lock = Lock()
        """Of this count, and of all shares in it."""
        self.most_bytes = most_bytes
        self.held_bytes = 0


class BodyShare:
    """What one request holds of it, until it lets go for good."""

    __slots__ = ("_held_bytes", "_is_over", "_memory")

    def __init__(self, memory: BodyMemory) -> None:
        """Hold nothing yet."""
        self._memory = memory
        self._held_bytes = 0
        self._is_over = False

    def hold(self, size_bytes: int) -> None:
        """Count so many bytes more.

        Raises:
            ApiError: 529; there is no room. Nothing more is held.
            ClientGone: Nobody wants them any more; a thread heard of it too late.
        """
        memory = self._memory
        with memory.lock:
            if self._is_over:
                raise ClientGone
            if memory.held_bytes + size_bytes > memory.most_bytes:
                message = (
                    f"The requests that are being read hold {memory.held_bytes} bytes, and all of "
                    f"them together may hold {memory.most_bytes}. Try again in a moment."
                )
                raise ApiError(529, message, retry_after_s=2)
            memory.held_bytes += size_bytes
            self._held_bytes += size_bytes

    def let_go(self) -> None:
        """Count nothing of the request any more."""
        with self._memory.lock:
            self._memory.held_bytes -= self._held_bytes
            self._held_bytes = 0
            self._is_over = True
