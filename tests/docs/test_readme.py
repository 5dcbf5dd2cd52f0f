"""The README's tour and the examples beside it: every command is run at what `make run` starts."""

import asyncio
import contextlib
import json
import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.doc_steps import new_checkout
from tests.support.tools import claude_code_program

ROOT = Path(__file__).parents[2]
STEP = re.compile(r"<!-- tour(?:: (\S+))? -->\n```sh\n(.*?)```\n```\w+\n(.*?)```", re.DOTALL)
FENCED = re.compile(r"```sh\n(curl .*?)```", re.DOTALL)
ASKS = FENCED.findall((ROOT / "docs/qwen-usage-examples.md").read_text())
VOLATILE = re.compile(r"\b(msg|req|toolu|call)_\w+")
START_TIMEOUT_S = 60


@dataclass(frozen=True)
class Step:
    """One command of the tour and what it prints."""

    needs: str
    command: str
    shown: str


STEPS = [Step(*match) for match in STEP.findall((ROOT / "README.md").read_text())]


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _steady(text: str) -> list[str]:
    """Return lines without what differs between two runs."""
    return [VOLATILE.sub(r"\1_...", line.rstrip()) for line in text.strip().splitlines()]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def checkout(home):
    return new_checkout(home)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def environment(home, checkout):
    """The environment of a client of what `make run` starts in an empty home directory."""
    base = {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}
    port = _free_port()
    process = await asyncio.create_subprocess_exec(
        str(checkout / ".venv/bin/ccproxy"),
        "run",
        "--port",
        str(port),
        cwd=checkout,
        env=base,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    exports: dict[str, str] = {}
    log: list[bytes] = []
    reading = None
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while "ANTHROPIC_AUTH_TOKEN" not in exports:
                line = (await process.stderr.readline()).decode()
                assert line, "the proxy ended before it printed a token"
                if match := re.match(r"export (\w+)=(\S+)", line):
                    exports[match[1]] = match[2]
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.02)
        reading = asyncio.create_task(_drain(process.stderr, log))
        yield {**base, **exports}
    finally:
        process.terminate()
        await process.wait()
        if reading is not None:
            await reading


async def _drain(stream: asyncio.StreamReader, into: list[bytes]) -> None:
    while chunk := await stream.read(65536):
        into.append(chunk)


async def _run(command: str, folder: Path, environment: dict[str, str]) -> tuple[str, str]:
    """Return what a command, run in a folder, printed on stdout and on stderr."""
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        command,
        cwd=folder,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    return output.decode(), errors.decode()


def test_the_tour_has_its_steps():
    """The marks in the README are found, so that the test below is not empty."""
    assert ["", "", "", "claude-code", ""] == [step.needs for step in STEPS]


@pytest.mark.timeout(120)
@pytest.mark.asyncio(loop_scope="module")
async def test_the_tour_prints_what_the_readme_shows(checkout, environment):
    """curl, SDK and CLI examples give, in an empty home directory, what the README shows."""
    for step in STEPS:
        if step.needs:
            continue
        # On a terminal the two mix in no certain order; the README shows remarks last.
        output, remarks = await _run(step.command, checkout, environment)
        printed = _steady(output + remarks)

        shown = _steady(step.shown)
        assert shown == [line for line in printed if not line.startswith("warning:")]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.usefixtures("environment")
async def test_the_tour_leaves_installations_alone(home, checkout):
    """Tokens and ledger of what is run in a checkout are in a folder of it, not in `~/.ccproxy`."""
    state = {each.name for each in (checkout / ".ccproxy").iterdir()}

    assert {"tokens.json", "ccproxy.db"} <= state
    assert not (home / ".ccproxy").exists()


@pytest.mark.timeout(120)
@pytest.mark.asyncio(loop_scope="module")
async def test_the_examples_are_answered(checkout, environment):
    """Each request of docs/qwen-usage-examples.md, and none with an error."""
    for command in ASKS:
        answer, complaint = await _run(command, checkout, environment)
        told = answer + complaint
        if '"stream": true' in command:
            assert "event: message_stop" in answer, told
            assert "event: error" not in answer, told
        else:
            assert json.loads(answer).get("type", "count") in {"message", "count"}, told
    assert 6 == len(ASKS)


@pytest.mark.needs("claude-code")
@pytest.mark.timeout(120)
@pytest.mark.asyncio(loop_scope="module")
async def test_the_tours_claude_code_runs_a_command(checkout, environment, tmp_path):
    """Claude Code, with the two exported variables and nothing else, runs the model's command."""
    (step,) = [step for step in STEPS if step.needs == "claude-code"]
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "claude").symlink_to(claude_code_program())
    environment = environment | {
        "PATH": f"{programs}:{environment['PATH']}",
        "IS_SANDBOX": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }

    output, _ = await _run(step.command, checkout, environment)

    assert _steady(step.shown) == _steady(output)
