"""Where the pipeline meets the world: every Protocol it needs, and the data that crosses.

Two kinds of upstream exist. A `MessagesUpstream` speaks the Messages API itself and is relayed
byte for byte. A `ModelUpstream` speaks something else; it takes a normalised `ModelCall` and
yields `ModelDelta`s, which `wire` turns into Messages events.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from routing.breaker import Lease
    from routing.counterfactual import Comparison
    from routing.failures import FailureClass
    from routing.forecast import PastAnswer
    from routing.types import AgentMatch, Plan, RequestFacts


class AttemptFailed(Exception):
    """An attempt ended before anything of it was relayed, or broke off afterwards.

    Attributes:
        failure: Whose fault; `routing.failures` says what follows.
        message: For the client: no URL of ours, no traceback, no library's words.
        retry_after_s: What the upstream asked for, in whole seconds, or None.
        error_code: Documented `error.details.error_code`, or None.
        error_type: An upstream's own `error.type` that the client is to hear, or None.
        tells_of_deployment: False where it failed before the upstream was asked, or because of
            another model than the deployment's own.
        detail: For the log only.
    """

    def __init__(
        self,
        failure: FailureClass,
        message: str,
        *,
        retry_after_s: int | None = None,
        error_code: str | None = None,
        error_type: str | None = None,
        tells_of_deployment: bool = True,
        detail: str = "",
    ) -> None:
        """See the class."""
        super().__init__(f"{failure}: {message}")
        self.failure = failure
        self.message = message
        self.retry_after_s = retry_after_s
        self.error_code = error_code
        self.error_type = error_type
        self.tells_of_deployment = tells_of_deployment
        self.detail = detail


# --- byte pass-through -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ForwardedRequest:
    """A client's request on its way to an upstream that speaks the Messages API."""

    method: str
    path: str
    """Raw path without the `/agents/{slug}` prefix, still percent-encoded, e.g. `/v1/messages`."""
    query: bytes
    """Raw query string without `?`, untouched."""
    headers: Sequence[tuple[bytes, bytes]]
    """The client's headers as received, in order, repeated ones repeated."""
    body: bytes | AsyncIterator[bytes]
    """The bytes to send; an iterator for bodies that are streamed through (files, batches)."""


class BytesReply(Protocol):
    """An upstream's answer whose status and headers have arrived."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    """End-to-end headers as received: hop-by-hop ones and `set-cookie` are already gone."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, still encoded; raise `AttemptFailed` if it breaks."""
        ...

    async def aclose(self) -> None:
        """Give the connection back or, if the body was not read to its end, close it."""
        ...


class MessagesUpstream(Protocol):
    """An upstream that speaks the Messages API: bytes in, bytes out."""

    async def send(self, request: ForwardedRequest) -> BytesReply:
        """Send and wait for status and headers; any HTTP status is a reply.

        Raises:
            AttemptFailed: CONNECT_ERROR or TIMEOUT_FIRST_BYTE.
        """
        ...

    async def aclose(self) -> None:
        """Close pooled connections."""
        ...


# --- translation -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ModelCall:
    """One request in the chat shape that LiteLLM takes (OpenAI's), complete and validated.

    `messages` items are dicts:
    `{"role": "system"|"user", "content": str}`; a user message with images has
    `"content": [{"type": "text", "text": ...},
    {"type": "image_url", "image_url": {"url": "data:..."}}]`;
    `{"role": "assistant", "content": str, "thinking": str (optional),
    "tool_calls": [{"id", "type": "function",
    "function": {"name", "arguments": dict}}] (optional)}`;
    `{"role": "tool", "content": str, "tool_call_id": str, "tool_name": str,
    "images": [base64, ...] (optional)}`.
    """

    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]] = ()
    """`{"type": "function", "function": {"name", "description", "parameters"}}` each."""
    max_output_tokens: int = 4096
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    think: bool | str | None = False
    """True, False or a level ("low", "medium", "high"); None leaves it out (unknown capability)."""
    response_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One complete tool call of a model."""

    id: str | None
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ModelDelta:
    """One step of a model's answer; order inside one delta: thinking, text, tool calls."""

    thinking: str = ""
    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelDone:
    """The model's own end of its answer; a stream without it broke off."""

    reason: str
    """`stop` or `length`."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    load_s: float | None = None
    prefill_s: float | None = None


class ModelUpstream(Protocol):
    """One translated deployment: model, address and runner options are fixed at construction."""

    def stream(self, call: ModelCall) -> AsyncGenerator[ModelDelta | ModelDone]:
        """Yield deltas and at last exactly one `ModelDone`.

        Closing the generator (or cancelling the task that iterates it) closes the upstream
        connection at once.

        Raises:
            AttemptFailed: Any failure, before or between deltas, already classified.
        """
        ...

    async def aclose(self) -> None:
        """Release what the upstream holds."""
        ...


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What is known of a local model without loading it; None means unknown."""

    present: bool | None = None
    supports_tools: bool | None = None
    supports_vision: bool | None = None
    supports_thinking: bool | None = None
    trained_context_tokens: int | None = None
    remote: bool | None = None
    """True where inference runs on somebody else's machine, as it does for a cloud stub."""
    family: str | None = None
    """E.g. `qwen2`."""
    parameter_size: str | None = None
    """E.g. `32.8B`."""
    quantisation: str | None = None
    """E.g. `Q4_K_M`."""
    weights_bytes: int | None = None
    kv_bytes_per_token: int | None = None
    """Of the KV cache with 16 bits a value."""


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


