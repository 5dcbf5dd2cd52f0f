"""Where an address is."""

from __future__ import annotations

import pytest

from ccproxy.config.hosts import is_loopback, normalise_host, parse_api_base, stays_on_premises


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.5", False),
        ("127.1", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
        ("", False),
    ],
)
def test_loopback(host: str, *, expected: bool) -> None:
    """Only what cannot be reached from elsewhere, as it is written, is loopback."""
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("Studio.local", "studio.local"),
        ("192.168.1.5", "192.168.1.5"),
        ("[FE80::0:1]", "fe80::1"),
    ],
)
def test_one_spelling_for_each_host(host: str, expected: str) -> None:
    """Hosts that are the same compare equal."""
    assert normalise_host(host) == expected


@pytest.mark.parametrize("host", ["", "http://studio", "studio:11434", "10.0.0.0/8", "a b"])
def test_what_is_no_host(host: str) -> None:
    """A scheme, a port or a network is not a host."""
    with pytest.raises(ValueError, match="without scheme and port"):
        normalise_host(host)


@pytest.mark.parametrize(
    ("text", "url", "host", "is_encrypted"),
    [
        ("http://127.0.0.1:11434/", "http://127.0.0.1:11434", "127.0.0.1", False),
        ("https://Gate.example.com/claude//", "https://Gate.example.com/claude", None, True),
        ("http://[::1]:11434", "http://[::1]:11434", "::1", False),
    ],
)
def test_base_urls(text: str, url: str, host: str | None, *, is_encrypted: bool) -> None:
    """A base URL loses its trailing slashes and keeps its path."""
    base = parse_api_base(text)
    assert (base.url, base.is_encrypted) == (url, is_encrypted)
    assert base.host == (host or "gate.example.com")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("127.0.0.1:11434", "such as http"),
        ("ftp://studio", "http:// or https://"),
        ("http://", "such as http"),
        ("http://a:99999", "such as http"),
        ("http://127.0.0.1@example.com", "user or password"),
        ("http://a/?x=1", "query"),
        ("http://a:11434/v1", "must end before '/v1'"),
        ("https://a/v1/messages/", "must end before '/v1/messages'"),
        ("http://a/api/chat", "must end before '/api/chat'"),
    ],
)
def test_what_is_no_base_url(text: str, message: str) -> None:
    """Each mistake people make with an address has its own message."""
    with pytest.raises(ValueError, match=message):
        parse_api_base(text)


def test_on_premises_is_loopback_or_listed() -> None:
    """A host stays on premises if it is this one or stands in the list (conformance 243)."""
    assert stays_on_premises("127.0.0.1", ())
    assert stays_on_premises("studio.local", {"studio.local"})
    assert not stays_on_premises("studio.local", ())
