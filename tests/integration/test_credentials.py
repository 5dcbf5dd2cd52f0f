"""Who calls, and with whose credential Claude is asked: never both, never the wrong one."""

from __future__ import annotations

import json

import pytest

from ccproxy.auth import create_token, failed_logins
from ccproxy.demo.claude_faults import Fault, FaultKind
from tests.support.http_wire import ask
from tests.support.issuer import AUDIENCE, ISSUER, claims, ec_jwk, key_set, signed
from tests.support.messages import turn
from tests.support.proxy import UPSTREAM_KEY

pytestmark = pytest.mark.asyncio(loop_scope="module")

OAUTH = "sk-ant-oat01-the-clients-own"
KEY = "sk-ant-api03-the-clients-own"
OPUS, SONNET, HAIKU = "claude-opus-4-6", "claude-sonnet-4-5", "claude-haiku-4-5"
ROUTING = {
    "version": 1,
    "active_profile": "p",
    "profiles": {
        "p": {
            "tiers": {
                "opus": {"route": ["claude-opus", "claude-sonnet"]},
                "sonnet": {"route": ["claude-sonnet", "claude-opus"]},
                "haiku": {"route": ["claude-opus"]},
            },
            "agents": {
                "debugger": {"route": ["claude-opus", "qwen-coder"]},
                "python-pro": {"route": ["qwen-coder", "claude-opus"]},
            },
            "default": {"route": ["qwen-coder"]},
        }
    },
}


@pytest.fixture(scope="module")
def proxy_options(tmp_path_factory):
    """claude-opus is used under the client's account, claude-sonnet under the proxy's; JWTs are read."""
    keys = tmp_path_factory.mktemp("issuer") / "jwks.json"
    keys.write_bytes(key_set(ec_jwk("one")))

    def edit(document):
        document["auth"]["jwt"] = {
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "algorithms": ["ES256"],
            "jwks_file": str(keys),
        }
        for entry in document["model_list"]:
            if entry["model_name"] == "claude-opus":
                entry["credentials"] = "client"
                del entry["litellm_params"]["api_key"]

    return {"routing": ROUTING, "edit": edit}


def apart(proxy, **own):
    """Return headers of a client that says apart who it is; `own` are its credentials for Claude."""
    named = {name.replace("_", "-"): value for name, value in own.items()}
    return {"x-ccproxy-token": proxy.token, "anthropic-version": "2023-06-01"} | named


def credentials(record):
    """Return the credentials that Claude got."""
    return [pair for pair in record.headers if pair[0] in (b"x-api-key", b"authorization")]


def everything(record):
    """Return all that Claude got, in bytes."""
    return b"\n".join(b": ".join(pair) for pair in record.headers)


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/files", "/v1/messages/batches"])
async def test_a_token_in_the_address_goes_nowhere(path, proxy):
    """Beside a good credential too: the answer says what to do, and Claude hears nothing (264)."""
    headers = {"x-api-key": proxy.token, "anthropic-version": "2023-06-01"}
    target = f"{path}?beta=true&api_key={proxy.token}"
    answer = await ask(proxy.base_url, target, headers=headers, body=turn(model=OPUS))

    assert (400, "invalid_request_error") == (answer.status, answer.error["type"])
    assert "make a new one" in answer.error["message"]
    assert proxy.token not in answer.body.decode()
    assert not proxy.claude.requests


@pytest.mark.parametrize(
    "own",
    [
        {"authorization": f"Bearer {OAUTH}", "anthropic-beta": "oauth-2025-04-20,x-2025-01-01"},
        {"x_api_key": KEY},
    ],
    ids=["oauth", "key"],
)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
async def test_the_clients_own_goes_unchanged(own, path, proxy):
    """Under the client's account its header goes to Claude to the byte, with the beta value of a login, and nothing of ours (conformance 264, 265)."""
    answer = await ask(proxy.base_url, path, headers=apart(proxy, **own), body=turn(model=OPUS))

    assert (200, "claude-opus") == (answer.status, answer.header("x-ccproxy-deployment"))
    record = proxy.claude.requests[0]
    expected = [(k.replace("_", "-").encode(), v.encode()) for k, v in own.items()]
    assert [pair for pair in expected if pair[0] != b"anthropic-beta"] == credentials(record)
    assert set(expected) <= set(record.headers)
    for never in (proxy.token, UPSTREAM_KEY, "x-ccproxy"):
        assert never.encode() not in everything(record)


