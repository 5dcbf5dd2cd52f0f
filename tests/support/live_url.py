"""Where `make test-live` looks for Ollama: `OLLAMA_HOST`, read as Ollama itself reads it.

Source: Ollama envconfig/config.go `Host`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_PORT: Final = 11434
_SCHEME_PORTS: Final = {"http": 80, "https": 443}
_ANY_ADDRESS: Final = ("0.0.0.0", "::")
"""What a server listens on; a client finds it at the loopback address."""


def live_url(environ: Mapping[str, str]) -> str:
    """Return the address that `OLLAMA_HOST` means, as a URL; scheme and port may be missing in it.

    A URL with a scheme and no port has the scheme's port, as for Ollama.
    """
    text = environ.get("OLLAMA_HOST", "").strip().rstrip("/")
    scheme, mark, rest = text.partition("://")
    if not mark:
        scheme, rest = "http", text
    parts = urlsplit(f"{scheme}://{rest}")
    host = parts.hostname or "127.0.0.1"
    if host in _ANY_ADDRESS:
        host = "127.0.0.1"
    port = parts.port or (_SCHEME_PORTS.get(scheme) if mark else None) or DEFAULT_PORT
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}:{port}{parts.path}"
