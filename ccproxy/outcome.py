"""What the pipeline reports: how each request went, and what was learned on the way.

An `Outcome` is filled in as its request goes on and handed to every `ports.OutcomeSink` at its end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections import Counter

    from routing.counterfactual import Comparison
    from routing.types import AgentMatch, Plan, RequestFacts

PATH_LIMIT: Final = 256
"""Characters of a path in the audit log."""
TRACEPARENT_LIMIT: Final = 128
"""Bytes; version 00 has 55."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from and what it asked for, for the audit log and traces."""

    peer: str = ""
    """As `Incoming.peer`."""
    method: str = ""
    path: str = ""
    """As `Incoming.path`, cut off."""
    traceparent: str = ""
    """The client's own header (W3C Trace Context), whatever is in it."""


NOWHERE: Final = Origin()


@dataclass(slots=True)
class Usage:
    """Token counts of one answer, in Anthropic's terms. None means the upstream never said."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    response_model: str | None = None
    stop_reason: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    """What else an upstream's `usage` said; of a local model `load_s`, `prefill_s`, `queue_s`, and
    `input_tokens_estimated` or `output_tokens_estimated` where a count is ours."""


class Ending(StrEnum):
    """How a request ended, for the log and the metrics; every request has exactly one."""

    COMPLETED = "completed"
    """Relayed to its end, whatever the status."""
    REFUSED = "refused"
    """Answered by the proxy itself with a client error (auth, validation, routing)."""
    FAILED = "failed"
    """No attempt answered; the client got an error of ours."""
    BROKEN = "broken"
    """Broke off after the first byte; the client saw an error event or a closed connection."""
    CLIENT_GONE = "client_gone"
    TAKEN_OVER = "taken_over"
    """The client sent the same turn again, and that one was served."""


ANSWERED = "ok"
"""Result of an attempt whose answer was relayed."""
UNFINISHED = "unfinished"
"""Result of an attempt that was called off before it answered: the client left, or was told of a
deadline."""


@dataclass(slots=True)
class AttemptRecord:
    """One attempt of a request, as it went."""

    deployment: str
    route: str
    """`local`, `claude` or `other`."""
    result: str
    """`ANSWERED`, `UNFINISHED`, a failure class; `left_alone` or `over_budget` where nobody was
    asked."""
    upstream_model: str = ""
    """What was asked for there."""
    began_at: float = 0.0
    """Monotonic seconds."""
    took_s: float = 0.0
    """Until its answer was relayed to the end, or it failed."""
    usage: Usage = field(default_factory=Usage)


@dataclass(slots=True)
class Outcome:
    """Everything worth knowing about one finished request; no content, no credential."""

    request_id: str
    endpoint: str
    """`messages`, `count_tokens` or `other`."""
    started_at: float
    """Unix time, seconds."""
    origin: Origin = NOWHERE
    principal: str = ""
    agent: str = "unknown"
    agent_source: str = "none"
    requested_model: str = ""
    deployment: str = ""
    route: str = ""
    attempt_records: list[AttemptRecord] = field(default_factory=list)
    """In order."""
    status: int = 0
    ending: Ending = Ending.COMPLETED
    stream: bool = False
    arrived_at: float = field(default_factory=monotonic)
    """Monotonic seconds, from which the durations count."""
    ttft_s: float | None = None
    """Request accepted to the first piece of the model's answer relayed; None for errors."""
    total_s: float = 0.0
    usage: Usage = field(default_factory=Usage)
    request_class: str = ""
    """`turn`, or what kind of call of the client's own it was; empty before it was looked at."""
    routed: Routed | None = None
    """None where the request never came to a decision."""
    notes: list[str] = field(default_factory=list)
    """What was not silent: dropped fields, cut blocks, ignored tools."""
    tool_calls: dict[str, Counter[str]] = field(default_factory=dict)
    """By deployment: what happened to its tool calls, in the words of `wire.turn_calls`; attempts
    that failed included."""
    prompt_tokens: dict[str, Counter[str]] = field(default_factory=dict)
    """By deployment: prompt tokens of local models that were `reused` from what they had read
    before, or `evaluated` anew."""
    comparison: Comparison | None = None
    """With what of Claude's a local answer is compared; None where it is not."""

    @property
    def attempts(self) -> list[str]:
        """`deployment:failure_class` or `deployment:ok`, in order."""
        return [f"{each.deployment}:{each.result}" for each in self.attempt_records]

    def attempt_begins(self) -> AttemptRecord:
        """Say that `deployment` is being asked; returns the record, for the model to be named."""
        record = AttemptRecord(self.deployment, self.route, UNFINISHED, began_at=monotonic())
        self.attempt_records.append(record)
        return record

    def attempt_ended(self, result: str, usage: Usage | None = None) -> None:
        """Say how the latest attempt ended, or that it came to another end than it seemed to."""
        latest = self.attempt_records[-1]
        latest.result = result
        latest.took_s = monotonic() - latest.began_at
        if usage is not None:
            latest.usage = usage


@dataclass(slots=True)
class Routed:
    """How a request was decided, for the record."""

    facts: RequestFacts
    table_version: str
    match: AgentMatch | None = None
    """None where it was not found out: the request named an agent that does not exist."""
    plan: Plan | None = None
    """None where the decision went against the request."""
    body_bytes: int = 0
    """Length of the request's JSON."""


@dataclass(frozen=True, slots=True)
class LearnedRatio:
    """How far token estimates are off at one deployment, as the ledger keeps it."""

    deployment: str
    model: str
    """As the config file names it; a deployment that gets another model learns anew."""
    ratio: float
    """True tokens per estimated one."""
    samples: int
    updated_at_s: float
    """Unix time."""
