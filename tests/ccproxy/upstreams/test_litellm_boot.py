"""What importing and using LiteLLM does to the process and the network, seen from outside of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]

AUDITED = """
import asyncio, json, os, sys
from tests.support.scripted_ollama import answer, done, said, scripted_ollama

contacts, opened, dotenv = [], [], []

def audit(event, args):
    if event == "socket.connect":
        contacts.append(list(args[1][:2]) if isinstance(args[1], tuple) else str(args[1]))
    elif event == "socket.getaddrinfo":
        contacts.append([args[0], args[1]])
    elif event == "open" and str(args[0]).endswith(".env"):
        dotenv.append(str(args[0]))

from ccproxy.ports import ModelCall
from ccproxy.upstreams.litellm import LiteLLMRuntime, LiteLLMUpstream, Target

async def main():
    async with scripted_ollama(answer(said(content="a"), done())) as ollama:
        before = dict(os.environ)
        sys.addaudithook(audit)
        runtime = LiteLLMRuntime()
        runtime.start()
        provider = await runtime.ready()
        after_import = list(contacts)
        upstream = LiteLLMUpstream(
            runtime, Target("ollama_chat/llama-3:8b", "q", ollama.base_url, num_ctx=4096)
        )
        said_ = [event async for event in upstream.stream(ModelCall(
            messages=[{"role": "user", "content": "hi"}],
            tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        ))]
        await upstream.aclose()
        host, port = ollama.base_url.removeprefix("http://").split(":")
        print(json.dumps({
            "after_import": after_import,
            "contacts": [c for c in contacts if c != [host, int(port)]],
            "reached": [host, int(port)] in contacts,
            "paths": ollama.paths,
            "events": len(said_),
            "dotenv": dotenv,
            "leaked": os.environ.get("CCPROXY_TEST_LEAK"),
            "changed": sorted(
                n for n in {*before, *os.environ} if before.get(n) != os.environ.get(n)
            ),
            "prices": sorted(provider.prices()),
        }))

asyncio.run(main())
"""


def run(script: str, cwd: Path) -> Any:
    """Run a script in a fresh interpreter that finds this repository, and return its JSON."""
    found = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", found + script],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd)},
        timeout=50,
        check=True,
    )
    assert "" == done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return what an audit hook saw of an import and one streamed call, in a folder with `.env`."""
    folder = tmp_path_factory.mktemp("project")
    (folder / ".env").write_text("CCPROXY_TEST_LEAK=1\n")
    return run(AUDITED, folder)


def test_the_import_connects_nowhere(report: Any) -> None:
    """Importing LiteLLM resolves no name and opens no connection."""
    assert [] == report["after_import"]


def test_a_call_connects_to_its_base_alone(report: Any) -> None:
    """One streamed call with tools reaches `api_base` with one request and nothing else."""
    assert report["reached"]
    assert [] == report["contacts"]
    assert ["/api/chat"] == report["paths"]
    assert 2 == report["events"]


def test_no_dotenv_is_read(report: Any) -> None:
    """A `.env` of the folder is neither opened nor loaded."""
    assert [] == report["dotenv"]
    assert report["leaked"] is None


def test_the_environment_gains_only_what_keeps_litellm_at_home(report: Any) -> None:
    """Three variables steer the import; LiteLLM points tiktoken at its packaged files itself."""
    added = [
        "LITELLM_DISABLE_REDACT_SECRETS",
        "LITELLM_LOCAL_MODEL_COST_MAP",
        "LITELLM_MODE",
        "TIKTOKEN_CACHE_DIR",
    ]

    assert added == report["changed"]


def test_prices_of_claude_models_survive(report: Any) -> None:
    """The price rows are there although LiteLLM's own map was emptied."""
    assert any(name.startswith("claude-") for name in report["prices"])


LOGGING = """
import json, logging, sys, time
from threading import Thread
from ccproxy.upstreams.litellm_boot import load

outcome, failed, records = [], [], 0
loggers = [logging.getLogger(name) for name in ("asyncio", "uvicorn.error", "httpx")]
for logger in loggers:
    logger.addHandler(logging.NullHandler())
    logger.propagate = False

def import_it():
    try:
        outcome.append(type(load()).__name__)
    except BaseException as error:
        outcome.append(repr(error))

thread = Thread(target=import_it)
thread.start()
while thread.is_alive():
    for logger in loggers:
        try:
            logger.warning("a record")
            records += 1
        except BaseException as error:
            failed.append(repr(error))
    time.sleep(0.001)
print(json.dumps({"outcome": outcome, "failed": failed, "logged": records > 10}))
"""


def test_logging_goes_on_during_the_import(tmp_path: Path) -> None:
    """A record of the server's while LiteLLM is imported harms neither of them."""
    expected = {"outcome": ["LiteLLMProvider"], "failed": [], "logged": True}

    assert expected == run(LOGGING, tmp_path)


LIGHT = """
import json, sys
import ccproxy.upstreams.litellm
print(json.dumps([name for name in sys.modules if name.partition(".")[0] in {"litellm", "openai"}]))
"""


def test_the_front_is_light(tmp_path: Path) -> None:
    """Importing the front does not import LiteLLM."""
    assert [] == run(LIGHT, tmp_path)


BROKEN = """
import asyncio, json, sys
sys.modules["litellm"] = None
from ccproxy.ports import AttemptFailed, ModelCall
from ccproxy.upstreams.litellm import LiteLLMRuntime, LiteLLMUpstream, Target

async def main():
    upstream = LiteLLMUpstream(LiteLLMRuntime(), Target("ollama_chat/q", "q"))
    found = []
    for _ in range(2):
        try:
            await anext(upstream.stream(ModelCall(messages=[])))
        except AttemptFailed as error:
            found.append([error.failure, error.message])
    print(json.dumps(found))

asyncio.run(main())
"""


def test_without_litellm(tmp_path: Path) -> None:
    """Where LiteLLM cannot be imported each attempt says so, and another deployment may serve."""
    found = run(BROKEN, tmp_path)

    assert [["connect_error", "The model's service cannot be reached."]] * 2 == found
