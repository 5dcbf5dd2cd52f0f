"""The Traefik configuration beside the config file, where there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import yaml

from ccproxy.doctor.finding import error, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ccproxy.doctor.finding import Finding

FOLDER: Final = "traefik"


def check_traefik(folder: Path, port: int) -> Iterator[Finding]:
    """Judge every YAML file in `traefik/`; nothing is said where there is none.

    Args:
        folder: The config file's.
        port: Where the proxy listens.
    """
    for file in sorted((folder / FOLDER).glob("*.y*ml")):
        try:
            content = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError, yaml.YAMLError) as problem:
            told = " ".join(str(problem).split())[:200]
            means = "Traefik goes on with the last version it could read, or starts without"
            yield error("traefik", f"{file}: {told}", means, "correct the file")
            continue
        ports = {_port(url) for url in _servers(content)}
        if ports and port not in ports:
            yield warning(
                "traefik",
                f"{file} sends requests to port {', '.join(map(str, sorted(map(str, ports))))}",
                f"the proxy listens on {port}, so that nothing arrives",
                f"write port {port} there, or the other into ccproxy.yaml",
            )
        else:
            yield ok(
                "traefik", f"{file} can be read" + (f", and knows port {port}" if ports else "")
            )


def _port(url: str) -> int | None:
    """Return the port of an address; None where it has none, or none that could be."""
    try:
        return urlsplit(url).port
    except ValueError:
        return None


def _servers(value: Any) -> Iterator[str]:  # noqa: ANN401 - YAML
    """Yield the URL of every server of every `loadBalancer`."""
    if isinstance(value, dict):
        balancer = value.get("loadBalancer")
        servers = balancer.get("servers") if isinstance(balancer, dict) else None
        for server in servers if isinstance(servers, list) else ():
            if isinstance(server, dict) and isinstance(server.get("url"), str):
                yield server["url"]
        for item in value.values():
            yield from _servers(item)
    elif isinstance(value, list):
        for item in value:
            yield from _servers(item)
