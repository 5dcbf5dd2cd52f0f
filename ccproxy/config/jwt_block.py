"""The `auth.jwt:` block of `ccproxy.yaml`: whose JSON Web Tokens are accepted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import Field

from ccproxy.auth.jwt_keys import KeysUnusableError, secret_key
from ccproxy.config.block import Block, NotBool, Text
from ccproxy.config.hosts import is_loopback
from ccproxy.config.locate import expand_path
from ccproxy.config.secrets import SecretError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ccproxy.config.problems import KeyPath
    from ccproxy.config.secrets import Secrets

Algorithm = Literal["RS256", "ES256", "HS256"]
SYMMETRIC: Final = "HS256"
KEY: Final = ("auth", "jwt")
SOURCES: Final = ("jwks_url", "jwks_file", "hs256_secret")
Leeway = Annotated[int, NotBool, Field(ge=0, le=600)]
Refresh = Annotated[int, NotBool, Field(ge=60, le=86400)]


class ClaimsBlock(Block):
    """Which claims of a token say what."""

    principal: Text = "sub"
    """The name, for logs, budgets and the ledger; a token without it is refused."""
    agents: Text = "agents"
    """Slugs that the caller may act as; any without the claim."""
    scopes: Text = "scope"
    """`ops` among its words gives the scope `ops`; other words are left alone."""
    project: Text = "project"
    """The project; it counts before the header `x-ccproxy-project`."""
    privacy: Text = "privacy"
    """`local_only` keeps every request on this host."""


class JwtBlock(Block):
    """JSON Web Tokens that are accepted besides the tokens on file."""

    issuer: Text
    """What `iss` must be, to the letter."""
    audience: Text
    """What `aud` must be, or have among others."""
    algorithms: Annotated[list[Algorithm], Field(min_length=1)]
    """With which they may be signed; `HS256` alone, with a secret, or `RS256` and `ES256`."""
    jwks_url: Text | None = None
    """Where the issuer publishes its keys: https, or http on this machine."""
    jwks_file: Text | None = None
    """A file with them; an edit takes effect by itself."""
    hs256_secret: Text | None = None
    """The secret of HS256, 32 bytes or more: `os.environ/NAME`, `file/PATH` or
    `keychain/SERVICE/ACCOUNT`."""
    leeway_s: Leeway = 60
    """How far the issuer's clock may be off."""
    refresh_s: Refresh = 3600
    """How often the keys are fetched or read again."""
    claims: ClaimsBlock = ClaimsBlock()
    """Names of the claims, where an issuer has others."""


@dataclass(frozen=True, slots=True)
class JwtSettings:
    """The block, checked. Exactly one of the three sources of keys is set."""

    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    jwks_url: str | None
    jwks_file: Path | None
    hs256_secret: str | None = field(repr=False)
    leeway_s: int
    refresh_s: int
    claims: ClaimsBlock


def read_jwt(
    block: JwtBlock,
    secrets: Secrets,
    report: Callable[[KeyPath, str], None],
) -> JwtSettings | None:
    """Return the settings of a block, or None after reporting what is wrong.

    A secret that is not there is an error, unlike a deployment's: who relies on JWTs would be shut
    out of a proxy that looks well.

    Args:
        block: As validated.
        secrets: Reads the secret.
        report: Called with a key and what is wrong there.
    """
    problems: list[tuple[KeyPath, str]] = []
    given = [name for name in SOURCES if getattr(block, name) is not None]
    is_symmetric = SYMMETRIC in block.algorithms
    if len(given) != 1:
        problems.append((KEY, f"needs one of {', '.join(SOURCES)}, and only one"))
    elif is_symmetric and len(set(block.algorithms)) > 1:
        message = "HS256 stands alone: beside it a public key could be taken for a secret"
        problems.append(((*KEY, "algorithms"), message))
    elif is_symmetric != (given == ["hs256_secret"]):
        message = "HS256 goes with hs256_secret, RS256 and ES256 with jwks_url or jwks_file"
        problems.append(((*KEY, "algorithms"), message))
    if block.jwks_url is not None and (wrong := _wrong_with(block.jwks_url)) is not None:
        problems.append(((*KEY, "jwks_url"), wrong))
    secret = None
    if block.hs256_secret is not None:
        try:
            secret = secrets.read(block.hs256_secret)
            secret_key(secret)
        except (SecretError, KeysUnusableError) as error:
            problems.append(((*KEY, "hs256_secret"), str(error)))
    for key, message in problems:
        report(key, message)
    if problems:
        return None
    file = block.jwks_file
    return JwtSettings(
        block.issuer,
        block.audience,
        tuple(dict.fromkeys(block.algorithms)),
        block.jwks_url,
        expand_path(file, secrets.folder, secrets.environ) if file is not None else None,
        secret,
        block.leeway_s,
        block.refresh_s,
        block.claims,
    )


def _wrong_with(url: str) -> str | None:
    """Return what is wrong with the address of a JWK set."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is no address"
    if not host or not url.isprintable() or " " in url:
        return "must be an address such as https://issuer.example.com/.well-known/jwks.json"
    if parts.username is not None or parts.password is not None:
        return "must not hold credentials; a JWK set is public"
    if parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)):
        return None
    return "must be https: over plain http anybody on the way could put in keys of their own"
