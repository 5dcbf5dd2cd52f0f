"""Bodies made to break a parser: the documented error, and the next request works (section N)."""

import json

import pytest

from tests.support.grammar import check_stream
from tests.support.http_wire import ask, wire
from tests.support.messages import CLAUDE, LOCAL, turn

pytestmark = pytest.mark.asyncio(loop_scope="module")

MIB = 1024 * 1024


def with_text(raw_text):
    return json.dumps(turn("TEXT")).encode().replace(b"TEXT", raw_text)


def padded(size_bytes, model):
    start, end = json.dumps(turn("TEXT", model)).encode().split(b"TEXT")
    return start + b"a" * (size_bytes - len(start) - len(end)) + end


BAD = {
    "empty": b"",
    "spaces": b"  \r\n ",
    "null": b"null",
    "list": b"[]",
    "string": b'"x"',
    "number": b"1",
    "cut": b'{"model": "qwen-coder"',
    "trailing": b'{"model": "qwen-coder"} x',
    "single-quotes": b"{'model': 'qwen-coder'}",
    "comment": b'{"model": "qwen-coder" /* x */}',
    "nan": b'{"model": "qwen-coder", "temperature": NaN}',
    "infinity": b'{"model": "qwen-coder", "temperature": -Infinity}',
    "huge-number": b'{"model": "qwen-coder", "temperature": 1e999}',
    "lone-surrogate": with_text(rb"\ud83d"),
    "reversed-surrogates": with_text(rb"\ude80\ud83d"),
    "not-utf-8": with_text(b"\xff\xfe"),
    "overlong": with_text(b"\xc0\x80"),
    "half-character": with_text(b"\xf0\x9f\x9a"),
    "utf-8-surrogate": with_text(b"\xed\xa0\xbd"),
    "raw-control": with_text(b"\x00\x01"),
    "bom": b"\xef\xbb\xbf" + with_text(b"x"),
    "utf-16": with_text(b"x").decode().encode("utf-16"),
    "nested-lists": b"[" * 100_000,
    "nested-objects": b'{"a":' * 100_000,
    "nested-and-closed": b'{"model":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "nested-in-place": with_text(b"x").replace(b'"x"', b"[" * 5000 + b"]" * 5000),
    "form": b"model=qwen-coder&max_tokens=5",
    "multipart": b"--x\r\ncontent-disposition: form-data\r\n\r\nhi\r\n--x--",
}


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
@pytest.mark.parametrize("name", BAD)
async def test_not_json(name, path, proxy):
    """Anything that is not one JSON object in UTF-8 is a 400 (conformance 067, 068, 069, 070)."""
    async with wire(proxy.base_url) as connection:
        await connection.send("POST", path, proxy.headers, BAD[name])
        answer = await connection.read_answer()
        await connection.send("POST", "/v1/messages", proxy.headers, turn())
        following = await connection.read_answer()

    assert (400, "invalid_request_error") == (answer.status, answer.error["type"])
    assert "The request body is not valid JSON" in answer.error["message"]
    assert len(answer.body) < 1000
    assert 200 == following.status
    assert [] == list(proxy.claude.requests)


@pytest.mark.parametrize(
    ("size_bytes", "model", "status"),
    [
        (30 * MIB, CLAUDE, 200),
        (30 * MIB, LOCAL, 400),
        (32 * MIB, CLAUDE, 200),
        (32 * MIB + 1, CLAUDE, 413),
    ],
)
async def test_large_bodies(size_bytes, model, status, proxy):
    """30 MB go to Claude as they are, and are too long for a local model; more is a 413 (conformance 018)."""
    raw = padded(size_bytes, model)

    answer = await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=raw)
    following = await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn())

    assert status == answer.status, answer.body[:300]
    if model == LOCAL:
        assert answer.error["message"].startswith("prompt is too long: ")
    elif status == 200:
        assert raw == proxy.claude.requests[0].body
    assert 200 == following.status


async def test_a_body_of_too_many_values(proxy):
    """A small body that would become a huge tree is refused (conformance 295)."""
    raw = b'{"model":"qwen-coder","x":[' + b"0," * 1_500_000 + b"0]}"

    answer = await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=raw)

    assert (413, "request_too_large") == (answer.status, answer.error["type"])


@pytest.mark.parametrize("model", [LOCAL, CLAUDE])
async def test_the_last_of_two_keys(model, proxy):
    """Duplicate keys: the last one counts, for routing as for the answer (conformance 071)."""
    other = {LOCAL: CLAUDE, CLAUDE: LOCAL}[model]
    raw = json.dumps(turn(model=model)).encode()
    raw = raw.replace(b'{"model"', b'{"model": ' + json.dumps(other).encode() + b', "model"', 1)

    answer = await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=raw)

    assert 200 == answer.status
    assert ("claude" if model == CLAUDE else "local") == answer.header("x-ccproxy-route")
    assert model == answer.json()["model"]


HARD_TEXT = '\u2028\u2029\x85\ufeff🚀ß\U0001f468\u200d\U0001f469\\u0041\\ " \t 日本\x7f￿'


@pytest.mark.parametrize("stream", [False, True])
async def test_hard_text_survives(stream, proxy):
    """Separators, marks and emoji come back as the model said them (conformance 130, 298)."""
    proxy.ollama.answer_with(
        {"message": {"role": "assistant", "content": HARD_TEXT + "\u0000."}},
        {"done": True, "done_reason": "stop"},
    )

    answer = await ask(
        proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(HARD_TEXT, stream=stream)
    )

    message = check_stream(answer.body).message if stream else json.loads(answer.body.decode())
    assert HARD_TEXT + "\u0000." == message["content"][0]["text"]
    assert HARD_TEXT == proxy.ollama.generations[0].body["messages"][-1]["content"]


ODD_MODELS = [
    "x" * 100_000,
    "q\u0000w",
    "../../etc/passwd",
    "🚀",
    "qwen-coder\r\nx-evil: 1",
    "agent/",
    "agent/../x",
]


@pytest.mark.parametrize("model", ODD_MODELS)
async def test_odd_model_names(model, proxy):
    """A model's name steers nothing but routing: no header, no path, no 500 (conformance 073)."""
    answer = await ask(
        proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=model)
    )

    assert answer.status in (200, 400, 404)
    assert None is answer.header("x-evil")
