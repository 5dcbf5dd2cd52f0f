"""The measurements of one round, each on one contender; what is added is computed elsewhere."""

from __future__ import annotations

import json
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from benchmarks.raw_client import Connection, fetch, read_streams, request_bytes

if TYPE_CHECKING:
    from benchmarks.contenders import Contender

EVENT_EVERY_US: Final = 10_000
"""Far enough apart that every event is a chunk of its own, as in a real answer."""
WRK_CONNECTIONS: Final = 16
_RPS: Final = re.compile(r"Requests/sec:\s+([\d.]+)")
_FAILURES: Final = re.compile(r"(Non-2xx|Socket errors).*")


@dataclass(frozen=True, slots=True)
class Counts:
    """How much of everything is done in one round."""

    json: int = 800
    ttft: int = 200
    large: int = 60
    streams: int = 50
    events: int = 200
    wrk_s: float = 2.0
    open_streams: int = 500
    local_json: int = 60
    local_streams: int = 10
    local_events: int = 300
    starts: int = 5

    def scaled(self, factor: float) -> Counts:
        """Return the same in small, for trying the harness out."""

        def small(count: int) -> int:
            return max(2, round(count * factor))

        return Counts(
            json=small(self.json),
            ttft=small(self.ttft),
            large=small(self.large),
            streams=small(self.streams),
            events=small(self.events),
            wrk_s=max(1.0, self.wrk_s * factor),
            open_streams=small(self.open_streams),
            local_json=small(self.local_json),
            local_streams=small(self.local_streams),
            local_events=small(self.local_events),
            starts=max(1, round(self.starts * factor)),
        )


@dataclass(frozen=True, slots=True)
class Requests:
    """The same requests for every contender of one side, as wire bytes."""

    headers: dict[str, str]
    small: bytes
    large: bytes

    def json(self) -> bytes:
        """Ask for one short Message."""
        return request_bytes("/v1/messages", self.headers, self.small)

    def large_json(self) -> bytes:
        """Ask the same with a long conversation."""
        return request_bytes("/v1/messages", self.headers, self.large)

    def stream(self, events: int, every_us: int) -> bytes:
        """Ask for a stream of that many deltas."""
        path = f"/v1/messages?sse={events}&every_us={every_us}"
        return request_bytes(path, self.headers, self.small)

    def held(self) -> bytes:
        """Ask for a stream that begins and then stays silent."""
        return request_bytes("/v1/messages?hold=1", self.headers, self.small)


def claude_requests(token: str, model: str) -> Requests:
    """Return requests as an SDK sends them: 2 KB, and a conversation of 400 KB."""
    headers = {
        "x-api-key": token,
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "interleaved-thinking-2025-05-14",
        "content-type": "application/json",
        "accept": "application/json",
        "user-agent": "Anthropic/Python 2.11.0",
        "x-stainless-lang": "python",
        "x-stainless-package-version": "2.11.0",
        "x-stainless-retry-count": "0",
    }
    return Requests(headers, _body(model, 2_000), _body(model, 400_000))


def _body(model: str, size_bytes: int) -> bytes:
    """Return a conversation of about that size, in messages of 2 KB with quotes and line ends."""
    text = 'def f(x):\n    return "x" + x\n' * 60
    messages: list[dict[str, object]] = []
    size = 0
    while size < size_bytes:
        role = "assistant" if len(messages) % 2 else "user"
        messages.append({"role": role, "content": [{"type": "text", "text": text}]})
        size += len(json.dumps(messages[-1]))
    if len(messages) % 2 == 0:
        messages.append({"role": "user", "content": "Go on."})
    head = {"model": model, "max_tokens": 1024, "system": "You are terse."}
    return json.dumps({**head, "messages": messages}).encode()


