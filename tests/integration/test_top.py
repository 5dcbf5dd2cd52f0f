"""`ccproxy top` in front of a running proxy."""

import asyncio
import contextlib
import os
import pty
import socket
import subprocess
import sys

import pytest

from tests.support.command_line import command_line
from tests.support.http_wire import ask
from tests.support.messages import turn
from tests.support.proxy import running_proxy
from tests.support.tools import ROOT

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def ccproxy(tmp_path, monkeypatch, capsys):
    for name in ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "CCPROXY_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return command_line(tmp_path, monkeypatch, capsys)


@contextlib.contextmanager
def in_a_terminal(environ, url):
    """Run it in a terminal while the block runs; gives the process and the terminal."""
    ours, theirs = pty.openpty()
    environ |= {"COLUMNS": "160", "LINES": "50", "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-m", "ccproxy", "top", "--every", "0.2", "--url", url],
        cwd=ROOT, env=environ, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def frames_of(environ, url):
    """Run it in a terminal until its second frame, stop it as a person would; return what it drew."""
    with in_a_terminal(environ, url) as (process, ours):
        drawn = b""
        while drawn.count(b"/min") < 1:
            drawn += os.read(ours, 65536)
        process.send_signal(2)
        return drawn, process.wait(20)


async def test_top(ccproxy, monkeypatch):
    """One frame where it is piped, figures as JSON, frames with rates in a terminal; Ctrl-C ends it."""
    async with running_proxy() as proxy:
        body = turn(model="claude-opus")
        await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=body)
        monkeypatch.setenv("CCPROXY_TOKEN", proxy.token)
        frame = await asyncio.to_thread(ccproxy, "top", "--url", proxy.base_url)
        told = await asyncio.to_thread(ccproxy, "top", "--url", proxy.base_url, "--json")
        drawn, code = await asyncio.to_thread(frames_of, dict(os.environ), proxy.base_url)

    assert frame.code == 0
    assert "1 requests, 0 failed" in frame.out
    assert any(line[:2] == ["qwen-coder", "local"] for line in frame.lines())
    figures = told.json()
    assert figures["total"]["requests"] == 1
    assert {each["name"] for each in figures["deployments"]} >= {"qwen-coder", "claude-opus"}
    assert code == 0
    assert b"qwen-coder" in drawn


async def test_what_is_wrong_with_a_token(ccproxy, monkeypatch):
    """None, an unknown one and one without the scope are told apart; none is ever shown."""
    async with running_proxy() as proxy:
        plain = proxy.new_token("plain")
        where = ("top", "--url", proxy.base_url)
        none = await asyncio.to_thread(ccproxy, *where)
        monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "sk-of-another")
        unknown = await asyncio.to_thread(ccproxy, *where)
        monkeypatch.setenv("CCPROXY_TOKEN", plain)
        small = await asyncio.to_thread(ccproxy, *where)

    assert [1, 1, 1] == [each.code for each in (none, unknown, small)]
    assert "wants a token with the scope ops: set $CCPROXY_TOKEN;" in none.err
    assert "the token from $ANTHROPIC_AUTH_TOKEN is not one of its own" in unknown.err
    assert "the token from $CCPROXY_TOKEN does not have the scope ops" in small.err
    assert "sk-of-another" not in unknown.err
    assert plain not in small.err


async def test_the_address_is_found_as_a_clients(ccproxy, monkeypatch):
    """--url, then $ANTHROPIC_BASE_URL, whose token it would show, then the config's."""
    async with running_proxy() as proxy:
        monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", proxy.token)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", f"{proxy.base_url}/agents/debugger")
        found = await asyncio.to_thread(ccproxy, "top")
        other = await asyncio.to_thread(ccproxy, "top", "--url", NOBODY)

    assert (0, True) == (found.code, f"ccproxy {proxy.base_url} " in found.out), found.err
    assert f"error: {NOBODY}: no proxy answers" in other.err


async def test_a_token_is_shown_only_to_whom_it_is_for(ccproxy, monkeypatch):
    """$CCPROXY_TOKEN not to $ANTHROPIC_BASE_URL, which may be anybody's; --config counts before it."""
    async with running_proxy() as proxy:
        monkeypatch.setenv("CCPROXY_TOKEN", proxy.token)
        monkeypatch.setenv("ANTHROPIC_BASE_URL", proxy.base_url)
        without = await asyncio.to_thread(ccproxy, "top")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", NOBODY)
        named = proxy.config_file.with_name("named.yaml")
        port = proxy.base_url.rpartition(":")[2]
        named.write_text(proxy.config_file.read_text().replace("port: 0", f"port: {port}"))
        of_config = await asyncio.to_thread(ccproxy, "top", "--config", str(named))

    assert "wants a token with the scope ops" in without.err
    assert (0, True) == (of_config.code, f"ccproxy {proxy.base_url} " in of_config.out)


def test_nobody_there(ccproxy):
    """The address of the config, what is wrong and what to do; exit code 1."""
    config = ccproxy.folder / "ccproxy.yaml"
    config.write_text(config.read_text().replace("port: 8081", "port: 9"))
    result = ccproxy("top")

    assert result.code == 1
    assert f"{NOBODY}: no proxy answers" in result.err
    assert "`ccproxy serve` starts one" in result.err


def test_what_is_no_address_is_wrong_usage(ccproxy):
    """It says what to write, and which help to read."""
    result = ccproxy("top", "--url", "mini:8081")

    assert result.code == 2
    assert "'mini:8081' is no address; write http://HOST:PORT" in result.err
    assert "try: ccproxy top --help" in result.err


def test_who_waits_for_an_answer_sees_so():
    """A proxy that accepts and says nothing: the terminal tells whom it asks."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with in_a_terminal(dict(os.environ), url) as (process, ours):
            client, _ = silent.accept()
            drawn = b""
            while f"asking {url}".encode() not in drawn:
                drawn += os.read(ours, 65536)
            client.close()
            while b"no proxy answers" not in drawn:
                drawn += os.read(ours, 65536)
            code = process.wait(20)

    assert code == 1
