"""What is left of a request's head once the wish to speak another protocol is taken out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

UPGRADE: Final = b"upgrade"
_ABOUT_IT: Final = frozenset({UPGRADE, b"http2-settings"})
"""RFC 9113, appendix A: the second goes with `upgrade: h2c`."""


def wants_upgrade(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Return whether a request asks for another protocol; header names are in lower case."""
    return any(name == UPGRADE for name, _ in headers)


def head_without_upgrade(
    method: bytes, target: bytes, version: str, headers: Iterable[tuple[bytes, bytes]]
) -> bytes:
    """Return the head of the same request, as if nobody had asked for another protocol.

    A server may ignore that wish (RFC 9110, 7.8), and then the request has its body as any other.

    Args:
        method: As it came, and so the rest: a parser has found it to be in order.
        target: Of the request line.
        version: `1.1` or `1.0`.
        headers: Names in lower case, in their order.
    """
    lines = [b"%b %b HTTP/%b" % (method, target, version.encode())]
    for name, value in headers:
        if name in _ABOUT_IT:
            continue
        kept = _options_left(value) if name == b"connection" else value
        if kept or name != b"connection":
            lines.append(b"%b: %b" % (name, kept))
    return b"\r\n".join([*lines, b"", b""])


def _options_left(value: bytes) -> bytes:
    options = (each.strip() for each in value.split(b","))
    return b", ".join(each for each in options if each.lower() not in _ABOUT_IT)
