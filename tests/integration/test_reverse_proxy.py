"""Behind nginx with TLS, as docs/reverse-proxy.md writes it: streams, large bodies, who is calling."""

import asyncio
import hashlib
import json
import re
import shutil
import socket
import ssl
from pathlib import Path

import pytest
import pytest_asyncio

from ccproxy.demo.claude_faults import Fault, FaultKind
from ccproxy.observability.audit_log import FILE_NAME
from tests.support.certificates import self_signed_certificate
from tests.support.http_wire import wire
from tests.support.messages import CLAUDE, LOCAL, turn
from tests.support.real_server import really_served
from tests.support.waiting import until_found

ROOT = Path(__file__).parents[2]
NAME = "ccproxy.example.com"
AROUND = """
daemon off; worker_processes 1; error_log {folder}/error.log; pid {folder}/nginx.pid;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
{server}
}}
"""
pytestmark = pytest.mark.asyncio(loop_scope="module")


def documented(upstream, port, certificate):
    """Return the server block of the page, with this test's addresses in it."""
    page = (ROOT / "docs/reverse-proxy.md").read_text()
    block = re.search(r"```nginx\n(.*?)```", page, re.DOTALL)[1]
    for written, ours in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        (f"server_name {NAME}", "server_name localhost"),
        ("/etc/nginx/certs/ccproxy.pem", str(certificate)),
        ("/etc/nginx/certs/ccproxy.key", str(certificate)),
        ("http://127.0.0.1:8081", upstream),
    ):
        assert 1 == block.count(written), written
        block = block.replace(written, ours)
    return block


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def front(shared_proxy, tmp_path_factory):
    """Where nginx listens, and the context that trusts its certificate."""
    folder = tmp_path_factory.mktemp("nginx")
    certificate = self_signed_certificate(folder, "localhost")
    options = {"trusted_proxies": ("127.0.0.1/32",)}
    async with really_served(shared_proxy.proxy.app, **options) as upstream:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        config = folder / "nginx.conf"
        server = documented(upstream, port, certificate)
        config.write_text(AROUND.format(folder=folder, server=server))
        nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
        process = await asyncio.create_subprocess_exec(nginx, "-p", folder, "-c", config)
        try:
            trust = ssl.create_default_context(cafile=certificate)
            async with asyncio.timeout(10):
                while not await accepts(port):
                    assert None is process.returncode, (folder / "error.log").read_text()
                    await asyncio.sleep(0.02)
            yield f"https://localhost:{port}", trust
        finally:
            process.terminate()
            await process.wait()


async def accepts(port):
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@pytest.mark.needs("nginx")
@pytest.mark.parametrize("side", [LOCAL, CLAUDE])
async def test_events_arrive_while_more_are_to_come(side, front, proxy):
    """The first event is there before the last is sent, and a client that leaves is seen to leave."""
    base_url, trust = front
    if side == LOCAL:
        proxy.ollama.add_fault("stall", after_records=2)
    else:
        proxy.claude.faults.append(Fault(FaultKind.STALL, after_bytes=400))
    body = turn("Give me 30 words.", side, stream=True)
    async with wire(base_url, tls=trust) as connection:
        await connection.send("POST", "/v1/messages", proxy.headers, body)
        status, headers = await connection.read_head()
        events = b""
        while b"event: message_start" not in events:
            events += await connection.read_chunk()
    assert 200 == status
    assert "text/event-stream" in dict(headers)["content-type"]

    async with asyncio.timeout(5):
        if side == LOCAL:
            await proxy.ollama.idle()
        else:
            await proxy.claude.requests[0].disconnected.wait()


@pytest.mark.needs("nginx")
async def test_lines_of_the_live_view_arrive_one_by_one(front, proxy):
    """`/admin/live` is no event stream, and is passed on at once all the same."""
    base_url, trust = front
    async with wire(base_url, tls=trust) as connection:
        await connection.send("GET", "/admin/live", proxy.headers)
        await connection.read_head()
        line = b""
        async with asyncio.timeout(5):
            while b"\n" not in line:
                line += await connection.read_chunk()
        assert "in_flight" in json.loads(line)


@pytest.mark.needs("nginx")
async def test_the_agent_of_the_path_is_known(front, proxy):
    """A base URL that names its agent works behind TLS as in front of it."""
    base_url, trust = front
    async with wire(base_url, tls=trust) as connection:
        path = "/agents/code%2Dreviewer/v1/messages?beta=true"
        await connection.send("POST", path, proxy.headers, turn(model=LOCAL))
        answer = await connection.read_answer()

    assert (200, "code-reviewer") == (answer.status, answer.header("x-ccproxy-agent"))


@pytest.mark.needs("nginx")
async def test_large_bodies_arrive_as_they_were_sent(front, proxy):
    """Six megabytes, beyond what nginx takes by default, have the same digest at Claude."""
    base_url, trust = front
    body = json.dumps(turn("é" * 3_000_000, CLAUDE), ensure_ascii=False).encode()
    async with wire(base_url, tls=trust) as connection:
        await connection.send("POST", "/v1/messages", proxy.headers, body)
        answer = await connection.read_answer()

    assert 200 == answer.status
    sent, arrived = hashlib.sha256(body), hashlib.sha256(proxy.claude.requests[0].body)
    assert sent.digest() == arrived.digest()


@pytest.mark.needs("nginx")
@pytest.mark.parametrize("claimed", [None, "9.9.9.9", "9.9.9.9, 127.0.0.1"])
async def test_who_is_calling_is_told_by_the_proxy_alone(claimed, front, proxy):
    """The audit log has the client's own address, whatever it wrote into the header itself."""
    base_url, trust = front
    headers = {"x-api-key": "wrong", "anthropic-version": "2023-06-01"}
    if claimed is not None:
        headers["x-forwarded-for"] = claimed
    async with wire(base_url, tls=trust, source="127.0.0.2") as connection:
        await connection.send("POST", "/v1/messages", headers, turn())
        answer = await connection.read_answer()

    assert 401 == answer.status
    found = await until_found(lambda: refusal(proxy, answer.header("request-id")))
    assert "127.0.0.2" == found["peer"]


async def refusal(proxy, request_id):
    file = proxy.tokens_file.parent / FILE_NAME
    lines = file.read_text().splitlines() if file.exists() else []
    rows = [json.loads(line) for line in lines]
    return next((row for row in rows if row.get("request_id") == request_id), None)


@pytest.mark.parametrize("claimed", ["9.9.9.9", "127.0.0.1"])
async def test_nobody_else_is_believed(claimed, proxy):
    """Where no proxy is trusted, the header says nothing."""
    async with really_served(proxy.proxy.app) as base_url, wire(base_url, source="127.0.0.2") as it:
        headers = {"x-api-key": "wrong", "x-forwarded-for": claimed}
        await it.send("POST", "/v1/messages", headers, turn())
        answer = await it.read_answer()

    found = await until_found(lambda: refusal(proxy, answer.header("request-id")))
    assert "127.0.0.2" == found["peer"]
