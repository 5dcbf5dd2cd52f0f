"""The server process: start, refusal to start, and the end."""

import asyncio
import contextlib
import json
import signal
import socket
import sys

import pytest
import uvicorn

from ccproxy.auth import create_token
from ccproxy.demo.claude_faults import Fault, FaultKind
from ccproxy.serve import server_config
from tests.support.grammar import check_stream
from tests.support.http_wire import ask, wire
from tests.support.messages import CLAUDE, LOCAL, turn
from tests.support.proxy import REPOSITORY, running_proxy, settings_document

START_S = 20


def written(folder, text=None):
    document = settings_document(
        "http://127.0.0.1:9",
        "http://127.0.0.1:9",
        roster=REPOSITORY / "config/orchestra-config.json",
        routing=REPOSITORY / "config/routing.yaml",
    )
    path = folder / "ccproxy.yaml"
    path.write_text(json.dumps(document, indent=1) if text is None else text)
    return path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.asynccontextmanager
async def serving(config, port):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "ccproxy",
        "serve",
        "--config",
        str(config),
        "--port",
        str(port),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=REPOSITORY,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def answering(base_url):
    async with asyncio.timeout(START_S):
        while True:
            try:
                return await ask(base_url, "/health/live", method="GET")
            except OSError:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("find", "replace", "words"),
    [
        ('"port": 0', '"port": "x"', ["server.port"]),
        ('"server"', '"sever"', ["sever", "server"]),
        ('"qwen-fast"', '"qwen-fest"', ["qwen-fast"]),
        (
            '{\n    "model": "anthropic/*"',
            '{\n    "modell": "anthropic/*"',
            ["litellm_params.model"],
        ),
        ('"mode": "required"', '"mode": "maybe"', ["auth.mode"]),
    ],
)
async def test_a_broken_config_is_refused_before_binding(find, replace, words, tmp_path):
    """Exit 1, naming the file, the line and the key; the port stays free (issue: Bad input)."""
    config = written(tmp_path)
    text = config.read_text()
    assert find in text
    line = text[: text.index(find)].count("\n") + 1
    config.write_text(text.replace(find, replace, 1))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        async with serving(config, taken.getsockname()[1]) as process:
            async with asyncio.timeout(START_S):
                _, said = await process.communicate()

    text = said.decode()
    assert 1 == process.returncode, text
    assert "address already in use" not in text
    assert "Traceback" not in text
    assert "ccproxy.yaml" in text or "routing.yaml" in text
    assert [] == [word for word in words if word not in text]
    if "routing.yaml" not in text:
        assert f"ccproxy.yaml:{line}" in text.replace("\n", "")


async def test_a_missing_config_is_refused(tmp_path):
    """Exit 1 and the path that is not there (issue: Bad input)."""
    async with serving(tmp_path / "nothing.yaml", 0) as process:
        async with asyncio.timeout(START_S):
            _, said = await process.communicate()

    assert process.returncode in (1, 2)
    assert "nothing.yaml" in said.decode().replace("\n", "")
    assert "Traceback" not in said.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_it_serves_and_ends_with_a_signal(number, tmp_path):
    """With every upstream down it starts; a signal ends it at once, live views too (conformance 237)."""
    port = free_port()
    config = written(tmp_path)
    token = create_token(tmp_path / "tokens.json", "viewer", ("ops",), ())
    base_url = f"http://127.0.0.1:{port}"
    async with serving(config, port) as process:
        live = await answering(base_url)
        refused = await ask(base_url, "/v1/messages", body=turn())
        async with wire(base_url) as looking:
            await looking.send("GET", "/admin/live", {"x-api-key": token})
            assert 200 == (await looking.read_head())[0]
            assert await looking.read_chunk()
            process.send_signal(number)
            async with asyncio.timeout(5):
                _, said = await process.communicate()

    assert (200, 401) == (live.status, refused.status)
    assert process.returncode in (0, -number)
    assert "Traceback" not in said.decode()
    assert None is live.header("server")


async def test_a_taken_port_is_said_plainly(tmp_path):
    """The address that is in use stands in the message (issue: Bad input)."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        async with serving(written(tmp_path), taken.getsockname()[1]) as process:
            async with asyncio.timeout(START_S):
                _, said = await process.communicate()

    assert 1 == process.returncode
    assert "in use" in said.decode()


async def test_a_stop_in_the_middle_of_streams():
    """Running streams end in an error event, waiting requests in a 529 (conformance 155, 162)."""
    async with running_proxy(patience_s=0.05) as proxy:
        proxy.ollama.add_fault("hang", times=2)
        proxy.claude.faults.append(stall(200))
        config = server_config(proxy.proxy.app, "127.0.0.1", free_port(), grace_s=1)
        config.lifespan = "off"
        server = uvicorn.Server(config)
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.suppress(asyncio.CancelledError))
            running = asyncio.create_task(server.serve())
            base_url = f"http://127.0.0.1:{config.port}"
            await answering(base_url)
            requests = [
                turn(model=LOCAL, stream=True),
                turn(model=CLAUDE, stream=True),
                turn(model=LOCAL),
            ]
            tasks = [
                asyncio.create_task(ask(base_url, "/v1/messages", headers=proxy.headers, body=body))
                for body in requests
            ]
            await proxy.ollama.generation(1)
            server.should_exit = True
            async with asyncio.timeout(5):
                local, claude, waiting = await asyncio.gather(*tasks)
            await running

    assert "overloaded_error" == check_stream(local.body).error["type"]
    assert claude.complete
    assert claude.body.endswith(b"\n\n")
    assert b"event: error\ndata: " in claude.body
    assert (529, "overloaded_error") == (waiting.status, waiting.error["type"])
    assert "true" == waiting.header("x-should-retry")


async def test_a_stop_lets_short_streams_finish():
    """What ends within the grace ends as it would have (conformance 162)."""
    async with running_proxy() as proxy:
        gate = asyncio.Event()
        message = {"message": {"role": "assistant", "content": "done"}}
        proxy.ollama.answer_with(message, gate, {"done": True, "done_reason": "stop"})
        config = server_config(proxy.proxy.app, "127.0.0.1", free_port(), grace_s=5)
        config.lifespan = "off"
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve())
        base_url = f"http://127.0.0.1:{config.port}"
        await answering(base_url)
        async with wire(base_url) as connection:
            body = turn(model=LOCAL, stream=True)
            await connection.send("POST", "/v1/messages", proxy.headers, body)
            await connection.read_head()
            server.should_exit = True
            gate.set()
            raw = b""
            while chunk := await connection.read_chunk():
                raw += chunk
        async with asyncio.timeout(5):
            await running

    assert None is check_stream(raw).error


def stall(after_bytes):
    return Fault(FaultKind.STALL, after_bytes=after_bytes)
