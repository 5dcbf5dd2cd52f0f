"""JSON Web Tokens (RFC 7519): checked, and read as principals.

Rules:
1. The algorithms are the configuration's. What a token says of itself only selects among them; keys
   in its header are not looked at, and `crit`, of which nothing is understood, refuses it
   (RFC 7515 section 4.1.11; python-jose ignores it).
2. Issuer, audience and expiry must be there and right.
3. A limit (agents, privacy) that is there and cannot be read refuses the token: misread it would be
   good for more than meant.
4. What was found out of a token counts for `REMEMBERED_S` at most, and never beyond its expiry or a
   change of the keys: a hundred requests a second must not cost a hundred checks.
"""

# ruff: noqa: PLC0415 -- python-jose costs 50 ms, which only those pay who use it

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from ccproxy.auth.principal import KNOWN_SCOPES, Principal
from routing.types import Privacy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ccproxy.auth.jwt_keys import KeySet, VerifyingKey

LONGEST_TOKEN_BYTES: Final = 8 * 1024
"""Identity providers warn above 4 KiB; a whole header line may have 64."""
REMEMBERED_S: Final = 300.0
MOST_REMEMBERED: Final = 1024
LONGEST_NAME_CHARS: Final = 255
"""Source: OpenID Connect Core section 2, of `sub`."""
LONGEST_KID_CHARS: Final = 256
MOST_AGENTS: Final = 1000
LAST_TIME_S: Final = 2**53
"""Beyond it a float is no longer exact; a token may say any number."""


class JwtRefused(Exception):
    """A token that is not accepted.

    Attributes:
        reason: For whoever holds it, where the signature was right, and for the log.
        is_signed: The signature was right.
    """

    def __init__(self, reason: str, *, is_signed: bool = False) -> None:
        """See the class."""
        super().__init__(reason)
        self.reason = reason
        self.is_signed = is_signed


class KeysPending(Exception):
    """Whether a token is good cannot be said before keys were fetched, which is under way."""


@dataclass(frozen=True, slots=True)
class ClaimNames:
    """Which claims say what; only the first must be there."""

    principal: str = "sub"
    agents: str = "agents"
    scopes: str = "scope"
    project: str = "project"
    privacy: str = "privacy"


@dataclass(frozen=True, slots=True)
class JwtRules:
    """What is asked of a token."""

    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    leeway_s: int = 60
    """How far clocks may be apart."""
    claims: ClaimNames = ClaimNames()


class Keys(Protocol):
    """Whoever has the keys; answers at once."""

    @property
    def current(self) -> KeySet | None:
        """The keys in force; None while there are none."""
        ...

    def ask(self) -> bool:
        """Say that a key is missing; return whether keys are being fetched for it."""
        ...


@dataclass(frozen=True, slots=True)
class FixedKeys:
    """Implements `Keys` for keys that never change."""

    current: KeySet

    def ask(self) -> bool:
        """Return that there will be no others."""
        return False


class _Known(NamedTuple):
    principal: Principal
    until_s: float


