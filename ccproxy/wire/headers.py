"""Which headers cross the proxy, as pure functions over raw header lists.

Everything end-to-end passes, known or not, in order and with repeats; only what is named here
stays behind. Sources: RFC 9110 section 7.6.1 (hop-by-hop), conformance 045, 266, 274.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    RawHeaders = Iterable[tuple[bytes, bytes]]

TOKEN_HEADER: Final = b"x-ccproxy-token"
"""Carries a client's token for this proxy where `x-api-key` and `Authorization` are for Claude."""
TOKEN_PREFIX: Final = "ccp_"  # noqa: S105 (a public prefix, not a secret)
"""How every token of this proxy begins: secret scanners know it, and it never goes to Claude."""

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
_DROPPED_RESPONSE: Final = _HOP_BY_HOP | {b"set-cookie", b"set-cookie2"}
# `x-ccproxy-` is our own word: what an upstream says there would be taken for it.
_DROPPED_RESPONSE_PREFIXES: Final = (b"proxy-", b"x-ccproxy-")
_PLAIN_CONNECTION: Final = frozenset({b"keep-alive", b"close", b""})


def request_headers_for_upstream(headers: RawHeaders, api_key: bytes) -> list[tuple[bytes, bytes]]:
    """Return what goes to Claude: the client's end-to-end headers and our one credential.

    Args:
        headers: As received from the client; names in any case.
        api_key: The proxy's own key, set as the only `x-api-key`; `authorization` never goes out.

    Returns:
        Headers in the client's order, without `content-length` (the sender recomputes it).
    """
    kept = _without(headers, _DROPPED_REQUEST, _DROPPED_REQUEST_PREFIXES)
    kept.append((b"x-api-key", api_key))
    return kept


def request_headers_with_own(
    headers: RawHeaders, own: Collection[tuple[bytes, bytes]]
) -> list[tuple[bytes, bytes]]:
    """Return what goes to Claude under the client's own account: no credential but `own`.

    Args:
        headers: As received from the client.
        own: Those of them that `own_credentials` found; they go out unchanged, in their places.
    """
    dropped = _DROPPED_REQUEST - _CREDENTIALS
    kept = _without(headers, dropped, _DROPPED_REQUEST_PREFIXES)
    return [pair for pair in kept if pair[0].lower() not in _CREDENTIALS or pair in own]


def own_credentials(headers: RawHeaders, *, anyone: bool) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers that are a client's own credentials for Claude, exactly as received.

    `x-api-key` and `Authorization: Bearer` are, where the client says apart from them who it is to
    this proxy (`TOKEN_HEADER`), or need not say it. A token of this proxy never is, whatever header
    it is in (conformance 264).

    Args:
        headers: As received from the client.
        anyone: The proxy asks for no tokens.
    """
    headers = list(headers)
    said = {value.strip() for name, value in headers if name.lower() == TOKEN_HEADER}
    if not anyone and not any(said):
        return ()
    return tuple(
        (name, value)
        for name, value in headers
        if (credential := _credential(name.lower(), value)) is not None
        and credential not in said
        and not any(word.startswith(TOKEN_PREFIX.encode()) for word in credential.split())
    )


def _credential(name: bytes, value: bytes) -> bytes | None:
    """Return the credential in a header, or None if there is none."""
    if name == b"x-api-key":
        return value.strip() or None
    if name != b"authorization":
        return None
    scheme, _, credential = value.strip().partition(b" ")
    return credential.strip() or None if scheme.lower() == b"bearer" else None


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
