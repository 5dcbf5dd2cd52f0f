"""Requests that no client would send, made from good ones by small steps: one a seed.

Hypothesis would tell a smaller case of what fails; here a hundred thousand have to be cheap.
"""

from __future__ import annotations

import gzip
import json
import random
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.support.messages import CLAUDE, LOCAL, MIXED, WEATHER, turn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PICTURE: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
GOOD: Final[Sequence[Mapping[str, Any]]] = (
    turn(),
    turn(model=CLAUDE),
    turn(model=MIXED, stream=True),
    turn(stream=True, stop_sequences=["stop"], temperature=0.5, top_k=3),
    turn("use the get_weather tool", tools=[WEATHER], tool_choice={"type": "any"}),
    turn(model=MIXED, system=[{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]),
    turn(model=CLAUDE, thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=4096),
    {
        "model": LOCAL,
        "max_tokens": 64,
        "tools": [WEATHER],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "How is it?"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                    {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Köln"}},
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "wet"}],
            },
        ],
    },
    {
        "model": "qwen-vision",
        "max_tokens": 64,
        "messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": PICTURE},
                    },
                    {"type": "text", "text": "What is it?"},
                ],
            }
        ],
    },
)  # fmt: skip
JUNK: Final[Sequence[Any]] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**70), 0.1, -0.0, 1e308, 10**400,
    "", " ", "\x00", "\r\nx: y", "é" * 50, "\U0001f680", "\ud800", "a" * 5000, "../../etc/passwd",
    "' OR 1=1 --", "=cmd|' /C calc'!A0", "{{7*7}}", "%00", "(a+)+$", "<script>", "file:///etc/passwd",
    "http://169.254.169.254/", "agent/code-reviewer", "agent/nobody", "ephemeral", "1h",
    "text", "image", "tool_use", "tool_result", "user", "assistant", "enabled", "auto", "none",
    [], {}, [[]], [{}], {"": ""}, {"type": None}, {"$ref": "#"}, {"$ref": "http://127.0.0.1:1/x"},
    {"type": "object", "properties": {"a": {"pattern": "(a+)+$"}}}, [None] * 50,
)  # fmt: skip
SLUGS: Final = (
    "code-reviewer", "security-auditor", "nobody", "", "..", "%2e%2e", "a%2Fb", "%00", "%ff", "a b",
    "code-reviewer%20", "x" * 300, "%F0%9F%9A%80", "CODE-REVIEWER", "code-reviewer;x", "-", "%",
)  # fmt: skip
PATHS: Final = (
    "/admin/explain", "/admin/estimate", "/admin/reload", "/admin/budgets", "/admin/usage",
    "/admin/latency", "/admin/failures", "/admin/routes", "/admin/nothing", "/health", "/metrics",
    "/openapi.json", "/dashboard", "/dashboard/app.js", "/dashboard/../api/ops.py",
    "/dashboard/%2e%2e/%2e%2e/pyproject.toml", "/v1/models", "/v1/models/qwen-coder", "/v1/models/%00",
    "/v1/messages/batches", "/v1/files", "/v1/../admin/usage", "//v1/messages", "/", "/api/hello", "/x",
)  # fmt: skip
QUERIES: Final = (
    "", "", "", "?beta=true", "?", "?hours=1", "?hours=-1", "?hours=1e9", "?by=agent", "?by=';drop",
    "?limit=1", "?limit=99999999999999999999999", "?a=%ff%00&a", "?token=x", "?" + "a&" * 300,
    "?after_id=%ed%a0%80", "?lifecycle[]=x",
)  # fmt: skip
METHODS: Final = ("GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW")
HEADERS: Final = (
    ("content-type", "text/plain; charset=utf-7"), ("content-type", "multipart/form-data"),
    ("content-encoding", "gzip"), ("content-encoding", "br"), ("anthropic-version", "x" * 200),
    ("anthropic-beta", "a,b,,\t"), ("x-ccproxy-agent", "code-reviewer"), ("x-ccproxy-agent", "é" * 9),
    ("x-ccproxy-project", "p" * 300), ("x-claude-code-session-id", "x" * 500), ("cookie", "a=b"),
    ("connection", "x-api-key"), ("x-forwarded-for", "8.8.8.8"), ("origin", "https://evil.test"),
    ("host", "evil.test"), ("traceparent", "00-" + "0" * 32 + "-" + "1" * 16 + "-01"), ("accept", "*/*;q=x"),
    ("range", "bytes=0-"), ("if-none-match", "*"), ("authorization", "Bearer"), ("x-stainless-retry-count", "x"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RandomRequest:
    """One request; the token is not in it."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


def random_request(seed: int) -> RandomRequest:
    """Return the request of that seed, always the same."""
    chance = random.Random(seed)  # noqa: S311 - the same requests every time
    body = json.loads(json.dumps(chance.choice(GOOD)))
    for _ in range(chance.choice((0, 1, 1, 2, 3, 5))):
        body = _changed(body, chance)
    headers = [("anthropic-version", "2023-06-01")]
    headers += [chance.choice(HEADERS) for _ in range(chance.choice((0, 0, 0, 1, 2)))]
    method = "POST" if chance.random() < 0.95 else chance.choice(METHODS)
    path = _path(chance)
    if path.startswith(("/admin", "/health", "/metrics", "/dash", "/v1/models")):
        method = chance.choice(("GET", method))
    return RandomRequest(method, path, tuple(headers), _bytes(body, chance))


def _path(chance: random.Random) -> str:
    kind = chance.random()
    path = "/v1/messages" if kind < 0.6 else "/v1/messages/count_tokens"
    if kind > 0.8:
        path = chance.choice(PATHS)
    if chance.random() < 0.25:
        path = f"/agents/{chance.choice(SLUGS)}{path}".replace(" ", "%20")
    return path + chance.choice(QUERIES)


def _changed(value: Any, chance: random.Random, depth: int = 0) -> Any:
    """Return the value with one place of it gone, doubled, wrapped or replaced."""
    if isinstance(value, dict | list) and value and chance.random() < 0.85:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = chance.choice(keys)
        step = chance.random()
        if step < 0.1:
            del value[key]
        elif step < 0.15 and isinstance(value, list):
            value.append(value[key])
        elif step < 0.2 and isinstance(value, dict):
            value[str(chance.choice(JUNK))[:300]] = value[key]
        else:
            value[key] = _changed(value[key], chance, depth + 1)
        return value
    if chance.random() < 0.05:
        for _ in range(chance.choice((3, 50, 1100))):
            value = [value] if chance.random() < 0.5 else {"a": value}
        return value
    return deepcopy(chance.choice(JUNK))


def _bytes(body: Any, chance: random.Random) -> bytes:
    try:
        raw = json.dumps(body, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    except RecursionError:
        raw = b'{"model": "m", "messages": ' + b"[" * 5000
    kind = chance.random()
    if kind < 0.03:
        raw = raw[: chance.randrange(len(raw) + 1)]
    elif kind < 0.06:
        at = chance.randrange(len(raw) + 1)
        raw = raw[:at] + chance.randbytes(chance.randrange(1, 9)) + raw[at:]
    elif kind < 0.07:
        raw = chance.randbytes(chance.randrange(200))
    elif kind < 0.09:
        raw = gzip.compress(raw)
    return raw
