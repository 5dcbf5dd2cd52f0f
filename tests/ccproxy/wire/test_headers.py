"""Which headers cross the proxy."""

from __future__ import annotations

import json

import pytest

from ccproxy.wire.headers import (
    request_headers_for_upstream,
    request_headers_with_own,
    response_headers_for_client,
)
from ccproxy.wire.our_tokens import OurTokens
from tests.support.issuer import ISSUER, b64

OURS = OurTokens()

KEPT_REQUEST = [
    (b"anthropic-version", b"2023-06-01"),
    (b"anthropic-beta", b"a-1,b-2"),
    (b"anthropic-beta", b"c-3"),
    (b"x-claude-code-session-id", b"s"),
    (b"anthropic-workspace-id", b"w"),
    (b"x-stainless-retry-count", b"0"),
    (b"accept-encoding", b"gzip, br"),
    (b"content-type", b"application/json"),
    (b"content-encoding", b"gzip"),
    (b"user-agent", b"claude-cli/2.1.329"),
    (b"traceparent", b"00-1-2-01"),
    (b"x-unheard-of", b"\xe2\x82\xac"),
]


def test_end_to_end_request_headers_pass_in_order_with_repeats() -> None:
    """Known and unknown end-to-end headers keep order, bytes and repeats (conformance 030)."""
    sent = request_headers_for_upstream(KEPT_REQUEST, b"sk-upstream", OURS)

    assert [*KEPT_REQUEST, (b"x-api-key", b"sk-upstream")] == sent


@pytest.mark.parametrize(
    "name",
    [
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "proxy-authorization",
        "proxy-connection",
        "host",
        "content-length",
        "cookie",
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-ccproxy-agent",
        "expect",
    ],
)
def test_headers_that_stay_behind(name: str) -> None:
    """Hop-by-hop, addressing, cookie and own headers never go upstream (conformance 266)."""
    for spelled in (name, name.title()):
        sent = request_headers_for_upstream([(spelled.encode(), b"v"), (b"a", b"1")], b"k", OURS)

        assert [(b"a", b"1"), (b"x-api-key", b"k")] == sent


def test_headers_named_in_connection_stay_behind() -> None:
    """What `Connection` names is hop-by-hop too, wherever it stands (conformance 266)."""
    headers = [(b"x-hop", b"1"), (b"connection", b"keep-alive, X-Hop"), (b"x-end", b"2")]

    sent = request_headers_for_upstream(headers, b"k", OURS)

    assert [(b"x-end", b"2"), (b"x-api-key", b"k")] == sent


@pytest.mark.parametrize(
    "credentials",
    [
        [(b"x-api-key", b"client")],
        [(b"authorization", b"Bearer client")],
        [(b"x-api-key", b"client"), (b"Authorization", b"Bearer client")],
        [],
    ],
)
def test_exactly_one_credential_and_it_is_ours(credentials: list[tuple[bytes, bytes]]) -> None:
    """Both client credentials go, one `x-api-key` is set (conformance 264)."""
    assert [(b"x-api-key", b"ours")] == request_headers_for_upstream(credentials, b"ours", OURS)


@pytest.mark.parametrize(
    ("value", "rest"),
    [
        (b"oauth-2025-04-20", None),
        (b"a-1,oauth-2025-04-20, b-2", b"a-1, b-2"),
        (b"OAuth-2025-04-20 , a-1,,b-2", b"a-1,,b-2"),
        (b"a-1, oauth-2025-04-20,oauth-2", b"a-1"),
        (b"a-1, not-oauth-1", b"a-1, not-oauth-1"),
    ],
)
def test_the_beta_of_a_login_goes_with_it(value: bytes, rest: bytes | None) -> None:
    """Where the proxy's key replaces a login its `oauth-*` value goes too; else the line stays to the byte (conformance 264, 265, 266)."""
    headers = [(b"Anthropic-Beta", value), (b"x-a", b"oauth-1"), (b"anthropic-beta", b"c-3")]
    kept = [] if rest is None else [(b"Anthropic-Beta", rest)]

    sent = request_headers_for_upstream(headers, b"k", OURS)

    assert [*kept, *headers[1:], (b"x-api-key", b"k")] == sent
    assert headers == request_headers_with_own(headers, (), OURS)


def jwt(issuer: object) -> bytes:
    """Return what has the form of a JWT of that issuer."""
    claims = json.dumps({"iss": issuer, "sub": "laptop"}).encode()
    return f"{b64(b'{}')}.{b64(claims)}.c2ln".encode()


