"""Connecting without asking: nothing is sent, certificates count, a name is looked up once at a time."""

import asyncio
import socket
import ssl
from contextlib import asynccontextmanager

import pytest
import uvloop

from ccproxy.upstreams.reachable import ConnectProbe
from tests.support.certificates import self_signed_certificate, server_tls


@asynccontextmanager
async def listening(tls=None):
    """Listen; gives the port, and a queue of what each connection sent first, if anything."""
    heard = asyncio.Queue()

    async def connected(reader, writer):
        try:
            heard.put_nowait(await reader.read(1))
        except ConnectionResetError:  # of TLS, whose last words were not waited for
            heard.put_nowait(b"")
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1], heard


@pytest.fixture
def self_signed(tmp_path):
    """A server's side of TLS whose certificate nobody vouches for, and that certificate."""
    file = self_signed_certificate(tmp_path, "localhost")
    return server_tls(file), file


async def test_it_connects_says_nothing_and_leaves():
    """Not one byte is sent, whatever the path of the address."""
    async with listening() as (port, heard), asyncio.timeout(5):
        assert (
            await ConnectProbe(f"http://127.0.0.1:{port}/v1/messages")() == "it takes connections"
        )
        assert await heard.get() == b""


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_it_connects_on_the_loop_that_serves(host):
    """It is uvloop's, whose way of connecting takes other arguments than asyncio's."""

    async def connect():
        async with listening() as (port, heard), asyncio.timeout(5):
            said = await ConnectProbe(f"http://{host}:{port}")()
            return said, await heard.get()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert ("it takes connections", b"") == runner.run(connect())


async def test_nobody_there_is_an_error():
    """A refused connection is told as what it is."""
    async with listening() as (port, _):
        pass
    with pytest.raises(ConnectionRefusedError):
        await ConnectProbe(f"http://127.0.0.1:{port}")()


async def test_whoever_cannot_prove_to_be_it_is_not_there(self_signed):
    """A login page of some network that answers in Claude's place does not make it reachable."""
    context, _ = self_signed
    async with listening(context) as (port, _):
        with pytest.raises(ssl.SSLCertVerificationError):
            await ConnectProbe(f"https://localhost:{port}")()


async def test_a_certificate_that_holds_is_enough(self_signed, monkeypatch):
    """Inside the encryption nothing is sent either."""
    context, file = self_signed
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    async with listening(context) as (port, heard), asyncio.timeout(5):
        assert await ConnectProbe(f"https://localhost:{port}")() == "it takes connections"
        assert await heard.get() == b""


async def test_a_lookup_that_hangs_is_not_begun_again(monkeypatch):
    """An outage of the name service takes one thread, however often is asked."""
    lookups, answer = [], asyncio.Event()

    async def getaddrinfo(host, port, **_more):
        lookups.append((host, port))
        await answer.wait()
        raise socket.gaierror("no such name")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    probe = ConnectProbe("https://api.anthropic.com")
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(probe(), 0.01)
    assert lookups == [("api.anthropic.com", 443)]

    answer.set()
    with pytest.raises(socket.gaierror):
        await probe()
