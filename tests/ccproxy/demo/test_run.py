"""`ccproxy run` and `ccproxy demo`: what they find, where they listen, what they leave behind."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys

import pytest

from ccproxy.config.settings import load_settings
from ccproxy.demo.run import look_around
from ccproxy.demo.standin import Simulation
from tests.support.http_wire import ask
from tests.support.proxy import REPOSITORY, settings_document

START_S = 30
NOBODY = "http://127.0.0.1:9"


def written(folder, **changes):
    document = settings_document(
        NOBODY,
        NOBODY,
        roster=REPOSITORY / "config/orchestra-config.json",
        routing=REPOSITORY / "config/routing.yaml",
    )
    path = folder / "ccproxy.yaml"
    path.write_text(json.dumps({**document, **changes}))
    return path


@contextlib.asynccontextmanager
async def started(folder, *arguments):
    """Run the command in a process of its own until the block ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "ccproxy", *arguments, "--config", str(folder / "ccproxy.yaml")),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=REPOSITORY,
        env={**os.environ, "HOME": str(folder), "TERM": "dumb", "COLUMNS": "300"},
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def heard(process, pattern):
    """Return the first match of a line on stderr."""
    said = ""
    async with asyncio.timeout(START_S):
        while line := (await process.stderr.readline()).decode():
            said += line
            if found := re.search(pattern, line):
                return found
    raise AssertionError(said)


async def ended(process):
    async with asyncio.timeout(START_S):
        out, said = await process.communicate()
    return process.returncode, out.decode(), said.decode()


def token_names(folder):
    return [token["name"] for token in json.loads((folder / "tokens.json").read_text())["tokens"]]


async def test_serve_says_where_it_listens(tmp_path):
    """One JSON line `listening`, with an address that a client can use, once it is true."""
    written(tmp_path)
    async with started(tmp_path, "serve", "--host", "0.0.0.0", "--port", "0") as process:
        line = json.loads((await heard(process, r".*\"listening\".*"))[0])
        live = await ask(line["url"], "/health/live", method="GET")

    assert 200 == live.status
    assert ("listening", "info") == (line["event"], line["level"])
    assert line["url"].startswith("http://127.0.0.1:")


@pytest.mark.parametrize("command", ["demo", "serve"])
async def test_a_taken_port_is_the_only_thing_said(command, tmp_path):
    """A taken port is exit 1 and a sentence; no address, no token, no traceback before it."""
    roster = {"codingAgents": [{"name": "Python Pro", "model": "haiku"}]}
    (tmp_path / "roster.json").write_text(json.dumps(roster))
    (tmp_path / "routing.yaml").write_text(
        "version: 1\nactive_profile: p\nprofiles: {p: {default: {route: [qwen-coder]}}}\n"
    )
    written(tmp_path, roster="roster.json", routing="routing.yaml")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        async with started(tmp_path, command, "--port", str(port)) as process:
            code, out, said = await ended(process)

    errors = [line for line in said.splitlines() if not line.startswith("warning: ")]
    assert (1, "") == (code, out)
    assert 1 == len(errors), said
    assert errors[0].startswith(f"error: cannot listen on 127.0.0.1:{port}: Address already in use")
    assert not (tmp_path / "tokens.json").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_the_token_of_the_traffic_ends_with_it(number, tmp_path):
    """A demo with traffic leaves the token it printed, and not the one it made for itself."""
    written(tmp_path)
    async with started(tmp_path, "demo", "--port", "0", "--demo-traffic") as process:
        await heard(process, r"export ANTHROPIC_AUTH_TOKEN=")
        during = token_names(tmp_path)
        process.send_signal(number)
        _, _, said = await ended(process)

    assert ["demo-traffic", "local"] == sorted(during)
    assert ["local"] == token_names(tmp_path)
    assert "Traceback" not in said


def deployments(folder, *params):
    items = [{"model_name": f"d{n}", "litellm_params": each} for n, each in enumerate(params)]
    return load_settings(written(folder, model_list=items), {"HOME": str(folder)})


OLLAMA = {"model": "ollama_chat/q", "api_base": NOBODY}


@pytest.mark.parametrize(
    ("params", "is_real"),
    [
        ({"model": "openai/gpt", "api_key": "k"}, True),
        ({"model": "openai/m", "api_base": "http://127.0.0.1:1/x"}, True),
        ({"model": "openai/gpt"}, False),
        ({"model": "openai/gpt", "api_key": "os.environ/NOT_SET"}, False),
        ({"model": "anthropic/*", "api_key": "k"}, True),
        ({"model": "anthropic/*"}, False),
    ],
)
def test_what_can_be_used_is_real(params, is_real, tmp_path):
    """A deployment of any provider with a key or an address is real: then nothing is simulated."""
    assert is_real is look_around(deployments(tmp_path, OLLAMA, params)).any


def test_only_what_is_simulated_is_replaced(tmp_path):
    """In a simulation Ollama and Claude are replaced; another provider has no key and no use."""
    settings = deployments(
        tmp_path,
        OLLAMA,
        {"model": "anthropic/*"},
        {"model": "openai/gpt", "api_key": "sk-real", "api_base": "https://api.example.com"},
    )
    simulation = Simulation(None, None, "http://127.0.0.1:1", "http://127.0.0.1:2")
    ollama, claude, other = simulation.in_place_of_real(settings).deployments

    assert ("http://127.0.0.1:1", None) == (ollama.api_base, ollama.unavailable)
    assert ("http://127.0.0.1:2", None) == (claude.api_base, claude.unavailable)
    assert (None, "there is no simulated openai") == (other.api_key, other.unavailable)