@pytest.mark.parametrize("anyone", [False, True])
def test_which_credentials_are_the_clients_own(*, anyone: bool) -> None:
    """Those beside `x-ccproxy-token`, or all where nobody needs a token; one of ours never (conformance 264)."""
    token, own = (b"X-Ccproxy-Token", b"jwt"), (b"X-Api-Key", b" sk-own")
    login = (b"authorization", b"bearer own")
    foreign = (b"authorization", b"Bearer " + jwt("https://other.example.com/"))
    ours = OurTokens(are_asked_for=not anyone, issuer=ISSUER)
    for headers, expected in (
        ([token, own, login], (own, login)),
        ([token, (b"x-api-key", b"ccp_1"), (b"authorization", b"Bearer ccp_1")], ()),
        ([token, (b"x-api-key", b"Bearer ccp_1"), (b"authorization", b"Bearer x ccp_1")], ()),
        ([token, (b"authorization", b"Bearer  jwt"), own], (own,)),
        ([token, (b"authorization", b"Basic own"), (b"x-api-key", b" ")], ()),
        ([own, login], (own, login) if anyone else ()),
        ([(b"x-ccproxy-token", b""), own], (own,) if anyone else ()),
        ([token, (b"authorization", b"Bearer " + jwt(ISSUER)), own], (own,)),
        ([token, (b"x-api-key", jwt(ISSUER)), foreign], (foreign,)),
    ):
        assert expected == ours.own_credentials(headers)
        sent = request_headers_with_own([(b"a", b"1"), *headers, (b"cookie", b"c")], expected, ours)
        assert [(b"a", b"1"), *expected] == sent


@pytest.mark.parametrize(
    ("value", "stays"),
    [
        (b"ccp_1", True),
        (b"Bearer  ccp_1", True),
        (b"a=1; token=ccp_1", True),
        (b'"ccp_1"', True),
        (b"key_ccp_" + b"a" * 43, True),
        (b"user%3Accp_" + b"aZ-_" * 10 + b"123", True),
        (b"key_ccp_" + b"a" * 42, False),
        (jwt(ISSUER), True),
        (b"a.b." + jwt(ISSUER), True),
        (jwt(ISSUER) + b".c.d", True),
        (b"bearer," + jwt(ISSUER), True),
        (b"token=" + jwt(ISSUER), True),
        (jwt("https://other.example.com/"), False),
        (jwt([ISSUER]), False),
        (b"e30.W10.c2ln", False),
        (b"e30.e30.c2ln", False),
        (b"..", False),
        (b"claude-cli/2.1.329 (external, cli)", False),
        (b"my_ccp_client/1.0", False),
        (b"sk-ant-oat01-Accp_1", False),
    ],
)
def test_a_token_of_ours_in_any_header(value: bytes, *, stays: bool) -> None:
    """A header with a token of this proxy stays here, whatever its name; others go (conformance 264)."""
    ours, headers = OurTokens(issuer=ISSUER), [(b"x-forwarded", b"1"), (b"X-Auth-Token", value)]

    expected = headers[:1] if stays else headers

    assert [*expected, (b"x-api-key", b"k")] == request_headers_for_upstream(headers, b"k", ours)
    assert expected == request_headers_with_own(headers, (), ours)


TOKEN = b"ccp_" + b"aZ-_" * 10 + b"123"


@pytest.mark.parametrize(
    ("path", "query", "is_there"),
    [
        ("/v1/messages", b"beta=true", False),
        ("/v1/files/ccp_1", b"", True),
        ("/v1/files/my-ccp_1", b"", False),
        ("/v1/files/x" + TOKEN.decode(), b"", True),
        ("/v1/messages", b"api_key=" + TOKEN, True),
        ("/v1/messages", b"a=%63cp%5F1", True),
        ("/v1/messages", b"a=Basic%20ccp_1", True),
        ("/v1/messages", b"jwt=" + jwt(ISSUER), True),
        ("/v1/messages", b"jwt=" + jwt("https://other.example.com/"), False),
    ],
)
def test_a_token_of_ours_in_an_address(path: str, query: bytes, *, is_there: bool) -> None:
    """It is seen in a path and in a query, percent-encoded or not (conformance 264)."""
    assert is_there is OurTokens(issuer=ISSUER).are_in_target(path, query)


def test_a_jwt_is_ours_only_where_one_is_read() -> None:
    """Without an issuer of ours, a gateway's JWT is a credential like any other."""
    headers = [(b"x-auth", jwt(ISSUER)), (b"x-api-key", jwt(ISSUER))]
    ours = OurTokens(are_asked_for=False)

    own = ours.own_credentials(headers)

    assert tuple(headers[1:]) == own
    assert headers == request_headers_with_own(headers, own, ours)


def test_end_to_end_response_headers_pass() -> None:
    """Rate limits, ids, codings and unknown headers reach the client (conformance 040)."""
    headers = [
        (b"request-id", b"req_1"),
        (b"anthropic-ratelimit-tokens-remaining", b"7"),
        (b"retry-after", b"3"),
        (b"x-should-retry", b"false"),
        (b"Content-Encoding", b"br"),
        (b"content-length", b"12"),
        (b"x-a", b"1"),
        (b"x-a", b"2"),
    ]

    assert headers == response_headers_for_client(headers)


def test_hop_by_hop_response_headers_and_cookies_go() -> None:
    """No hop-by-hop header, cookie, stale length or word in our name leaks (045, 274)."""
    headers = [
        (b"transfer-encoding", b"chunked"),
        (b"content-length", b"12"),
        (b"connection", b"close, x-hop"),
        (b"x-hop", b"1"),
        (b"keep-alive", b"timeout=5"),
        (b"proxy-authenticate", b"x"),
        (b"set-cookie", b"a=b"),
        (b"X-CCProxy-Deployment", b"qwen-coder"),
        (b"x-end", b"2"),
    ]

    assert [(b"x-end", b"2")] == response_headers_for_client(headers)
