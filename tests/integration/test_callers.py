"""Who calls and what they are told: auth, agents, ids and evidence (conformance sections B and C)."""

import asyncio
import itertools

import anthropic
import pytest
import pytest_asyncio

from tests.support.http_wire import ask, wire
from tests.support.messages import CLAUDE, LOCAL, MIXED, turn
from tests.support.proxy import UPSTREAM_KEY

pytestmark = pytest.mark.asyncio(loop_scope="module")

VERSION = {"anthropic-version": "2023-06-01"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tokens(shared_proxy):
    """Tokens limited to agents, once the running proxy knows them."""
    made = {
        "one": shared_proxy.new_token("one", agents=["code-reviewer"]),
        "private": shared_proxy.new_token("private", agents=["security-auditor"]),
        "several": shared_proxy.new_token("several", agents=["code-reviewer", "rust-specialist"]),
    }
    async with asyncio.timeout(10):
        for token in made.values():
            status = 401
            while status == 401:
                answer = await ask(
                    shared_proxy.base_url, "/v1/models", method="GET", headers={"x-api-key": token}
                )
                status = answer.status
    return made


def forms(token):
    return [
        [("x-api-key", token)],
        [("X-API-KEY", token)],
        [("authorization", f"Bearer {token}")],
        [("Authorization", f"bearer {token}")],
        [("AUTHORIZATION", f"BEARER   {token}")],
        [("x-api-key", token), ("authorization", f"Bearer {token}")],
        [("x-api-key", token), ("authorization", "Bearer sk-ant-other")],
        [("x-api-key", "sk-ant-other"), ("authorization", f"Bearer {token}")],
        [("x-api-key", "sk-ant-other"), ("x-api-key", token)],
        [("x-api-key", ""), ("authorization", f"Bearer {token}")],
        [("authorization", "Basic dXNlcjpwYXNz"), ("x-api-key", token)],
    ]


@pytest.mark.parametrize("form", range(11))
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/messages", turn(model=LOCAL)),
        ("POST", "/v1/messages", turn(model=CLAUDE)),
        ("POST", "/v1/messages/count_tokens", turn(max_tokens=None)),
        ("GET", "/v1/models", b""),
        ("GET", "/v1/files", b""),
    ],
    ids=["local", "claude", "count", "models", "other"],
)
async def test_every_form_of_a_good_token(form, method, path, body, proxy):
    """Either header serves, in any case, beside a stranger's too (conformance 022, 023, 257).

    Nothing of it goes further: Claude sees the proxy's own key once, Ollama no credential
    (conformance 034, 264).
    """
    pairs = [*forms(proxy.token)[form], *VERSION.items()]

    answer = await ask(proxy.base_url, path, method=method, headers=pairs, body=body)

    assert answer.status not in (401, 403), answer.body
    for recorded in proxy.claude.requests:
        credentials = [
            value for name, value in recorded.headers if name in (b"x-api-key", b"authorization")
        ]
        assert [UPSTREAM_KEY.encode()] == credentials
    for recorded in proxy.ollama.requests:
        names = {name for name, _ in recorded.headers}
        assert set() == names & {b"x-api-key", b"authorization", b"anthropic-version"}
    seen = repr([(r.headers, r.body) for r in proxy.claude.requests])
    seen += repr([(r.headers, r.raw) for r in proxy.ollama.requests])
    assert proxy.token not in seen
    assert "sk-ant-other" not in seen


BAD_CREDENTIALS = [
    [],
    [("x-api-key", "")],
    [("x-api-key", "sk-wrong-0123456789")],
    [("authorization", "Bearer sk-wrong-0123456789")],
    [("authorization", "Bearer")],
    [("authorization", "Basic sk-wrong-0123456789")],
    [("x-api-key", "sk-wrong-0123456789"), ("authorization", "Bearer also-wrong")],
    [("x-api-key", "\xff\xfe\x80 \xe4")],
    [("authorization", "Bearer \xff\xfe")],
    [("x-api-key", "x" * 20_000)],
    [("cookie", "x-api-key=sk-wrong-0123456789")],
]


@pytest.mark.parametrize("credentials", BAD_CREDENTIALS)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/messages"),
        ("POST", "/v1/messages/count_tokens"),
        ("POST", "/agents/code-reviewer/v1/messages"),
        ("POST", "/agents/nobody/v1/messages"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/qwen-coder"),
        ("POST", "/v1/files"),
        ("GET", "/health"),
        ("GET", "/metrics"),
    ],
)
async def test_bad_credentials(credentials, method, path, proxy):
    """401 before version, body and agent are looked at; nothing is echoed (conformance 024, 116)."""
    answer = await ask(proxy.base_url, path, method=method, headers=credentials, body=b"{not json")

    assert 401 == answer.status
    assert "authentication_error" == answer.error["type"]
    assert "invalid x-api-key" == answer.error["message"]
    assert "sk-wrong" not in answer.body.decode() + repr(answer.headers)
    assert answer.json()["request_id"] == answer.header("request-id")
    assert [] == list(proxy.claude.requests)