@pytest.mark.parametrize(
    "own", [{"authorization": f"Bearer {OAUTH}"}, {"x_api_key": KEY}, {}], ids=["oauth", "key", "-"]
)
async def test_the_clients_own_never_leaves_where_the_proxy_has_a_key(own, proxy):
    """Under the proxy's account exactly its key goes out, whatever the client sends (conformance 264)."""
    answer = await ask(
        proxy.base_url, "/v1/messages", headers=apart(proxy, **own), body=turn(model=SONNET)
    )

    assert (200, "claude-sonnet") == (answer.status, answer.header("x-ccproxy-deployment"))
    record = proxy.claude.requests[0]
    assert [(b"x-api-key", UPSTREAM_KEY.encode())] == credentials(record)
    for never in (OAUTH, KEY, proxy.token):
        assert never.encode() not in everything(record)


@pytest.mark.parametrize("model", [OPUS, SONNET])
async def test_fallback_between_two_accounts(model, proxy):
    """Each attempt has its own credential and no other, in both directions; the beta value of a login goes with it (conformance 264, 265)."""
    proxy.claude.faults.append(Fault(FaultKind("status"), status=529))

    answer = await ask(
        proxy.base_url,
        "/v1/messages",
        headers=apart(proxy, authorization=f"Bearer {OAUTH}")
        | {"anthropic-beta": "a-1,oauth-2025-04-20, b-2"},
        body=turn(model=model),
    )

    assert 200 == answer.status
    names = (b"x-api-key", b"authorization", b"anthropic-beta")
    sent = [sorted(p for p in each.headers if p[0] in names) for each in proxy.claude.requests]
    own = [
        (b"anthropic-beta", b"a-1,oauth-2025-04-20, b-2"),
        (b"authorization", f"Bearer {OAUTH}".encode()),
    ]
    ours = [(b"anthropic-beta", b"a-1, b-2"), (b"x-api-key", UPSTREAM_KEY.encode())]
    assert ([own, ours] if model == OPUS else [ours, own]) == sent


async def test_local_models_get_none(proxy):
    """Whatever is served here, before or after Claude, no credential is in any request to the model."""
    proxy.claude.faults.append(Fault(FaultKind("status"), status=529))
    for agent in ("debugger", "python-pro"):
        answer = await ask(
            proxy.base_url,
            f"/agents/{agent}/v1/messages",
            headers=apart(proxy, authorization=f"Bearer {OAUTH}"),
            body=turn(model=OPUS),
        )
        assert (200, "qwen-coder") == (answer.status, answer.header("x-ccproxy-deployment"))
    assert proxy.ollama.requests
    seen = repr(proxy.ollama.requests).encode()
    for never in (OAUTH, proxy.token, UPSTREAM_KEY):
        assert never.encode() not in seen


@pytest.mark.parametrize("headers", ["one header", "both headers", "token twice", "blank", "basic"])
async def test_without_a_credential_it_is_not_asked(headers, proxy):
    """A token of ours is no credential for Claude, in whatever header; the reason says what to do (conformance 264)."""
    sent = {
        "one header": proxy.headers,
        "both headers": proxy.headers | {"authorization": f"Bearer {proxy.token}"},
        "token twice": apart(proxy, x_api_key=proxy.token, authorization=f"Bearer {proxy.token}"),
        "blank": apart(proxy, x_api_key="", authorization="Bearer "),
        "basic": apart(proxy, authorization="Basic QTpC"),
    }[headers]

    alone = await ask(proxy.base_url, "/v1/messages", headers=sent, body=turn(model=HAIKU))
    other = await ask(proxy.base_url, "/v1/messages", headers=sent, body=turn(model=OPUS))

    assert (400, "false") == (alone.status, alone.header("x-should-retry"))
    assert "x-ccproxy-token" in alone.error["message"]
    assert (200, "claude-sonnet:ok") == (other.status, other.header("x-ccproxy-attempts"))
    assert [[(b"x-api-key", UPSTREAM_KEY.encode())]] == [
        credentials(record) for record in proxy.claude.requests
    ]