def percentile(values: list[float], share: float) -> float:
    """Return the value below which `share` (0 to 1) of `values` lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def claude_round(contender: Contender, requests: Requests, counts: Counts) -> dict[str, float]:
    """Return every repeatable figure of one contender."""
    figures = {
        **_json_latency(contender, requests.json(), counts.json),
        **_ttft(contender, requests, counts.ttft),
        **_large(contender, requests.large_json(), counts.large),
        **_events(contender, requests.stream(counts.events, EVENT_EVERY_US), counts),
    }
    if shutil.which("wrk"):
        figures |= _throughput(contender, requests, counts.wrk_s)
    return figures


def _json_latency(contender: Contender, request: bytes, count: int) -> dict[str, float]:
    connection = Connection(contender.port)
    for _ in range(max(2, count // 20)):
        connection.exchange(request)
    cpu_s = _cpu_s(contender)
    latencies = [connection.exchange(request)[1] for _ in range(count)]
    cpu_s = _cpu_s(contender) - cpu_s
    connection.close()
    return {
        "json_p50_ms": percentile(latencies, 0.5) * 1e3,
        "json_p99_ms": percentile(latencies, 0.99) * 1e3,
        "json_cpu_ms": cpu_s / count * 1e3,
    }


def _ttft(contender: Contender, requests: Requests, count: int) -> dict[str, float]:
    request = requests.stream(1, 500)
    connection = Connection(contender.port)
    connection.exchange(request)
    firsts = [connection.exchange(request)[0] for _ in range(count)]
    connection.close()
    return {"ttft_p50_ms": percentile(firsts, 0.5) * 1e3}


def _large(contender: Contender, request: bytes, count: int) -> dict[str, float]:
    connection = Connection(contender.port)
    connection.exchange(request)
    latencies = [connection.exchange(request)[1] for _ in range(count)]
    connection.close()
    return {"large_p50_ms": percentile(latencies, 0.5) * 1e3}


def _events(contender: Contender, request: bytes, counts: Counts) -> dict[str, float]:
    cpu_s = _cpu_s(contender)
    reads = read_streams(contender.port, [request] * counts.streams)
    cpu_s = _cpu_s(contender) - cpu_s
    events = counts.streams * counts.events
    return {"event_cpu_us": cpu_s / events * 1e6, "reads_per_event": reads / events}


def _throughput(contender: Contender, requests: Requests, seconds: float) -> dict[str, float]:
    """Return requests per second with `WRK_CONNECTIONS` kept connections, and CPU per request."""
    headers = "\n".join(f'wrk.headers["{n}"] = "{v}"' for n, v in requests.headers.items())
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        body = requests.small.decode()
        script.write(f'wrk.method = "POST"\n{headers}\nwrk.body = [==[{body}]==]\n')
        script.flush()
        url = f"http://127.0.0.1:{contender.port}/v1/messages"
        command = ["wrk", "-t1", f"-c{WRK_CONNECTIONS}", f"-d{max(1, round(seconds))}s"]
        cpu_s = _cpu_s(contender)
        done = subprocess.run(
            [*command, "-s", script.name, url], capture_output=True, text=True, check=True
        )
        cpu_s = _cpu_s(contender) - cpu_s
    found = _RPS.search(done.stdout)
    if found is None or _FAILURES.search(done.stdout):
        raise RuntimeError(f"wrk: {done.stdout}")
    rps = float(found[1])
    return {"rps": rps, "loaded_cpu_ms": cpu_s / (rps * max(1, round(seconds))) * 1e3}


def _cpu_s(contender: Contender) -> float:
    return contender.gauge.cpu_s() if contender.gauge else 0.0


def open_streams(
    contender: Contender, upstream_port: int, requests: Requests, count: int
) -> dict[str, float]:
    """Hold many silent streams open, then let all clients vanish at once.

    Returns:
        KB of resident memory per stream, and how many streams the upstream still has open one
        second after the clients have gone.
    """
    assert contender.gauge is not None
    before = contender.gauge.rss_bytes()
    connections = [Connection(contender.port) for _ in range(count)]
    for connection in connections:
        connection.first_event(requests.held())
    opened = json.loads(fetch(upstream_port, "/stats"))["open"]
    if opened != count:
        raise RuntimeError(f"{opened} of {count} streams are open at the upstream")
    time.sleep(0.5)
    held = contender.gauge.rss_bytes()
    for connection in connections:
        connection.vanish()
    time.sleep(1.0)
    left = json.loads(fetch(upstream_port, "/stats"))["open"]
    return {"kb_per_stream": (held - before) / count / 1024, "left_after_1s": left}


def local_round(
    contender: Contender, requests: dict[str, bytes], counts: Counts
) -> dict[str, float]:
    """Return the local side's figures: short answers, TTFT, CPU per relayed event."""
    connection = Connection(contender.port)
    for name in ("quick", "quick_stream"):
        connection.exchange(requests[name])
    latencies = [connection.exchange(requests["quick"])[1] for _ in range(counts.local_json)]
    firsts = [connection.exchange(requests["quick_stream"])[0] for _ in range(counts.local_json)]
    connection.close()
    cpu_s = _cpu_s(contender)
    read_streams(contender.port, [requests["paced"]] * counts.local_streams)
    cpu_s = _cpu_s(contender) - cpu_s
    return {
        "json_p50_ms": percentile(latencies, 0.5) * 1e3,
        "ttft_p50_ms": percentile(firsts, 0.5) * 1e3,
        "event_cpu_us": cpu_s / (counts.local_streams * counts.local_events) * 1e6,
    }


def litellm_round(process: subprocess.Popen[str], paced: str, counts: Counts) -> dict[str, float]:
    """Return the same of `litellm.acompletion` alone."""
    quick = _job(process, {"quick": counts.local_json})
    streams = _job(process, {"streams": counts.local_streams, "model": paced})
    events = counts.local_streams * counts.local_events
    return {
        "json_p50_ms": statistics.median(quick["latencies_s"]) * 1e3,
        "event_cpu_us": streams["cpu_s"] / events * 1e6,
    }


def _job(process: subprocess.Popen[str], job: dict[str, object]) -> Any:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(job) + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())
