"""`ccproxy top` in front of a running proxy."""

import asyncio
import os
import pty
import subprocess
import sys

import pytest

from tests.support.command_line import command_line
from tests.support.http_wire import ask
from tests.support.messages import turn
from tests.support.proxy import running_proxy
from tests.support.tools import ROOT


@pytest.fixture
def ccproxy(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("ANTHROPIC_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    return command_line(tmp_path, monkeypatch, capsys)


def frames_of(environ, url):
    """Run it in a terminal until its second frame, stop it as a person would; return what it drew."""
    ours, theirs = pty.openpty()
    environ |= {"COLUMNS": "160", "LINES": "50"}
    process = subprocess.Popen(
        [sys.executable, "-m", "ccproxy", "top", "--every", "0.2", "--url", url],
        cwd=ROOT, env=environ, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    drawn = b""
    try:
        while drawn.count(b"/min") < 1:
            drawn += os.read(ours, 65536)
        process.send_signal(2)
        return drawn, process.wait(20)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


async def test_top(ccproxy, monkeypatch):
    """One frame where it is piped, figures as JSON, frames with rates in a terminal; Ctrl-C ends it."""
    async with running_proxy() as proxy:
        body = turn(model="claude-opus")
        await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=body)
        plain = proxy.new_token("plain")
        monkeypatch.setenv("CCPROXY_TOKEN", plain)
        refused = await asyncio.to_thread(ccproxy, "top", "--url", proxy.base_url)
        monkeypatch.setenv("CCPROXY_TOKEN", proxy.token)
        frame = await asyncio.to_thread(ccproxy, "top", "--url", proxy.base_url)
        told = await asyncio.to_thread(ccproxy, "top", "--url", proxy.base_url, "--json")
        drawn, code = await asyncio.to_thread(frames_of, dict(os.environ), proxy.base_url)

    assert (refused.code, plain in refused.err) == (1, False)
    assert "needs a token with the scope ops" in refused.err
    assert frame.code == 0
    assert "1 requests, 0 failed" in frame.out
    assert any(line[:2] == ["qwen-coder", "local"] for line in frame.lines())
    figures = told.json()
    assert figures["total"]["requests"] == 1
    assert {each["name"] for each in figures["deployments"]} >= {"qwen-coder", "claude-opus"}
    assert code == 0
    assert b"qwen-coder" in drawn


def test_nobody_there(ccproxy):
    """The address of the config, what is wrong and what to do; exit code 1."""
    (ccproxy.folder / "ccproxy.yaml").write_text(
        (ccproxy.folder / "ccproxy.yaml").read_text().replace("port: 8081", "port: 9")
    )
    result = ccproxy("top")
    assert result.code == 1
    assert "http://127.0.0.1:9: no proxy answers" in result.err