class JwtVerifier:
    """Says whose a token is; used on the event loop, never waits."""

    def __init__(
        self, rules: JwtRules, keys: Keys, *, clock: Callable[[], float] = time.time
    ) -> None:
        """`clock` gives Unix seconds, by which tokens are remembered."""
        self._rules = rules
        self._keys = keys
        self._clock = clock
        self._known: dict[bytes, _Known] = {}
        self._known_by: KeySet | None = None

    def verify(self, token: bytes) -> Principal:
        """Return whose a token is.

        Raises:
            JwtRefused: It is not accepted.
            KeysPending: That cannot be said yet.
        """
        if len(token) > LONGEST_TOKEN_BYTES:
            raise JwtRefused(f"it has more than {LONGEST_TOKEN_BYTES} bytes")
        current = self._keys.current
        if current is not self._known_by:
            self._known.clear()
            self._known_by = current
        digest, now = hashlib.sha256(token).digest(), self._clock()
        known = self._known.get(digest)
        if known is not None and now < known.until_s:
            return known.principal
        self._known.pop(digest, None)
        claims = self._checked_claims(token, current)
        principal = principal_of(claims, self._rules.claims)
        ends_s = min(int(claims["exp"]), LAST_TIME_S) + self._rules.leeway_s
        if len(self._known) >= MOST_REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[digest] = _Known(principal, min(now + REMEMBERED_S, ends_s))
        return principal

    def _checked_claims(self, token: bytes, current: KeySet | None) -> Mapping[str, Any]:
        from jose import jwt
        from jose.exceptions import ExpiredSignatureError, JOSEError, JWTClaimsError

        try:
            text = token.decode("ascii")
            header = jwt.get_unverified_header(text)
        except (JOSEError, ValueError, RecursionError):
            raise JwtRefused("it is no JWT") from None
        key = self._key_for(header, current)
        rules = self._rules
        required = {f"require_{name}": True for name in ("exp", "iss", "aud")}
        options = {**required, "leeway": rules.leeway_s, "verify_at_hash": False}
        try:
            claims: Mapping[str, Any] = jwt.decode(
                text,
                key.key,
                algorithms=[key.algorithm],
                options=options,
                audience=rules.audience,
                issuer=rules.issuer,
            )
        except ExpiredSignatureError:
            raise JwtRefused("it has expired", is_signed=True) from None
        except JWTClaimsError:
            reason = "its issuer, audience or times are not what is asked for here"
            raise JwtRefused(reason, is_signed=True) from None
        except JOSEError as exc:
            # A claim that is missing is told by an exception without a class of its own.
            if "missing required key" in str(exc):
                raise JwtRefused("it lacks exp, iss or aud", is_signed=True) from None
            raise JwtRefused("its signature is wrong") from None
        except (ValueError, TypeError, OverflowError, RecursionError):
            # What python-jose does not expect of a claim, e.g. a list as `exp`.
            raise JwtRefused("its claims cannot be read") from None
        return claims

    def _key_for(self, header: Mapping[str, Any], current: KeySet | None) -> VerifyingKey:
        """Return the key that a token's header means.

        Raises:
            JwtRefused: There is none, or the header asks for something that is not done here.
            KeysPending: There may be one in a moment.
        """
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in self._rules.algorithms:
            raise JwtRefused("its algorithm is not one of those that are accepted here")
        if "crit" in header:
            raise JwtRefused("it has a critical extension (crit)")
        if kid is not None and not (isinstance(kid, str) and len(kid) <= LONGEST_KID_CHARS):
            raise JwtRefused("its kid is no text, or too long")
        key = current.find(algorithm, kid) if current is not None else None
        if key is not None:
            return key
        if self._keys.ask():
            raise KeysPending
        if current is None:
            raise JwtRefused("there are no keys to check it with")
        raise JwtRefused("there is no key of that name (kid)")


def principal_of(claims: Mapping[str, Any], names: ClaimNames) -> Principal:
    """Return what the claims of a token say.

    Raises:
        JwtRefused: There is no name in them, or a limit that cannot be read.
    """
    name = _text(claims, names.principal)
    if name is None:
        raise JwtRefused(f"it lacks the claim {names.principal}", is_signed=True)
    for limit in (names.agents, names.privacy):
        # An issuer writes null where it found nobody and nothing, which is no leave for all.
        if limit in claims and claims[limit] is None:
            raise JwtRefused(f"its claim {limit} is null", is_signed=True)
    agents = _words(claims, names.agents)
    if agents == ():
        raise JwtRefused(f"its claim {names.agents} names nobody", is_signed=True)
    privacy = _text(claims, names.privacy) or Privacy.ANY
    if privacy not in list(Privacy):
        raise JwtRefused(f"its claim {names.privacy} is not known", is_signed=True)
    scopes = frozenset(_words(claims, names.scopes) or ()) & KNOWN_SCOPES
    project = _text(claims, names.project)
    return Principal(name, scopes, agents or (), Privacy(privacy), project=project)


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    """Return the text that a claim is, or None if it is not there."""
    value = claims.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not _is_plain(value):
        raise JwtRefused(f"its claim {name} is no plain text", is_signed=True)
    return value


def _words(claims: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    """Return the words of a claim, a list or parted by spaces as RFC 8693 has `scope`."""
    value = claims.get(name)
    if value is None:
        return None
    words = value.split() if isinstance(value, str) else value
    if not isinstance(words, list) or len(words) > MOST_AGENTS:
        raise JwtRefused(f"its claim {name} is no list of words", is_signed=True)
    if not all(isinstance(word, str) and _is_plain(word) for word in words):
        raise JwtRefused(f"its claim {name} is no list of words", is_signed=True)
    return tuple(dict.fromkeys(words))


def _is_plain(text: str) -> bool:
    """Return whether a text can stand in a log line and a table."""
    return text.isprintable() and text == text.strip() and 0 < len(text) <= LONGEST_NAME_CHARS
