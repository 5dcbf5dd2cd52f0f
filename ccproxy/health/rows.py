"""Health and breakers for `/health`, JSON-ready: times are Unix seconds, None is unknown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from routing.breaker import state_at, wait_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from enum import StrEnum

    from ccproxy.health.board import HealthBoard
    from routing.transitions import Transition


def backend_row(board: HealthBoard, address: str) -> dict[str, Any]:
    """Return what is known of a backend.

    `{"api_base", "state", "since", "why", "last_failure", "successes", "failures", "transitions"}`;
    `state` is `unknown`, `up` or `down`, the counts are of observations.
    """
    health = board.backends[address]
    return {
        "api_base": address,
        "state": health.state,
        "since": board.unix_s(health.since_s),
        "why": health.why,
        "last_failure": health.last_failure,
        "successes": health.successes,
        "failures": health.failures,
        "transitions": transition_rows(health.transitions, board.unix_s),
    }


def breaker_row(board: HealthBoard, deployment: str) -> dict[str, Any]:
    """Return what is known of a deployment's breaker.

    `{"state", "since", "why", "open_for_s", "trials", "openings", "successes", "failures",
    "transitions"}`; `state` is `closed`, `open` or `half_open`, `open_for_s` how long it stays
    open, `trials` how many run.
    """
    breaker, now_s = board.breakers[deployment], board.now()
    return {
        "state": state_at(breaker, now_s),
        "since": board.unix_s(breaker.since_s),
        "why": breaker.why,
        "open_for_s": round(wait_s(breaker, now_s), 1),
        "trials": len(breaker.trials),
        "openings": breaker.openings,
        "successes": breaker.successes,
        "failures": breaker.failures,
        "transitions": transition_rows(breaker.transitions, board.unix_s),
    }


def transition_rows(
    transitions: Iterable[Transition[StrEnum]], unix_s: Callable[[float | None], float | None]
) -> list[dict[str, Any]]:
    """Return `{"at", "state", "why"}` of each change."""
    return [{"at": unix_s(each.at_s), "state": each.state, "why": each.why} for each in transitions]
