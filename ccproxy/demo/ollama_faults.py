"""Trouble on demand: what can go wrong with an Ollama, by name.

A fault applies to the next `times` requests whose path starts with `path` and whose model is
`model` (each if set); without a path it applies to `/api/chat` and `/api/generate`.

`POST /_sim/faults` takes one JSON object, or a list of them, with the fields of `Fault`; e.g.
`{"kind": "reset", "after_records": 3}` or `{"kind": "bad_request", "message": "context"}`.
Three kinds concern the server and take effect at once: `refuse`, `hang_accept` (both for
`seconds`, which must be given) and `reset_all` (every open connection).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Final

OVERFLOW_MESSAGE: Final = (
    "the prompt is longer than the context length currently available to the model; shorten the"
    " prompt, adjust the context length in settings, or use a model with a longer context length"
)
"""Source: Ollama llm/llama_server.go, v0.32."""

BAD_REQUESTS: Final = {
    "context": OVERFLOW_MESSAGE,
    "context_native": (
        '{"error":{"code":400,"message":"request (64010 tokens) exceeds the available context size'
        ' (64000 tokens), try increasing it","type":"exceed_context_size_error",'
        '"n_prompt_tokens":64010,"n_ctx":64000}}'
    ),
    "tools": "registry.ollama.ai/library/qwen2.5:7b does not support tools",
    "thinking": '"qwen2.5:7b" does not support thinking',
    "unmarshal": (
        "json: cannot unmarshal string into Go struct field"
        " ChatRequest.messages.tool_calls.function.arguments of type map[string]interface {}"
    ),
    "base64": "illegal base64 data at input byte 4",
}
"""Short names for the messages of a `bad_request`; any other text is sent as it is."""


class FaultKind(StrEnum):
    """Everything that can go wrong on demand."""

    # Before the status line.
    DELAY_HEADERS = "delay_headers"
    """Wait `seconds`, then serve normally."""
    HANG = "hang"
    """Read the request and never answer."""
    RESET_BEFORE_HEADERS = "reset_before_headers"
    # Instead of an answer.
    NON_JSON = "non_json"
    """200 with a text body."""
    HTML_500 = "html_500"
    EMPTY_BODY = "empty_body"
    """200 and nothing."""
    BUSY = "busy"
    """503, Ollama's full queue."""
    UNAUTHORIZED = "unauthorized"
    """401 with `signin_url`, as for a cloud model without a login."""
    FORBIDDEN = "forbidden"
    BAD_REQUEST = "bad_request"
    """400 with `message`, or one of `BAD_REQUESTS` by its short name."""
    SERVER_ERROR = "server_error"
    """500 with `message`."""
    DELETE_MODEL = "delete_model"
    """The requested model is removed from the machine first, for good."""
    # After `after_records` records of a streamed answer.
    RESET = "reset"
    """TCP RST."""
    CLOSE = "close"
    """FIN in the middle of the chunked body."""
    NO_DONE = "no_done"
    """The body ends properly, without a `done` record."""
    ERROR_LINE = "error_line"
    """`{"error": message}` as the next line, then the end."""
    GARBAGE_LINE = "garbage_line"
    """A line that is not JSON, then the rest of the answer."""
    STALL = "stall"
    """`seconds` of silence (0: until the client leaves), then the rest of the answer."""
    ENDLESS_LINE = "endless_line"
    """A line that never ends."""
    # The way the answer is written.
    SLOW_BYTES = "slow_bytes"
    """Byte by byte, `seconds` apart."""
    SPLIT_UTF8 = "split_utf8"
    """Every multi-byte character in two TCP segments."""
    ONE_CHUNK = "one_chunk"
    """All records in one write."""
    MISSING_COUNTS = "missing_counts"
    """No `prompt_eval_count` and `eval_count` in the final record."""
    # The server.
    REFUSE = "refuse"
    HANG_ACCEPT = "hang_accept"
    RESET_ALL = "reset_all"


SERVER_FAULTS: Final = frozenset({FaultKind.REFUSE, FaultKind.HANG_ACCEPT, FaultKind.RESET_ALL})
_GENERATING: Final = ("/api/chat", "/api/generate")


@dataclass(slots=True)
class Fault:
    """One kind of trouble and which requests it meets."""

    kind: FaultKind
    times: int = 1
    path: str = ""
    model: str = ""
    after_records: int = 1
    seconds: float = 0.0
    """Real seconds, not scaled by the simulation's speed."""
    message: str = "llama runner process has terminated: signal: killed"

    def matches(self, path: str, model: str) -> bool:
        """True if the fault meets a request of this path and model."""
        on_path = path.startswith(self.path) if self.path else path in _GENERATING
        return self.times > 0 and on_path and self.model in ("", model)


def fault_from_json(value: Any) -> Fault:  # noqa: ANN401 - JSON
    """Return the fault described by a JSON object.

    Raises:
        ValueError: Unknown kind or field, or a value of the wrong type; says which.
    """
    if not isinstance(value, dict) or "kind" not in value:
        msg = "a fault is an object with at least `kind`"
        raise ValueError(msg)
    names = {field.name for field in fields(Fault)}
    unknown = sorted(set(value) - names)
    if unknown:
        msg = f"unknown fault fields {unknown}; known are {sorted(names)}"
        raise ValueError(msg)
    fault = Fault(**{**value, "kind": FaultKind(value["kind"])})
    if fault.kind in SERVER_FAULTS - {FaultKind.RESET_ALL} and fault.seconds <= 0:
        msg = f"`{fault.kind}` needs `seconds`: over HTTP nobody could end it"
        raise ValueError(msg)
    return fault


def take_fault(faults: list[Fault], path: str, model: str) -> Fault | None:
    """Return the first fault that meets a request and count it; spent ones are removed."""
    for fault in faults:
        if fault.matches(path, model):
            fault.times -= 1
            if fault.times <= 0:
                faults.remove(fault)
            return fault
    return None
