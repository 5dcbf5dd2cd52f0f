"""Answers of `ccproxy init` that can be used, and those that cannot."""

import math
from functools import partial

import pytest

from ccproxy.cli.init_checks import claude_of, folder_of, gib_of, key_of, ollama_of, roster_of

gib = partial(gib_of, least_gib=1)


@pytest.mark.parametrize(
    ("check", "given", "meant"),
    [
        (gib, "32", 32.0),
        (gib, 15.6, 15.6),
        (ollama_of, "http://127.0.0.1:11434/", "http://127.0.0.1:11434"),
        (ollama_of, "127.0.0.1:11434", "http://127.0.0.1:11434"),
        (ollama_of, "[::1]:11434", "http://[::1]:11434"),
        (ollama_of, " mini:9/ollama ", "http://mini:9/ollama"),
        (ollama_of, "https://mini", "https://mini"),
        (claude_of, "https://gateway.example/claude/", "https://gateway.example/claude"),
        (claude_of, "http://127.0.0.1:9", "http://127.0.0.1:9"),
        (roster_of, "-", None),
    ],
)
def test_what_can_be_used(check, given, meant):
    """It is returned as the files have it."""
    assert check(given) == meant


@pytest.mark.parametrize(
    ("check", "given", "said"),
    [
        (gib, "much", "a number of GiB"),
        (gib, "-3", "from 1 to"),
        (gib, math.inf, "from 1 to"),
        (gib, math.nan, "from 1 to"),
        (gib, 1e308, "from 1 to"),
        (ollama_of, "", "an address"),
        (ollama_of, "abc", "an address"),
        (ollama_of, "not a url", "an address"),
        (ollama_of, "http://[::1", "an address"),
        (ollama_of, "ftp://mini", "http://"),
        (ollama_of, "http://127.0.0.1:11434/api", "must end before"),
        (claude_of, "garbage", "must"),
        (claude_of, "http://gateway.example", "unencrypted"),
        (claude_of, "https://me:key@gateway.example", "password"),
        (roster_of, "/no/such/roster.json", "cannot read the roster"),
    ],
)
def test_what_cannot_be_used(check, given, said):
    """It is said what is wrong with it."""
    with pytest.raises(ValueError, match=said):
        check(given)


def test_a_folder(tmp_path):
    """It may be missing, and must be no file."""
    (tmp_path / "file").touch()

    assert folder_of(f"{tmp_path}/new") == tmp_path / "new"
    with pytest.raises(ValueError, match="is no folder"):
        folder_of(str(tmp_path / "file"))


def test_a_roster(tmp_path):
    """It must have agents."""
    roster = tmp_path / "roster.json"
    roster.write_text("{}")

    with pytest.raises(ValueError, match="no agents found"):
        roster_of(str(roster))


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("none", None),
        ("file/new.key", "file/new.key"),
        ("file/good.key", "file/good.key"),
        ("os.environ/NOT_SET", "os.environ/NOT_SET"),
    ],
)
def test_where_the_key_may_be(given, meant, tmp_path):
    """It may be missing yet."""
    (tmp_path / "good.key").write_text("sk-good")
    (tmp_path / "good.key").chmod(0o600)

    assert key_of(given, tmp_path, {}) == meant


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("sk-ant-pasted", "not the key itself"),
        ("file/", "names nothing"),
        ("os.environ/", "names nothing"),
        ("keychain/ccproxy", "keychain/SERVICE/ACCOUNT"),
        ("file/open.key", "open to other users"),
    ],
)
def test_where_no_key_can_be(given, said, tmp_path):
    """One that others can read is none to go on with; what it is, is not repeated."""
    (tmp_path / "open.key").write_text("sk-ant-open")
    (tmp_path / "open.key").chmod(0o644)

    with pytest.raises(ValueError, match=said) as refused:
        key_of(given, tmp_path, {})
    assert "sk-ant" not in str(refused.value)
