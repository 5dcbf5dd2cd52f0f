"""Secrets behind references: environment, file, keychain."""

from __future__ import annotations

import os
import stat
import sys
from typing import TYPE_CHECKING

import keyring
import keyring.backend
import pytest
from keyring.errors import InitError, KeyringLocked, NoKeyringError, PasswordDeleteError

from ccproxy.config.problems import ConfigError
from ccproxy.config.secrets import (
    LONGEST_SECRET_BYTES,
    SecretError,
    SecretMissing,
    SecretPlace,
    Secrets,
    describe,
)
from ccproxy.config.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VALUE = "sk-ant-v3ry-s3cret"


class MemoryKeychain(keyring.backend.KeyringBackend):
    """A keychain of this process."""

    priority = 9  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.items: dict[tuple[str, str], str] = {}
        self.trouble: Exception | None = None

    def get_password(self, service: str, username: str) -> str | None:
        if self.trouble is not None:
            raise self.trouble
        return self.items.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.items[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if (service, username) not in self.items:
            raise PasswordDeleteError("not there")
        del self.items[service, username]


@pytest.fixture
def keychain() -> Iterator[MemoryKeychain]:
    """Return a keychain that is in use while the test runs."""
    before, memory = keyring.get_keyring(), MemoryKeychain()
    keyring.set_keyring(memory)
    yield memory
    keyring.set_keyring(before)


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    """Return the secrets of a config file in an empty folder."""
    return Secrets({"KEY": f" {VALUE}\n", "HOME": str(tmp_path / "home")}, tmp_path)


def written(path: Path, content: bytes = VALUE.encode() + b"\n", mode: int = 0o600) -> Path:
    """Write a file with a mode."""
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_each_kind_of_reference_is_read(secrets, keychain, tmp_path):
    """Environment, file (relative, home, absolute) and keychain lead to the secret without space around it."""
    (tmp_path / "home").mkdir()
    written(tmp_path / "key")
    written(tmp_path / "home/key")
    keychain.items["ccproxy", "a/b"] = VALUE + "\n"

    for reference in (
        "os.environ/KEY",
        "file/key",
        "file/~/key",
        f"file/{tmp_path}/key",
        "keychain/ccproxy/a/b",
    ):
        assert VALUE == secrets.read(reference), reference
    assert secrets.read("just a text") == "just a text"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777, 0o610, 0o601])
def test_a_file_open_to_others_is_refused(mode, secrets, tmp_path):
    """Whoever else may read, write or execute it: the error names the file and the chmod."""
    path = written(tmp_path / "key", mode=mode)

    with pytest.raises(SecretError) as caught:
        secrets.read("file/key")

    assert f"Run: chmod 600 {path}" in str(caught.value)
    assert not isinstance(caught.value, SecretMissing)
    assert VALUE not in str(caught.value)


def test_a_file_of_another_user_is_refused(secrets, tmp_path, monkeypatch):
    """Its owner could change it at any time."""
    path = written(tmp_path / "key")
    if os.geteuid() == 0:
        os.chown(path, 54321, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)

    with pytest.raises(SecretError, match=f"belongs to another user .*chown 12345 {path}"):
        secrets.read("file/key")


def test_files_that_are_no_secrets(secrets, tmp_path):
    """Folders, pipes, huge and binary files are refused at once, without waiting for anybody."""
    (tmp_path / "folder").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "pipe", 0o600)
    written(tmp_path / "huge", b"x" * (LONGEST_SECRET_BYTES + 1))
    written(tmp_path / "binary", b"\xff\xfe")

    for name, words in {
        "folder": "no regular file",
        "pipe": "no regular file",
        "huge": "more than",
        "binary": "not text",
    }.items():
        with pytest.raises(SecretError, match=words):
            secrets.read(f"file/{name}")


def test_what_is_not_there_is_missing(secrets, keychain, tmp_path):
    """No variable, no file, an empty one, no item, no keychain, a locked one: missing, each with its reason."""
    written(tmp_path / "empty", b"\n")
    cases = {
        "os.environ/NONE": "NONE is not set",
        "file/none": "none does not exist",
        "file/empty": "is empty",
        "keychain/ccproxy/none": "ccproxy secret set keychain/ccproxy/none",
    }
    for reference, words in cases.items():
        with pytest.raises(SecretMissing, match=words):
            secrets.read(reference)
    for trouble, words in {
        NoKeyringError(VALUE): "no keychain that can be reached",
        KeyringLocked(VALUE): "locked, or access to it was denied",
        InitError(VALUE): "InitError",
        ConnectionError(VALUE): "ConnectionError",
    }.items():
        keychain.trouble = trouble
        with pytest.raises(SecretMissing, match=words) as caught:
            secrets.read("keychain/a/b")
        assert VALUE not in str(caught.value)
        assert caught.value.__cause__ is None


def test_a_keychain_that_cannot_even_be_imported(secrets, monkeypatch):
    """A backend that the environment names and nobody installed is a keychain that is not there."""
    for name in [each for each in sys.modules if each.partition(".")[0] == "keyring"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "nobody.installed.This")

    with pytest.raises(SecretMissing, match="cannot be reached"):
        secrets.read("keychain/a/b")
    with pytest.raises(SecretError, match="cannot be reached"):
        secrets.store("keychain/a/b", VALUE)


