"""Fetching models, against the simulated Ollama."""

import math
from contextlib import asynccontextmanager

import pytest

from ccproxy.demo.ollama_models import SimModel
from ccproxy.demo.ollama_server import SimulatedOllama
from ccproxy.upstreams.ollama import OllamaControl
from ccproxy.upstreams.ollama_ask import AskFailed, ask_once
from ccproxy.upstreams.ollama_pull import TRIES, OllamaPuller, PullFailed
from tests.support.raw_upstream import raw_upstream


@asynccontextmanager
async def puller():
    """An Ollama with nothing on it, a registry with one model, and who fetches it."""
    simulator = SimulatedOllama(models=(), speed=math.inf)
    simulator.offer(SimModel("tiny:1b", weights_gib=1.0))
    async with simulator.serve() as url:
        fetches = OllamaPuller(url, pause_s=0)
        try:
            yield simulator, fetches
        finally:
            await fetches.aclose()


async def test_nobody_elses_key_is_sent(monkeypatch):
    """OLLAMA_API_KEY of the environment is for ollama.com, and no Ollama of ours hears it (conformance 243)."""
    monkeypatch.setenv("OLLAMA_API_KEY", "made-up-secret")
    async with puller() as (simulator, fetches):
        assert [part async for part in fetches.pull("tiny:1b")]
        await ask_once(fetches.api_base, "tiny:1b", 2048, None)

        assert ["/api/pull", "/api/chat"] == [each.path for each in simulator.requests]
        assert {None} == {each.header(b"authorization") for each in simulator.requests}


async def test_a_model_arrives_with_news_of_its_progress():
    """Bytes count up to the whole, and then the model is there."""
    async with puller() as (simulator, fetches):
        parts = [part async for part in fetches.pull("tiny:1b")]

        counted = [part.done_bytes for part in parts if part.total_bytes]
        assert counted == [2**28 * quarter for quarter in range(5)]
        assert parts[-1].status == "success"
        assert "tiny:1b" in simulator.models


@pytest.mark.parametrize("kind", ["close", "reset"])
async def test_what_breaks_off_goes_on(kind):
    """A broken download is taken up where it ended, without a word from the person."""
    async with puller() as (simulator, fetches):
        simulator.add_fault(kind, path="/api/pull", after_records=4)
        parts = [part async for part in fetches.pull("tiny:1b")]

        assert [part.retry for part in parts if part.status.startswith("broke off")] == [1]
        first_again = next(part for part in parts if part.retry and part.total_bytes)
        assert first_again.done_bytes == 2**28 * 2
        assert "tiny:1b" in simulator.models


async def test_an_end_without_success_is_no_success():
    """An answer that merely stops is taken up again too."""
    async with puller() as (simulator, fetches):
        simulator.add_fault("no_done", path="/api/pull", after_records=2)
        parts = [part async for part in fetches.pull("tiny:1b")]

        assert parts[-1].status == "success"
        assert max(part.retry for part in parts) == 1


async def test_what_always_breaks_off_fails():
    """After some tries it is a failure that says how to go on."""
    async with puller() as (simulator, fetches):
        simulator.add_fault("close", path="/api/pull", after_records=1, times=TRIES + 1)
        with pytest.raises(PullFailed, match="same command again"):
            [part async for part in fetches.pull("tiny:1b")]


async def test_a_model_that_the_registry_lacks():
    """It is a failure at once, and is not tried again."""
    async with puller() as (simulator, fetches):
        with pytest.raises(PullFailed, match="registry does not have it"):
            [part async for part in fetches.pull("nope:1b")]

        assert len(simulator.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>\n",
        b'{"status": "pulling mani',
        b"[]\n",
        b'{"status": 5}\n',
        b'{"completed": "x"}\n',
        b'{"error": 5}\n',
        b"\xff\n",
    ],
)
async def test_what_is_no_ollama(answer):
    """Lines that are none of Ollama's are a failure with a word about it, at once."""
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(answer)
    async with raw_upstream(head + answer) as upstream:
        fetches = OllamaPuller(upstream.base_url, pause_s=0)
        for stream in (fetches.pull("tiny:1b"), fetches.create("mine", "tiny:1b", {})):
            with pytest.raises(PullFailed, match="its answer is not Ollama's"):
                [part async for part in stream]
        await fetches.aclose()
        with pytest.raises(AskFailed, match="tiny:1b"):
            await ask_once(upstream.base_url, "tiny:1b", 2048, None)


async def test_an_error_that_is_no_ollamas():
    """Also where the status says that something is wrong."""
    async with raw_upstream(b"HTTP/1.1 500 x\r\ncontent-length: 2\r\n\r\n[]") as upstream:
        fetches = OllamaPuller(upstream.base_url, pause_s=0)
        with pytest.raises(PullFailed, match="its answer is not Ollama's"):
            [part async for part in fetches.pull("tiny:1b")]
        await fetches.aclose()
        with pytest.raises(AskFailed, match="its answer is not Ollama's"):
            await ask_once(upstream.base_url, "tiny:1b", 2048, None)


async def test_a_model_made_of_another():
    """A recipe's model has its own name and parameters; without its base it is a failure."""
    async with puller() as (simulator, fetches):
        with pytest.raises(PullFailed, match="mine"):
            [part async for part in fetches.create("mine", "tiny:1b", {"num_ctx": 8192})]
        [part async for part in fetches.pull("tiny:1b")]
        parts = [part async for part in fetches.create("mine", "tiny:1b", {"num_ctx": 8192})]

        assert parts[-1].status == "success"
        control = OllamaControl(fetches.api_base)
        shown = await control.show("mine")
        await control.aclose()
        assert shown.present
        assert simulator.models["mine:latest"].made_with == (("num_ctx", 8192),)
