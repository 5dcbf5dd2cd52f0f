"""What follows from each failure class, cell by cell."""

import pytest

from routing.failures import CONSEQUENCES, Blame, Consequence, FailureClass, classify_status

NOBODY, DEPLOYMENT, BACKEND = Blame.NOBODY, Blame.DEPLOYMENT, Blame.BACKEND

TABLE = {
    # class: falls back, status, error.type, x-should-retry, retry-after, retries, counts against
    "client_fault": (False, 400, "invalid_request_error", False, None, 0, NOBODY),
    "upstream_auth": (True, 502, "api_error", False, None, 0, NOBODY),
    "rate_limit": (True, 429, "rate_limit_error", True, None, 0, DEPLOYMENT),
    "overloaded": (True, 529, "overloaded_error", True, 2, 0, DEPLOYMENT),
    "context_overflow": (True, 400, "invalid_request_error", False, None, 0, NOBODY),
    "model_missing": (True, 404, "not_found_error", False, None, 0, NOBODY),
    "capability_missing": (True, 400, "invalid_request_error", False, None, 0, NOBODY),
    "connect_error": (True, 529, "overloaded_error", True, None, 1, BACKEND),
    "timeout_first_byte": (True, 504, "timeout_error", True, None, 0, DEPLOYMENT),
    "timeout_between_bytes": (True, 504, "timeout_error", True, None, 0, DEPLOYMENT),
    "broken_stream": (True, 502, "api_error", True, None, 1, DEPLOYMENT),
    "malformed_output": (True, 502, "api_error", True, None, 1, DEPLOYMENT),
    "proxy_error": (False, 500, "api_error", True, None, 0, NOBODY),
}


@pytest.mark.parametrize("word", TABLE)
def test_every_cell(word):
    """Every cell is what is written here (conformance 047)."""
    assert CONSEQUENCES[FailureClass(word)] == Consequence(*TABLE[word])


def test_no_class_is_left_out():
    """Each class has its row, and there is no row for anything else."""
    assert set(TABLE) == {str(failure) for failure in FailureClass}
    assert set(CONSEQUENCES) == set(FailureClass)


@pytest.mark.parametrize("failure", FailureClass)
def test_what_holds_for_every_row(failure):
    """No retry without a fallback, and no blame for what a client is told never to send again."""
    row = CONSEQUENCES[failure]

    assert row.fall_back or row.retries == 0
    assert row.should_retry or (row.retries, row.blame) == (0, NOBODY)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 529])
def test_claudes_waits_are_the_clients(status):
    """What Claude refuses for now is passed on, never absorbed by retries (conformance 272)."""
    failure = classify_status(status)

    assert failure is not None
    assert CONSEQUENCES[failure].retries == 0
