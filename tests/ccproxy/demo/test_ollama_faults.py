from __future__ import annotations

import asyncio
import json
import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from ccproxy.demo.ollama_faults import BAD_REQUESTS, FaultKind
from ccproxy.demo.ollama_server import SimulatedOllama

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BODY = {"model": "qwen-fast", "messages": [{"role": "user", "content": "hello"}]}


@asynccontextmanager
async def served() -> AsyncIterator[tuple[SimulatedOllama, httpx.AsyncClient]]:
    sim = SimulatedOllama(speed=math.inf)
    async with sim.serve() as base, httpx.AsyncClient(base_url=base, trust_env=False) as client:
        yield sim, client


async def read_until_broken(client: httpx.AsyncClient) -> tuple[bytes, Exception | None]:
    """Return what arrived of a streamed chat and how it broke off."""
    received = b""
    try:
        async with client.stream("POST", "/api/chat", json=BODY) as response:
            async for chunk in response.aiter_raw():
                received += chunk
    except httpx.TransportError as exc:
        return received, exc
    return received, None


@pytest.mark.parametrize(
    ("kind", "settings", "status", "body"),
    [
        ("non_json", {}, 200, b"upstream connect error\n"),
        ("html_500", {}, 500, b"<html>"),
        ("empty_body", {}, 200, b""),
        ("busy", {}, 503, b"maximum pending requests exceeded"),
        ("unauthorized", {}, 401, b"signin_url"),
        ("forbidden", {}, 403, b"disabled"),
        ("server_error", {}, 500, b"llama runner process has terminated"),
        ("delete_model", {}, 404, b"model 'qwen-fast' not found"),
        ("bad_request", {"message": "own words"}, 400, b"own words"),
        *(
            ("bad_request", {"message": name}, 400, json.dumps(text)[1:20].encode())
            for name, text in BAD_REQUESTS.items()
        ),
    ],
)
async def test_answers_with_the_ordered_status(
    kind: str, settings: dict[str, Any], status: int, body: bytes
) -> None:
    """Faults that replace the answer have their status and text (conformance J)."""
    async with served() as (sim, client):
        sim.add_fault(kind, **settings)
        response = await client.post("/api/chat", json=BODY)

        assert status == response.status_code
        assert body in response.content


@pytest.mark.parametrize("after", [0, 2])
@pytest.mark.parametrize(
    ("kind", "broken"),
    [("reset", httpx.ReadError), ("close", httpx.RemoteProtocolError), ("no_done", type(None))],
)
async def test_breaks_off_after_so_many_records(
    kind: str, broken: type[Exception], after: int
) -> None:
    """A stream ends by RST, by FIN, or properly but without `done` (conformance 222, 242)."""
    async with served() as (sim, client):
        await client.post("/api/chat", json=BODY)
        sim.add_fault(kind, after_records=after)
        received, exc = await read_until_broken(client)
        next_one = await client.post("/api/chat", json=BODY)

        assert after == received.count(b"\n")
        assert b'"done":true' not in received
        assert isinstance(exc, broken)
        assert next_one.status_code == 200


async def test_error_line_ends_the_stream() -> None:
    """An error comes as a line under status 200 (conformance 221)."""
    async with served() as (sim, client):
        sim.add_fault("error_line", message="CUDA error: out of memory")
        received, _ = await read_until_broken(client)

        assert {"error": "CUDA error: out of memory"} == json.loads(received.splitlines()[-1])


async def test_garbage_line_is_followed_by_the_rest() -> None:
    """A line that is no JSON stands between records."""
    async with served() as (sim, client):
        sim.add_fault("garbage_line")
        lines = (await read_until_broken(client))[0].splitlines()

        assert lines[1] == b"llama_decode: failed"
        assert json.loads(lines[-1])["done"] is True


async def test_missing_counts() -> None:
    """The final record may lack both counts (conformance 218)."""
    async with served() as (sim, client):
        sim.add_fault("missing_counts")
        last = json.loads((await read_until_broken(client))[0].splitlines()[-1])

        assert last["done"] is True
        assert not {"eval_count", "prompt_eval_count"} & set(last)