# --- the client's end --------------------------------------------------------------------------


class ClientGone(Exception):
    """The client left before its answer was complete."""


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


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request as it arrived, before anything of it was judged."""

    method: str
    path: str
    """Raw path without the `/agents/{slug}` prefix, percent-encoding untouched."""
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]
    """Lower-case names, in order, repeated ones repeated."""
    path_agent: str | None = None
    """The slug of the prefix, decoded."""
    peer: str = ""
    """Address of whoever connected, e.g. `127.0.0.1`; that of a proxy in front, if there is one."""
    _first: Mapping[bytes, bytes] = field(init=False, repr=False, compare=False)
    """The first header of each name: a request is asked for a dozen."""

    def __post_init__(self) -> None:
        """Index the headers."""
        object.__setattr__(self, "_first", dict(reversed(self.headers)))

    def header(self, name: bytes) -> bytes | None:
        """Return the first header of that lower-case name, or None."""
        return self._first.get(name)

    def origin(self) -> Origin:
        """Return what outlives the request."""
        traceparent = self._first.get(b"traceparent", b"")[:TRACEPARENT_LIMIT]
        return Origin(self.peer, self.method, self.path[:PATH_LIMIT], traceparent.decode("latin-1"))


class Client(Protocol):
    """The client's end of one exchange. One task reads and writes; nobody else."""

    @property
    def started(self) -> bool:
        """True once status and headers are out: from then on no status can be changed."""
        ...

    @property
    def gone(self) -> bool:
        """True once the client is known to have left before its answer was complete."""
        ...

    @property
    def last_sent_at(self) -> float:
        """Monotonic seconds of the last byte given to the client."""
        ...

    async def read_body(self, limit_bytes: int) -> bytes:
        """Return the whole body.

        Raises:
            ApiError: 413 above the limit; 400 when it does not arrive in time.
            ClientGone: The client left.
        """
        ...

    def body_chunks(self, limit_bytes: int) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, for bodies that are streamed through.

        Raises:
            ApiError: 413 above the limit, at once if so much is declared; while iterating also 400
                when it stops arriving.
            ClientGone: The client left (while iterating).
        """
        ...

    def watched(self) -> AbstractAsyncContextManager[None]:
        """Inside it, the client's leaving cancels what runs and becomes `ClientGone`."""
        ...

    async def start(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Send status and headers."""
        ...

    async def send(self, chunk: bytes) -> None:
        """Send a piece of the body; waits while the client reads slowly."""
        ...

    async def finish(self, chunk: bytes = b"") -> None:
        """Send the last piece and end the response."""
        ...


# --- what the pipeline reports -----------------------------------------------------------------


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

    def attempt_begins(self, upstream_model: str = "") -> None:
        """Say that `deployment` is being asked."""
        self.attempt_records.append(
            AttemptRecord(
                self.deployment, self.route, UNFINISHED, upstream_model, began_at=monotonic()
            )
        )

    def attempt_ended(self, result: str, usage: Usage | None = None) -> None:
        """Say how the latest attempt ended, or that it came to another end than it seemed to."""
        latest = self.attempt_records[-1]
        latest.result = result
        latest.took_s = monotonic() - latest.began_at
        if usage is not None:
            latest.usage = usage


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


class DeploymentHealth(Protocol):
    """Whoever keeps the deployments' health; called on the event loop, answers at once."""

    def admit(self, deployment: str) -> Lease | None:
        """Return leave to make one attempt; None where the deployment is to be left alone."""
        ...

    def report(
        self,
        deployment: str,
        lease: Lease,
        failure: FailureClass | None,
        *,
        why: str = "",
        wait_s: float | None = None,
    ) -> None:
        """Take note of how an attempt ended; None is an answer.

        `why` is for people, `wait_s` the upstream's own `retry-after`.
        """
        ...

    def withdraw(self, deployment: str, lease: Lease) -> None:
        """Take a lease back whose attempt says nothing of the deployment."""
        ...


class OutcomeSink(Protocol):
    """Whoever wants to hear of every finished request (log, metrics, later the ledger)."""

    def record(self, outcome: Outcome) -> None:
        """Take note; called on the event loop, so it must not block or raise."""
        ...


class HistoryUnknownError(Exception):
    """Earlier requests cannot be read now; the message says why and holds no password."""


class History(Protocol):
    """Whoever remembers earlier requests; may block."""

    def output_tokens(self, agent: str, request_class: str) -> Sequence[int]:
        """Return how long answers to an agent's requests of one class were.

        Raises:
            HistoryUnknownError: They cannot be read.
        """
        ...

    def answers(self, deployment: str) -> Sequence[PastAnswer]:
        """Return streamed answers of a deployment.

        Raises:
            HistoryUnknownError: They cannot be read.
        """
        ...

    def learned_ratios(self) -> Sequence[LearnedRatio]:
        """Return what was learned of the deployments' token counts.

        Raises:
            HistoryUnknownError: They cannot be read.
        """
        ...

    def shapes(self, agent: str | None = None) -> Sequence[tuple[int, int]]:
        """Return prompt and output tokens of requests, newest first, of one agent or of all.

        Raises:
            HistoryUnknownError: They cannot be read.
        """
        ...
