"""The routes that are compared, as they are written on the command line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOKEN_VARIABLE: Final = "ANTHROPIC_AUTH_TOKEN"  # noqa: S105 - a variable's name
SYNTAX: Final = "[LABEL=]MODEL[+AGENT][@URL]"
_ROUTE: Final = re.compile(
    r"(?:(?P<label>[^=@+]+)=)?(?P<model>[^=+]+?)(?:\+(?P<agent>[a-z0-9-]+))?"
    r"(?:@(?P<url>https?://\S+))?"
)


class RouteError(ValueError):
    """A route that cannot be used; the message says why, and what to write."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where requests are sent, and as what."""

    label: str
    model: str
    base_url: str
    token: str
    agent: str | None = None
    """Named in `x-ccproxy-agent`."""
    free: bool = False
    """Nobody bills it, whatever its answers say."""

    def told(self) -> dict[str, object]:
        """Return what a report says of it; the token is not in it."""
        return {
            "label": self.label,
            "model": self.model,
            "agent": self.agent,
            "base_url": self.base_url,
            "free": self.free,
        }


def read_routes(
    written: Sequence[str],
    base_url: str,
    token_variables: Mapping[str, str],
    free: Sequence[str],
    environ: Mapping[str, str],
) -> list[Route]:
    """Return routes.

    A token is for one address: a route with a URL of its own has to name the variable its token is
    in, so that none is sent to a stranger.

    Args:
        written: Each as `SYNTAX`.
        base_url: Of those without a URL.
        token_variables: Label -> the variable its token is in; by default `TOKEN_VARIABLE`.
        free: Labels of routes that nobody bills.
        environ: The process's environment.

    Raises:
        RouteError: One of them cannot be used.
    """
    routes = [_read(each, base_url, token_variables, free, environ) for each in written]
    labels = [route.label for route in routes]
    for label in labels:
        if labels.count(label) > 1:
            raise RouteError(f"two routes are called {label!r}; name them: LABEL=MODEL")
    for label in (*token_variables, *free):
        if label not in labels:
            raise RouteError(f"there is no route {label!r}; there are {', '.join(labels)}")
    return routes


def _read(
    written: str,
    base_url: str,
    token_variables: Mapping[str, str],
    free: Sequence[str],
    environ: Mapping[str, str],
) -> Route:
    found = _ROUTE.fullmatch(written.strip())
    if found is None:
        raise RouteError(f"{written!r} is no route; write {SYNTAX}")
    model, agent, url = found["model"], found["agent"], found["url"]
    label = found["label"] or (f"{model}+{agent}" if agent else model)
    variable = token_variables.get(label)
    if variable is None and url is not None:
        raise RouteError(
            f"{label} has an address of its own; say which variable its token is in: "
            f"--token-env '{label}=NAME'"
        )
    variable = variable or TOKEN_VARIABLE
    token = environ.get(variable, "")
    if not token:
        raise RouteError(f"{label}: {variable} is not set, so there is no token to send")
    url = (url or base_url).rstrip("/")
    if urlsplit(url).username is not None or urlsplit(url).query:
        raise RouteError(f"{label}: an address has no user and no question mark in it")
    return Route(label, model, url, token, agent, free=label in free)
