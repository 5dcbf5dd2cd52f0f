"""One turn runs once: who sends it again takes the place of the one before.

A client that gave up on a slow local answer sends the same request again, and a model that served
both would be twice as slow for it.

Rules:
1. The same turn is: principal, session id and agent id (or both without one) are equal, and so are
   the bodies but for `stream`. A request without a session id is nobody's turn.
2. The one before is given up while it runs locally, or waits to, and no content of its answer was
   relayed or its client is gone. What it has read stays in the model's prompt cache, so that the
   later one goes on where it was.
3. The later one starts when the one before has let go of its upstream.
4. A client that still listens to the one before hears a 409 that is not to be tried again; in a
   committed stream, an error event.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from ccproxy.outcome import Ending
from ccproxy.wire.errors import ApiError
from ccproxy.wire.json_text import json_bytes
from routing.types import Side

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from ccproxy.outcome import Outcome
    from ccproxy.pipeline.prefix_watch import Conversation
    from ccproxy.ports import Client

TAKEN_OVER: Final = ("conflict_error", "The same turn was sent again, and is answered there.")
"""What a client is told that still listens: error type and message."""
REPEATED_NOTE: Final = "repeated_turn"
"""What the outcome says of a request that took the place of another."""


class TakenOver(ApiError):
    """The same turn was sent again: a 409 that is not to be tried again."""

    def __init__(self) -> None:
        """See the class."""
        super().__init__(409, TAKEN_OVER[1], should_retry=False)


Turn = tuple[str, str, str, bytes]
"""Principal, session id, agent id, digest of the body."""


def turn_of(conversation: Conversation, body: Mapping[str, Any]) -> Turn | None:
    """Return by what a request is recognised when it comes again; None without a session id.

    Takes a millisecond per megabyte of body.
    """
    if not conversation.session_id:
        return None
    rest = {key: value for key, value in body.items() if key != "stream"}
    digest = blake2b(json_bytes(rest), digest_size=16).digest()
    return conversation.principal, conversation.session_id, conversation.agent_id, digest


@dataclass(eq=False, slots=True)
class _Run:
    """One request that is being served, from its plan to its end."""

    task: asyncio.Task[object]
    client: Client
    outcome: Outcome
    over: asyncio.Event = field(default_factory=asyncio.Event)
    is_given_up: bool = False

    def gives_way(self) -> bool:
        """Return whether a later one takes its place (rule 2)."""
        is_local = self.outcome.route in ("", Side.LOCAL)
        return is_local and (self.client.gone or self.outcome.ttft_s is None)

    def give_up(self) -> None:
        if not self.is_given_up:
            self.is_given_up = True
            self.outcome.ending = Ending.TAKEN_OVER
            self.task.cancel()


class Duplicates:
    """The turns that are being served; a turn is forgotten with its last request."""

    def __init__(self) -> None:
        """Begin with none."""
        self._runs: dict[Turn, list[_Run]] = {}

    def __len__(self) -> int:
        """Return how many turns are being served."""
        return len(self._runs)

    @asynccontextmanager
    async def alone(
        self, turn: Turn | None, client: Client, outcome: Outcome
    ) -> AsyncIterator[None]:
        """Serve a turn inside this, once nobody else does.

        Raises:
            TakenOver: The same turn was sent again.
        """
        task = asyncio.current_task()
        if turn is None or task is None:
            yield
            return
        runs = self._runs.setdefault(turn, [])
        before = [run for run in runs if run.gives_way() or run.is_given_up]
        run = _Run(task, client, outcome)
        runs.append(run)
        try:
            for earlier in before:
                earlier.give_up()
            for earlier in before:
                await earlier.over.wait()
            if before:
                outcome.notes.append(REPEATED_NOTE)
            yield
        except asyncio.CancelledError:
            if not run.is_given_up or task.uncancel():
                raise
            raise TakenOver from None
        finally:
            runs.remove(run)
            run.over.set()
            if not runs:
                self._runs.pop(turn, None)
