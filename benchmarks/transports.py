"""Which HTTP client should carry the relay? Side by side, one upstream, rounds interleaved.

Candidates: httpx with its own transport, httpx with its aiohttp transport, aiohttp used directly,
and as a floor the least code on httptools that can read an answer.
The upstream is a bare asyncio server in its own process that costs as little as possible and is
the same for all. Every candidate runs in a fresh process with uvloop; the CPU reported is that
process's own. Rounds are interleaved and medians taken, because other programs share the machine:
compare ratios, not absolute figures.

Run: `python benchmarks/transports.py [--rounds 5] [--out benchmarks/results]`
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections import deque
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import aiohttp
import httptools
import httpx
import httpx_aiohttp
import uvloop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from contextlib import AbstractAsyncContextManager

EVENTS: Final = 100
STREAMS: Final = 50
EVENT_INTERVAL_S: Final = 0.01
"""Far enough apart that every event is a chunk of its own, as in a real answer."""
BODY: Final = b'{"model":"claude-sonnet-5-5","messages":"' + b"x" * 2000 + b'"}'
ANSWER: Final = b'{"id":"msg_1","content":"' + b"y" * 600 + b'"}'
EVENT: Final = (
    b"event: content_block_delta\n"
    b'data: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":"word "}}\n\n'
)
HEADERS: Final = {
    "x-api-key": "k",
    "anthropic-version": "2023-06-01",
    "content-type": "application/json",
    "accept": "application/json",
}
REQUESTS: Final = {1: 400, 16: 1600, 50: 1600}
"""Requests per concurrency."""


class Upstream(asyncio.Protocol):
    """One connection of the upstream: JSON at once, or `EVENTS` events `EVENT_INTERVAL_S` apart."""

    def __init__(self) -> None:
        """Start with nothing received."""
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer once head and body are complete (every body here is `BODY`)."""
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator or len(rest) < len(BODY) or self._transport is None:
            return
        self._buffer = rest[len(BODY) :]
        if b" /sse " in head[:40]:
            self._transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
                b"transfer-encoding: chunked\r\n\r\n"
            )
            self._tick(EVENTS)
            return
        self._transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            % len(ANSWER)
            + ANSWER
        )

    def _tick(self, left: int) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if left == 0:
            self._transport.write(b"0\r\n\r\n")
            return
        self._transport.write(b"%x\r\n%b\r\n" % (len(EVENT), EVENT))
        asyncio.get_running_loop().call_later(EVENT_INTERVAL_S, self._tick, left - 1)


async def serve() -> None:
    """Run the upstream until killed; print its port first."""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


@asynccontextmanager
async def httpx_client(
    transport: httpx.AsyncBaseTransport,
) -> AsyncIterator[Callable[[str], Awaitable[int]]]:
    """Yield a function that posts and reads an answer with httpx and returns its chunk count."""
    async with httpx.AsyncClient(transport=transport, timeout=60) as client:

        async def post(url: str) -> int:
            chunks = 0
            async with client.stream("POST", url, content=BODY, headers=HEADERS) as response:
                async for _ in response.aiter_raw():
                    chunks += 1
            return chunks

        yield post


