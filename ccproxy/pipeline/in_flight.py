"""The requests that are being served at this moment, for whoever wants to look.

A request pays for being put into a dictionary and taken out again, 0.2 µs; everything else is paid
by whoever looks, and reads the outcomes that the pipeline keeps anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ccproxy.outcome import Outcome

MOST_GROUPS: Final = 200


@dataclass(slots=True)
class Group:
    """The requests of one agent at one deployment."""

    agent: str
    deployment: str
    """Empty before one was chosen."""
    route: str
    requests: int = 0
    answering: int = 0
    """Of those, how many have begun to answer."""
    oldest_s: float = 0.0
    """Since the arrival of the one that has been here longest."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at the running requests showed."""

    requests: int
    groups: list[Group]
    """Those with the oldest requests first, `MOST_GROUPS` at most."""
    left_out: int
    """Further groups."""


class InFlight:
    """Knows each request from its arrival to its account."""

    __slots__ = ("_outcomes",)

    def __init__(self) -> None:
        """Begin without any."""
        self._outcomes: dict[str, Outcome] = {}

    def begin(self, outcome: Outcome) -> None:
        """A request has arrived."""
        self._outcomes[outcome.request_id] = outcome

    def end(self, outcome: Outcome) -> None:
        """It is over."""
        self._outcomes.pop(outcome.request_id, None)

    def look(self, now: float) -> Look:
        """Return who is being served, by agent and deployment.

        Args:
            now: Monotonic seconds.
        """
        groups: dict[tuple[str, str], Group] = {}
        for outcome in self._outcomes.values():
            key = outcome.agent, outcome.deployment
            group = groups.get(key)
            if group is None:
                group = groups[key] = Group(*key, outcome.route)
            group.requests += 1
            group.answering += outcome.ttft_s is not None
            group.oldest_s = max(group.oldest_s, round(now - outcome.arrived_at, 1))
        oldest_first = sorted(groups.values(), key=lambda group: -group.oldest_s)
        return Look(
            len(self._outcomes),
            oldest_first[:MOST_GROUPS],
            max(0, len(oldest_first) - MOST_GROUPS),
        )
