"""Whose a credential in a request is: this proxy's, or the client's own for Claude.

One rule for who serves, who explains and who sends: a token of this proxy, which is what begins
with `TOKEN_PREFIX` or is a JWT of the issuer whose JWTs are accepted here, never goes to Claude.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

TOKEN_HEADER: Final = b"x-ccproxy-token"
"""Carries a client's token for this proxy where `x-api-key` and `Authorization` are for Claude."""
TOKEN_PREFIX: Final = "ccp_"  # noqa: S105 (a public prefix, not a secret)
"""How every token of this proxy begins: secret scanners know it, and it never goes to Claude."""

_PREFIX: Final = TOKEN_PREFIX.encode()
_TOKEN: Final = re.compile(rb"(?<![\w-])" + _PREFIX)
_BETWEEN_WORDS: Final = re.compile(rb"[\s,;=\"']+")


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
        return any(_issuer(word) == self.issuer for word in _BETWEEN_WORDS.split(value))

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


def _issuer(word: bytes) -> object:
    """Return what a JWT says of who issued it, unchecked; None where it is no JWT."""
    parts = word.split(b".")
    if len(parts) != 3:  # RFC 7519 section 3: header, claims, signature
        return None
    try:
        claims = json.loads(urlsafe_b64decode(parts[1] + b"=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    return claims.get("iss") if isinstance(claims, dict) else None