async def test_claudes_refusal_of_a_login_is_the_clients(proxy):
    """Claude's own 401 reaches the client, and its 429 is held against nobody else."""
    own = apart(proxy, authorization=f"Bearer {OAUTH}")
    for status in (401, 429, 429, 429, 429, 429, 429):
        proxy.claude.faults.append(Fault(FaultKind("status"), status=status))
        answer = await ask(proxy.base_url, "/v1/messages", headers=own, body=turn(model=HAIKU))
        assert status == answer.status
    answer = await ask(proxy.base_url, "/v1/messages", headers=own, body=turn(model=HAIKU))
    assert 200 == answer.status


async def test_other_paths_under_the_clients_account(proxy):
    """Files and batches go under the account of the first Claude that this client can use."""
    own = apart(proxy, x_api_key=KEY)
    for headers, expected in ((own, KEY), (proxy.headers, UPSTREAM_KEY)):
        await ask(proxy.base_url, "/v1/messages/batches", headers=headers, method="GET")
        assert [(b"x-api-key", expected.encode())] == credentials(proxy.claude.requests[-1])


async def test_explain_tells_of_a_credential(proxy):
    """`explain` finds a client's own credential where serving would, and says why one is skipped."""
    for headers, attempts in (
        ({}, ["claude-sonnet"]),
        ({"authorization": "Bearer x"}, ["claude-sonnet"]),
        ({"x-api-key": proxy.token}, ["claude-sonnet"]),
        (apart(proxy, authorization=f"{jwt()['authorization']}"), ["claude-sonnet"]),
        (apart(proxy, authorization="Bearer x"), ["claude-opus", "claude-sonnet"]),
    ):
        answer = await ask(
            proxy.base_url,
            "/admin/explain",
            headers=proxy.headers | {"content-type": "application/json"},
            body=turn(model=OPUS, headers=headers),
        )
        told = answer.json()
        assert attempts == [each["deployment"] for each in told["attempts"]]
        assert (len(attempts) == 1) == ("x-ccproxy-token" in json.dumps(told["trace"]))
        served = await ask(
            proxy.base_url, "/v1/messages", headers=proxy.headers | headers, body=turn(model=OPUS)
        )
        assert attempts[0] == served.header("x-ccproxy-deployment")


# --- JSON Web Tokens ---------------------------------------------------------------------------


def jwt(**more):
    """Return the headers of a caller with a JWT."""
    token = signed(claims(**more), alg="ES256").decode()
    return {"authorization": f"Bearer {token}", "anthropic-version": "2023-06-01"}


async def test_a_jwt_is_a_caller(proxy):
    """Its claims count as those of a token: agents, scopes, privacy; it is never taken for Claude's."""
    served = await ask(proxy.base_url, "/v1/messages", headers=jwt(), body=turn(model=OPUS))
    assert (200, "claude-sonnet") == (served.status, served.header("x-ccproxy-deployment"))
    assert b"Bearer" not in everything(proxy.claude.requests[0])

    agent = await ask(
        proxy.base_url, "/v1/messages", headers=jwt(agents=["python-pro"]), body=turn(model=OPUS)
    )
    assert ("python-pro", "token") == (
        agent.header("x-ccproxy-agent"),
        agent.header("x-ccproxy-agent-source"),
    )
    here = await ask(
        proxy.base_url, "/v1/messages", headers=jwt(privacy="local_only"), body=turn(model=OPUS)
    )
    assert 400 == here.status
    assert 403 == (await ask(proxy.base_url, "/health", headers=jwt(), method="GET")).status
    assert (
        200 == (await ask(proxy.base_url, "/health", headers=jwt(scope="ops"), method="GET")).status
    )


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        (jwt(exp=1), "invalid bearer token: it has expired"),
        (jwt(agents=[]), "names nobody"),
        ({"authorization": "Bearer e30.e30.e30"}, "invalid x-api-key"),
        ({"x-ccproxy-token": "wrong", **jwt()}, "invalid x-api-key"),
    ],
)
async def test_a_jwt_that_is_not_accepted(headers, words, proxy):
    """401 in Anthropic's words, or why, where it was signed as it should be (conformance 024)."""
    answer = await ask(proxy.base_url, "/v1/messages", headers=headers, body=turn())
    assert (401, "authentication_error") == (answer.status, answer.error["type"])
    assert words in answer.error["message"]


