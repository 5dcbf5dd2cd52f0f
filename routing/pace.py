"""How fast a deployment is, learned from its answers, and when it would say its first word.

Rules:
1. Only what was measured counts. A deployment whose reading was not measured `LEAST_PREFILLS` times
   predicts nothing.
2. Reading is learned from prompts of which nearly all had to be read. One that seems `TOO_FAST`
   times as fast as is known was in the model's cache without our knowing, and is passed over.
   Slower ones count for more: the slowness that is overlooked costs a client its patience.
3. Of a prompt that a model read, what it found in its cache is told by the time that reading took,
   and is never more than what an earlier prompt shares with it. Ollama counts the whole prompt
   either way (conformance 219).
4. A prediction is the queue, the load where the model is not in memory, and the unread tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

CLIENT_LIMIT_S: Final = 300.0
"""Claude Code gives up a stream that is silent for so long (version 2.1.329)."""
LEAST_PREFILLS: Final = 2
LEAST_READ_TOKENS: Final = 512
"""Of fewer, the time tells of the fixed cost of a call."""
LEAST_READ_S: Final = 0.001
"""No model reads `LEAST_READ_TOKENS` in less: what says so did not measure."""
LEAST_READ_SHARE: Final = 0.75
"""Of a prompt: then it hardly matters what of the rest was read."""
LEAST_LOAD_S: Final = 0.5
"""Ollama states some hundredths of a second also where nothing had to be loaded."""
TOO_FAST: Final = 4.0
FASTER_SHARE: Final = 1 / 4
SLOWER_SHARE: Final = 1 / 2
REQUEST_SHARE: Final = 1 / 8


@dataclass(frozen=True, slots=True)
class Pace:
    """What is known of one deployment; None means not measured."""

    prefill_tokens_per_s: float | None = None
    load_s: float | None = None
    request_s: float | None = None
    """How long a request keeps its slot."""
    prefills: int = 0
    """How many readings were learned from."""

    @property
    def is_known(self) -> bool:
        """Whether it is enough to predict by."""
        return self.prefill_tokens_per_s is not None and self.prefills >= LEAST_PREFILLS


UNKNOWN_PACE: Final = Pace()


@dataclass(frozen=True, slots=True)
class Occupancy:
    """What goes on at a deployment right now."""

    waiting: int = 0
    """Requests that wait for a slot."""
    busy: int = 0
    slots: int | None = None
    """None where there is no limit, and nobody waits."""
    loaded: bool | None = None
    """Whether the model is in memory; None means unknown, and counts as loaded."""


IDLE: Final = Occupancy()


@dataclass(frozen=True, slots=True)
class Wait:
    """A prediction, with what it is made of."""

    queue_s: float
    load_s: float
    unread_tokens: int
    tokens_per_s: float

    @property
    def total_s(self) -> float:
        """Seconds to the first token."""
        return self.queue_s + self.load_s + self.unread_tokens / self.tokens_per_s

    def told(self) -> str:
        """Return it in words."""
        return (
            f"would take about {self.total_s:.0f} s to its first token: {self.queue_s:.0f} s "
            f"queue, {self.load_s:.0f} s load, {self.unread_tokens:,} unread tokens at "
            f"{self.tokens_per_s:.0f}/s"
        )


def predicted_wait(pace: Pace, occupancy: Occupancy, unread_tokens: int) -> Wait | None:
    """Return how long a prompt would take to its first token; None where that is not known."""
    rate = pace.prefill_tokens_per_s
    if rate is None or not pace.is_known:
        return None
    load_s = (pace.load_s or 0.0) if occupancy.loaded is False else 0.0
    return Wait(_queue_s(pace, occupancy), load_s, max(0, unread_tokens), rate)


def with_reading(known: Pace, read_tokens: int, prompt_tokens: int, prefill_s: float) -> Pace:
    """Return what is known after a prompt was read; the very same object if it taught nothing.

    Args:
        known: Before.
        read_tokens: What had to be read of it, as far as is known.
        prompt_tokens: All of it.
        prefill_s: How long that took.
    """
    least_tokens = max(LEAST_READ_TOKENS, LEAST_READ_SHARE * prompt_tokens)
    if read_tokens < least_tokens or prefill_s < LEAST_READ_S:
        return known
    seen, rate = read_tokens / prefill_s, known.prefill_tokens_per_s
    if rate is None:
        return replace(known, prefill_tokens_per_s=seen, prefills=1)
    if seen > TOO_FAST * rate:
        return known
    share = FASTER_SHARE if seen > rate else SLOWER_SHARE
    return replace(
        known, prefill_tokens_per_s=rate + share * (seen - rate), prefills=known.prefills + 1
    )


def with_load(known: Pace, load_s: float) -> Pace:
    """Return what is known after an answer that says how long it waited for the model."""
    if load_s < LEAST_LOAD_S:
        return known
    return replace(known, load_s=_moved(known.load_s, load_s, SLOWER_SHARE))


def with_request(known: Pace, held_s: float) -> Pace:
    """Return what is known after a request kept its slot for so long."""
    return replace(known, request_s=_moved(known.request_s, held_s, REQUEST_SHARE))


def evaluated_tokens(
    known: Pace, unread_tokens: int, prompt_tokens: int, prefill_s: float | None
) -> int:
    """Return how many tokens of a prompt a model read anew (rule 3); the rest it reused.

    Args:
        known: Of the deployment, before this answer.
        unread_tokens: What no earlier prompt shares with this one.
        prompt_tokens: The model's own count of the whole.
        prefill_s: How long reading took, as the model says.
    """
    least = min(max(1, unread_tokens), prompt_tokens)
    rate = known.prefill_tokens_per_s
    if rate is None or prefill_s is None or not known.is_known:
        return least
    return min(prompt_tokens, max(least, round(prefill_s * rate)))


def _queue_s(pace: Pace, occupancy: Occupancy) -> float:
    if not occupancy.slots or occupancy.busy < occupancy.slots:
        return 0.0
    return (occupancy.waiting + 1) * (pace.request_s or 0.0) / occupancy.slots


def _moved(known: float | None, seen: float, share: float) -> float:
    return seen if known is None else known + share * (seen - known)
