"""Alerts of a whole proxy, and `ccproxy alerts test`, at a real webhook and a real mail server."""

import asyncio
import json

import pytest

from ccproxy.wire.estimate import PromptEstimate
from tests.support.command_line import CONFIG, command_line
from tests.support.http_wire import ask
from tests.support.messages import turn
from tests.support.proxy import running_proxy
from tests.support.raw_upstream import raw_upstream
from tests.support.smtp_server import SmtpServer, smtp_server
from tests.support.waiting import until

DELIVERED = b"HTTP/1.1 204 X\r\ncontent-length: 0\r\n\r\n"
GONE = b"HTTP/1.1 404 X\r\ncontent-length: 10\r\n\r\nno_service"
NOBODY = "http://127.0.0.1:9"
ROUTING = {
    "version": 1,
    "active_profile": "p",
    "profiles": {"p": {"default": {"route": ["qwen"]}}},
}


@pytest.fixture
def ccproxy(tmp_path, monkeypatch, capsys):
    return command_line(tmp_path, monkeypatch, capsys)


def local(name, base_url):
    params = {"model": f"ollama_chat/{name}-fast", "api_base": base_url, "num_ctx": 32768}
    return {"model_name": name, "litellm_params": params}


def kinds(upstream):
    return {(told["kind"], told["subject"]) for told in map(json.loads, upstream.bodies)}


async def test_a_proxy_tells_of_its_troubles():
    """A backend that is not there, a prompt that was cut, a disk: posted and counted."""
    async with raw_upstream(DELIVERED) as people:
        changes = {
            "model_list": [local("qwen", NOBODY)],
            "alerts": {"webhooks": [{"url": f"{people.base_url}/s"}], "disk_free_gib": 10**9},
        }
        async with running_proxy(routing=ROUTING, changes=changes) as proxy:
            # What an answer of a model does that read a tenth of its prompt.
            proxy.proxy.token_ratios.learn("qwen", PromptEstimate(4000), 400, request_id="r")
            await until(lambda: len(people.bodies) >= 3)
            metrics = await ask(proxy.base_url, "/metrics", headers=proxy.headers, method="GET")

    folder = str(proxy.tokens_file.parent)
    assert kinds(people) == {
        ("backend_down", NOBODY),
        ("truncation", "qwen"),
        ("disk_low", folder),
    }
    counted = 'ccproxy_alerts_total{channel="webhook-1",end="delivered",kind="truncation"} 1.0'
    assert counted in metrics.body.decode()


async def test_a_channel_that_hangs_keeps_nobody_waiting():
    """Requests are served and the proxy stops in its time while a webhook does not answer."""
    async with raw_upstream(b"", deaf=True) as people:
        changes = {"alerts": {"webhooks": [{"url": people.base_url}], "disk_free_gib": 10**9}}
        async with asyncio.timeout(10), running_proxy(changes=changes) as proxy:
            await until(lambda: people.connections)
            answer = await ask(
                proxy.base_url,
                "/v1/messages",
                headers=proxy.headers,
                body=turn(model="claude-opus"),
            )
    assert answer.status == 200


async def test_the_command_tries_every_channel(ccproxy, monkeypatch):
    """Each channel says what came of it; one that fails makes exit code 1, and no secret shows."""
    async with (
        raw_upstream(DELIVERED) as good,
        raw_upstream(GONE) as bad,
        smtp_server(SmtpServer()) as mail,
    ):
        monkeypatch.setenv("HOOK", f"{bad.base_url}/secret")
        (ccproxy.folder / "ccproxy.yaml").write_text(
            CONFIG
            + f"""
alerts:
  webhooks:
    - {{url: "{good.base_url}/secret", format: slack, name: room}}
    - {{url: os.environ/HOOK}}
    - {{url: os.environ/MISSING}}
  email: {{host: 127.0.0.1, port: {mail.port}, tls: none, sender: a@x.org, to: [b@x.org]}}
"""
        )
        result = await asyncio.to_thread(ccproxy, "alerts", "test", "--json")
        table = await asyncio.to_thread(ccproxy, "alerts", "test")

    assert result.code == table.code == 1
    assert result.json() == [
        {"channel": "room", "result": "delivered"},
        {"channel": "webhook-2", "result": "127.0.0.1 answered 404 (no_service)"},
        {"channel": "email", "result": "delivered"},
        {"channel": "webhook-3", "result": "environment variable MISSING is not set"},
    ]
    assert ["room", "delivered"] in table.lines()
    assert "this is a test; nothing is wrong" in json.loads(good.bodies[0])["text"]
    assert mail.mails[0]["Subject"].endswith("this is a test; nothing is wrong")
    assert "secret" not in result.out + result.err + table.out + table.err


async def test_all_is_well(ccproxy):
    """Exit code 0 when every channel took the message."""
    async with raw_upstream(DELIVERED) as good:
        config = f"alerts: {{webhooks: [{{url: {good.base_url}}}]}}\n"
        (ccproxy.folder / "ccproxy.yaml").write_text(CONFIG + config)
        result = await asyncio.to_thread(ccproxy, "alerts", "test")
    assert (result.code, len(good.bodies)) == (0, 1)


def test_nobody_to_tell(ccproxy):
    """Without a channel the command says so, with exit code 1."""
    result = ccproxy("alerts", "test")
    assert result.code == 1
    assert "names no webhook and no email" in result.err
