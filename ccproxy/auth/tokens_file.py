"""The tokens file: JSON, mode 0600, hashes only.

`{"version": 1, "tokens": [{"name", "sha256", "scopes", "agents", "created_at"}]}`, written by
`ccproxy token` and read by a running service. A token that is limited to this host also has
`"privacy": "local_only"`; a program that does not know the key refuses the file.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import stat
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from ccproxy.auth.principal import KNOWN_SCOPES
from ccproxy.wire.headers import TOKEN_PREFIX
from routing.types import Privacy

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

TOKEN_RANDOM_BYTES: Final = 32
"""256 bits: a plain sha256 of it needs no salt and no slow hash."""

NAME_MAX_CHARS: Final = 64
_SHA256_HEX_CHARS: Final = 64
_ENTRY_KEYS: Final = frozenset({"name", "sha256", "scopes", "agents", "privacy", "created_at"})


class TokenError(Exception):
    """A tokens file or a token request that cannot be accepted; the message says how to fix it."""


@dataclass(frozen=True, slots=True)
class StoredToken:
    """One entry of the tokens file. The token itself is not in it."""

    name: str
    sha256: str = field(repr=False)
    """Lower-case hex digest of the token's bytes."""
    scopes: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    created_at: str = ""
    """UTC, ISO 8601."""
    privacy: Privacy = Privacy.ANY


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
    return _parse_document(path, document)


def create_token(
    path: Path,
    name: str,
    scopes: Sequence[str] = (),
    agents: Sequence[str] = (),
    privacy: Privacy = Privacy.ANY,
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
    token = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_RANDOM_BYTES)
    entry = StoredToken(
        name=name,
        sha256=hashlib.sha256(token.encode()).hexdigest(),
        scopes=tuple(dict.fromkeys(scopes)),
        agents=tuple(dict.fromkeys(agents)),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        privacy=privacy,
    )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
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


def revoke_token(path: Path, name: str) -> None:
    """Remove a token from the file; a running service refuses it within a second or two.

    Raises:
        TokenError: There is no token of that name, or the file is broken.
        OSError: The file cannot be written.
    """
    if not path.exists():
        message = f"{path}: there is no tokens file, so there is nothing to revoke."
        raise TokenError(message)
    with _locked(path):
        tokens = list_tokens(path)
        kept = tuple(token for token in tokens if token.name != name)
        if len(kept) == len(tokens):
            known = ", ".join(token.name for token in tokens) or "none"
            message = f"{path}: there is no token named {name!r}. Known names: {known}."
            raise TokenError(message)
        _write_tokens(path, kept)


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


def _parse_document(path: Path, document: object) -> tuple[StoredToken, ...]:
    if not isinstance(document, dict) or not isinstance(document.get("tokens"), list):
        message = f'{path}: expected {{"version": 1, "tokens": [...]}}, as ccproxy token writes it.'
        raise TokenError(message)
    if document.get("version") != 1:
        message = f"{path}: key version: {document.get('version')!r} is not known here, only 1 is."
        raise TokenError(message)
    return tuple(
        _parse_entry(f"{path}: key tokens.{index}", entry)
        for index, entry in enumerate(document["tokens"])
    )


def _parse_entry(place: str, entry: object) -> StoredToken:
    if not isinstance(entry, dict):
        message = f"{place}: expected an object with name and sha256."
        raise TokenError(message)
    # An ignored key could be a misspelt limit, and the token would be good for more than meant.
    unknown = sorted(set(entry) - _ENTRY_KEYS)
    if unknown:
        message = (
            f"{place}.{unknown[0]}: unknown key. Known keys: {', '.join(sorted(_ENTRY_KEYS))}."
        )
        raise TokenError(message)
    name, digest = entry.get("name"), entry.get("sha256")
    if not isinstance(name, str) or not name:
        message = f"{place}.name: expected a name."
        raise TokenError(message)
    if not isinstance(digest, str) or not _is_sha256_hex(digest):
        # The value is not shown: somebody may have pasted a token here.
        message = f"{place}.sha256: expected the token's sha256, {_SHA256_HEX_CHARS} hex digits."
        raise TokenError(message)
    return StoredToken(
        name=name,
        sha256=digest.lower(),
        scopes=_strings(f"{place}.scopes", entry.get("scopes", [])),
        agents=_strings(f"{place}.agents", entry.get("agents", [])),
        created_at=str(entry.get("created_at", "")),
        privacy=_privacy(f"{place}.privacy", entry.get("privacy", Privacy.ANY)),
    )


def _is_sha256_hex(text: str) -> bool:
    return len(text) == _SHA256_HEX_CHARS and all(char in "0123456789abcdefABCDEF" for char in text)


def _strings(place: str, value: object) -> tuple[str, ...]:
    # A wrong type here must not widen a token: `agents: null` would mean "any agent".
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        message = f"{place}: expected a list of strings."
        raise TokenError(message)
    return tuple(value)


def _privacy(place: str, value: object) -> Privacy:
    if not isinstance(value, str) or value not in list(Privacy):
        message = f"{place}: expected one of: {', '.join(Privacy)}."
        raise TokenError(message)
    return Privacy(value)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on the file's folder, which stays while the file is replaced."""
    descriptor = os.open(path.resolve().parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _entry(token: StoredToken) -> dict[str, object]:
    entry = asdict(token)
    if token.privacy is Privacy.ANY:
        del entry["privacy"]
    return entry


def _write_tokens(path: Path, tokens: Sequence[StoredToken]) -> None:
    """Replace the file by a new one that was never readable by others."""
    document = {"version": 1, "tokens": [_entry(token) for token in tokens]}
    content = json.dumps(document, indent=2).encode() + b"\n"
    # A tokens file that is a symbolic link stays one.
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
