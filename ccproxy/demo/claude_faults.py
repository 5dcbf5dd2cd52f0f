"""Trouble on demand: what can go wrong between us and Claude, by name.

A fault applies to the next `times` requests whose path starts with `path`. `POST /_sim/faults`
takes one JSON object, or a list of them, with the fields of `Fault`; e.g.
`{"kind": "status", "status": 529, "retry_after_s": 2}` or `{"kind": "cut", "after_bytes": 700}`.
`refuse` concerns the server: it takes effect at once and lasts `seconds`, which must be given.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any


class FaultKind(StrEnum):
    """Everything that can go wrong on demand."""

    STATUS = "status"
    """Answer with `status` in Anthropic's error envelope, `retry_after_s` as a header if set."""
    HTML = "html"
    """Answer with `status` and a page of HTML, as an edge in front of the API does."""
    DELAY = "delay"
    """Wait `seconds` before the headers, then serve normally."""
    HANG = "hang"
    """Read the request and never answer."""
    RESET = "reset"
    """TCP RST after `after_bytes` of the body; 0: instead of an answer."""
    CUT = "cut"
    """FIN after `after_bytes` of the body; 0: instead of an answer."""
    STALL = "stall"
    """After `after_bytes`, `seconds` of silence (0: until the client leaves), then the rest."""
    ERROR_EVENT = "error_event"
    """After `after_bytes`, at the next frame boundary, `event: error`, and the end."""
    TRAILING = "trailing"
    """More bytes after `message_stop`: a comment and an event nobody knows."""
    REDIRECT = "redirect"
    """307 to another host's address."""
    SET_COOKIE = "set_cookie"
    """Serve normally, with a cookie."""
    ENCODE = "encode"
    """Serve with content coding `coding` if the request accepts it."""
    REFUSE = "refuse"
    """Refuse connections for `seconds`."""


@dataclass(slots=True)
class Fault:
    """One kind of trouble and which requests it meets."""

    kind: FaultKind
    times: int = 1
    path: str = "/v1/"
    status: int = 529
    message: str = ""
    retry_after_s: int | None = None
    after_bytes: int = 0
    seconds: float = 0.0
    """Real seconds, not scaled by the simulation's speed."""
    coding: str = "gzip"
    """`gzip`, `deflate`, `br` or `zstd`."""


def fault_from_json(value: Any) -> Fault:  # noqa: ANN401 - JSON
    """Return the fault described by a JSON object.

    Raises:
        ValueError: Not an object, unknown kind or field, or `seconds` missing; says which.
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
    if fault.kind is FaultKind.REFUSE and fault.seconds <= 0:
        msg = "`refuse` needs `seconds`: over HTTP nobody could end it"
        raise ValueError(msg)
    return fault


def take_fault(faults: list[Fault], path: str) -> Fault | None:
    """Return the first fault that meets a request and count it; spent ones are removed."""
    for fault in faults:
        if path.startswith(fault.path):
            fault.times -= 1
            if fault.times <= 0:
                faults.remove(fault)
            return fault
    return None
