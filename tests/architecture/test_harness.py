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


def run_pytest(source, tmp_path, **variables):
    """Run pytest with this project's settings on one file; return exit code and output."""
    file = tmp_path / "test_sample.py"
    file.write_text(source)
    answer = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-c", "pyproject.toml", "-p", "tests.conftest"),
            *("-p", "no:cacheprovider", f"--rootdir={tmp_path}", str(file)),
        ],
        cwd=ROOT,
        env={**os.environ, "CCPROXY_REQUIRE_TOOLS": "", **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    return answer.returncode, answer.stdout + answer.stderr


@pytest.mark.parametrize(
    ("source", "strict", "exit_code", "said"),
    [
        (STAYS, True, 0, "1 passed"),
        (SKIPPED, False, 0, "1 skipped"),
        (SKIPPED, True, 1, "no gaps"),
        (SKIPPED_FILE, True, 2, "no gaps"),
        (EXPECTED_TO_FAIL, False, 0, "1 xfailed"),
        (EXPECTED_TO_FAIL, True, 1, "no gaps"),
        (MISSING_TOOL, False, 0, "left out 1 tests: node is missing"),
        (MISSING_TOOL, True, 1, "needs node (make ci-tools)"),
        (LEAVES, False, 1, "tests stay on loopback"),
        (LEAVES_QUIETLY, False, 1, "left loopback: socket.getaddrinfo"),
    ],
)
def test_a_run_is_green_only_without_gaps(source, strict, exit_code, said, tmp_path):
    """With CCPROXY_REQUIRE_TOOLS=1 skips fail; without it they are named; leaving always fails."""
    variables = {"CCPROXY_WITHOUT_TOOLS": "node", "CCPROXY_REQUIRE_TOOLS": "1" if strict else ""}

    code, output = run_pytest(source, tmp_path, **variables)

    assert (code, said in output) == (exit_code, True), output


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
