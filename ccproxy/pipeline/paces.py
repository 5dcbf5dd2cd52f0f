"""How fast the deployments answered, and what of their prompts they had to read."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from routing.pace import (
    LEAST_LOAD_S,
    UNKNOWN_PACE,
    evaluated_tokens,
    with_load,
    with_reading,
    with_request,
)

if TYPE_CHECKING:
    from collections import Counter

    from ccproxy.pipeline.prefix_watch import Seen
    from ccproxy.ports import ModelDone
    from routing.pace import Pace

REUSED: Final = "reused"
EVALUATED: Final = "evaluated"
"""Kinds of prompt tokens in `Outcome.prompt_tokens`."""

_log = logging.getLogger(__name__)


class Paces:
    """The pace of each deployment; used on the event loop alone."""

    def __init__(self) -> None:
        """Begin with nothing measured."""
        self._known: dict[str, Pace] = {}

    def snapshot(self) -> dict[str, Pace]:
        """Return what is known now, by deployment; those never measured are left out."""
        return dict(self._known)

    def learn(
        self, deployment: str, seen: Seen, done: ModelDone, counts: Counter[str], *, request_id: str
    ) -> None:
        """Learn from an answer's end; `counts` gains what was reused and evaluated of its prompt.

        Args:
            deployment: Who answered.
            seen: What was known of the prompt before.
            done: What the model says of it; without its counts nothing is learned.
            counts: By kind of prompt tokens.
            request_id: For the log, which names every load (conformance 235).
        """
        known = self._known.get(deployment, UNKNOWN_PACE)
        if done.load_s is not None and done.load_s >= LEAST_LOAD_S:
            _log.info(
                "%s: the model was loaded in %.1f s",
                deployment,
                done.load_s,
                extra={"request_id": request_id},
            )
            known = with_load(known, done.load_s)
        if done.input_tokens:
            prompt_tokens = done.input_tokens
            unread = seen.unread_tokens(prompt_tokens)
            evaluated = evaluated_tokens(known, unread, prompt_tokens, done.prefill_s)
            counts[EVALUATED] += evaluated
            counts[REUSED] += prompt_tokens - evaluated
            if done.prefill_s is not None:
                known = with_reading(known, unread, prompt_tokens, done.prefill_s)
        self._known[deployment] = known

    def held(self, deployment: str, held_s: float) -> None:
        """Take note of how long a request kept its slot."""
        self._known[deployment] = with_request(self._known.get(deployment, UNKNOWN_PACE), held_s)
