"""The copy from an answering attempt to the client."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import TYPE_CHECKING, Final

from ccproxy.outcome import ANSWERED, Ending
from ccproxy.pipeline.deadline import DEADLINE_NOTE, Deadline, DeadlineMissed
from ccproxy.pipeline.duplicates import TAKEN_OVER
from ccproxy.pipeline.request import BUG, STOPPING
from ccproxy.ports import AttemptFailed, ClientGone
from ccproxy.wire.events import PING
from routing.failures import FailureClass

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from ccproxy.outcome import Outcome
    from ccproxy.pipeline.request import Reply
    from ccproxy.ports import Client

NO_DEADLINE: Final = Deadline()

PING_AFTER_S: Final = 6.0
"""Silence after which a ping goes out. With the patience before the first byte this stays under
the 15 s within which a client wants to hear something (conformance 151)."""

FAREWELL_S: Final = 1.0
"""How long a stopping proxy waits for a client to take its last event."""


async def relay(
    reply: Reply,
    client: Client,
    headers: Sequence[tuple[bytes, bytes]],
    outcome: Outcome,
    ping_after_s: float = PING_AFTER_S,
    deadline: Deadline = NO_DEADLINE,
    on_content: Callable[[], object] = bool,
) -> None:
    """Send a reply to the client; the reply is released whatever happens, before any farewell.

    `on_content` hears once that a piece of the model's own answer has come, before it is sent.

    Raises:
        ClientGone: The client left.
        AttemptFailed: The body broke off and the connection has to be cut.
    """
    farewell: tuple[str, str] | None = None
    try:
        await client.start(reply.status, headers)
        async with deadline.running():
            if reply.needs_pings:
                async with _pinging(client, ping_after_s):
                    await _copy(reply, client, outcome, on_content)
            else:
                await _copy(reply, client, outcome, on_content)
    except AttemptFailed:
        outcome.ending = Ending.BROKEN
        raise
    except DeadlineMissed as exc:
        outcome.ending = Ending.BROKEN
        outcome.notes.append(DEADLINE_NOTE)
        farewell = ("timeout_error", str(exc))
        raise AttemptFailed(FailureClass.TIMEOUT_BETWEEN_BYTES, str(exc)) from exc
    except asyncio.CancelledError:
        # The client left, which is found out further up, or its turn came again, or we stop.
        if outcome.ending is Ending.TAKEN_OVER:
            farewell = TAKEN_OVER
        else:
            outcome.ending = Ending.BROKEN
            farewell = STOPPING
        raise
    except ClientGone:
        raise
    except Exception:
        # A bug of ours. Without an error event the client would take what it has for the whole.
        outcome.ending = Ending.BROKEN
        farewell = BUG
        raise
    finally:
        ending = reply.farewell(*farewell) if farewell is not None else b""
        # A client that takes nothing must not keep the upstream at work.
        await reply.aclose()
        outcome.usage = reply.usage
        if outcome.attempt_records[-1].result == ANSWERED:
            outcome.attempt_ended(reply.failure or ANSWERED, outcome.usage)
        if reply.failure is not None and reply.status < 400:
            outcome.ending = Ending.BROKEN
        await _say_farewell(client, ending)


async def _say_farewell(client: Client, ending: bytes) -> None:
    if ending and client.started:
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await client.finish(ending)


async def _copy(
    reply: Reply, client: Client, outcome: Outcome, on_content: Callable[[], object]
) -> None:
    waiting = reply.status < 400
    async for chunk in reply.chunks():
        if waiting and reply.content_started:
            outcome.ttft_s = monotonic() - outcome.arrived_at
            waiting = False
            on_content()
        await client.send(chunk)
    await client.finish()


@asynccontextmanager
async def _pinging(client: Client, after_s: float) -> AsyncIterator[None]:
    pinger = asyncio.create_task(_ping_in_silence(client, after_s))
    try:
        yield
    finally:
        pinger.cancel()


async def _ping_in_silence(client: Client, after_s: float) -> None:
    while True:
        silent_s = monotonic() - client.last_sent_at
        if silent_s >= after_s:
            await client.send(PING)
        else:
            await asyncio.sleep(after_s - silent_s)
