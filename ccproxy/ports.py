"""Where the pipeline meets the world: every Protocol it needs, and the data that crosses.

Two kinds of upstream exist. A `MessagesUpstream` speaks the Messages API itself and is relayed
byte for byte. A `ModelUpstream` speaks something else; it takes a normalised `ModelCall` and
yields `ModelDelta`s, which `wire` turns into Messages events.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ccproxy.outcome import PATH_LIMIT, TRACEPARENT_LIMIT, Origin
from routing.records import record

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from ccproxy.outcome import LearnedRatio, Outcome
    from routing.breaker import Lease
    from routing.failures import FailureClass
    from routing.forecast import PastAnswer


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


@record(frozen=True, slots=True)
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
    own_credentials: Sequence[tuple[bytes, bytes]] = field(default=(), repr=False)
    """Those of the headers that are the client's own credentials; only an upstream that is used
    under the client's account sends them."""


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


# --- the client's end --------------------------------------------------------------------------


class ClientGone(Exception):
    """The client left before its answer was complete."""


@record(frozen=True, slots=True)
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

    def hold(self, size_bytes: int) -> None:
        """Count what is unpacked of the body, in any thread, before the next piece is.

        Raises:
            ApiError: 529; all requests together hold too much.
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


# --- whom the pipeline tells, and asks ---------------------------------------------------------


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


class BackendHealth(Protocol):
    """Whoever keeps the health of what is behind the deployments; as `DeploymentHealth`."""

    def why_not(self, deployment: str) -> str | None:
        """Return why a deployment is to be left alone now, or None; in words for clients too."""
        ...

    def reached(self, deployment: str, failure: FailureClass | None, *, why: str = "") -> None:
        """Take note of how a request ended that asked no model: it tells of the backend alone."""
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
