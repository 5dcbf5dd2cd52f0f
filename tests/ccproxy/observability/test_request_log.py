"""The log line of a request."""

from __future__ import annotations

import io
from collections import Counter

import orjson

from ccproxy.observability.logs import RequestLog
from tests.support.decision_samples import sample_outcome


def line_of(outcome):
    """Return what is logged of an outcome."""
    stream = io.BytesIO()
    RequestLog(stream).record(outcome)
    (line,) = stream.getvalue().splitlines()
    return orjson.loads(line)


def test_what_a_model_had_read_before_is_logged():
    """By deployment, because an attempt that failed may have read as well."""
    outcome = sample_outcome()
    outcome.prompt_tokens["qwen"] = Counter(reused=29_000, evaluated=1_000)

    assert line_of(outcome)["prompt_tokens"] == {"qwen": {"reused": 29_000, "evaluated": 1_000}}
    assert line_of(sample_outcome())["prompt_tokens"] == {}