async def test_a_token_does_not_work_in_the_url(proxy):
    """A token in the query string is no credential (conformance 024)."""
    path = f"/v1/models?x-api-key={proxy.token}&token={proxy.token}"

    assert 401 == (await ask(proxy.base_url, path, method="GET")).status


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
async def test_the_order_of_complaints(path, proxy):
    """auth, version, JSON, model, fields: repairing one uncovers the next (conformance 025, 116)."""
    good = {"x-api-key": proxy.token}
    steps = [
        ({}, b"{not json", 401, "invalid x-api-key"),
        (good, b"{not json", 400, "anthropic-version: header is required"),
        (good | VERSION, b"{not json", 400, "not valid JSON"),
        (good | VERSION, {"messages": []}, 400, "model: Field required"),
        (good | VERSION, {"model": 1}, 400, "model: "),
        (good | VERSION, turn(model="agent/nobody"), 404, "agent: nobody"),
        (good | VERSION, {"model": LOCAL, "max_tokens": 5}, 400, "messages: Field required"),
        (good | VERSION, turn(temperature="hot"), 400, "temperature"),
        (good | VERSION, turn(), 200, ""),
    ]

    for headers, body, status, words in steps:
        answer = await ask(proxy.base_url, path, headers=headers, body=body)
        assert status == answer.status, answer.body
        assert words in answer.body.decode()


@pytest.mark.parametrize(
    ("version", "model", "status"),
    [
        ("2023-06-01", LOCAL, 200),
        ("2026-10-21", LOCAL, 200),
        ("2019-01-01", LOCAL, 400),
        ("2019-01-01", CLAUDE, 400),
        ("2026-10-21", CLAUDE, 200),
    ],
)
async def test_versions(version, model, status, proxy):
    """Both live versions serve; an unknown one is refused locally, Claude's affair there (conformance 026)."""
    headers = {"x-api-key": proxy.token, "anthropic-version": version}

    answer = await ask(proxy.base_url, "/v1/messages", headers=headers, body=turn(model=model))

    assert status == answer.status
    if model == CLAUDE:
        assert (b"anthropic-version", version.encode()) in proxy.claude.requests[0].headers


CLIENT_HEADERS = [
    ("anthropic-beta", "a-2026-01-01,b-2026-02-02"),
    ("anthropic-beta", "unheard-of-2030-01-01"),
    ("anthropic-workspace-id", "wrkspc_1"),
    ("x-claude-code-session-id", "0b5c"),
    ("x-stainless-retry-count", "2"),
    ("x-stainless-helper-method", "stream"),
    ("traceparent", "00-aa-bb-01"),
    ("idempotency-key", "k"),
    ("accept-encoding", "identity"),
    ("user-agent", "some-client/1.0 (ünï)"),
]
STAYS_HERE = [
    ("cookie", "session=1"),
    ("x-forwarded-for", "10.1.2.3"),
    ("forwarded", "for=10.1.2.3"),
    ("proxy-authorization", "Basic eA=="),
    ("connection", "x-hop"),
    ("x-hop", "hop"),
    ("te", "trailers"),
    ("x-ccproxy-agent", "chief-architect"),
]


async def test_client_headers_toward_claude(proxy):
    """End-to-end headers arrive as sent, repeats included; ours and the hop's stay (conformance 029, 030, 266)."""
    pairs = [*proxy.headers.items(), *CLIENT_HEADERS, *STAYS_HERE]

    answer = await ask(proxy.base_url, "/v1/messages", headers=pairs, body=turn(model=CLAUDE))

    assert 200 == answer.status
    arrived = [(n.decode("latin-1"), v) for n, v in proxy.claude.requests[0].headers]
    names = {name for name, _ in CLIENT_HEADERS}
    sent = [(name, value.encode("latin-1")) for name, value in CLIENT_HEADERS]
    ours = [(n, v) for n, v in arrived if n in names]
    assert [pair for pair in sent if pair[0] != "user-agent"] == [
        pair for pair in ours if pair[0] != "user-agent"
    ]
    assert set() == {name for name, _ in arrived} & {name for name, _ in STAYS_HERE} - {
        "connection"
    }
    assert [proxy.claude_url.removeprefix("http://").encode()] == [
        value for name, value in arrived if name == "host"
    ]


