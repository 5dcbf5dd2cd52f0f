"""How the suite is started: `make test-live OLLAMA_HOST=…` and nothing else."""

import math
import os
import re
import sys

import pytest

from ccproxy.demo.ollama_server import SimulatedOllama
from tests.support.programs import run_program
from tests.support.tools import ROOT

COMMAND = ("-q", "-rs", "-m", "live", "tests/live")
"""As in the Makefile."""


pytestmark = pytest.mark.timeout(150)


async def run_live(url, *arguments):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CCPROXY_")}
    return await run_program(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *COMMAND, *arguments],
        environment={**kept, "OLLAMA_HOST": url},
        folder=ROOT,
        timeout_s=140,
    )


async def test_it_is_run_against_ollama_host():
    """The address of the environment is asked, and only tests of a real Ollama are run."""
    simulator = SimulatedOllama(speed=math.inf)
    async with simulator.serve() as url:
        ended = await run_live(url.removeprefix("http://"), "-k", "known or never_cuts")

    assert ended.exit_code == 0, ended.stdout[-5000:]
    assert re.search(r"\b2 passed", ended.stdout)
    assert len(simulator.requests) > 0


async def test_without_an_ollama_it_says_what_to_do():
    """It fails at once, and leaves nothing out silently."""
    ended = await run_live("127.0.0.1:9", "-k", "never_cuts")

    assert ended.exit_code == 1
    assert "http://127.0.0.1:9 does not answer" in ended.stdout + ended.stderr
    assert "OLLAMA_HOST" in ended.stdout + ended.stderr


def test_the_makefile_starts_it_like_this():
    """What is tested here is what people type."""
    assert f"-m pytest {' '.join(COMMAND)}" in (ROOT / "Makefile").read_text()
