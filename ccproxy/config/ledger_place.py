"""Where the ledger is, for commands that need nothing else of `ccproxy.yaml`.

Reading and checking all of it takes a third of a second, which is most of what a question to the
ledger takes; and a mistake in another part of the file is no reason not to answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccproxy.config.locate import DEFAULT_LEDGER_URL, resolve_ledger_url
from ccproxy.config.references import is_reference
from ccproxy.config.yaml_marks import read_marked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def read_ledger_url(path: Path, environ: Mapping[str, str]) -> str:
    """Return the ledger's URL as a config file says it, as `Settings.ledger_url`.

    Args:
        path: The config file.
        environ: Environment variables.

    Raises:
        ConfigError: The file cannot be read, or its URL cannot be used.
    """
    path = path.absolute()
    said = read_marked(path).value
    block = said.get("ledger", {}) if isinstance(said, dict) else None
    url = block.get("url", DEFAULT_LEDGER_URL) if isinstance(block, dict) else None
    if isinstance(url, str) and url and not is_reference(url):
        try:
            return resolve_ledger_url(url, path.parent, environ)
        except ValueError:
            pass  # said below, with its place in the file
    # A secret, or a mistake: who reads the whole file knows what to do with either.
    from ccproxy.config.settings import load_settings  # noqa: PLC0415 - see above

    return load_settings(path, environ).ledger_url
