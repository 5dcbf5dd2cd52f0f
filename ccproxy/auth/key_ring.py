"""The check of the two headers that carry a token, against tokens that may change meanwhile."""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from ccproxy.auth.presented import presented_tokens
from ccproxy.auth.principal import Principal
from ccproxy.auth.stored_token import TokenError
from ccproxy.auth.tokens_file import list_tokens
from ccproxy.wire.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from ccproxy.auth.stored_token import StoredToken

CHECK_INTERVAL_S: Final = 1.0
"""How often the file is looked at for revoked tokens. For one that is not known it is looked at
at once, so that a new token works immediately."""


_ADVICE: Final = "Whoever runs this proxy can make a new one: ccproxy token rotate NAME."


class _Entry(NamedTuple):
    digest: bytes
    principal: Principal
    until_s: float | None
    """Unix time from which on it is refused."""


class KeyRing:
    """The accepted tokens, kept in step with their file.

    Attributes:
        problem: What is wrong with the file as it is now, or None. The tokens of the last good
            version stay in force under a broken file; a removed file takes its tokens with it.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float] = time.monotonic,
        report: Callable[[str], None] | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """Load the file; a missing one is an empty ring.

        Args:
            path: The tokens file.
            clock: Monotonic seconds; it paces the looks at the file.
            report: Called once with each new problem found in an edited file.
            wall_clock: Unix seconds, by which tokens expire.

        Raises:
            TokenError: The file exists and cannot be used.
        """
        self.problem: str | None = None
        self._path = path
        self._clock = clock
        self._report = report
        self._wall_clock = wall_clock
        self._entries: tuple[_Entry, ...] = ()
        self._checked_at = clock()
        self._signature = _file_signature(path)
        self._entries = _ring_entries(list_tokens(path))

    def verify(self, headers: Sequence[tuple[bytes, bytes]]) -> Principal:
        """Return the principal of the token in `x-api-key` or `Authorization: Bearer`.

        Header names and the scheme are matched in any case (conformance 022). Where both headers
        are present, one valid token is enough (conformance 023), `x-api-key` first.

        Raises:
            ApiError: 401 `authentication_error`, Anthropic's own words (conformance 024).
        """
        principal = self.find(presented_tokens(headers))
        if principal is None:
            raise ApiError(401, "invalid x-api-key")
        return principal

    @property
    def names(self) -> Collection[str]:
        """The names of the tokens on file."""
        return frozenset(each.principal.name for each in self._entries)

    def find(self, presented: Sequence[bytes]) -> Principal | None:
        """Return whose the first of these tokens is that is on file and good, or None.

        Raises:
            ApiError: 401; one is on file, and has expired.
        """
        if self._clock() - self._checked_at >= CHECK_INTERVAL_S:
            self._refresh()
        principal = self._find_any(presented)
        if principal is None and presented:
            # It may have been made a moment ago.
            self._refresh()
            principal = self._find_any(presented)
        return principal

    def _find_any(self, presented: Sequence[bytes]) -> Principal | None:
        expired = None
        for token in presented:
            entry = self._find(token)
            if entry is None:
                continue
            if entry.until_s is None or self._wall_clock() < entry.until_s:
                return entry.principal
            expired = entry.principal.name
        if expired is not None:
            # Told only to somebody who has it.
            raise ApiError(401, f"invalid x-api-key: the token {expired!r} has expired. {_ADVICE}")
        return None

    def _find(self, presented: bytes) -> _Entry | None:
        digest = hashlib.sha256(presented).digest()
        found = None
        # No early end: the time must not depend on the place of the match.
        for entry in self._entries:
            if hmac.compare_digest(entry.digest, digest):
                found = entry
        return found

    def _refresh(self) -> None:
        self._checked_at = self._clock()
        signature = _file_signature(self._path)
        if signature == self._signature:
            return
        self._signature = signature
        try:
            self._entries = _ring_entries(list_tokens(self._path))
        except TokenError as exc:
            self._note(f"{exc} The tokens of its last good version stay in force.")
        else:
            self.problem = None
            if signature is None:
                self._note(f"{self._path}: the tokens file is gone; no token is accepted now.")

    def _note(self, problem: str) -> None:
        self.problem = problem
        if self._report is not None:
            self._report(problem)


def _ring_entries(tokens: Sequence[StoredToken]) -> tuple[_Entry, ...]:
    return tuple(entry for token in tokens for entry in _entries_of(token))


def _entries_of(token: StoredToken) -> Iterator[_Entry]:
    """Yield the token, and what it was before it was rotated."""
    principal = Principal(
        token.name,
        frozenset(token.scopes),
        token.agents,
        token.privacy,
        requests_per_minute=token.requests_per_minute,
    )
    ends = token.expires_at
    yield _Entry(bytes.fromhex(token.sha256), principal, ends.timestamp() if ends else None)
    for each in token.retiring:
        yield _Entry(bytes.fromhex(each.sha256), principal, each.until.timestamp())


def _file_signature(path: Path) -> tuple[int, ...] | None:
    """Return what changes with every edit, chmod included, or None for a missing file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
