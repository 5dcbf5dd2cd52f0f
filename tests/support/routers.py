"""Routers for tests that have a table and a roster and no files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ccproxy.pipeline.router import Router
from routing.capabilities import FleetSnapshot
from routing.prompts import PromptIndex
from routing.types import Roster

if TYPE_CHECKING:
    from routing.types import RoutingTable


@dataclass(frozen=True, slots=True)
class State:
    """A routing state that never changes."""

    table: RoutingTable
    roster: Roster = field(default_factory=Roster)
    prompts: PromptIndex = field(default_factory=lambda: PromptIndex.build({}))


@dataclass(frozen=True, slots=True)
class Source:
    """A `RoutingSource`."""

    loaded: State


class NobodyKnown:
    """A fleet of which nothing is known, now or later."""

    def snapshot(self) -> FleetSnapshot:
        """Return nothing."""
        return FleetSnapshot()

    async def settle(self) -> bool:
        """Wait for nothing."""
        return False


def router_of(table: RoutingTable, roster: Roster | None = None) -> Router:
    """Return a router by this table, over models of which nothing is known."""
    return Router(Source(State(table, roster or Roster())), NobodyKnown())
