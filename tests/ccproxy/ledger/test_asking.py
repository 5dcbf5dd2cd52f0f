"""Questions in SQL's own text, asked without SQLAlchemy where the ledger is a file."""

import subprocess
import sys
from dataclasses import replace

import pytest

from ccproxy.ledger import sums
from ccproxy.ledger.asking import asking
from ccproxy.ledger.ledger import LedgerDownError
from ccproxy.ledger.reading import reading
from ccproxy.ledger.reports import By, Scope, savings, usage
from tests.support.row_samples import attempt_row, request_row

SAMPLES = (
    request_row(attempt_row("qwen")),
    request_row(attempt_row("claude"), status=500, ending="failed"),
    request_row(status=401, ending="refused", ttft_s=None),
)
HOUR_MS = 3_600_000
ROWS = [replace(row, at_ms=hour * HOUR_MS) for hour in (5, 23, 25, 49) for row in SAMPLES]
SCOPES = [
    Scope(0, 60 * HOUR_MS, {}),
    Scope(6 * HOUR_MS, 50 * HOUR_MS, {}, endpoint=None),
    Scope(0, 60 * HOUR_MS, {By.DEPLOYMENT: "qwen", By.PRINCIPAL: "it's :me"}),
]
BY = [[By.AGENT], [By.DAY, By.MODEL], []]


@pytest.mark.parametrize("scope", SCOPES)
def test_both_ways_say_the_same(scope, opened, url):
    """With SQLAlchemy or without; what people say is never taken for SQL."""
    opened().write(ROWS)
    with asking(url) as ask, reading(url) as connection:
        for by in BY:
            assert sums.usage(ask, by, scope) == usage(connection, by, scope)
        assert sums.savings(ask, scope) == savings(connection, scope)
        assert bool(sums.usage(ask, [By.AGENT], scope)) == (not scope.only)


def test_a_file_is_asked_without_sqlalchemy(tmp_path, opened, url):
    """Importing it takes longer than the answer; other databases need it."""
    opened().write(ROWS)
    code = (
        "import sys; from ccproxy.ledger.sums import *; from ccproxy.ledger.asking import asking\n"
        f"with asking({url!r}) as ask: print(len(usage(ask, [By.DAY], Scope(0, 10**10, {{}}))))\n"
        "print('sqlalchemy' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert run.stdout.split() == ["3", str(not url.startswith("sqlite"))]


def test_asking_changes_nothing(opened, url):
    """The connection only reads."""
    opened().close()
    with pytest.raises(LedgerDownError, match=r"read.?only"), asking(url) as ask:
        ask("DELETE FROM hourly", {})
