"""A way to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ccproxy.alerts.message import Message


class NotDelivered(Exception):
    """A message did not arrive; the text says why, and holds no credential.

    Attributes:
        is_final: Sending it again would come to the same.
        retry_after_s: How long the other end wants to be left alone, if it said so.
    """

    def __init__(
        self, why: str, *, is_final: bool = False, retry_after_s: float | None = None
    ) -> None:
        """See the class."""
        super().__init__(why)
        self.is_final = is_final
        self.retry_after_s = retry_after_s


class Channel(Protocol):
    """One configured way; used on the event loop."""

    @property
    def name(self) -> str:
        """Its name for logs and metrics."""
        ...

    async def send(self, message: Message) -> None:
        """Deliver a message, once, in a bounded time.

        Raises:
            NotDelivered: Nobody took it.
        """
        ...