@pytest.mark.parametrize(
    "reference", ["os.environ/", "file/", "file/a\0", "keychain/", "keychain/a", "keychain/a/"]
)
def test_half_a_reference(reference, secrets):
    """It is refused, with how to write it."""
    with pytest.raises(SecretError, match="keychain/SERVICE/ACCOUNT"):
        secrets.read(reference)


def test_storing_and_removing(secrets, keychain, tmp_path):
    """What is stored is read again, nobody else may read the file, and what is removed is gone."""
    for reference in ("file/deep/key", "keychain/ccproxy/anthropic"):
        secrets.store(reference, "older")
        secrets.store(reference, f" {VALUE}\n")
        assert VALUE == secrets.read(reference)
    path = tmp_path / "deep/key"
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert 0o700 == stat.S_IMODE(path.parent.stat().st_mode)
    assert ["key"] == [each.name for each in path.parent.iterdir()]

    for reference in ("file/deep/key", "keychain/ccproxy/anthropic"):
        secrets.delete(reference)
        for action in (secrets.read, secrets.delete):
            with pytest.raises(SecretMissing):
                action(reference)


def test_what_cannot_be_stored(secrets, keychain):
    """Nothing, too much, into the environment, without a place, into a keychain that is locked."""
    keychain.trouble = KeyringLocked()
    for reference, secret, words in (
        ("file/key", " \n", "empty"),
        ("file/key", "x" * (LONGEST_SECRET_BYTES + 1), "at most"),
        ("os.environ/KEY", VALUE, "environment of whoever starts"),
        ("key", VALUE, "write file/PATH"),
        ("keychain/a/b", VALUE, "locked"),
    ):
        with pytest.raises(SecretError, match=words) as caught:
            secrets.store(reference, secret)
        assert VALUE not in str(caught.value)


def test_places_are_listed_without_values(secrets, tmp_path):
    """Every reference of a document is looked at, and what comes back has no secret in it."""
    document = {"a": [{"api_key": "os.environ/KEY"}], "b": {"c": "file/none"}, "d": "plain"}

    places = secrets.places_in(document)

    assert places == (
        SecretPlace(("a", 0, "api_key"), "os.environ/KEY", None),
        SecretPlace(("b", "c"), "file/none", f"{tmp_path}/none does not exist"),
    )
    assert "file none" == describe("file/none")
    assert "keychain item 'a' of account 'b/c'" == describe("keychain/a/b/c")
    assert "no reference" == describe("x")
    assert VALUE not in repr(secrets)


CLAUDE = "model_list: [{model_name: c, litellm_params: {model: anthropic/*, api_key: %s}}]\n"


def test_every_place_of_the_config_file(keychain, tmp_path):
    """Key, webhook, mail password and ledger URL are read from files and keychain alike."""
    for name in ("key", "hook", "ledger"):
        written(
            tmp_path / name,
            {"key": VALUE, "hook": "https://h.example.com/x", "ledger": "postgresql://u:p@h/d"}[
                name
            ].encode(),
        )
    keychain.items["mail", "me"] = "pa55"
    config = tmp_path / "ccproxy.yaml"
    config.write_text(
        CLAUDE % "file/key"
        + "alerts: {webhooks: [{url: file/hook}], email: {host: h, sender: a@b.c, to: [a@b.c], "
        + "username: me, password: keychain/mail/me}}\nledger: {url: file/ledger}\n"
    )

    settings = load_settings(config, {})

    assert VALUE == settings.deployments[0].api_key
    assert "https://h.example.com/x" == settings.alerts.webhooks[0].url
    assert "pa55" == settings.alerts.email.password
    assert "postgresql://u:p@h/d" == settings.ledger_url
    assert () == settings.warnings
    assert not [word for word in (VALUE, "pa55", "u:p@h") if word in repr(settings)]


def test_an_open_file_refuses_the_configuration(tmp_path):
    """All of them at once, each with its place; a missing one only makes its deployment unavailable."""
    written(tmp_path / "key", mode=0o644)
    config = tmp_path / "ccproxy.yaml"
    config.write_text(
        CLAUDE % "file/key" + "alerts: {webhooks: [{url: file/key}]}\nledger: {url: file/key}\n"
    )

    with pytest.raises(ConfigError) as caught:
        load_settings(config, {})

    assert [each.key for each in caught.value.problems] == [
        "model_list[0].litellm_params.api_key",
        "alerts.webhooks[0].url",
        "ledger.url",
    ]
    config.write_text(CLAUDE % "file/none")
    assert "none does not exist" in str(load_settings(config, {}).deployments[0].unavailable)


def test_a_secret_in_the_file_itself_is_a_warning(tmp_path):
    """Each names its place and what to write instead, and none shows the secret; a key that Ollama ignores is none."""
    config = tmp_path / "ccproxy.yaml"
    config.write_text(
        f"""\
model_list:
  - {{model_name: c, litellm_params: {{model: anthropic/*, api_key: {VALUE}}}}}
  - {{model_name: q, litellm_params: {{model: ollama_chat/q, api_key: none}}}}
alerts:
  webhooks:
    - {{url: https://hooks.example.com/{VALUE}}}
    - {{url: http://127.0.0.1:1/x}}
ledger: {{url: 'postgresql://me:{VALUE}@h/d'}}
"""
    )

    warnings = load_settings(config, {}).warnings

    assert [each.key for each in warnings] == [
        "model_list[0].litellm_params.api_key",
        "alerts.webhooks[0].url",
        "ledger.url",
    ]
    assert all("file/PATH" in each.message and VALUE not in each.message for each in warnings)
