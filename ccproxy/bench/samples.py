"""What is measured of one request."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

OK: Final = "ok"
NOT_SENT: Final = "not_sent"
"""The run was stopped before."""
NO_CONNECTION: Final = "no_connection"
_REPAIRS: Final = (
    "_repaired",
    "_recovered",
    "_coerced",
    "_renamed",
    "_unwrapped",
    "thinking_in_text",
)
"""In notes of `x-ccproxy-notes` that tell of something put right (docs/tool-calls.md)."""


@dataclass(slots=True)
class Sample:
    """One request that was planned; everything that was not measured is None."""

    route: str
    profile: str
    task: int
    turn: int
    warm_up: bool
    outcome: str = NOT_SENT
    """`ok`, `not_sent`, or how it failed: `http_429`, `error_event`, `timeout`, `no_connection`,
    `connection` (lost before an answer), `cut` (lost in the middle), `interrupted`, `client` (the
    SDK could not read it)."""
    status: int | None = None
    error: str | None = None
    began_s: float | None = None
    """Since the run began."""
    ttft_s: float | None = None
    """To the first piece of content; None where the answer was not streamed."""
    total_s: float | None = None
    inter_token_s: float | None = None
    """From the first piece of content to the last, by tokens."""
    tokens_per_s: float | None = None
    """Output tokens by the time from the first piece of content to the end."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_write_5m_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    cache_read_tokens: int | None = None
    cost_microusd: int | None = None
    """None where it is not known."""
    stop_reason: str | None = None
    response_model: str | None = None
    deployment: str | None = None
    side: str | None = None
    attempts: str | None = None
    notes: str | None = None

    @property
    def is_ok(self) -> bool:
        """Whether the whole answer came."""
        return self.outcome == OK

    @property
    def was_sent(self) -> bool:
        """Whether it reached the network."""
        return self.outcome != NOT_SENT

    @property
    def was_repaired(self) -> bool:
        """Whether the proxy says that it put something of the answer right."""
        names = (note.partition("=")[0] for note in (self.notes or "").split(","))
        return any(name.endswith(_REPAIRS) for name in names)

    @property
    def fell_back(self) -> bool:
        """Whether another than the first attempt answered."""
        return self.is_ok and "," in (self.attempts or "")

    def told(self) -> dict[str, Any]:
        """Return it for a report."""
        return asdict(self)


def sample_from(told: dict[str, Any]) -> Sample:
    """Return a sample out of a report.

    Raises:
        TypeError: It is none.
    """
    return Sample(**told)
