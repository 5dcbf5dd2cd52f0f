"""An identity provider of a test's own: keys, the set it publishes, tokens it signs."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
import time
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

if TYPE_CHECKING:
    from collections.abc import Mapping

ISSUER: Final = "https://issuer.example.com/"
AUDIENCE: Final = "ccproxy"
SECRET: Final = "a secret of more than thirty-two bytes, made up"


@functools.cache
def rsa_key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return the RSA key of that name, always the same one."""
    del name
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@functools.cache
def ec_key(name: str) -> ec.EllipticCurvePrivateKey:
    """Return the P-256 key of that name, always the same one."""
    del name
    return ec.generate_private_key(ec.SECP256R1())


def b64(data: bytes) -> str:
    """Return base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def rsa_jwk(name: str, bits: int = 2048, **more: object) -> dict[str, Any]:
    """Return the public half of an RSA key."""
    numbers = (rsa_key(name) if bits == 2048 else rsa_key(name, bits)).public_key().public_numbers()
    return {"kty": "RSA", "kid": name, "n": _number(numbers.n), "e": _number(numbers.e)} | more


def ec_jwk(name: str, **more: object) -> dict[str, Any]:
    """Return the public half of an EC key."""
    numbers = ec_key(name).public_key().public_numbers()
    x, y = (b64(each.to_bytes(32, "big")) for each in (numbers.x, numbers.y))
    return {"kty": "EC", "kid": name, "crv": "P-256", "x": x, "y": y} | more


def p384_jwk(name: str) -> dict[str, Any]:
    """Return the public half of a key on another curve than ES256's."""
    numbers = ec.generate_private_key(ec.SECP384R1()).public_key().public_numbers()
    x, y = (b64(each.to_bytes(48, "big")) for each in (numbers.x, numbers.y))
    return {"kty": "EC", "kid": name, "crv": "P-384", "x": x, "y": y}


def key_set(*keys: Mapping[str, object]) -> bytes:
    """Return a JWK set."""
    return json.dumps({"keys": keys}).encode()


def claims(**more: object) -> dict[str, Any]:
    """Return the claims of a good token; None takes one out."""
    now = int(time.time())
    good = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + 86_400}
    return {name: value for name, value in (good | more).items() if value is not None}


def unsigned(head: Mapping[str, object], body: object) -> bytes:
    """Return what a signature is made of."""
    parts = (json.dumps(each, separators=(",", ":")).encode() for each in (head, body))
    return ".".join(b64(part) for part in parts).encode()


def signed(body: object = None, *, alg: str = "RS256", name: str = "one", **head: object) -> bytes:
    """Return a token, signed with the key of that name; None in `head` takes a field out.

    `head` may say another `alg` than what it is signed with, as `said`.
    """
    fields = {"alg": head.pop("said", alg), "typ": "JWT", "kid": name} | head
    message = unsigned(
        {key: value for key, value in fields.items() if value is not None},
        claims() if body is None else body,
    )
    return message + b"." + b64(_signature(message, alg, name)).encode()


def _signature(message: bytes, alg: str, name: str) -> bytes:
    if alg == "RS256":
        return rsa_key(name).sign(message, padding.PKCS1v15(), hashes.SHA256())
    if alg == "ES256":
        pair = decode_dss_signature(ec_key(name).sign(message, ec.ECDSA(hashes.SHA256())))
        return b"".join(each.to_bytes(32, "big") for each in pair)
    return hmac.digest(SECRET.encode(), message, hashlib.sha256)
