"""Where files are: the config file itself, and the paths it names."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ccproxy.config.problems import ConfigError, ConfigProblem

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG_VARIABLE: Final = "CCPROXY_CONFIG"

SQLITE_URL: Final = re.compile(r"(sqlite(?:\+\w+)?):///([^?]*)(\?.*)?")
"""SQLAlchemy's form: three slashes, then the path, absolute if it begins with a fourth."""

LEDGER_SCHEMES: Final = ("sqlite", "postgresql")
DEFAULT_LEDGER_URL: Final = "sqlite:///ccproxy.db"


def find_config(cli_path: Path | None, environ: Mapping[str, str], cwd: Path, home: Path) -> Path:
    """Return the config file to use.

    The order: the command line, `$CCPROXY_CONFIG`, `./config/ccproxy.yaml`,
    `~/.ccproxy/ccproxy.yaml`. A file that was asked for must exist; the search does not go on.

    Raises:
        ConfigError: There is none; the message says where it was looked for.
    """
    named = environ.get(CONFIG_VARIABLE, "")
    if cli_path is not None:
        return _must_exist(cli_path, "--config", cwd, home)
    if named:
        return _must_exist(Path(named), f"${CONFIG_VARIABLE}", cwd, home)
    candidates = (cwd / "config" / "ccproxy.yaml", home / ".ccproxy" / "ccproxy.yaml")
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    places = " and ".join(map(str, candidates))
    message = (
        f"not found; looked for {places}. Run in a folder that has one, or name one with --config "
        f"or ${CONFIG_VARIABLE}; `ccproxy init` writes one for this machine"
    )
    raise ConfigError([ConfigProblem.of_file("ccproxy.yaml", message)])


def _must_exist(path: Path, origin: str, cwd: Path, home: Path) -> Path:
    """Return the absolute path of a file that was asked for."""
    found = _expand(path, cwd, home)
    if not found.is_file():
        raise ConfigError([ConfigProblem.of_file(str(found), f"no such file (from {origin})")])
    return found


def _expand(path: Path, folder: Path, home: Path) -> Path:
    """Return an absolute path: `~` is `home`, anything relative is in `folder`."""
    if path.parts[:1] == ("~",):
        path = home.joinpath(*path.parts[1:])
    return folder / path


def expand_path(text: str, folder: Path, environ: Mapping[str, str]) -> Path:
    """Return a path of the config file as an absolute one, without `..`.

    Args:
        text: As written; a leading `~/` is the home folder (`HOME` in `environ` comes first).
        folder: Absolute; what relative paths are relative to.
        environ: Environment variables.
    """
    home = environ.get("HOME", "")
    found = _expand(Path(text), folder, Path(home) if home else Path.home())
    # By its letters, so that people read it short; links in it stay.
    return Path(os.path.normpath(found))


def resolve_ledger_url(url: str, folder: Path, environ: Mapping[str, str]) -> str:
    """Return the ledger's URL with a SQLite path made absolute.

    Raises:
        ValueError: With what is wrong and how to fix it; never the URL, which may hold a password.
    """
    scheme = url.partition("://")[0].partition("+")[0]
    if "://" not in url or scheme not in LEDGER_SCHEMES:
        raise ValueError("must be sqlite:///path or postgresql://user:password@host/database")
    match = SQLITE_URL.fullmatch(url)
    if match is None or match[2] in ("", ":memory:"):
        return url
    return f"{match[1]}:///{expand_path(match[2], folder, environ)}{match[3] or ''}"


def ledger_file(url: str) -> Path | None:
    """Return the SQLite file of a ledger's resolved URL; None where the ledger is no file."""
    match = SQLITE_URL.fullmatch(url)
    if match is None or match[2] in ("", ":memory:") or match[2].startswith("file:"):
        return None
    return Path(match[2])
