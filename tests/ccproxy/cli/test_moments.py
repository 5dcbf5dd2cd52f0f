"""Times on the command line."""

import time
from datetime import datetime, timedelta

import pytest
import typer

from ccproxy.cli import moments


@pytest.fixture(autouse=True)
def new_york(monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def local(text):
    return datetime.fromisoformat(text).timestamp()


def test_spans():
    """Minutes and hours are exact; days and weeks begin at local midnight."""
    now_s = time.time()
    midnight = datetime.now().astimezone().date()
    assert moments.since("90m", "--since") == pytest.approx(now_s - 5400, abs=5)
    assert moments.since("24h", "--since") == pytest.approx(now_s - 86_400, abs=5)
    assert moments.since("1d", "--since") == local(f"{midnight - timedelta(days=1)}T00:00")
    assert moments.since("2w", "--since") == local(f"{midnight - timedelta(days=14)}T00:00")


def test_days_and_moments_are_local():
    """A day begins at its midnight and, as an end, is over at the next; also where clocks change."""
    assert moments.since("2026-11-01", "--since") == local("2026-11-01T00:00-04:00")
    assert moments.until("2026-11-01", "--until") == local("2026-11-02T00:00-05:00")
    assert moments.until("2026-11-01T14:30", "--until") == local("2026-11-01T14:30-05:00")
    assert moments.since("2026-11-01T14:30Z", "--since") == local("2026-11-01T14:30+00:00")


def test_ends_to_come():
    """A span from now on is exact, a day is over at its end, a moment is itself."""
    assert moments.ahead("1d", "--expires") == pytest.approx(time.time() + 86_400, abs=5)
    assert moments.ahead("2099-01-31", "--expires") == local("2099-02-01T00:00")
    assert moments.ahead("2099-01-31T14:30", "--expires") == local("2099-01-31T14:30")
    today = datetime.now().astimezone().date()
    assert moments.ahead(str(today), "--expires") == local(f"{today + timedelta(days=1)}T00:00")


@pytest.mark.parametrize(
    "text", ["", "soon", "5", "-1d", "999999w", "2026-02-30", "9999-12-31T25:00"]
)
@pytest.mark.parametrize("read", [moments.since, moments.until])
def test_what_is_no_time(read, text):
    """It is told with the option and the forms there are."""
    with pytest.raises(typer.BadParameter, match=r"--x: .* is no time; write 90m"):
        read(text, "--x")


@pytest.mark.parametrize("text", ["", "-1h", "5", "1y", "999999w"])
def test_what_is_no_span(text):
    """A span that is none, or that leads beyond every calendar, is told."""
    assert 7200 == moments.span_s("2h", "--x")
    with pytest.raises(typer.BadParameter, match=r"--x: .* is (no span|more than ten years)"):
        moments.span_s(text, "--x")
