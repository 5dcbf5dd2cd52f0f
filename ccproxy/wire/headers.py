"""Which headers cross the proxy, as pure functions over raw header lists.

Everything end-to-end passes, known or not, in order and with repeats; only what is named here
stays behind, and every header that has a token of this proxy in it. Sources: RFC 9110 section 7.6.1
(hop-by-hop), conformance 045, 264, 265, 266, 274.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ccproxy.wire.our_tokens import OurTokens

    RawHeaders = Iterable[tuple[bytes, bytes]]

_HOP_BY_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
_CREDENTIALS: Final = frozenset({b"x-api-key", b"authorization"})
_DROPPED_REQUEST: Final = _HOP_BY_HOP | {
    b"host",
    b"content-length",
    b"cookie",
    b"forwarded",
    # Answered by our own server before the body was read; nobody waits for it any more.
    b"expect",
    *_CREDENTIALS,
}
_DROPPED_REQUEST_PREFIXES: Final = (b"proxy-", b"x-forwarded-", b"x-ccproxy-")
_BETA: Final = b"anthropic-beta"
_BETA_OF_A_LOGIN: Final = b"oauth-"
_DROPPED_RESPONSE: Final = _HOP_BY_HOP | {b"set-cookie", b"set-cookie2"}
# `x-ccproxy-` is our own word: what an upstream says there would be taken for it.
_DROPPED_RESPONSE_PREFIXES: Final = (b"proxy-", b"x-ccproxy-")
_PLAIN_CONNECTION: Final = frozenset({b"keep-alive", b"close", b""})


def request_headers_for_upstream(
    headers: RawHeaders, api_key: bytes, ours: OurTokens
) -> list[tuple[bytes, bytes]]:
    """Return what goes to Claude: the client's end-to-end headers and our one credential.

    The `oauth-*` value of `anthropic-beta` belongs to a login of the client's, and stays here as
    the login does.

    Args:
        headers: As received from the client; names in any case.
        api_key: The proxy's own key, set as the only `x-api-key`; `authorization` never goes out.
        ours: Tells what never goes out in any header.

    Returns:
        Headers in the client's order, without `content-length` (the sender recomputes it).
    """
    sent: list[tuple[bytes, bytes]] = []
    for name, value in _without(headers, _DROPPED_REQUEST, _DROPPED_REQUEST_PREFIXES):
        kept = value
        if name.lower() == _BETA and _BETA_OF_A_LOGIN in value.lower():
            kept = _without_login(value)
            if not kept:
                continue
        if not ours.are_in(kept):
            sent.append((name, kept))
    sent.append((b"x-api-key", api_key))
    return sent


def request_headers_with_own(
    headers: RawHeaders, own: Collection[tuple[bytes, bytes]], ours: OurTokens
) -> list[tuple[bytes, bytes]]:
    """Return what goes to Claude under the client's own account: no credential but `own`.

    Args:
        headers: As received from the client.
        own: Those of them that `OurTokens.own_credentials` found; they go out unchanged, in their
            places.
        ours: Tells what never goes out in any header.
    """
    dropped = _DROPPED_REQUEST - _CREDENTIALS
    kept = _without(headers, dropped, _DROPPED_REQUEST_PREFIXES)
    return [
        pair
        for pair in kept
        if (pair in own if pair[0].lower() in _CREDENTIALS else not ours.are_in(pair[1]))
    ]


def _without_login(betas: bytes) -> bytes:
    """Return a list of beta values without those of a login; the others stay to the byte."""
    values = [
        value
        for value in betas.split(b",")
        if not value.strip().lower().startswith(_BETA_OF_A_LOGIN)
    ]
    if len(values) == betas.count(b",") + 1:
        return betas
    return b",".join(values).strip()


def response_headers_for_client(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    """Return the end-to-end headers of an answer whose body is relayed as it is.

    `content-encoding` and `content-length` stay, because the body is never decoded; a
    `content-length` beside `transfer-encoding` describes nothing (RFC 9112 section 6.3) and goes.
    """
    headers = list(headers)
    dropped = _DROPPED_RESPONSE
    if any(name.lower() == b"transfer-encoding" for name, _ in headers):
        dropped = dropped | {b"content-length"}
    return _without(headers, dropped, _DROPPED_RESPONSE_PREFIXES)


def _without(
    headers: RawHeaders, dropped: frozenset[bytes], prefixes: tuple[bytes, ...]
) -> list[tuple[bytes, bytes]]:
    kept: list[tuple[bytes, bytes]] = []
    named: set[bytes] = set()
    for name, value in headers:
        lowered = name.lower()
        if lowered in dropped or lowered.startswith(prefixes):
            if lowered == b"connection":
                named.update(token.strip().lower() for token in value.split(b","))
            continue
        kept.append((name, value))
    if named <= _PLAIN_CONNECTION:
        return kept
    return [(name, value) for name, value in kept if name.lower() not in named]
