"""Alerts as an HTTP POST, at a real socket."""

import asyncio
import json

import pytest

from ccproxy.alerts.channel import NotDelivered
from ccproxy.alerts.message import Message
from ccproxy.alerts.webhook import Webhook, WebhookFormat
from routing.alerts import AlertKind, Phase
from tests.support.raw_upstream import raw_upstream
from tests.support.waiting import until

SECRET = "T00/B00/secret"
MESSAGE = Message(
    AlertKind.BACKEND_DOWN,
    "http://a",
    Phase.RAISED,
    "backend <a> & b\nis down",
    "h1",
    100.0,
    40.0,
    3,
)


def answer(status, body=b"", headers=""):
    head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


def webhook(base_url, form=WebhookFormat.JSON, timeout_s=5.0):
    return Webhook("ops", f"{base_url}/services/{SECRET}", form, timeout_s)


async def test_json():
    """Our own fields, times in UTC, posted once to the very address."""
    async with raw_upstream(answer(204)) as upstream:
        await webhook(upstream.base_url).send(MESSAGE)

    assert upstream.heads[0].startswith(f"POST /services/{SECRET} HTTP/1.1\r\n".encode())
    assert b"content-type: application/json" in upstream.heads[0].lower()
    assert json.loads(upstream.bodies[0]) == {
        "source": "ccproxy",
        "kind": "backend_down",
        "subject": "http://a",
        "phase": "raised",
        "text": "backend <a> & b\nis down",
        "host": "h1",
        "times": 3,
        "at": "1970-01-01T00:01:40Z",
        "since": "1970-01-01T00:00:40Z",
    }


async def test_slack():
    """`{"text"}` alone, with Slack's three characters escaped, the title in one line."""
    async with raw_upstream(answer(200, b"ok")) as upstream:
        await webhook(upstream.base_url, WebhookFormat.SLACK).send(MESSAGE)

    posted = json.loads(upstream.bodies[0])
    assert list(posted) == ["text"]
    assert posted["text"].splitlines() == [
        "[trouble] ccproxy on h1: backend &lt;a&gt; &amp; b is down",
        "kind: backend_down",
        "subject: http://a",
        "since: 1970-01-01T00:00:40Z",
        "told: 1970-01-01T00:01:40Z",
        "seen 3 times since it was told last",
    ]


@pytest.mark.parametrize(
    ("reply", "why", "is_final", "retry_after_s"),
    [
        (answer(404, b"no_service"), "answered 404 (no_service)", True, None),
        (answer(400, b"<b>what https://x/secret</b>"), "answered 400", True, None),
        (answer(302, headers="location: http://127.0.0.1:1/\r\n"), "answered 302", True, None),
        (answer(429, headers="retry-after: 30\r\n"), "answered 429", False, 30.0),
        (answer(503), "answered 503", False, None),
        (b"what?\r\n\r\n", "no answer from 127.0.0.1: ClientResponseError", False, None),
    ],
)
async def test_refusals(reply, why, is_final, retry_after_s):
    """What the other end says decides whether it is tried again; redirects are not followed."""
    async with raw_upstream(reply, close_after=True) as upstream:
        with pytest.raises(NotDelivered) as caught:
            await webhook(upstream.base_url).send(MESSAGE)

    assert str(caught.value) in {f"127.0.0.1 {why}", why}
    assert (caught.value.is_final, caught.value.retry_after_s) == (is_final, retry_after_s)
    assert len(upstream.heads) == 1


async def test_silence_ends():
    """A server that never answers is given up in time, and may be asked again."""
    async with raw_upstream(b"", deaf=True) as upstream:
        with pytest.raises(NotDelivered, match=r"did not answer in 0\.05 s") as caught:
            await webhook(upstream.base_url, timeout_s=0.05).send(MESSAGE)
    assert not caught.value.is_final


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/{}", "http://:::{}", "http://127.0.0.1:99999/{}"]
)
async def test_the_address_is_never_shown(url):
    """Neither the error nor what it came from has the secret part of the URL."""
    with pytest.raises(NotDelivered) as caught:
        await Webhook("ops", url.format(SECRET), WebhookFormat.JSON, 5.0).send(MESSAGE)

    error = caught.value
    assert "secret" not in str(error)
    assert error.__suppress_context__


async def test_cancelling_lets_go():
    """The connection is closed at once when the proxy stops."""
    async with raw_upstream(b"") as upstream:
        sending = asyncio.create_task(webhook(upstream.base_url).send(MESSAGE))
        async with asyncio.timeout(5):
            await until(lambda: upstream.bodies)
            sending.cancel()
            await upstream.left.wait()
    assert sending.cancelled()