async def test_client_headers_toward_ollama(proxy):
    """Ollama sees nothing a client sent, and its own Host (conformance 032, 034, 035)."""
    pairs = [*proxy.headers.items(), *CLIENT_HEADERS, *STAYS_HERE]

    answer = await ask(proxy.base_url, "/v1/messages", headers=pairs, body=turn(model=LOCAL))

    assert 200 == answer.status
    arrived = dict(proxy.ollama.generations[0].headers)
    assert proxy.ollama_url.removeprefix("http://").encode() == arrived[b"host"]
    assert set(arrived) <= {
        b"host",
        b"accept",
        b"accept-encoding",
        b"connection",
        b"content-type",
        b"content-length",
        b"user-agent",
    }
    assert b"ccproxy" == arrived[b"user-agent"]


REQUESTS = {
    "local": ("POST", "/v1/messages", turn(), 200),
    "local-stream": ("POST", "/v1/messages", turn(stream=True), 200),
    "claude": ("POST", "/v1/messages", turn(model=CLAUDE), 200),
    "claude-stream": ("POST", "/v1/messages", turn(model=CLAUDE, stream=True), 200),
    "count": ("POST", "/v1/messages/count_tokens", turn(max_tokens=None), 200),
    "models": ("GET", "/v1/models", b"", 200),
    "model": ("GET", "/v1/models/qwen-coder", b"", 200),
    "no-model": ("GET", "/v1/models/nothing", b"", 404),
    "json": ("POST", "/v1/messages", b"{", 400),
    "field": ("POST", "/v1/messages", turn(max_tokens=-1), 400),
    "claude-400": ("POST", "/v1/messages", turn(model=CLAUDE, max_tokens=None), 400),
    "method": ("PUT", "/v1/messages", b"", 405),
    "path": ("POST", "/nowhere", b"", 404),
    "claude-path": ("GET", "/v1/unheard_of", b"", 404),
    "agent": ("POST", "/agents/nobody/v1/messages", turn(), 404),
    "live": ("GET", "/health/live", b"", 200),
    "health": ("GET", "/health", b"", 200),
    "metrics": ("GET", "/metrics", b"", 200),
}


async def test_request_ids(proxy):
    """Every answer has an id of its own, the same one as its error body (conformance 036, 037)."""
    seen = []
    for _, (method, path, body, status) in itertools.product(range(2), REQUESTS.values()):
        answer = await ask(proxy.base_url, path, method=method, headers=proxy.headers, body=body)
        assert status == answer.status, answer.body
        assert 1 == sum(name == "request-id" for name, _ in answer.headers), path
        seen.append(answer.header("request-id"))
        if status >= 400:
            assert answer.header("request-id") == answer.json()["request_id"]

    assert all(one.startswith("req_") for one in seen)
    assert len(seen) == len(set(seen))


async def test_claudes_own_request_id_is_kept(proxy):
    """Toward the client it stays; ours stands beside it (conformance 037)."""
    answer = await ask(
        proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=CLAUDE)
    )

    assert answer.header("request-id").startswith("req_sim")
    assert answer.header("x-ccproxy-request-id").startswith("req_")
    assert answer.header("request-id") != answer.header("x-ccproxy-request-id")


@pytest.mark.parametrize(
    ("path", "body", "status", "expected"),
    [
        ("/v1/messages", turn(), 200, ("unknown", "none", "qwen-coder", "local", "qwen-coder:ok")),
        (
            "/v1/messages",
            turn(model=CLAUDE),
            200,
            ("unknown", "none", "claude-opus", "claude", "claude-opus:ok"),
        ),
        (
            "/agents/code-reviewer/v1/messages",
            turn(model=MIXED),
            200,
            ("code-reviewer", "path", "qwen-coder", "local", "qwen-coder:ok"),
        ),
        (
            "/agents/chief-architect/v1/messages",
            turn(model=CLAUDE),
            200,
            ("chief-architect", "path", "claude-opus", "claude", "claude-opus:ok"),
        ),
        (
            "/v1/messages",
            turn(model="agent/rust-specialist"),
            200,
            ("rust-specialist", "model", "qwen-fast", "local", "qwen-fast:ok"),
        ),
        (
            "/agents/code-reviewer/v1/messages/count_tokens",
            turn(max_tokens=None, model=MIXED),
            200,
            ("code-reviewer", "path", "qwen-coder", "local", "qwen-coder:ok"),
        ),
        (
            "/agents/code-reviewer/v1/messages",
            turn(max_tokens="x", model=MIXED),
            400,
            ("code-reviewer", "path", "qwen-coder", "local", "qwen-coder:client_fault"),
        ),
        ("/agents/nobody/v1/messages", turn(), 404, ("unknown", "none", None, None, None)),
        ("/agents/code-reviewer/v1/models", None, 200, ("code-reviewer", "path", None, None, None)),
    ],
)
async def test_evidence(path, body, status, expected, proxy):
    """How a request was read and served stands in headers, on errors too (conformance 044)."""
    method = "GET" if body is None else "POST"

    answer = await ask(proxy.base_url, path, method=method, headers=proxy.headers, body=body or b"")

    assert status == answer.status, answer.body
    names = ("agent", "agent-source", "deployment", "route", "attempts")
    assert expected == tuple(answer.header(f"x-ccproxy-{name}") for name in names)


