"""The frame around a request: whatever happens inside becomes exactly one `Outcome`."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import TYPE_CHECKING

from ccproxy.outcome import Ending
from ccproxy.pipeline.duplicates import TakenOver
from ccproxy.pipeline.refusals import refusal_after, send_refusal
from ccproxy.pipeline.request import BUG, STOPPING
from ccproxy.ports import AttemptFailed, ClientGone
from ccproxy.wire.errors import ApiError

if TYPE_CHECKING:
    from types import TracebackType

    from ccproxy.outcome import Outcome
    from ccproxy.pipeline.in_flight import InFlight
    from ccproxy.ports import Client, OutcomeSink

_log = logging.getLogger(__name__)


class Accounted:
    """`async with` around one request; only the server's own cancellation gets out of it.

    An exception becomes the client's answer where none has begun, and the outcome's ending.
    """

    def __init__(
        self, client: Client, outcome: Outcome, sink: OutcomeSink, in_flight: InFlight
    ) -> None:
        """`sink` hears of the outcome at the end, once; `in_flight` knows of it until then."""
        self._client = client
        self._outcome = outcome
        self._sink = sink
        self._in_flight = in_flight

    async def __aenter__(self) -> None:
        """Begin."""
        self._in_flight.begin(self._outcome)

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        exc: BaseException | None,
        _traceback: TracebackType | None,
    ) -> bool:
        """Settle what happened, and account for it."""
        try:
            return await self._settle(exc)
        finally:
            self._in_flight.end(self._outcome)
            self._outcome.total_s = monotonic() - self._outcome.arrived_at
            self._sink.record(self._outcome)

    async def _settle(self, exc: BaseException | None) -> bool:
        """Return whether the exception is dealt with."""
        match exc:
            case None:
                return False
            case ClientGone():
                self._outcome.ending = Ending.CLIENT_GONE
            case TakenOver():
                await self._refuse(exc)
                self._outcome.ending = Ending.TAKEN_OVER
            case ApiError():
                await self._refuse(exc)
            case AttemptFailed():
                # If the body broke off where no error event fits, the response stays unfinished:
                # that makes the server cut the connection, which is the truth.
                await self._refuse(refusal_after(exc))
            case asyncio.CancelledError():
                # The server's grace is over. Who has not heard anything yet hears that.
                await self._refuse(ApiError(529, STOPPING[1], should_retry=True))
                return False
            case Exception():
                _log.error(
                    "request failed", exc_info=exc, extra={"request_id": self._outcome.request_id}
                )
                await self._refuse(ApiError(500, BUG[1]))
            case _:
                return False
        return True

    async def _refuse(self, refusal: ApiError) -> None:
        outcome = self._outcome
        if self._client.started:
            outcome.ending = Ending.BROKEN
            return
        outcome.status = refusal.status
        outcome.ending = Ending.REFUSED if refusal.status < 500 else Ending.FAILED
        await send_refusal(refusal, self._client, outcome)
