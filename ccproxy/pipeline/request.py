"""One Messages request as the pipeline passes it around, and what an attempt gives back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

from ccproxy.pipeline.prefix_watch import Conversation
from routing.policies import KEEP_THINKING

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import AsyncIterator, Mapping, Sequence

    from ccproxy.outcome import Usage
    from ccproxy.ports import Incoming
    from routing.failures import FailureClass
    from routing.policies import ThinkingPolicy
    from routing.types import Side

STOPPING: Final = ("overloaded_error", "The proxy is stopping; try again.")
"""Type and words for requests that a stop cuts off (conformance 162)."""

BUG: Final = ("api_error", "Internal proxy error.")
"""Type and words for requests that a bug of ours cuts off (conformance 062, 293)."""


@dataclass(slots=True)
class MessagesRequest:
    """A request whose body is known to be a JSON object; nothing else of it is checked."""

    incoming: Incoming
    raw_body: bytes
    """The bytes as received, still content-encoded."""
    decoded_body: bytes
    """The JSON bytes; the same object as `raw_body` unless the client encoded them."""
    body: Mapping[str, Any]
    request_id: str
    requested_model: str
    version: str
    """Value of `anthropic-version`."""
    counting: bool
    """True for count_tokens."""
    stream: bool
    notes: list[str]
    """What an attempt did silently to the eye: the outcome and a header name it."""
    tool_calls: dict[str, Counter[str]] = field(default_factory=dict)
    """By deployment: what happened to its tool calls, in the words of `wire.turn_calls`."""
    prompt_tokens: dict[str, Counter[str]] = field(default_factory=dict)
    """As `Outcome.prompt_tokens`."""
    conversation: Conversation = field(default_factory=Conversation)
    """Who asks, for what a local model has read of the same before."""
    arrived_at: float = field(default_factory=monotonic)
    """Monotonic seconds; a client's patience counts from here, whatever was tried since."""
    local_only: bool = False
    """`privacy: local_only` is in force: nothing of this may leave the host."""
    thinking: ThinkingPolicy = KEEP_THINKING
    """What the routing table allows of thinking."""
    names_claude_model: bool = True
    """The requested model is one of Claude's own ids, not a name of ours or of somebody else."""
    asks: Mapping[str, str] = field(default_factory=dict)
    """As `Plan.asks`."""
    own_credentials: Sequence[tuple[bytes, bytes]] = field(default=(), repr=False)
    """As `ForwardedRequest.own_credentials`."""
    overflow_is_trigger: bool = False
    """Deployments of the plan wait for `context_overflow`, in Claude's own words as well."""

    def for_plain_answer(self) -> MessagesRequest:
        """Return the same request, asking for an answer without content coding."""
        headers = [pair for pair in self.incoming.headers if pair[0] != b"accept-encoding"]
        headers.append((b"accept-encoding", b"identity"))
        return replace(self, incoming=replace(self.incoming, headers=headers))


class Reply(Protocol):
    """An attempt that answers: status and headers are decided, the body may still be running."""

    @property
    def status(self) -> int:
        """HTTP status."""
        ...

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """End-to-end headers."""
        ...

    @property
    def needs_pings(self) -> bool:
        """True for a stream of ours, whose silence the relay fills."""
        ...

    @property
    def failure(self) -> FailureClass | None:
        """The failure an error status stands for, or why the body broke off; None if neither."""
        ...

    @property
    def tells_of_deployment(self) -> bool:
        """False where an error is about another model than the deployment's own."""
        ...

    @property
    def content_started(self) -> bool:
        """True once a piece of the model's own answer was among the chunks."""
        ...

    @property
    def usage(self) -> Usage:
        """Token counts, complete once the body has ended."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body; raises `AttemptFailed` only where no error event can be appended."""
        ...

    def farewell(self, error_type: str, message: str) -> bytes:
        """Return what ends a running stream in an error event.

        Empty where nothing may follow what was sent.
        """
        ...

    async def aclose(self) -> None:
        """Release the upstream, at once if it is still answering. Never raises."""
        ...


class Served(Protocol):
    """A deployment as the attempt loop sees it."""

    @property
    def name(self) -> str:
        """The deployment's name."""
        ...

    @property
    def side(self) -> Side:
        """Which kind of upstream it is."""
        ...

    def model_for(self, request: MessagesRequest) -> str:
        """Return which of the upstream's models is asked.

        Raises:
            AttemptFailed: CAPABILITY_MISSING: there is none for this request.
        """
        ...

    async def open(self, request: MessagesRequest) -> Reply:
        """Start an attempt and wait until it answers.

        Raises:
            AttemptFailed: Nothing was relayed; another deployment may be tried.
            ApiError: The request itself is at fault.
        """
        ...


@dataclass(slots=True)
class WholeReply:
    """A reply whose body is complete in memory."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    usage: Usage
    needs_pings: bool = False
    tells_of_deployment: bool = True
    content_started: bool = True
    failure: FailureClass | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the one piece."""
        yield self.body

    def farewell(self, _error_type: str, _message: str) -> bytes:
        """Return nothing: the body is one piece."""
        return b""

    async def aclose(self) -> None:
        """Nothing to release."""
