"""Secrets behind references: read, stored, and described without a word of what they are.

Rules:
1. No message, repr or exception holds a secret; a reference may be shown to anybody.
2. A file counts only if it is the owner's alone: ours, mode 0600 or tighter. The check is made on
   the open file, so that what was checked is what is read.
3. What is not there (`SecretMissing`) makes that which needs it unavailable. What cannot be trusted
   or understood (`SecretError`) refuses the config file.

The Keychain and the Secret Service are `keyring`'s (docs/adr/0018), imported when one is asked for.
"""

# ruff: noqa: PLC0415 -- keyring costs 0.1 s, which only those pay who use it

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ccproxy.auth.private_file import write_private
from ccproxy.config.locate import expand_path
from ccproxy.config.references import (
    ENVIRONMENT_REFERENCE,
    FILE_REFERENCE,
    KEYCHAIN_REFERENCE,
    is_reference,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from ccproxy.config.problems import KeyPath

LONGEST_SECRET_BYTES: Final = 64 * 1024
"""Of a secret's file; a private key has a few thousand."""
EXAMPLES: Final = "os.environ/NAME, file/PATH or keychain/SERVICE/ACCOUNT"


class SecretError(Exception):
    """A reference that cannot be used; the message says why and how to fix it, never the value."""


class SecretMissing(SecretError):
    """The reference is in order, but nothing is behind it."""


@dataclass(frozen=True, slots=True)
class SecretPlace:
    """Where one reference of a config file stands, and whether there is something behind it."""

    key: KeyPath
    reference: str
    problem: str | None
    """What is wrong with it, for people; None if a secret was found."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Everything that references can lead to, as one config file sees it."""

    environ: Mapping[str, str] = field(repr=False)
    folder: Path
    """Absolute; the config file's own, which relative paths are relative to."""

    def read(self, text: str) -> str:
        """Return what a reference leads to, or `text` itself if it is none.

        Space around a secret, such as a file's last line end, is not part of it.

        Raises:
            SecretMissing: Nothing is there.
            SecretError: It cannot be trusted or reached.
        """
        kind, rest = _split(text)
        if kind and (not rest or "\0" in rest):
            raise SecretError(f"{kind} names nothing; write {EXAMPLES}")
        if kind == ENVIRONMENT_REFERENCE:
            value = self.environ.get(rest, "").strip()
            if not value:
                raise SecretMissing(f"environment variable {rest} is not set")
            return value
        if kind == FILE_REFERENCE:
            return _read_file(expand_path(rest, self.folder, self.environ))
        if kind == KEYCHAIN_REFERENCE:
            return _read_keychain(*_keychain_item(text))
        return text

    def store(self, reference: str, secret: str) -> None:
        """Put a secret where a reference leads to, in place of one that is there.

        A file is written whole and for its owner only; its folder is made if need be.

        Raises:
            SecretError: The secret is empty or too long, the reference leads to the environment or
                is none, or it cannot be stored there.
        """
        secret = secret.strip()
        if not secret:
            raise SecretError("the secret is empty; nothing was stored")
        if len(secret.encode()) > LONGEST_SECRET_BYTES:
            raise SecretError(f"a secret has at most {LONGEST_SECRET_BYTES} bytes")
        kind, rest = _split(reference)
        if kind == FILE_REFERENCE:
            _write_file(expand_path(rest, self.folder, self.environ), secret)
        elif kind == KEYCHAIN_REFERENCE:
            _write_keychain(*_keychain_item(reference), secret)
        else:
            raise SecretError(_not_storable(reference))

    def delete(self, reference: str) -> None:
        """Remove what a reference leads to.

        Raises:
            SecretMissing: Nothing is there.
            SecretError: It cannot be removed, or the reference leads to the environment or is none.
        """
        kind, rest = _split(reference)
        if kind == FILE_REFERENCE:
            path = expand_path(rest, self.folder, self.environ)
            try:
                path.unlink()
            except FileNotFoundError:
                raise SecretMissing(f"{path} does not exist") from None
            except OSError as exc:
                raise SecretError(f"cannot remove {path}: {exc.strerror or exc}") from exc
        elif kind == KEYCHAIN_REFERENCE:
            _delete_keychain(*_keychain_item(reference))
        else:
            raise SecretError(_not_storable(reference))

    def look(self, key: KeyPath, reference: str) -> SecretPlace:
        """Return whether there is a secret behind a reference; it is read and forgotten."""
        try:
            self.read(reference)
        except SecretError as error:
            return SecretPlace(key, reference, str(error))
        return SecretPlace(key, reference, None)

    def places_in(self, document: object) -> tuple[SecretPlace, ...]:
        """Return every reference of a config file's content, in its order, and looks at each."""
        return tuple(self.look(key, reference) for key, reference in _references(document, ()))


def describe(reference: str) -> str:
    """Return in words where a reference leads to; for anything else, that it is none."""
    kind, rest = _split(reference)
    if kind == ENVIRONMENT_REFERENCE:
        return f"environment variable {rest}"
    if kind == FILE_REFERENCE:
        return f"file {rest}"
    if kind == KEYCHAIN_REFERENCE:
        service, _, account = rest.partition("/")
        return f"keychain item {service!r} of account {account!r}"
    return "no reference"


def _references(value: object, key: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, str) and is_reference(value):
        yield key, value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _references(item, (*key, str(name)))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _references(item, (*key, index))


def _split(text: str) -> tuple[str, str]:
    """Return a reference's kind and the rest of it; two empty texts for anything else."""
    for kind in (ENVIRONMENT_REFERENCE, FILE_REFERENCE, KEYCHAIN_REFERENCE):
        if text.startswith(kind):
            return kind, text.removeprefix(kind)
    return "", ""


def _not_storable(reference: str) -> str:
    if reference.startswith(ENVIRONMENT_REFERENCE):
        return (
            f"{reference} is in the environment of whoever starts ccproxy and cannot be stored "
            "there from here; use file/PATH or keychain/SERVICE/ACCOUNT"
        )
    return "write file/PATH or keychain/SERVICE/ACCOUNT to say where the secret goes"


def _read_file(path: Path) -> str:
    """Return the content of a file that is the owner's alone."""
    try:
        # Not to wait for whoever might write into a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise SecretMissing(f"{path} does not exist") from None
    except OSError as exc:
        raise SecretError(f"cannot read {path}: {exc.strerror or exc}") from exc
    try:
        _refuse_untrusted(path, os.fstat(descriptor))
    except SecretError:
        os.close(descriptor)
        raise
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(LONGEST_SECRET_BYTES + 1)
    if len(content) > LONGEST_SECRET_BYTES:
        raise SecretError(
            f"{path} has more than {LONGEST_SECRET_BYTES} bytes; is it the right one?"
        )
    try:
        secret = content.decode().strip()
    except UnicodeDecodeError:
        raise SecretError(f"{path} is not text in UTF-8; is it the right one?") from None
    if not secret:
        raise SecretMissing(f"{path} is empty")
    return secret


def _refuse_untrusted(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise SecretError(f"{path} is no regular file")
    if status.st_uid not in (0, os.geteuid()):  # root's, as sshd has it: root could anyway
        raise SecretError(
            f"{path} belongs to another user (uid {status.st_uid}), who could change it. "
            f"Run: sudo chown {os.geteuid()} {path}"
        )
    mode = stat.S_IMODE(status.st_mode)
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SecretError(f"{path} is open to other users (mode {mode:04o}). Run: chmod 600 {path}")


def _write_file(path: Path, secret: str) -> None:
    try:
        write_private(path, secret.encode() + b"\n")
    except OSError as exc:
        raise SecretError(f"cannot write {path}: {exc.strerror or exc}") from exc


def _keychain_item(reference: str) -> tuple[str, str]:
    service, slash, account = reference.removeprefix(KEYCHAIN_REFERENCE).partition("/")
    if not slash or not service or not account:
        raise SecretError(f"{reference}: write keychain/SERVICE/ACCOUNT")
    return service, account


def _read_keychain(service: str, account: str) -> str:
    with _keychain(SecretMissing) as keyring:
        secret: str | None = keyring.get_password(service, account)
    if not secret or not secret.strip():
        item = describe(f"{KEYCHAIN_REFERENCE}{service}/{account}")
        raise SecretMissing(
            f"{item} does not exist; store it with: "
            f"ccproxy secret set {KEYCHAIN_REFERENCE}{service}/{account}"
        )
    return secret.strip()


def _write_keychain(service: str, account: str, secret: str) -> None:
    with _keychain(SecretError) as keyring:
        keyring.set_password(service, account, secret)


def _delete_keychain(service: str, account: str) -> None:
    with _keychain(SecretError) as keyring:
        try:
            keyring.delete_password(service, account)
        except keyring.errors.PasswordDeleteError:
            item = describe(f"{KEYCHAIN_REFERENCE}{service}/{account}")
            raise SecretMissing(f"{item} does not exist") from None


@contextmanager
def _keychain(failure: type[SecretError]) -> Iterator[Any]:
    """Yield the module `keyring`; whatever goes wrong with it is raised as a failure.

    Its backends raise what they like, and one that the environment names may not even be there.
    """
    try:
        import keyring
        import keyring.errors

        yield keyring
    except SecretError:
        raise
    except Exception as exc:  # noqa: BLE001 - see above
        raise failure(_unreachable(exc)) from None


def _unreachable(error: Exception) -> str:
    """Return why there is no keychain, in our words; a library's may quote what it was given."""
    # By name: where `keyring` could not be imported, its classes cannot be either.
    names = {each.__name__ for each in type(error).__mro__}
    if "NoKeyringError" in names:
        return "this machine has no keychain that can be reached; use file/PATH instead"
    if "KeyringLocked" in names:
        return (
            "the keychain is locked, or access to it was denied; unlock it as the user that runs "
            "ccproxy, or use file/PATH, which needs nobody to be logged in"
        )
    return f"the keychain cannot be reached ({type(error).__name__})"
