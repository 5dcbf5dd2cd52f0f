"""The decisions of late."""

import os
import time
from dataclasses import replace

import pytest

from ccproxy.observability.decision_log import (
    FILE_NAME,
    decision_log,
    read_decisions,
)
from ccproxy.wire.content_facts import BodyFacts
from routing.types import RequestFacts
from tests.support.decision_samples import (
    decided,
    sample_line,
    sample_outcome,
    sample_table,
)

TABLE = sample_table()
FACTS = RequestFacts("claude-sonnet-4-5", path_agent="coder")
MATCH, PLAN = decided(FACTS, TABLE)


def record(log, request_id="req_1", at=1_700_000_000.5, plan=PLAN):
    log.record(sample_outcome(request_id, at), FACTS, MATCH, plan, table_version="t", body_bytes=40)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / FILE_NAME


@pytest.fixture
def reports():
    return []


@pytest.fixture
def log(path, reports):
    return decision_log(path, reports.append)


def test_a_decision_is_in_the_file(log, path):
    """It can be read by another program, also where no plan came about."""
    log.start()
    record(log, "req_a")
    record(log, "req_b", plan=None)
    log.close()

    read = list(read_decisions(path))
    assert [each.request_id for each in read] == ["req_a", "req_b"]
    assert [each.plan is None for each in read] == [False, True]
    assert (log.written, log.dropped) == (2, 0)


def test_a_body_is_asked_at_once(log, path):
    """A record holds what was known of a body when its request ended."""
    body = {"messages": [], "tools": [{"name": "Read"}]}
    facts = replace(FACTS, content=BodyFacts(body))

    log.record(sample_outcome(), facts, MATCH, PLAN, table_version="t")
    body["tools"].clear()
    log.start()
    log.close()

    assert next(read_decisions(path)).facts["content"]["tool_names"] == ["Read"]


def test_without_a_disk_it_serves_on(log, path, reports):
    """Where the state folder cannot be written, losses are counted and told once."""
    path.parent.write_text("in the way")
    log.start()
    for number in range(5):
        record(log, f"req_{number}")
    log.close()

    assert (log.written, log.dropped) == (0, 5)
    assert len(reports) == 1


def test_an_odd_decision_costs_itself_alone(log, path, reports):
    """What has no place in JSON is counted and told; those beside it are written."""
    log.start()
    for request_id in ("req_a", "\ud800", "req_b"):
        record(log, request_id)
    log.close()

    assert [each.request_id for each in read_decisions(path)] == ["req_a", "req_b"]
    assert (log.written, log.dropped) == (2, 1)
    assert "cannot be written" in reports[0]


def test_since_when(log, path):
    """Requests that arrived earlier are left out, in files of any age."""
    log.start()
    now = time.time()
    for age_s in (7200, 60, 30):
        record(log, f"req_{age_s}", now - age_s)
    log.close()

    assert [each.request_id for each in read_decisions(path, now - 3600)] == ["req_60", "req_30"]
    os.utime(path, (now - 7200, now - 7200))
    assert list(read_decisions(path, now - 3600)) == []


@pytest.mark.parametrize(
    ("content", "read", "bad"),
    [
        (b"", 0, 0),
        (b"\n", 0, 0),
        (b"{\n", 0, 1),
        (sample_line(), 1, 0),
        (sample_line() + b"\n" + sample_line()[:50], 1, 1),
        (b"\xff\xfe\n" + sample_line() + b"\n", 1, 1),
    ],
    ids=["empty", "blank", "no json", "no end", "torn", "bytes"],
)
def test_what_cannot_be_read_is_told_and_passed_over(path, content, read, bad):
    """Torn lines cost themselves alone."""
    path.parent.mkdir()
    path.write_bytes(content)
    bad_lines = []

    assert len(list(read_decisions(path, on_bad_line=bad_lines.append))) == read
    assert len(bad_lines) == bad


def test_a_missing_file_is_empty(path):
    """Before the first request there is nothing to read."""
    assert list(read_decisions(path)) == []
