"""Health as Prometheus reads it."""

from prometheus_client import CollectorRegistry

from ccproxy.health.board import Backend, Changes, HealthBoard
from ccproxy.observability.health_metrics import (
    HealthStates,
    backend_change_counter,
    breaker_change_counter,
)
from routing.failures import FailureClass

GOOD, BAD, NEW = "http://good", "http://bad", "http://new"


def test_states_changes_and_probes():
    """Up, down and unknown backends; one open breaker; what was counted on the way."""
    registry = CollectorRegistry()
    changes = Changes(backend_change_counter(registry), breaker_change_counter(registry))
    now_s = [0.0]
    board = HealthBoard(
        [Backend(address, "") for address in (GOOD, BAD, NEW)],
        {"q": GOOD},
        changes=changes,
        now=lambda: now_s[0],
    )
    registry.register(HealthStates(board, lambda: {GOOD: 7}))
    board.observe(GOOD, ok=True, why="")
    board.observe(BAD, ok=False, why="")
    board.report("q", board.admit("q"), FailureClass.RATE_LIMIT, wait_s=30)

    def sample(name, **labels):
        return registry.get_sample_value(name, labels)

    up = [sample("ccproxy_backend_up", backend=address) for address in (GOOD, BAD, NEW)]
    assert up == [1, 0, None]
    assert sample("ccproxy_backend_probes_total", backend=GOOD) == 7
    assert sample("ccproxy_backend_changes_total", backend=BAD, state="down") == 1

    def breaker():
        words = ("closed", "open", "half_open")
        return [sample("ccproxy_breaker_state", deployment="q", state=word) for word in words]

    assert breaker() == [0, 1, 0]
    assert sample("ccproxy_breaker_changes_total", deployment="q", state="open") == 1
    now_s[0] = 30
    assert breaker() == [0, 0, 1]