@pytest.mark.parametrize("kind", ["hang", "stall"])
async def test_silence_lasts_until_the_client_leaves(kind: str) -> None:
    """A hang sends nothing, a stall nothing more; the slot is free once the client left."""
    async with served() as (sim, client):
        sim.add_fault(kind)
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/api/chat", json=BODY, timeout=0.1)
        await asyncio.wait_for(sim.idle(), 2)

        assert sim.generations[0].disconnected.is_set()


async def test_split_utf8_splits_every_character() -> None:
    """Multi-byte characters arrive in two pieces, and the bytes are the same (204)."""
    async with served() as (sim, client):
        sim.add_fault("split_utf8")
        sim.answer_with({"message": {"role": "assistant", "content": "naïve ✓"}, "done": True})
        async with client.stream("POST", "/api/chat", json=BODY) as response:
            chunks = [chunk async for chunk in response.aiter_raw()]

        assert any(chunk.endswith(b"\xc3") for chunk in chunks)
        assert json.loads(b"".join(chunks))["message"]["content"] == "naïve ✓"


async def test_slow_bytes_arrive_whole() -> None:
    """Byte by byte is still the same answer."""
    async with served() as (sim, client):
        sim.add_fault("slow_bytes")
        sim.answer_with({"message": {"role": "assistant", "content": "x"}, "done": True})
        received, exc = await read_until_broken(client)

        assert exc is None
        assert json.loads(received)["done"] is True


async def test_endless_line_goes_on_until_the_client_leaves() -> None:
    """A line without an end is sent as long as somebody reads (conformance 204)."""
    async with served() as (sim, client):
        sim.add_fault("endless_line", after_records=0)
        size = 0
        async with client.stream("POST", "/api/chat", json=BODY) as response:
            async for chunk in response.aiter_raw():
                assert b"\n" not in chunk
                size += len(chunk)
                if size > 2_000_000:
                    break
        await asyncio.wait_for(sim.idle(), 2)

        assert sim.generations[0].disconnected.is_set()


async def test_a_fault_meets_only_the_next_matching_requests() -> None:
    """`times`, `path` and `model` choose who is hit."""
    async with served() as (sim, client):
        sim.add_fault("busy", times=2, model="qwen-fast")
        sim.add_fault("html_500", path="/api/tags")
        other = await client.post("/api/chat", json={**BODY, "model": "qwen3:8b"})
        hit = [(await client.post("/api/chat", json=BODY)).status_code for _ in range(3)]
        tags = [(await client.get("/api/tags")).status_code for _ in range(2)]

        assert (other.status_code, hit, tags) == (200, [503, 503, 200], [500, 200])


async def test_faults_can_be_ordered_over_http() -> None:
    """`POST /_sim/faults` takes one fault or a list, and explains what it does not know."""
    async with served() as (sim, client):
        good = await client.post("/_sim/faults", json=[{"kind": "busy"}, {"kind": "no_done"}])
        bad = await client.post("/_sim/faults", json={"kind": "busy", "tims": 2})
        odd = await client.post("/_sim/faults", json={"kind": "earthquake"})

        assert good.json() == {"ok": True, "pending": 2}
        assert [fault.kind for fault in sim.faults] == [FaultKind.BUSY, FaultKind.NO_DONE]
        assert "tims" in bad.json()["error"]
        assert (bad.status_code, odd.status_code) == (400, 400)


async def test_refuses_hangs_and_comes_back_on_the_same_port() -> None:
    """The server can be down or deaf, and is then there again (conformance 237, 242)."""
    async with served() as (sim, client):
        await sim.refuse()
        with pytest.raises(httpx.ConnectError):
            await client.get("/")
        await sim.hang()
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/", timeout=0.1)
        await sim.resume()
        back = await client.get("/")

        assert back.text == "Ollama is running"


async def test_an_outage_over_http_resets_streams_and_ends_by_itself() -> None:
    """`refuse` for some seconds drops open streams; afterwards the port serves again."""
    async with served() as (sim, client):
        sim.answer_with({"message": {"role": "assistant", "content": "x"}}, asyncio.Event())
        broken = asyncio.create_task(read_until_broken(client))
        await sim.generation()
        await client.post("/_sim/faults", json={"kind": "refuse", "seconds": 0.05})
        _, exc = await asyncio.wait_for(broken, 2)
        await sim.outages_over()

        assert isinstance(exc, httpx.TransportError)
        assert (await client.get("/")).status_code == 200