@pytest.mark.parametrize(
    "rest", ["/v1/messages", "/v1/messages/count_tokens", "/v1/models", "/v1/files"]
)
async def test_an_unknown_agent_in_the_path(rest, proxy):
    """404 that names the slug and the nearest agent (design 4.2; conformance 008)."""
    method = "GET" if rest == "/v1/models" else "POST"

    answer = await ask(
        proxy.base_url,
        f"/agents/code-reviewr{rest}",
        method=method,
        headers=proxy.headers,
        body=turn(),
    )

    assert 404 == answer.status
    assert "not_found_error" == answer.error["type"]
    assert "code-reviewr" in answer.error["message"]
    assert "'code-reviewer'" in answer.error["message"]
    assert [] == list(proxy.claude.requests)


@pytest.mark.parametrize(
    ("token", "path", "model", "status", "agent"),
    [
        ("one", "/v1/messages", MIXED, 200, ("code-reviewer", "token")),
        ("one", "/agents/code-reviewer/v1/messages", MIXED, 200, ("code-reviewer", "path")),
        ("one", "/agents/rust-specialist/v1/messages", MIXED, 403, ("rust-specialist", "path")),
        ("one", "/v1/messages", "agent/rust-specialist", 200, ("code-reviewer", "token")),
        ("several", "/v1/messages", MIXED, 403, ("unknown", "none")),
        ("several", "/v1/messages/count_tokens", MIXED, 403, ("unknown", "none")),
        ("several", "/v1/messages", "agent/rust-specialist", 200, ("rust-specialist", "model")),
        ("several", "/v1/messages", "agent/go-specialist", 403, ("go-specialist", "model")),
        ("several", "/agents/rust-specialist/v1/messages", MIXED, 200, ("rust-specialist", "path")),
        (
            "several",
            "/agents/security-auditor/v1/messages",
            MIXED,
            403,
            ("security-auditor", "path"),
        ),
        ("several", "/v1/files", MIXED, 403, ("unknown", "none")),
        ("private", "/v1/files", MIXED, 400, ("security-auditor", "token")),
        ("private", "/v1/messages", "claude-opus", 400, ("security-auditor", "token")),
        ("private", "/agents/code-reviewer/v1/messages", MIXED, 403, ("code-reviewer", "path")),
    ],
)
async def test_tokens_limited_to_agents(token, path, model, status, agent, tokens, proxy):
    """A token acts as its agents and no others; a single one it simply is (design 4.4)."""
    headers = {"authorization": f"Bearer {tokens[token]}", **VERSION}

    answer = await ask(proxy.base_url, path, headers=headers, body=turn(model=model))

    assert status == answer.status, answer.body
    assert agent == (answer.header("x-ccproxy-agent"), answer.header("x-ccproxy-agent-source"))
    if status == 403:
        assert "permission_error" == answer.error["type"]
        assert "false" == answer.header("x-should-retry")
        assert [] == list(proxy.claude.requests) + proxy.ollama.generations


@pytest.mark.parametrize("path", ["/health", "/metrics"])
async def test_ops_needs_its_scope(path, tokens, proxy):
    """A token without the scope is told which one is missing (conformance 047)."""
    answer = await ask(proxy.base_url, path, method="GET", headers={"x-api-key": tokens["one"]})

    assert 403 == answer.status
    assert "permission_error" == answer.error["type"]
    assert "ops" in answer.error["message"]


async def test_the_sdk_sees_its_error_classes(proxy):
    """The SDK raises its class for each status, with our type and id (conformance 050)."""
    cases = [
        ({"api_key": "wrong"}, turn(), anthropic.AuthenticationError),
        ({}, turn(model="agent/nobody"), anthropic.NotFoundError),
        ({}, turn(max_tokens=-1), anthropic.BadRequestError),
    ]
    for options, body, expected in cases:
        async with anthropic.AsyncAnthropic(
            base_url=proxy.base_url, max_retries=0, **{"api_key": proxy.token} | options
        ) as client:
            with pytest.raises(expected) as caught:
                await client.messages.create(**body)
        assert caught.value.request_id.startswith("req_")
        assert caught.value.body["error"]["type"]


async def test_junk_is_not_http(proxy):
    """Bytes that are no HTTP end their own connection only (conformance 020)."""
    async with wire(proxy.base_url) as connection:
        connection.writer.write(b"\x16\x03\x01\x02\x00\x01\x00\xff\r\n\r\n")
        assert 400 == (await connection.read_answer()).status

    assert (
        200
        == (await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn())).status
    )
