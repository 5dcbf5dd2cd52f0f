"""Reloads and decisions as metrics."""

from prometheus_client import CollectorRegistry, generate_latest

from ccproxy.observability.decision_log import decision_log
from ccproxy.observability.routing_metrics import RoutingState, reload_counter
from routing.types import AgentMatch, AgentSource, RequestFacts
from tests.support.decision_samples import sample_outcome


def lines(registry):
    text = generate_latest(registry).decode()
    return {line for line in text.splitlines() if not line.startswith("#")}


def test_reloads_are_counted_by_result():
    """Each result has a counter of its own."""
    registry = CollectorRegistry()
    count = reload_counter(registry)
    count("changed")
    count("rejected")
    count("rejected")

    assert {
        'ccproxy_reloads_total{result="changed"} 1.0',
        'ccproxy_reloads_total{result="rejected"} 2.0',
    } <= lines(registry)


def test_a_rejected_edit_shows_as_long_as_it_lasts(tmp_path):
    """An alert on the gauge ends when the file is mended."""
    rejected = [True]
    registry = CollectorRegistry()
    log = decision_log(tmp_path / "d", lambda _line: None)
    registry.register(RoutingState(lambda: rejected[0], log))

    assert "ccproxy_routing_edit_rejected 1.0" in lines(registry)
    rejected[0] = False
    assert "ccproxy_routing_edit_rejected 0.0" in lines(registry)


def test_lost_decisions_show(tmp_path):
    """What is in no file is counted beside what is."""
    registry = CollectorRegistry()
    log = decision_log(tmp_path / "d", lambda _line: None)
    registry.register(RoutingState(lambda: False, log))
    log.start()
    for _ in range(2):
        log.record(
            sample_outcome(), RequestFacts("m"), AgentMatch(None, AgentSource.NONE), None,
            table_version="t",
        )  # fmt: skip
    log.close()
    log.record(
        sample_outcome(), RequestFacts("m"), AgentMatch(None, AgentSource.NONE), None,
        table_version="t",
    )  # fmt: skip

    assert {
        'ccproxy_decisions_total{end="written"} 2.0',
        'ccproxy_decisions_total{end="dropped"} 1.0',
    } <= lines(registry)
