"""Keys that check JWTs: read from a JWK set or a secret, each for one algorithm only.

A key is made for an algorithm before any token is seen, and a token is only ever shown keys of the
algorithm that it names. So a public key is never used as a secret, whatever a token says. Symmetric
keys of a set are ignored, and so is every private part.

The cryptography is python-jose's, and below it always the `cryptography` package: `ecdsa`, which
python-jose falls back to, is open to timing attacks (its own README).
"""

# ruff: noqa: PLC0415 -- python-jose costs 50 ms, which only those pay who use it

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

    from jose.backends.base import Key

HS256: Final = "HS256"
RS256: Final = "RS256"
ES256: Final = "ES256"
PUBLIC_ALGORITHMS: Final = (RS256, ES256)
LONGEST_SET_BYTES: Final = 256 * 1024
MOST_KEYS: Final = 100
LEAST_SECRET_BYTES: Final = 32
"""Source: RFC 7518 section 3.2, a key of at least the size of the hash."""
LEAST_RSA_BITS: Final = 2048
"""Source: RFC 7518 section 3.3."""
MOST_RSA_BITS: Final = 8192
"""A check takes time that grows with the square of it."""
_BACKEND: Final = "jose.backends.cryptography_backend"
_TYPE_OF: Final = {RS256: "RSA", ES256: "EC"}
_PARTS_OF: Final = {RS256: ("n", "e"), ES256: ("crv", "x", "y")}


class KeysUnusableError(Exception):
    """A set or a secret that no token can be checked with; the message has no key in it."""


class NoKeyError(KeysUnusableError):
    """A set that is in order and has no key that may check a token."""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """One key, good for one algorithm."""

    algorithm: str
    kid: str | None
    key: Key


@dataclass(frozen=True, slots=True)
class KeySet:
    """Keys that are in force together."""

    keys: tuple[VerifyingKey, ...]

    def find(self, algorithm: str, kid: str | None) -> VerifyingKey | None:
        """Return the one key that a token's header means, or None.

        Without a `kid` in the header there must be but one key for the algorithm.
        """
        fitting = [key for key in self.keys if key.algorithm == algorithm]
        if kid is not None and not (len(fitting) == 1 and fitting[0].kid is None):
            # But a key that is alone and has no name, as in a file or a secret, is always meant.
            fitting = [key for key in fitting if key.kid == kid]
        return fitting[0] if len(fitting) == 1 else None


def secret_key(secret: str) -> KeySet:
    """Return the key of HS256.

    Raises:
        KeysUnusableError: It is too short, or is no secret: a PEM, a certificate, an SSH key.
    """
    from jose.exceptions import JWKError

    if len(secret.encode()) < LEAST_SECRET_BYTES:
        raise KeysUnusableError(
            f"an HS256 secret has at least {LEAST_SECRET_BYTES} bytes; make one with: "
            "openssl rand -base64 48"
        )
    try:
        key = _construct(secret, HS256)
    except JWKError:
        raise KeysUnusableError(
            "this is a key pair's half or a certificate, which everybody may know; HS256 needs a "
            "secret, and for a public key algorithms: [RS256] or [ES256] with jwks_file"
        ) from None
    return KeySet((VerifyingKey(HS256, None, key),))


def read_key_set(document: bytes, algorithms: Collection[str]) -> KeySet:
    """Return those keys of a JWK set (RFC 7517) that may check signatures of the algorithms.

    Raises:
        NoKeyError: It has no such key.
        KeysUnusableError: It is no JWK set, or too large.
    """
    if len(document) > LONGEST_SET_BYTES:
        raise KeysUnusableError(f"it has more than {LONGEST_SET_BYTES} bytes")
    try:
        value = json.loads(document)
    except (ValueError, RecursionError):
        raise KeysUnusableError("it is not JSON") from None
    found = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(found, list):
        raise KeysUnusableError('it is no JWK set: expected {"keys": [...]}')
    if len(found) > MOST_KEYS:
        raise KeysUnusableError(f"it has more than {MOST_KEYS} keys")
    keys = tuple(key for item in found if (key := _read_key(item, algorithms)) is not None)
    if not keys:
        names = " or ".join(algorithms)
        raise NoKeyError(f"it has no usable key for {names} (use: sig)")
    return KeySet(keys)


def _read_key(item: object, algorithms: Collection[str]) -> VerifyingKey | None:
    """Return one key of a set, or None if it is for something else or cannot be used."""
    from jose.exceptions import JOSEError

    if not isinstance(item, dict):
        return None
    algorithm = next((each for each in algorithms if item.get("kty") == _TYPE_OF.get(each)), None)
    if algorithm is None or not _may_verify(item, algorithm):
        return None
    kid = item.get("kid")
    parts = {name: item.get(name) for name in _PARTS_OF[algorithm]}
    if not all(isinstance(part, str) for part in parts.values()):
        return None
    if parts.get("crv", "P-256") != "P-256":  # RFC 7518 section 3.4
        return None
    try:
        key = _construct({"kty": item["kty"], **parts}, algorithm)
    except (JOSEError, ValueError, TypeError, ArithmeticError):
        return None
    if algorithm == RS256 and not LEAST_RSA_BITS <= _bits(key) <= MOST_RSA_BITS:
        return None
    return VerifyingKey(algorithm, kid if isinstance(kid, str) else None, key)


def _may_verify(item: Mapping[str, object], algorithm: str) -> bool:
    """Return whether a key's own words let it check signatures of an algorithm."""
    if item.get("use", "sig") != "sig" or item.get("alg", algorithm) != algorithm:
        return False
    operations = item.get("key_ops", ["verify"])
    return isinstance(operations, list) and "verify" in operations


def _bits(key: Key) -> int:
    prepared: Any = getattr(key, "prepared_key", None)
    return int(prepared.key_size)


def _construct(data: str | Mapping[str, object], algorithm: str) -> Key:
    """Return python-jose's key for an algorithm.

    Raises:
        KeysUnusableError: Something else than `cryptography` would do the checking.
        JOSEError: It is no key for the algorithm.
    """
    from jose import jwk

    key: Key = jwk.construct(data, algorithm)  # type: ignore[arg-type]
    if type(key).__module__ != _BACKEND:
        raise KeysUnusableError(
            "python-jose does not use the cryptography package here; install it: "
            "pip install 'python-jose[cryptography]'"
        )
    return key
