"""What can go wrong in a routing decision.

RoutingError
├── InvalidTable      the table cannot be compiled; carries every diagnostic, not the first
├── UnknownAgent      path or `agent/<slug>` names an agent the roster lacks        -> 404
├── UnknownModel      the requested model has no route and there is no default  -> 404
├── AgentForbidden    the token may not act as this agent                       -> 403
└── NoAttempt         every candidate was skipped
    (because of privacy or capability -> 400, because of outages -> 529)

The HTTP statuses are given by the caller; this package knows no HTTP.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from routing.types import TraceEntry


class RoutingError(Exception):
    """Base of everything `routing` raises on purpose.

    Attributes:
        trace: How far the decision had come; empty where it had not begun.
    """

    trace: tuple[TraceEntry, ...] = ()


class InvalidTable(RoutingError):
    """A routing table that must not replace a good one.

    Attributes:
        problems: One sentence each, with the key path it is about.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Keep every problem; the message joins them."""
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class Problem:
    """One finding about a table: where (key path from the root) and what."""

    __slots__ = ("message", "path")

    def __init__(self, path: tuple[str | int, ...], message: str) -> None:
        """`path` is the key path from the root of the table, e.g. ('profiles', 'x', 'tiers')."""
        self.path = path
        self.message = message

    def __str__(self) -> str:
        """Render as `a.b.0: message`."""
        return f"{'.'.join(map(str, self.path))}: {self.message}"


class UnknownAgent(RoutingError):
    """The path, or the requested model `agent/<slug>`, names a slug the roster does not have."""

    def __init__(self, slug: str, nearest: str | None) -> None:
        """Name the slug and, where there is one, the nearest known slug."""
        hint = f" Did you mean {nearest!r}?" if nearest else ""
        super().__init__(f"agent: {slug} is not in the roster.{hint}")
        self.slug = slug
        self.nearest = nearest


class UnknownModel(RoutingError):
    """No deployment, tier or default route answers to the requested model."""

    def __init__(self, requested_model: str, trace: Sequence[TraceEntry] = ()) -> None:
        """Use Anthropic's own wording for an unknown model."""
        super().__init__(f"model: {requested_model}")
        self.requested_model = requested_model
        self.trace = tuple(trace)


class AgentForbidden(RoutingError):
    """The principal is limited to other agents."""


class NoAttempt(RoutingError):
    """Every candidate of the route was skipped.

    Attributes:
        outage: True when at least one candidate was skipped only because it is unavailable now.
        trace: Why each candidate was skipped.
    """

    def __init__(self, message: str, *, outage: bool, trace: Sequence[TraceEntry]) -> None:
        """Carry the trace so that the refusal can be explained."""
        super().__init__(message)
        self.outage = outage
        self.trace = tuple(trace)
