"""The way in: whose request this is, by a token on file or by a JWT."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from ccproxy.auth.jwt_tokens import JwtRefused, KeysPending
from ccproxy.auth.presented import presented_tokens
from ccproxy.wire.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ccproxy.auth.jwks import Jwks
    from ccproxy.auth.jwt_tokens import JwtVerifier
    from ccproxy.auth.key_ring import KeyRing
    from ccproxy.auth.principal import Principal

KEYS_RETRY_S: Final = 1


class Gate:
    """Decides about every request of a proxy that asks for tokens; used on the event loop."""

    def __init__(
        self, ring: KeyRing, jwt: JwtVerifier | None = None, jwks: Jwks | None = None
    ) -> None:
        """`jwks` are the keys of `jwt` if they have to be kept up to date."""
        self._ring = ring
        self._jwt = jwt
        self._jwks = jwks

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep what it needs up to date while the block runs."""
        if self._jwks is None:
            yield
            return
        async with self._jwks.running():
            yield

    def verify(self, headers: Sequence[tuple[bytes, bytes]]) -> Principal:
        """Return whose request it is; one valid token is enough (conformance 023).

        Raises:
            ApiError: 401 `authentication_error` in Anthropic's own words (conformance 024), or with
                what is wrong with a JWT that was signed as it should be; 529 where the keys that
                would tell are being fetched.
        """
        presented = presented_tokens(headers)
        if self._jwt is None:
            principal = self._ring.find(presented)
        else:
            principal = self._find_either(self._jwt, presented)
        if principal is None:
            raise ApiError(401, "invalid x-api-key")
        return principal

    def _find_either(self, jwt: JwtVerifier, presented: Sequence[bytes]) -> Principal | None:
        # No token of ours has a dot, and every JWT has two.
        signed = [token for token in presented if token.count(b".") == 2]
        plain = [token for token in presented if token not in signed]
        if plain and (principal := self._ring.find(plain)) is not None:
            return principal
        told: ApiError | None = None
        for token in signed:
            try:
                return jwt.verify(token)
            except KeysPending:
                told = ApiError(
                    529,
                    "The keys that check this token are being fetched; try again.",
                    should_retry=True,
                    retry_after_s=KEYS_RETRY_S,
                )
            except JwtRefused as refused:
                if refused.is_signed and told is None:
                    told = ApiError(401, f"invalid bearer token: {refused.reason}")
        if told is not None:
            raise told
        return None
