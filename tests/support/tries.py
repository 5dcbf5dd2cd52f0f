"""How often a deployment is tried that goes on failing in one way, with nobody else left."""

from __future__ import annotations

from routing.failures import CONSEQUENCES, FailureClass


def tries(failure: str) -> int:
    """Return how many attempts there are."""
    return 1 + CONSEQUENCES[FailureClass(failure)].retries


def tried(deployment: str, failure: str) -> str:
    """Return what `x-ccproxy-attempts` says of them."""
    return ",".join([f"{deployment}:{failure}"] * tries(failure))
