"""The test run itself: what it must refuse to call green."""

import os
import subprocess
import sys

import pytest

from tests.support.sizes import count, present_size
from tests.support.tools import ROOT

HEAD = "import pytest, socket\n"
SKIPPED = HEAD + "def test_it():\n    pytest.skip('not today')\n"
SKIPPED_FILE = HEAD + "pytest.skip('not here', allow_module_level=True)\n"
EXPECTED_TO_FAIL = HEAD + "@pytest.mark.xfail\ndef test_it():\n    assert False\n"
MISSING_TOOL = HEAD + "@pytest.mark.needs('node')\ndef test_it():\n    pass\n"
LEAVES = HEAD + "def test_it():\n    socket.create_connection(('192.0.2.1', 80), timeout=1)\n"
LEAVES_QUIETLY = (
    HEAD
    + "def test_it():\n    try:\n        socket.getaddrinfo('example.com', 80)\n"
    + "    except Exception:\n        pass\n"
)
STAYS = (
    HEAD
    + "def test_it():\n    server = socket.create_server(('127.0.0.1', 0))\n"
    + "    socket.create_connection(server.getsockname()).close()\n    server.close()\n"
)


def run_pytest(sources, tmp_path, *, strict):
    """Run pytest with this project's settings on a file per source; return exit code and output."""
    for number, source in enumerate(sources):
        (tmp_path / f"test_sample_{number}.py").write_text(source)
    answer = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-c", "pyproject.toml", "-p", "tests.conftest"),
            *("-p", "no:cacheprovider", "--continue-on-collection-errors"),
            *(f"--rootdir={tmp_path}", str(tmp_path)),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "CCPROXY_WITHOUT_TOOLS": "node",
            "CCPROXY_REQUIRE_TOOLS": "1" if strict else "",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    return answer.returncode, answer.stdout + answer.stderr


def test_tests_that_need_nothing_pass(tmp_path):
    """A connection within loopback is none of the guard's business."""
    code, output = run_pytest([STAYS], tmp_path, strict=True)

    assert (code, "1 passed" in output) == (0, True), output


def test_gaps_are_named(tmp_path):
    """Without CCPROXY_REQUIRE_TOOLS a run with gaps is green and says what was left out."""
    code, output = run_pytest([SKIPPED, EXPECTED_TO_FAIL, MISSING_TOOL], tmp_path, strict=False)

    assert code == 0, output
    assert "2 skipped, 1 xfailed" in output
    assert "left out 1 tests: node is missing" in output


def test_gaps_are_failures_where_none_are_allowed(tmp_path):
    """With CCPROXY_REQUIRE_TOOLS=1 nothing is left out: no test, no file, no expected failure."""
    sources = [SKIPPED, SKIPPED_FILE, EXPECTED_TO_FAIL, MISSING_TOOL]

    code, output = run_pytest(sources, tmp_path, strict=True)

    assert code == 1, output
    assert "2 failed, 2 errors" in output
    assert output.count("no gaps") >= len(sources)
    assert "needs node (make ci-tools)" in output


def test_leaving_the_host_is_a_failure(tmp_path):
    """Also where the test itself swallows what the guard raises."""
    code, output = run_pytest([LEAVES, LEAVES_QUIETLY], tmp_path, strict=False)

    assert (code, "1 failed, 1 passed, 2 errors" in output) == (1, True), output
    assert "tests stay on loopback" in output
    assert "left loopback: socket.getaddrinfo" in output


@pytest.mark.parametrize(("size", "expected"), [("", 1), ("quick", 1), ("ci", 2), ("full", 3)])
def test_size_chooses_the_count(size, expected, monkeypatch):
    """CCPROXY_TEST_SIZE decides how much is done; unset means quick."""
    monkeypatch.setenv("CCPROXY_TEST_SIZE", size)

    assert expected == count(quick=1, ci=2, full=3)


def test_an_unknown_size_is_named(monkeypatch):
    """A misspelt size is an error, not silently the smallest."""
    monkeypatch.setenv("CCPROXY_TEST_SIZE", "huge")

    with pytest.raises(ValueError, match="'huge': must be one of quick, ci, full"):
        present_size()
