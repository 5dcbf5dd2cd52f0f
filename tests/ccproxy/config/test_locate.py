"""Where files are."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccproxy.config.locate import expand_path, find_config, resolve_ledger_url
from ccproxy.config.problems import ConfigError

HOME = {"HOME": "/home/ops"}
FOLDER = Path("/etc/ccproxy")


def write(path: Path) -> Path:
    """Create an empty file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_the_first_place_that_has_a_file_wins(tmp_path: Path) -> None:
    """The order: command line, variable, working directory, home folder."""
    cwd, home = tmp_path / "cwd", tmp_path / "home"
    named, by_variable = write(cwd / "named.yaml"), write(home / "variable.yaml")
    environ = {"CCPROXY_CONFIG": "~/variable.yaml"}
    in_home = write(home / ".ccproxy" / "ccproxy.yaml")
    assert find_config(None, {"CCPROXY_CONFIG": ""}, cwd, home) == in_home
    in_cwd = write(cwd / "config" / "ccproxy.yaml")
    assert find_config(None, {}, cwd, home) == in_cwd
    assert find_config(None, environ, cwd, home) == by_variable
    assert find_config(Path("named.yaml"), environ, cwd, home) == named


def test_a_file_that_was_asked_for_must_exist(tmp_path: Path) -> None:
    """The search does not go on behind the user's back."""
    write(tmp_path / "config" / "ccproxy.yaml")
    with pytest.raises(ConfigError, match=r"x\.yaml: no such file \(from --config\)"):
        find_config(Path("x.yaml"), {}, tmp_path, tmp_path)
    with pytest.raises(ConfigError, match=r"x\.yaml.*\(from \$CCPROXY_CONFIG\)"):
        find_config(None, {"CCPROXY_CONFIG": "x.yaml"}, tmp_path, tmp_path)


def test_no_file_anywhere_says_where_it_was_looked_for(tmp_path: Path) -> None:
    """The message names both places and what to do."""
    with pytest.raises(ConfigError, match=r"^ccproxy\.yaml: not found") as caught:
        find_config(None, {}, tmp_path / "a", tmp_path / "b")
    assert str(tmp_path / "a" / "config" / "ccproxy.yaml") in str(caught.value)
    assert str(tmp_path / "b" / ".ccproxy" / "ccproxy.yaml") in str(caught.value)
    assert "--config" in str(caught.value)
    assert "`ccproxy init` writes one" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tokens.json", "/etc/ccproxy/tokens.json"),
        ("/var/tokens.json", "/var/tokens.json"),
        ("~/.ccproxy/tokens.json", "/home/ops/.ccproxy/tokens.json"),
        ("~other/tokens.json", "/etc/ccproxy/~other/tokens.json"),
        ("../state/./tokens.json", "/etc/state/tokens.json"),
    ],
)
def test_paths(text: str, expected: str) -> None:
    """Relative paths are relative to the file; `~` is the home folder."""
    assert expand_path(text, FOLDER, HOME) == Path(expected)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///ccproxy.db", "sqlite:////etc/ccproxy/ccproxy.db"),
        ("sqlite:////var/l.db?timeout=5", "sqlite:////var/l.db?timeout=5"),
        ("sqlite+pysqlite:///~/l.db", "sqlite+pysqlite:////home/ops/l.db"),
        ("sqlite:///../state/l.db", "sqlite:////etc/state/l.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite://", "sqlite://"),
        ("postgresql+psycopg://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
    ],
)
def test_ledger_urls(url: str, expected: str) -> None:
    """A relative SQLite path is relative to the config file; other URLs stay as they are."""
    assert resolve_ledger_url(url, FOLDER, HOME) == expected


@pytest.mark.parametrize("url", ["ccproxy.db", "mysql://u:secret@h/d"])
def test_ledger_urls_that_do_not_work(url: str) -> None:
    """A wrong URL is refused without showing it, since it may hold a password."""
    with pytest.raises(ValueError, match="must be sqlite") as caught:
        resolve_ledger_url(url, FOLDER, HOME)
    assert "secret" not in str(caught.value)
