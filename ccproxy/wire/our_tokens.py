"""Whose a credential in a request is: this proxy's, or the client's own for Claude.

One rule for who serves, who explains and who sends: a token of this proxy, which is what begins
with `TOKEN_PREFIX` or is a JWT of the issuer whose JWTs are accepted here, never goes to Claude in
a header, a path or a query. What an agent writes into a prompt is its own business.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

TOKEN_HEADER: Final = b"x-ccproxy-token"
"""Carries a client's token for this proxy where `x-api-key` and `Authorization` are for Claude."""
TOKEN_PREFIX: Final = "ccp_"  # noqa: S105 (a public prefix, not a secret)
"""How every token of this proxy begins: secret scanners know it, and it never goes to Claude."""

_PREFIX: Final = TOKEN_PREFIX.encode()
_TOKEN: Final = re.compile(rb"(?<![\w-])%b|%b[\w-]{43}" % (_PREFIX, _PREFIX))
"""What begins like one, and 32 random bytes in base64 behind the prefix wherever they stand."""
_CLAIMS: Final = re.compile(rb"(?<=[\w-]\.)e[wy][\w-]{8,}={0,2}(?=\.)")
"""The middle part of a JWT (RFC 7519, 3): an object of JSON in base64, which begins with a brace
and a quote or a blank."""


@dataclass(frozen=True, slots=True)
class OurTokens:
    """Tells this proxy's tokens from other credentials, by their looks alone."""

    are_asked_for: bool = True
    """False where everybody may call: then `x-api-key` and `Authorization` are for Claude."""
    issuer: str | None = None
    """`iss` of the JWTs that are accepted here; None: none are."""

    def are_in(self, value: bytes) -> bool:
        """Return whether a header's value is or has such a token, with or without a scheme."""
        if _PREFIX in value and _TOKEN.search(value):
            return True
        if self.issuer is None or value.count(b".") < 2:
            return False
        return any(_issuer(claims) == self.issuer for claims in _CLAIMS.findall(value))

    def are_in_target(self, path: str, query: bytes) -> bool:
        """Return whether a path or a query has such a token, percent-encoded or not."""
        target = path.encode("latin-1", "replace") + b"?" + query
        return self.are_in(target) or (b"%" in target and self.are_in(unquote_to_bytes(target)))

    def own_credentials(
        self, headers: Iterable[tuple[bytes, bytes]]
    ) -> tuple[tuple[bytes, bytes], ...]:
        """Return the headers that are a client's own credentials for Claude, exactly as received.

        `x-api-key` and `Authorization: Bearer` are, where the client says apart from them who it is
        to this proxy (`TOKEN_HEADER`), or need not say it. A token of this proxy never is, whatever
        header it is in (conformance 264).
        """
        headers = list(headers)
        said = {value.strip() for name, value in headers if name.lower() == TOKEN_HEADER}
        if self.are_asked_for and not any(said):
            return ()
        return tuple(
            (name, value)
            for name, value in headers
            if (credential := _credential(name.lower(), value)) is not None
            and credential not in said
            and not self.are_in(credential)
        )


def _credential(name: bytes, value: bytes) -> bytes | None:
    """Return the credential in a header, or None if there is none."""
    if name == b"x-api-key":
        return value.strip() or None
    if name != b"authorization":
        return None
    scheme, _, credential = value.strip().partition(b" ")
    return credential.strip() or None if scheme.lower() == b"bearer" else None


def _issuer(part: bytes) -> object:
    """Return what the middle part of a JWT says of who issued it, unchecked; None if it is none."""
    try:
        claims = json.loads(urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return None
    return claims.get("iss") if isinstance(claims, dict) else None