@asynccontextmanager
async def aiohttp_client() -> AsyncIterator[Callable[[str], Awaitable[int]]]:
    """Yield the same function on aiohttp."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:

        async def post(url: str) -> int:
            chunks = 0
            async with session.post(url, data=BODY, headers=HEADERS) as response:
                async for _ in response.content.iter_any():
                    chunks += 1
            return chunks

        yield post


class BareConnection(asyncio.Protocol):
    """The floor: as little Python around httptools as can read an answer, and nothing else."""

    def __init__(self) -> None:
        """Start idle."""
        self._chunks: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self.transport: asyncio.Transport | None = None
        self.complete = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def start(self, request: bytes) -> None:
        """Send one request."""
        assert self.transport is not None
        self.complete = False
        self._parser = httptools.HttpResponseParser(self)
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Parse and wake the reader."""
        self._parser.feed_data(data)
        if self._waiter is not None:
            self._waiter.set_result(None)
            self._waiter = None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count as work: a relay needs the headers."""

    def on_body(self, body: bytes) -> None:
        """Queue one chunk."""
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        """Note the end."""
        self.complete = True

    async def read(self) -> bytes:
        """Return the next chunks, or nothing at the end."""
        while not self._chunks:
            if self.complete:
                return b""
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self._chunks.popleft()


@asynccontextmanager
async def bare_client() -> AsyncIterator[Callable[[str], Awaitable[int]]]:
    """Yield the same function on `BareConnection`, with a pool that is a list."""
    idle: list[BareConnection] = []
    loop = asyncio.get_running_loop()
    fields = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items()).encode()

    async def post(url: str) -> int:
        host, _, path = url.removeprefix("http://").partition("/")
        address, _, port = host.partition(":")
        if idle:
            connection = idle.pop()
        else:
            _, connection = await loop.create_connection(BareConnection, address, int(port))
        head = f"POST /{path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(BODY)}\r\n"
        connection.start(b"".join((head.encode(), fields, b"\r\n", BODY)))
        chunks = 0
        while await connection.read():
            chunks += 1
        idle.append(connection)
        return chunks

    yield post


def candidate(name: str) -> AbstractAsyncContextManager[Callable[[str], Awaitable[int]]]:
    """Return the context manager of one candidate."""
    if name == "bare httptools":
        return bare_client()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    if name == "httpx":
        return httpx_client(httpx.AsyncHTTPTransport(limits=limits))
    if name == "httpx-aiohttp":
        return httpx_client(httpx_aiohttp.AiohttpTransport(limits=limits))
    return aiohttp_client()


CANDIDATES: Final = ("httpx", "httpx-aiohttp", "aiohttp", "bare httptools")


def percentile(values: list[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of the sorted `values` lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def measure_json(
    post: Callable[[str], Awaitable[int]], url: str, concurrency: int
) -> dict[str, float]:
    """Send `REQUESTS[concurrency]` requests; latencies in ms, CPU in us per request."""
    latencies: list[float] = []
    share = REQUESTS[concurrency] // concurrency

    async def worker() -> None:
        for _ in range(share):
            start = time.perf_counter()
            await post(url)
            latencies.append((time.perf_counter() - start) * 1e3)

    await asyncio.gather(*(post(url) for _ in range(concurrency)))  # open the connections first
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(concurrency)))
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {
        "p50_ms": percentile(latencies, 0.5),
        "p95_ms": percentile(latencies, 0.95),
        "rps": len(latencies) / wall,
        "cpu_us_per_request": cpu / len(latencies) * 1e6,
    }


async def measure_sse(post: Callable[[str], Awaitable[int]], url: str) -> dict[str, float]:
    """Read `STREAMS` streams at once; CPU in us per event, and how late the last event was."""
    await asyncio.gather(*(post(url.replace("/sse", "/json")) for _ in range(STREAMS)))
    ideal_s = EVENTS * EVENT_INTERVAL_S
    late: list[float] = []
    chunks: list[int] = []

    async def reader() -> None:
        start = time.perf_counter()
        chunks.append(await post(url))
        late.append((time.perf_counter() - start - ideal_s) * 1e3)

    cpu = time.process_time()
    await asyncio.gather(*(reader() for _ in range(STREAMS)))
    cpu = time.process_time() - cpu
    return {
        "cpu_us_per_event": cpu / (STREAMS * EVENTS) * 1e6,
        "p50_late_ms": percentile(late, 0.5),
        "p95_late_ms": percentile(late, 0.95),
        "chunks_per_event": sum(chunks) / (STREAMS * EVENTS),
    }


async def run_client(name: str, port: int) -> None:
    """Run every scenario with one candidate and print the figures as JSON."""
    base = f"http://127.0.0.1:{port}"
    async with candidate(name) as post:
        figures = {
            f"json c={concurrency}": await measure_json(post, f"{base}/json", concurrency)
            for concurrency in REQUESTS
        }
        figures[f"sse {STREAMS}x{EVENTS}"] = await measure_sse(post, f"{base}/sse")
    sys.stdout.write(json.dumps(figures))


def medians(runs: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Return the median over rounds of every figure."""
    return {
        scenario: {
            figure: round(statistics.median(run[scenario][figure] for run in runs), 3)
            for figure in runs[0][scenario]
        }
        for scenario in runs[0]
    }


def markdown(result: Mapping[str, dict[str, dict[str, float]]]) -> str:
    """Return the medians as a table, one row per scenario and figure, with ratios to aiohttp."""
    lines = [
        "| scenario | figure | " + " | ".join(CANDIDATES) + " | httpx / aiohttp |",
        "|---|---|" + "---:|" * (len(CANDIDATES) + 1),
    ]
    for scenario, figures in result["aiohttp"].items():
        for figure, reference in figures.items():
            cells = [f"{result[name][scenario][figure]:.2f}" for name in CANDIDATES]
            ratio = result["httpx"][scenario][figure] / reference if reference else float("nan")
            lines.append(f"| {scenario} | {figure} | {' | '.join(cells)} | {ratio:.1f}x |")
    return "\n".join(lines)


def run_rounds(rounds: int) -> dict[str, list[dict[str, dict[str, float]]]]:
    """Run all candidates `rounds` times, alternating, against one upstream process."""
    script = str(Path(__file__).resolve())
    runs: dict[str, list[dict[str, dict[str, float]]]] = {name: [] for name in CANDIDATES}
    with subprocess.Popen(
        [sys.executable, script, "--role", "upstream"], stdout=subprocess.PIPE, text=True
    ) as upstream:
        assert upstream.stdout is not None
        port = upstream.stdout.readline().strip()
        try:
            for number in range(rounds):
                first = number % len(CANDIDATES)
                for name in CANDIDATES[first:] + CANDIDATES[:first]:
                    done = subprocess.run(
                        [sys.executable, script, "--role", name, "--port", port],
                        stdout=subprocess.PIPE,
                        check=True,
                    )
                    runs[name].append(json.loads(done.stdout))
        finally:
            upstream.kill()
    return runs


def main() -> None:
    """Measure, then write `transports.json` (raw and medians) and `transports.md`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--role", default="driver", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role == "upstream":
        uvloop.run(serve())
        return
    if options.role != "driver":
        uvloop.run(run_client(options.role, options.port))
        return
    runs = run_rounds(options.rounds)
    result = {name: medians(values) for name, values in runs.items()}
    machine = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "cpus": os.cpu_count(),
        "load_1m": os.getloadavg()[0],
        "rounds": options.rounds,
    }
    versions = {
        name: importlib.metadata.version(name)
        for name in ("aiohttp", "httpx", "httpx-aiohttp", "httpcore", "httptools", "uvloop")
    }
    options.out.mkdir(parents=True, exist_ok=True)
    document = {"machine": machine, "versions": versions, "medians": result, "runs": runs}
    (options.out / "transports.json").write_text(json.dumps(document, indent=1) + "\n")
    table = markdown(result)
    (options.out / "transports.md").write_text(
        f"# HTTP clients for the relay\n\n{machine}\n\n{versions}\n\n{table}\n"
    )
    sys.stdout.write(table + "\n")


if __name__ == "__main__":
    main()
