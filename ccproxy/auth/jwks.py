"""A JWK set that somebody else keeps, fetched in the background and never waited for.

Rules:
1. It is fetched at the start and then every `refresh_s`; a failure is tried again sooner, and the
   keys that were there stay. A set without a usable key is none: whoever keeps it has withdrawn
   them, and then they are gone.
2. A token with a key of another name asks for a fetch, at most every `ASKED_S`: whoever makes up
   names must not make us ask the issuer all the time.
3. Keys that could not be confirmed for `STALE_S` are no longer trusted.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from ccproxy.auth.jwt_keys import KeysUnusableError, NoKeyError, read_key_set

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from ccproxy.auth.jwt_keys import KeySet

ASKED_S: Final = 30.0
FIRST_RETRY_S: Final = 2.0
LAST_RETRY_S: Final = 60.0
STALE_S: Final = 24 * 3600.0


class FetchFailedError(Exception):
    """A set could not be fetched; the message says why and has no credential in it."""


class Jwks:
    """Implements `Keys`; used on the event loop."""

    def __init__(
        self,
        fetch: Callable[[], Awaitable[bytes]],
        algorithms: tuple[str, ...],
        *,
        refresh_s: float,
        report: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Fetch nothing yet.

        Args:
            fetch: Returns the set as it is now; raises `FetchFailedError`.
            algorithms: What its keys are wanted for.
            refresh_s: Seconds between two fetches.
            report: Called with what is wrong, once for each spell of it.
            clock: Monotonic seconds.
        """
        self._fetch = fetch
        self._algorithms = algorithms
        self._refresh_s = refresh_s
        self._report = report
        self._clock = clock
        self._keys: KeySet | None = None
        self._document = b""
        self._confirmed_at = 0.0
        self._asked_at: float | None = None
        self._wanted = asyncio.Event()
        self._is_fetching = True  # the first fetch is only a moment away
        self.problem: str | None = None
        """Why the latest fetch failed, or None."""

    @property
    def current(self) -> KeySet | None:
        """The keys in force."""
        if self._keys is not None and self._clock() - self._confirmed_at > STALE_S:
            self._keys, self._document = None, b""
        return self._keys

    def ask(self) -> bool:
        """See `Keys`."""
        now = self._clock()
        if self._is_fetching or self._wanted.is_set():
            return True
        if self._asked_at is not None and now - self._asked_at < ASKED_S:
            return False
        self._asked_at = now
        self._wanted.set()
        return True

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the set while the block runs."""
        task = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def refresh(self) -> bool:
        """Fetch once; return whether that gave keys."""
        self._wanted.clear()
        self._is_fetching = True
        try:
            document = await self._fetch()
            if document != self._document:
                # A new object makes everybody forget what was checked with the old keys.
                self._keys = await asyncio.to_thread(read_key_set, document, self._algorithms)
                self._document = document
        except (FetchFailedError, KeysUnusableError) as error:
            if isinstance(error, NoKeyError):
                self._keys, self._document = None, b""
            if self.problem is None:
                self._report(f"auth.jwt: the JWK set cannot be used: {error}")
            self.problem = str(error)
            return False
        finally:
            self._is_fetching = False
        self._confirmed_at = self._clock()
        self.problem = None
        return True

    async def _keep(self) -> None:
        retry_s = FIRST_RETRY_S
        while True:
            if await self.refresh():
                wait_s, retry_s = self._refresh_s, FIRST_RETRY_S
            else:
                wait_s, retry_s = retry_s, min(2 * retry_s, LAST_RETRY_S)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), wait_s)
