"""The ledger's rows and cut prompts as metrics."""

from prometheus_client import CollectorRegistry, generate_latest

from ccproxy.ledger.ledger import Ledger, LedgerDownError
from ccproxy.observability.ledger_metrics import LedgerState, truncation_counter
from ccproxy.outcome import LearnedRatio
from tests.support.waiting import until


def lines(registry):
    text = generate_latest(registry).decode()
    return {line for line in text.splitlines() if not line.startswith("#")}


def test_cut_prompts_are_counted_by_deployment():
    """Each deployment has a counter of its own."""
    registry = CollectorRegistry()
    count = truncation_counter(registry)
    count("qwen")
    count("qwen")

    assert 'ccproxy_truncation_seen_total{deployment="qwen"} 2.0' in lines(registry)


async def test_what_became_of_rows():
    """While the database is down rows wait and are dropped beyond the limit."""

    def refuse():
        raise LedgerDownError("l.db is locked")

    ledger = Ledger(refuse, report=lambda _text: None, waiting_limit=3, open_after_s=0.0)
    registry = CollectorRegistry()
    registry.register(LedgerState(ledger))
    assert "ccproxy_ledger_up 1.0" in lines(registry)
    ledger.start()
    for number in range(5):
        ledger.put(LearnedRatio(f"d{number}", "m", 1.0, 1, 0.0))
    await until(lambda: ledger.error)

    assert {
        "ccproxy_ledger_up 0.0",
        "ccproxy_ledger_waiting_rows 3.0",
        'ccproxy_ledger_rows_total{end="written"} 0.0',
        'ccproxy_ledger_rows_total{end="dropped"} 2.0',
    } <= lines(registry)
    ledger.close()
