"""The way in: whose request this is, by a token on file or by a JWT."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final, Protocol

from ccproxy.auth.jwt_tokens import JwtRefused, KeysPending
from ccproxy.auth.presented import presented_tokens
from ccproxy.wire.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ccproxy.auth.failed_logins import FailedLogins
    from ccproxy.auth.jwks import Jwks
    from ccproxy.auth.jwt_tokens import JwtVerifier
    from ccproxy.auth.key_ring import KeyRing
    from ccproxy.auth.last_used import LastUsed
    from ccproxy.auth.principal import Principal

KEYS_RETRY_S: Final = 1


class Authenticate(Protocol):
    """What every endpoint asks."""

    def __call__(self, headers: Sequence[tuple[bytes, bytes]], peer: str = "", /) -> Principal:
        """Return who sent these headers from that address; raises `ApiError`."""
        ...


class Gate:
    """Decides about every request of a proxy that asks for tokens; used on the event loop."""

    def __init__(
        self,
        ring: KeyRing,
        jwt: JwtVerifier | None = None,
        jwks: Jwks | None = None,
        last_used: LastUsed | None = None,
        failed: FailedLogins | None = None,
    ) -> None:
        """Take what it needs.

        Args:
            ring: The tokens on file.
            jwt: Checks JWTs, if there are any.
            jwks: Its keys, if they have to be kept up to date.
            last_used: Hears of every token on file that is used.
            failed: Says when an address has failed too often.
        """
        self._ring = ring
        self._jwt = jwt
        self._jwks = jwks
        self._last_used = last_used
        self._failed = failed

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep what it needs up to date while the block runs."""
        async with AsyncExitStack() as stack:
            for part in (self._jwks, self._last_used):
                if part is not None:
                    await stack.enter_async_context(part.running())
            yield

    def verify(self, headers: Sequence[tuple[bytes, bytes]], peer: str = "") -> Principal:
        """Return whose request it is; one valid token is enough (conformance 023).

        Args:
            headers: Of the request.
            peer: Address it came from; without one a failure is not counted.

        Raises:
            ApiError: 401 `authentication_error` in Anthropic's own words (conformance 024), or with
                what is wrong with a token that is one of ours; 429 instead where too many came from
                this address; 529 where the keys that would tell are being fetched.
        """
        try:
            return self._find(presented_tokens(headers))
        except ApiError as refusal:
            if refusal.status != 401 or self._failed is None:
                raise
            wait_s = self._failed.failed(peer)
            if wait_s is None:
                raise
            raise ApiError(
                429,
                f"Too many requests without a valid token from this address. {refusal.message}",
                should_retry=False,
                retry_after_s=wait_s,
            ) from None

    def _find(self, presented: Sequence[bytes]) -> Principal:
        if self._jwt is None:
            principal = self._find_on_file(presented)
        else:
            principal = self._find_either(self._jwt, presented)
        if principal is None:
            raise ApiError(401, "invalid x-api-key")
        return principal

    def _find_on_file(self, presented: Sequence[bytes]) -> Principal | None:
        principal = self._ring.find(presented)
        if principal is not None and self._last_used is not None:
            self._last_used.note(principal.name)
        return principal

    def _find_either(self, jwt: JwtVerifier, presented: Sequence[bytes]) -> Principal | None:
        # No token of ours has a dot, and every JWT has two.
        signed = [token for token in presented if token.count(b".") == 2]
        plain = [token for token in presented if token not in signed]
        told: ApiError | None = None
        try:
            if plain and (principal := self._find_on_file(plain)) is not None:
                return principal
        except ApiError as expired:
            told = expired
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
