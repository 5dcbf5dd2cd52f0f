"""Which headers cross the proxy."""

from __future__ import annotations

import pytest

from ccproxy.wire.headers import (
    own_credentials,
    request_headers_for_upstream,
    request_headers_with_own,
    response_headers_for_client,
)

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
    sent = request_headers_for_upstream(KEPT_REQUEST, b"sk-upstream")

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
        sent = request_headers_for_upstream([(spelled.encode(), b"v"), (b"a", b"1")], b"k")

        assert [(b"a", b"1"), (b"x-api-key", b"k")] == sent


def test_headers_named_in_connection_stay_behind() -> None:
    """What `Connection` names is hop-by-hop too, wherever it stands (conformance 266)."""
    headers = [(b"x-hop", b"1"), (b"connection", b"keep-alive, X-Hop"), (b"x-end", b"2")]

    assert [(b"x-end", b"2"), (b"x-api-key", b"k")] == request_headers_for_upstream(headers, b"k")


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
    assert [(b"x-api-key", b"ours")] == request_headers_for_upstream(credentials, b"ours")


@pytest.mark.parametrize("anyone", [False, True])
def test_which_credentials_are_the_clients_own(*, anyone: bool) -> None:
    """Those beside `x-ccproxy-token`, or all where nobody needs a token; one of ours never (conformance 264)."""
    token, own = (b"X-Ccproxy-Token", b"jwt"), (b"X-Api-Key", b" sk-own")
    login = (b"authorization", b"bearer own")
    for headers, expected in (
        ([token, own, login], (own, login)),
        ([token, (b"x-api-key", b"ccp_1"), (b"authorization", b"Bearer ccp_1")], ()),
        ([token, (b"x-api-key", b"Bearer ccp_1"), (b"authorization", b"Bearer x ccp_1")], ()),
        ([token, (b"authorization", b"Bearer  jwt"), own], (own,)),
        ([token, (b"authorization", b"Basic own"), (b"x-api-key", b" ")], ()),
        ([own, login], (own, login) if anyone else ()),
        ([(b"x-ccproxy-token", b""), own], (own,) if anyone else ()),
    ):
        assert expected == own_credentials(headers, anyone=anyone)
        sent = request_headers_with_own([(b"a", b"1"), *headers, (b"cookie", b"c")], expected)
        assert [(b"a", b"1"), *expected] == sent


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
