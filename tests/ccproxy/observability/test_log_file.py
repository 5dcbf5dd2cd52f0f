"""Log lines in a file of bounded size."""

import logging
import stat

import orjson
import pytest

from ccproxy.observability.logs import RequestLog, logging_to
from ccproxy.observability.rotated_file import read_lines
from tests.support.decision_samples import sample_outcome


@pytest.fixture(autouse=True)
def untouched_logging():
    """Put the process's own logging back."""
    root, ours = logging.getLogger(), logging.getLogger("ccproxy")
    before = (root.handlers[:], root.level, ours.level)
    yield
    root.handlers[:], root.level, ours.level = before


def lines_in(path):
    return [orjson.loads(line) for line in read_lines(path)]


def test_every_line_goes_to_the_file(tmp_path, capsys):
    """Requests and words, as JSON, for the owner only; stderr says once where they are."""
    path = tmp_path / "logs" / "ccproxy.log"
    with logging_to(path, 2**20, 2) as stream:
        RequestLog(stream).record(sample_outcome("req_7"))
        logging.getLogger("ccproxy.x").warning("late", extra={"request_id": "req_7"})

    assert [(line["event"], line["request_id"]) for line in lines_in(path)] == [
        ("request", "req_7"),
        ("late", "req_7"),
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert capsys.readouterr().err == f"log lines go to {path}\n"


def test_the_file_does_not_grow_without_bounds(tmp_path):
    """A full file is put aside, and only so many of those are kept."""
    path = tmp_path / "ccproxy.log"
    for number in range(5):
        with logging_to(path, 600, 2):
            logging.getLogger("ccproxy.x").warning("%s", f"{number}".ljust(400))

    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "ccproxy.log",
        "ccproxy.log.1",
        "ccproxy.log.2",
    ]
    assert [line["event"].strip() for line in lines_in(path)] == ["2", "3", "4"]


def test_lines_that_are_lost_are_told_on_stderr(tmp_path, capsys):
    """A disk that takes no line must not silence the proxy altogether."""
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with logging_to(blocked / "ccproxy.log", 2**20, 2):
        logging.getLogger("ccproxy.x").warning("unheard")

    assert "lines are being lost: Not a directory" in capsys.readouterr().err


def test_without_a_file_lines_go_to_stderr(capfdbinary):
    """As JSON, an exception with its traceback in the line."""
    with logging_to(None) as stream:
        RequestLog(stream).record(sample_outcome())
        try:
            raise ValueError("odd")
        except ValueError:
            logging.getLogger("ccproxy.x").exception("failed")

    request, failed = (orjson.loads(line) for line in capfdbinary.readouterr().err.splitlines())
    assert (request["event"], failed["event"]) == ("request", "failed")
    assert "ValueError: odd" in failed["exception"]
