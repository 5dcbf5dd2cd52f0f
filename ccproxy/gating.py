"""Who may call, wired from a config file: tokens on file, JWTs and the keys that check them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ccproxy.auth import Gate, KeyRing, open_principal
from ccproxy.auth.failed_logins import FailedLogins
from ccproxy.auth.jwks import Jwks
from ccproxy.auth.jwt_keys import secret_key
from ccproxy.auth.jwt_tokens import ClaimNames, FixedKeys, JwtRules, JwtVerifier
from ccproxy.auth.last_used import LastUsed
from ccproxy.upstreams.jwks import JwksFile, JwksUrl

if TYPE_CHECKING:
    from ccproxy.auth import Authenticate
    from ccproxy.config.jwt_block import JwtSettings
    from ccproxy.config.settings import Settings

_log = logging.getLogger(__name__)


def build_gate(settings: Settings) -> Gate | None:
    """Return who decides about requests, or None where everybody may call (`auth.mode: off`).

    Raises:
        TokenError: The tokens file is unusable.
    """
    if not settings.auth_required:
        return None
    ring = KeyRing(settings.tokens_file, report=_log.warning)
    failed = FailedLogins(_log.warning)
    used = LastUsed(settings.tokens_file, lambda: ring.names)
    if settings.jwt is None:
        return Gate(ring, last_used=used, failed=failed)
    rules = _rules(settings.jwt)
    if settings.jwt.hs256_secret is not None:
        keys = FixedKeys(secret_key(settings.jwt.hs256_secret))
        return Gate(ring, JwtVerifier(rules, keys), last_used=used, failed=failed)
    jwks = Jwks(
        key_source(settings.jwt).fetch,
        rules.algorithms,
        refresh_s=settings.jwt.refresh_s,
        report=_log.warning,
    )
    return Gate(ring, JwtVerifier(rules, jwks), jwks, used, failed)


def authenticator(gate: Gate | None) -> Authenticate:
    """Return what every endpoint asks."""
    if gate is not None:
        return gate.verify
    principal = open_principal()
    return lambda _headers, _peer="": principal


def key_source(jwt: JwtSettings) -> JwksUrl | JwksFile:
    """Return where the public keys are; not of settings with a secret."""
    if jwt.jwks_file is not None:
        return JwksFile(jwt.jwks_file)
    return JwksUrl(jwt.jwks_url or "")


def _rules(jwt: JwtSettings) -> JwtRules:
    names = jwt.claims
    return JwtRules(
        jwt.issuer,
        jwt.audience,
        jwt.algorithms,
        jwt.leeway_s,
        ClaimNames(names.principal, names.agents, names.scopes, names.project, names.privacy),
    )
