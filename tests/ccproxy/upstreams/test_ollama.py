from __future__ import annotations

import gzip
import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from ccproxy.demo.ollama_models import SimModel
from ccproxy.demo.ollama_requests import RunnerOptions
from ccproxy.demo.ollama_server import SimulatedOllama
from ccproxy.ports import ModelFacts
from ccproxy.upstreams.ollama import (
    OllamaControl,
    OllamaControlError,
    OllamaModelMissing,
    OllamaProtocolError,
    OllamaUnreachable,
    _kv_bytes_per_token,
)
from tests.support.raw_upstream import raw_upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Q4 = "Q4_K_M"
STUB = SimModel("big:cloud", remote_host="https://ollama.com:443", remote_model="big")


@asynccontextmanager
async def controlled(**settings: Any) -> AsyncIterator[tuple[SimulatedOllama, OllamaControl]]:
    sim = SimulatedOllama(**{"speed": math.inf, **settings})
    async with sim.serve() as base:
        control = OllamaControl(f"{base}/")
        yield sim, control
        await control.aclose()


async def test_reads_version_models_and_residents_without_loading() -> None:
    """Version, tags and ps are read as they are, and nothing gets loaded (237, 239)."""
    async with controlled() as (sim, control):
        version = await control.version()
        models = await control.models()
        before = await control.resident()
        loads = sim.loads

        assert version == "0.33.0"
        assert [model.name for model in models] == [model.name for model in sim.models.values()]
        assert models[0].digest == sim.find("qwen2.5-coder:32b-instruct").digest
        assert models[3].capabilities == frozenset({"completion", "tools", "thinking"})
        assert (before, loads, sim.generations) == ((), 0, [])


async def test_lists_what_is_resident_with_its_context() -> None:
    """A loaded model is listed with its effective context (conformance 233)."""
    async with controlled() as (sim, control):
        model = sim.find("qwen-fast")
        lease = await sim.memory.acquire(model, RunnerOptions(num_ctx=8192), "")
        resident = await control.resident()
        sim.memory.release(lease, "", 60)

        assert [(entry.name, entry.context_tokens) for entry in resident] == [
            ("qwen-fast:latest", 8192)
        ]
        assert resident[0].size_bytes > model.weights_bytes


@pytest.mark.parametrize(
    ("model", "facts"),
    [
        ("qwen3:8b", ModelFacts(True, True, False, True, 40960, False, "qwen3", "8.2B", Q4)),
        (
            "qwen2.5vl:7b",
            ModelFacts(True, False, True, False, 125952, False, "qwen25vl", "8.3B", Q4),
        ),
        ("QWEN-FAST", ModelFacts(True, True, False, False, 32768, False, "qwen2", "7.6B", Q4)),
    ],
)
async def test_show_gives_capabilities_and_trained_context(model: str, facts: ModelFacts) -> None:
    """`/api/show` says what a model can do and how long a context it was trained on (238)."""
    async with controlled() as (sim, control):
        assert facts == await control.show(model)
        assert sim.loads == 0


@pytest.mark.parametrize(
    "stub", [STUB, SimModel("big:cloud"), SimModel("b:7b", remote_host="https://ollama.com")]
)
async def test_a_cloud_stub_is_remote(stub: SimModel) -> None:
    """A stub is remote by its `remote_host`, or by its name alone (conformance 164, 239)."""
    async with controlled(models=[stub]) as (_, control):
        assert [model.remote for model in await control.models()] == [True]
        assert (await control.show(stub.name)).remote


async def test_an_old_ollama_leaves_capabilities_unknown() -> None:
    """Where tags carry no capabilities they are unknown, not absent (conformance 238)."""
    async with controlled(tags_capabilities=False) as (_, control):
        assert (await control.models())[0].capabilities is None


@pytest.mark.parametrize(
    ("fault", "path", "error"),
    [
        ("html_500", "/api/version", OllamaProtocolError),
        ("non_json", "/api/version", OllamaProtocolError),
        ("empty_body", "/api/version", OllamaProtocolError),
        ("reset_before_headers", "/api/version", OllamaUnreachable),
        ("non_json", "/api/tags", OllamaProtocolError),
        ("busy", "/api/ps", OllamaProtocolError),
    ],
)
async def test_bad_answers_are_errors_that_name_the_place(
    fault: str, path: str, error: type[OllamaControlError]
) -> None:
    """Whatever a broken Ollama answers becomes an error of ours with its URL."""
    async with controlled() as (sim, control):
        sim.add_fault(fault, path=path)
        ask = {"/api/version": control.version, "/api/tags": control.models}
        with pytest.raises(error, match=control.api_base):
            await ask.get(path, control.resident)()


@pytest.mark.parametrize("coding", [b"", b"content-encoding: gzip\r\n"])
async def test_an_answer_without_end_is_not_kept(coding: bytes) -> None:
    """What goes on beyond 8 MiB, also once it is unpacked, is no Ollama."""
    endless = b'{"version": "' + b"0" * 9 * 2**20 + b'"}'
    body = gzip.compress(endless, 1) if coding else endless
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n%b\r\n" % (len(body), coding)
    async with raw_upstream(head + body) as upstream:
        control = OllamaControl(upstream.base_url)
        with pytest.raises(OllamaProtocolError, match="longer than"):
            await control.version()
        await control.aclose()


async def test_a_missing_model_and_a_dead_server_are_told_apart() -> None:
    """404 is a missing model; a refused connection is an unreachable server."""
    async with controlled() as (sim, control):
        with pytest.raises(OllamaModelMissing, match="nope"):
            await control.show("nope")
        await sim.refuse()
        with pytest.raises(OllamaUnreachable, match="does not answer"):
            await control.version()
        await sim.resume()
        assert await control.version() == "0.33.0"


async def test_the_environment_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies, OLLAMA_HOST and OLLAMA_API_KEY of the environment have no say (243)."""
    for name in ("HTTP_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("OLLAMA_API_KEY", "made-up-secret")
    async with controlled() as (sim, control):
        await control.version()

        assert sim.requests[0].header(b"authorization") is None


QWEN_32B = {
    "general.architecture": "qwen2",
    "qwen2.block_count": 64,
    "qwen2.embedding_length": 5120,
    "qwen2.attention.head_count": 40,
    "qwen2.attention.head_count_kv": 8,
}


@pytest.mark.parametrize(
    ("changes", "kib"),
    [
        ({}, 256),
        ({"qwen2.attention.key_length": 64, "qwen2.attention.value_length": 64}, 128),
        ({"qwen2.attention.head_count_kv": None}, None),
        ({"qwen2.attention.head_count_kv": [8, 8]}, None),
        ({"qwen2.attention.sliding_window": 4096}, None),
        ({"general.architecture": "other"}, None),
    ],
)
def test_the_cache_of_a_token_is_reckoned_from_the_metadata(
    changes: dict[str, Any], kib: int | None
) -> None:
    """qwen2.5's 32B keeps 64 layers of 8 keys and values of 128 numbers: 256 KiB a token."""
    found = _kv_bytes_per_token({**QWEN_32B, **changes})
    assert found == (None if kib is None else kib * 1024)
