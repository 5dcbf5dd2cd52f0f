"""Where an address is: on this host, on premises, or somewhere else.

Nothing is resolved: a name counts as what it is written as, so that the answer is the same without
a network and no DNS entry can turn a foreign host into a local one.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Collection

HOST_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")
"""A host name in lower case, loosely: letters, digits, dots, hyphens."""

ENDPOINT_SUFFIXES: Final = ("/v1", "/v1/messages", "/api", "/api/chat")
"""Paths people copy along with an address; they are added to it for every request."""


@dataclass(frozen=True, slots=True)
class ApiBase:
    """A checked `api_base`."""

    url: str
    """Without a trailing slash."""
    host: str
    """As `normalise_host` gives it."""
    is_encrypted: bool


def normalise_host(host: str) -> str:
    """Return a host name in lower case or an IP address in its shortest form.

    Raises:
        ValueError: Neither a host name nor an IP address (a port or a scheme is part of neither).
    """
    bare = host.removeprefix("[").removesuffix("]").lower()
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        pass
    if not HOST_NAME.fullmatch(bare):
        message = f"must be a host name or an IP address without scheme and port, not {host!r}"
        raise ValueError(message)
    return bare


def normalise_network(network: str) -> str:
    """Return an address or a network in its shortest form: `10.0.0.0/8`, `127.0.0.1/32`.

    Raises:
        ValueError: Neither; a name is neither, for whoever answers for it could change. Or it is
            the whole of the internet, which is nobody's network.
    """
    try:
        found = ipaddress.ip_network(network, strict=False)
    except ValueError:
        message = f"must be an IP address or a network such as 10.0.0.0/8, not {network!r}"
        raise ValueError(message) from None
    if found.prefixlen == 0:
        raise ValueError(f"{network!r} is everybody; name the addresses that are meant")
    return str(found)


def is_loopback(host: str) -> bool:
    """Return whether a host can only be reached from this machine: `localhost`, 127.x.y.z, ::1."""
    bare = host.removeprefix("[").removesuffix("]").lower()
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return bare == "localhost"


def parse_api_base(text: str) -> ApiBase:
    """Return a checked base URL.

    Raises:
        ValueError: With what is wrong and how to fix it.
    """
    try:
        parts = urlsplit(text.strip())
        host = normalise_host(parts.hostname or "")
        _ = parts.port
    except ValueError:
        message = "must be an address such as http://127.0.0.1:11434"
        raise ValueError(message) from None
    if parts.scheme not in ("http", "https"):
        raise ValueError("must begin with http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user or password; use api_key")
    if parts.query or parts.fragment:
        raise ValueError("must not have a query or fragment")
    path = parts.path.rstrip("/")
    if path.endswith(ENDPOINT_SUFFIXES):
        raise ValueError(f"must end before {path!r}, which is added for each request")
    return ApiBase(f"{parts.scheme}://{parts.netloc}{path}", host, parts.scheme == "https")


def stays_on_premises(host: str, on_premises_hosts: Collection[str]) -> bool:
    """Return whether what is sent to `host` stays on this machine or on a listed host.

    Args:
        host: As `normalise_host` gives it.
        on_premises_hosts: Likewise.
    """
    return is_loopback(host) or host in on_premises_hosts