async def test_a_jwt_beside_a_login(proxy):
    """A JWT may say apart who calls; the login goes to Claude, the JWT never does, even if it is sent twice."""
    bearer = jwt()["authorization"].removeprefix("Bearer ")
    headers = {"x-ccproxy-token": bearer, "anthropic-version": "2023-06-01"}
    answer = await ask(
        proxy.base_url,
        "/v1/messages",
        headers=headers | {"authorization": f"Bearer {OAUTH}", "x-api-key": bearer},
        body=turn(model=OPUS),
    )
    assert (200, "claude-opus") == (answer.status, answer.header("x-ccproxy-deployment"))
    assert [(b"authorization", f"Bearer {OAUTH}".encode())] == credentials(proxy.claude.requests[0])


async def test_a_jwt_of_ours_beside_a_token_is_no_login(proxy):
    """One that this proxy's own gate would accept is not the client's, nor is a token in any other header (conformance 264)."""
    headers = apart(proxy) | jwt() | {"x-auth-token": proxy.token, "x-other": "kept"}

    answer = await ask(proxy.base_url, "/v1/messages", headers=headers, body=turn(model=OPUS))
    own = headers | {"x-api-key": KEY}
    beside = await ask(proxy.base_url, "/v1/messages", headers=own, body=turn(model=OPUS))

    assert ["claude-sonnet", "claude-opus"] == [
        each.header("x-ccproxy-deployment") for each in (answer, beside)
    ]
    for record, key in zip(proxy.claude.requests, (UPSTREAM_KEY, KEY), strict=True):
        assert [(b"x-api-key", key.encode())] == credentials(record)
        assert (b"x-other", b"kept") in record.headers
        for never in (proxy.token, headers["authorization"]):
            assert never.encode() not in everything(record)


# --- tokens ------------------------------------------------------------------------------------


async def test_a_rate_of_a_token(proxy):
    """The request above it is 429 with `retry-after`; counting tokens is free, other tokens go on (conformance 051)."""
    token = create_token(proxy.tokens_file, "slow", requests_per_minute=1)
    headers = {"x-api-key": token, "anthropic-version": "2023-06-01"}
    answers = [
        await ask(proxy.base_url, "/v1/messages", headers=headers, body=turn(model=SONNET))
        for _ in range(3)
    ]
    # The minute of the clock may end in between.
    assert [200, 429] == sorted({answer.status for answer in answers})
    late = next(answer for answer in answers if answer.status == 429)
    assert "rate_limit_error" == late.error["type"]
    assert 1 <= int(late.header("retry-after")) <= 60
    path = "/v1/messages/count_tokens"
    counted = await ask(proxy.base_url, path, headers=headers, body=turn(model=SONNET))
    other = await ask(
        proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=SONNET)
    )
    assert (200, 200) == (counted.status, other.status)


async def test_wrong_tokens_have_an_end(proxy, monkeypatch):
    """From one address they are refused ever more shortly, on every path, and a right one is still served."""
    paths = ("/v1/messages", "/v1/models", "/health", "/metrics", "/v1/files")
    statuses = set()
    monkeypatch.setattr(failed_logins, "MOST_LOOPBACK_FAILURES", 20)
    for index in range(21):
        path = paths[index % len(paths)]
        method = "POST" if path == "/v1/messages" else "GET"
        answer = await ask(proxy.base_url, path, headers={"x-api-key": "no"}, method=method)
        statuses.add(answer.status)
    assert {401, 429} >= statuses
    assert 429 == answer.status
    assert "rate_limit_error" == answer.error["type"]
    assert int(answer.header("retry-after")) <= 60
    good = await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn(model=SONNET))
    assert 200 == good.status
