"""What is counted of each request."""

import pytest

from ccproxy.observability.metrics import Metrics
from ccproxy.rows import WouldCost
from routing.pricing import TokenCounts
from tests.support.metrics import samples_of
from tests.support.row_samples import attempt_row, request_row


def counted(*rows):
    """Return the samples after these rows."""
    metrics = Metrics()
    for row in rows:
        metrics.put(row)
    return samples_of(metrics.registry)


@pytest.mark.parametrize(
    ("status", "label"), [(200, "200"), (529, "529"), (418, "4xx"), (201, "2xx"), (0, "none")]
)
def test_a_status_nobody_knows_is_counted_by_its_class(status, label):
    """An upstream that makes up statuses makes no more than five series of them."""
    found = counted(request_row(attempt_row("qwen"), status=status))

    key = ("ccproxy_requests_total", "messages", "qwen", "local", label, "completed")
    assert found[key] == 1


def test_who_never_came_to_a_deployment_is_counted_too():
    """Under `none`, with its duration and without a first token."""
    found = counted(request_row(status=401, ending="refused", ttft_s=None))

    assert found["ccproxy_requests_total", "messages", "none", "none", "401", "refused"] == 1
    assert found["ccproxy_request_duration_seconds_count", "none", "none", "refused"] == 1
    assert not [key for key in found if key[0].startswith("ccproxy_ttft")]


def test_a_fallback_and_a_retry_are_told_apart():
    """Another deployment is a fallback, the same one again a retry; each with what led to it."""
    found = counted(
        request_row(
            attempt_row("qwen", "timeout_first_byte"),
            attempt_row("qwen", "overloaded"),
            attempt_row("claude-sonnet"),
        )
    )

    assert found["ccproxy_retries_total", "qwen", "timeout_first_byte"] == 1
    assert found["ccproxy_fallbacks_total", "qwen", "claude-sonnet", "overloaded"] == 1
    assert found["ccproxy_attempts_total", "claude-sonnet", "ok"] == 1


def test_time_between_tokens_is_that_of_the_stream():
    """21 tokens in the 2 s after the first: 20 gaps of 0.1 s. A whole answer shows nothing of it."""
    streamed = counted(request_row(attempt_row("qwen"), ttft_s=1.0, total_s=3.0, output_tokens=21))
    whole = counted(request_row(attempt_row("qwen"), stream=False))
    single = counted(request_row(attempt_row("qwen"), output_tokens=1))

    at = ("codingAgents", "qwen", "completed")
    assert streamed["ccproxy_inter_token_seconds_sum", *at] == pytest.approx(0.1)
    assert ("ccproxy_inter_token_seconds_sum", *at) not in whole.keys() | single.keys()


def test_the_wait_for_a_slot_is_that_of_each_attempt():
    """An attempt that waited and failed has waited as well."""
    found = counted(
        request_row(
            attempt_row("qwen", "overloaded", queue_s=120.0),
            attempt_row("qwen-fast", queue_s=0.5),
        )
    )

    assert found["ccproxy_queue_seconds_sum", "codingAgents", "qwen", "completed"] == 120
    assert found["ccproxy_queue_seconds_sum", "codingAgents", "qwen-fast", "completed"] == 0.5


def test_tokens_are_counted_where_they_were_used():
    """Each token once, in the kind it is billed as, at the deployment that counted it."""
    tokens = TokenCounts(10, 20, 30, 40, 50)
    found = counted(
        request_row(
            attempt_row("claude-opus", "stream_broken", tokens=TokenCounts(input_tokens=3)),
            attempt_row("claude-sonnet", tokens=tokens),
        )
    )

    kinds = ("input", "output", "cache_write_5m", "cache_write_1h", "cache_read")
    of_sonnet = {
        kind: found["ccproxy_tokens_total", "codingAgents", "claude-sonnet", kind] for kind in kinds
    }
    assert of_sonnet == dict(zip(kinds, (10, 20, 30, 40, 50), strict=True))
    assert found["ccproxy_tokens_total", "codingAgents", "claude-opus", "input"] == 3


def test_money_is_dollars_and_the_unknown_is_not_nothing():
    """What nobody got an answer for is `wasted`; a cost without a price is counted apart."""
    found = counted(
        request_row(
            attempt_row("claude-opus", "overloaded", cost_microusd=250_000),
            attempt_row("claude-sonnet", cost_microusd=1_500_000),
        ),
        request_row(attempt_row("other", cost_microusd=None)),
    )

    def cost(deployment, use):
        return found.get(("ccproxy_cost_usd_total", "codingAgents", deployment, use))

    assert (cost("claude-opus", "wasted"), cost("claude-sonnet", "answered")) == (0.25, 1.5)
    assert cost("other", "answered") is None
    assert found["ccproxy_unpriced_attempts_total", "other"] == 1


def test_what_claude_would_have_cost_is_a_range():
    """Three estimates, by the deployment that did the work instead."""
    row = request_row(attempt_row("qwen"), would_cost=WouldCost(1_000_000, 2_000_000, 4_000_000))
    found = counted(row, row)

    estimates = [
        found["ccproxy_counterfactual_cost_usd_total", "codingAgents", "qwen", estimate]
        for estimate in ("low", "expected", "high")
    ]
    assert estimates == [2.0, 4.0, 8.0]


def test_what_runs_is_a_metric():
    """`ccproxy_build_info` has the version of the package."""
    (key,) = [key for key in counted() if key[0] == "ccproxy_build_info"]

    assert "0.1.0" in key
