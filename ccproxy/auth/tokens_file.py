"""The tokens file: JSON, mode 0600, hashes only.

`{"version": 1, "tokens": [{"name", "sha256", "scopes", "agents", "created_at"}]}`, written by
`ccproxy token` and read by a running service. A token with further limits also has `privacy`,
`expires_at` or `requests_per_minute`, one that was rotated `retiring`; a program that does not know
one of these keys refuses the file.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import stat
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from ccproxy.auth.principal import KNOWN_SCOPES
from ccproxy.auth.private_file import write_private
from ccproxy.auth.stored_token import (
    RetiringToken,
    StoredToken,
    TokenError,
    document_of,
    parse_document,
)
from ccproxy.replaced_files import make_folder
from ccproxy.wire.our_tokens import TOKEN_PREFIX
from routing.types import Privacy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

TOKEN_RANDOM_BYTES: Final = 32
"""256 bits: a plain sha256 of it needs no salt and no slow hash."""

NAME_MAX_CHARS: Final = 64
DEFAULT_OVERLAP: Final = timedelta(hours=24)
MOST_RETIRING: Final = 8
"""Every one costs each request a comparison."""


def list_tokens(path: Path) -> tuple[StoredToken, ...]:
    """Return the entries of a tokens file in its order; none where the file is missing.

    Raises:
        TokenError: The file is readable by others, unreadable for us, or not in its shape.
    """
    try:
        with path.open("rb") as file:
            _refuse_shared_file(path, os.fstat(file.fileno()).st_mode)
            content = file.read()
    except FileNotFoundError:
        return ()
    except OSError as exc:
        reason = exc.strerror or str(exc)
        message = f"{path}: cannot read the tokens file: {reason}."
        raise TokenError(message) from exc
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as exc:
        line = f":{exc.lineno}:{exc.colno}" if isinstance(exc, json.JSONDecodeError) else ""
        message = (
            f"{path}{line}: the tokens file is not JSON. "
            "Restore it, or remove it and create the tokens anew."
        )
        raise TokenError(message) from exc
    return parse_document(path, document)


def create_token(
    path: Path,
    name: str,
    scopes: Sequence[str] = (),
    agents: Sequence[str] = (),
    privacy: Privacy = Privacy.ANY,
    *,
    expires_at: datetime | None = None,
    requests_per_minute: int | None = None,
) -> str:
    """Add a token to the file and return it; this is the only time it can be read.

    Two creations at once are serialised by a lock, and the file is replaced whole, so a reader
    sees the old list or the new one. A missing file or folder is created, for the owner only.

    Raises:
        TokenError: The name is taken or unusable, a scope is unknown, or the file is broken.
        OSError: The file cannot be written.
    """
    _check_name(name)
    _check_scopes(scopes)
    token, digest = _new_token()
    entry = StoredToken(
        name=name,
        sha256=digest,
        scopes=tuple(dict.fromkeys(scopes)),
        agents=tuple(dict.fromkeys(agents)),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        privacy=privacy,
        expires_at=expires_at,
        requests_per_minute=requests_per_minute,
    )
    make_folder(path.parent)
    with _locked(path):
        tokens = list_tokens(path)
        if any(known.name == name for known in tokens):
            message = (
                f"{path}: there is a token named {name!r} already. "
                f"Choose another name, or first run: ccproxy token revoke {name!r}"
            )
            raise TokenError(message)
        _write_tokens(path, (*tokens, entry))
    return token


class Rotated(NamedTuple):
    """A new token in the place of an old one."""

    token: str
    former_until: datetime | None
    """When the old one ends: with the overlap, or before that because it expires. None: it has."""


def rotate_token(
    path: Path,
    name: str,
    overlap: timedelta = DEFAULT_OVERLAP,
    *,
    expires_at: datetime | None = None,
) -> Rotated:
    """Put a new token in the place of one, with its limits, and return it.

    The old one is good for `overlap` longer, so that those who use it have time to change; with no
    overlap it is refused at once. Of those that it took the place of itself the same holds as
    before. An expiry is that of the old token unless a new one is given.

    Raises:
        TokenError: There is no token of that name, too many of its former ones are still good, the
            new one would have expired, or the file is broken.
        OSError: The file cannot be written.
    """
    now = datetime.now(UTC)
    with _edited(path, name) as (tokens, found):
        retiring = [each for each in found.retiring if each.until > now]
        ends = now + overlap if found.expires_at is None else min(now + overlap, found.expires_at)
        if ends > now:
            retiring.append(RetiringToken(found.sha256, ends))
        if len(retiring) > MOST_RETIRING:
            message = (
                f"{path}: {len(retiring) - 1} former tokens of {name!r} are still good. Wait until "
                "one has ended, or end them all with --overlap 0."
            )
            raise TokenError(message)
        expires_at = expires_at or found.expires_at
        if expires_at is not None and expires_at <= now:
            raise TokenError(f"{path}: {name!r} has expired; give the new token --expires.")
        token, digest = _new_token()
        changed = replace(
            found,
            sha256=digest,
            expires_at=expires_at,
            retiring=tuple(retiring) if overlap > timedelta() else (),
        )
        _write_tokens(path, [changed if each is found else each for each in tokens])
    return Rotated(token, ends if ends > now else None)


def revoke_token(path: Path, name: str) -> None:
    """Remove a token from the file; a running service refuses it within a second or two.

    Raises:
        TokenError: There is no token of that name, or the file is broken.
        OSError: The file cannot be written.
    """
    with _edited(path, name) as (tokens, found):
        _write_tokens(path, [each for each in tokens if each is not found])


def _new_token() -> tuple[str, str]:
    """Return a token and its digest."""
    token = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_RANDOM_BYTES)
    return token, hashlib.sha256(token.encode()).hexdigest()


@contextmanager
def _edited(path: Path, name: str) -> Iterator[tuple[Sequence[StoredToken], StoredToken]]:
    """Hold the lock; yields all tokens, and the one of that name.

    Raises:
        TokenError: There is none, or the file is broken.
    """
    if not path.exists():
        raise TokenError(
            f"{path}: there is no tokens file, so there is nothing to revoke or rotate."
        )
    with _locked(path):
        tokens = list_tokens(path)
        for token in tokens:
            if token.name == name:
                yield tokens, token
                return
        known = ", ".join(token.name for token in tokens) or "none"
        raise TokenError(f"{path}: there is no token named {name!r}. Known names: {known}.")


def _check_name(name: str) -> None:
    if name and name == name.strip() and name.isprintable() and len(name) <= NAME_MAX_CHARS:
        return
    message = (
        f"A token name needs 1 to {NAME_MAX_CHARS} printable characters "
        f"without space around them; {name!r} is not one."
    )
    raise TokenError(message)


def _check_scopes(scopes: Sequence[str]) -> None:
    unknown = sorted(set(scopes) - KNOWN_SCOPES)
    if unknown:
        message = f"Unknown scope {unknown[0]!r}. Known scopes: {', '.join(sorted(KNOWN_SCOPES))}."
        raise TokenError(message)


def _refuse_shared_file(path: Path, mode: int) -> None:
    if stat.S_IMODE(mode) & (stat.S_IRWXG | stat.S_IRWXO):
        message = (
            f"{path}: the tokens file is open to other users (mode {stat.S_IMODE(mode):04o}). "
            f"Run: chmod 600 {path}"
        )
        raise TokenError(message)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on the file's folder, which stays while the file is replaced."""
    descriptor = os.open(path.resolve().parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _write_tokens(path: Path, tokens: Sequence[StoredToken]) -> None:
    write_private(path, json.dumps(document_of(tokens), indent=2).encode() + b"\n")
