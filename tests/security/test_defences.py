"""Defences of docs/security.md that no other test names."""

import asyncio
import json
import logging

import pytest

from ccproxy.observability.logs import logging_to
from tests.support.http_wire import ask, wire
from tests.support.messages import CLAUDE, LOCAL, turn
from tests.support.raw_upstream import raw_upstream

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE_NAME = "'; DROP TABLE requests; --"


async def visits(inside):
    """Return how many connections came before one of our own, which waits behind them."""
    await ask(inside.base_url, "/", method="GET")
    return inside.connections - 1


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "source": {"type": "url", "url": "HTTPS"}},
        {"type": "document", "source": {"type": "url", "url": "HTTPS"}},
        {"type": "image", "source": {"type": "url", "url": "HTTP"}},
    ],
    ids=["image", "document", "plain http"],
)
async def test_no_url_of_a_client_is_fetched(block, base_url, proxy):
    """An image by URL is refused by the local side; whoever the URL names hears nothing (SSRF)."""
    async with raw_upstream(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") as inside:
        secure = inside.base_url.replace("http:", "https:")
        text = json.dumps(block).replace("HTTPS", secure).replace("HTTP", inside.base_url)
        body = turn(model="qwen-vision")
        body["messages"][0]["content"] = [json.loads(text), {"type": "text", "text": "What is it?"}]
        answer = await ask(base_url, "/v1/messages", headers=proxy.headers, body=body)

        assert 400 == answer.status
        assert 0 == await visits(inside)


async def test_no_reference_in_a_schema_is_fetched(base_url, proxy):
    """A tool's schema that points to a URL makes nobody ask there (SSRF)."""
    async with raw_upstream(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}") as inside:
        schema = {"type": "object", "properties": {"a": {"$ref": inside.base_url}}}
        schema["$schema"] = schema["$id"] = f"{inside.base_url}/meta"
        tool = {"name": "get_weather", "description": "d", "input_schema": schema}
        body = turn("use the get_weather tool", LOCAL, tools=[tool])
        answer = await ask(base_url, "/v1/messages", headers=proxy.headers, body=body)

        assert answer.status in {200, 400}
        assert 0 == await visits(inside)


@pytest.mark.parametrize("sign", [b"\r", b"\n", b"\r\n", b"\0", b"\x0b", b"\x85"])
async def test_no_header_is_smuggled_to_claude(sign, base_url, proxy):
    """A line end inside a value is refused, or ends at us: Claude sees no header more."""
    head = b"POST /v1/messages HTTP/1.1\r\nhost: a\r\nanthropic-version: 2023-06-01\r\n"
    body = json.dumps(turn(model=CLAUDE)).encode()
    head += b"x-api-key: %b\r\ncontent-length: %d\r\n" % (proxy.token.encode(), len(body))
    async with wire(base_url) as connection:
        connection.writer.write(head + b"x-a: b" + sign + b"x-smuggled: 1\r\n\r\n" + body)
        await connection.read_answer()

    seen = {name for request in proxy.claude.requests for name, _ in request.headers}
    plain_line_end = sign in (b"\n", b"\r\n")
    assert plain_line_end or b"x-smuggled" not in seen
    values = [v for request in proxy.claude.requests for _, v in request.headers]
    assert not any(byte in value for value in values for byte in b"\r\n\0")


@pytest.mark.parametrize("path", ["/v1/messages", "/admin/reload", "/admin/usage", "/dashboard"])
async def test_no_page_of_another_origin_is_let_in(path, base_url, proxy):
    """A browser asks first, and hears of no permission: no CORS header, no cookie (CSRF)."""
    preflight = {
        "origin": "https://evil.test",
        "access-control-request-method": "POST",
        "access-control-request-headers": "x-api-key, anthropic-version",
    }
    asked = await ask(base_url, path, method="OPTIONS", headers=preflight)
    answered = await ask(
        base_url, path, method="GET", headers=proxy.headers | {"origin": "https://evil.test"}
    )

    assert asked.status >= 400
    for answer in (asked, answered):
        names = {name for name, _ in answer.headers}
        assert not {name for name in names if name.startswith("access-control-")}
        assert "set-cookie" not in names


async def test_a_cookie_is_no_credential(base_url, proxy):
    """What a browser sends by itself opens nothing: a token counts in its header alone (CSRF)."""
    headers = {"cookie": f"token={proxy.token}; x-api-key={proxy.token}"}

    assert 401 == (await ask(base_url, "/admin/reload", headers=headers)).status


async def test_names_of_clients_are_values_in_the_database(base_url, proxy):
    """A name that is SQL is stored and shown as it is, and the tables are still there."""
    headers = proxy.headers | {"x-ccproxy-project": HOSTILE_NAME}
    sent = await ask(base_url, "/v1/messages", headers=headers, body=turn())
    assert 200 == sent.status

    async with asyncio.timeout(10):
        while True:
            answer = await ask(
                base_url, "/admin/usage?by=project", method="GET", headers=proxy.headers
            )
            assert 200 == answer.status
            if HOSTILE_NAME in answer.body.decode():
                break
            await asyncio.sleep(0.1)


async def test_a_question_is_no_sql(base_url, proxy):
    """What a figure is told apart by is one of a list."""
    path = "/admin/usage?by=route;drop%20table%20requests"

    assert 400 == (await ask(base_url, path, method="GET", headers=proxy.headers)).status


async def test_a_line_of_the_log_is_one_line(tmp_path):
    """Line ends and control characters of others cannot make a line of their own (log injection)."""
    file = tmp_path / "log"
    forged = 'a\r\n{"level": "info", "event": "forged"}\x1b[2J\u2028\x00'
    with logging_to(file, 10**6, 1):
        logging.getLogger("ccproxy").warning("it says %s", forged, extra={"url": forged})

    lines = file.read_bytes().split(b"\n")
    assert b"" == lines.pop()
    assert 1 == len(lines)
    assert forged in json.loads(lines[0]).values()
    assert not any(sign < 0x20 for sign in lines[0])
