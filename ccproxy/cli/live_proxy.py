"""Asking a running proxy how it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from time import monotonic
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httpx
from prometheus_client.parser import text_string_to_metric_families

from ccproxy.cli.live_figures import Snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TIMEOUT_S: Final = 5.0
_MAKES_ONE: Final = "`ccproxy token create NAME --scope ops` makes one"


class NoProxyError(Exception):
    """No proxy answers as it should; the text says what to do."""


@dataclass(frozen=True, slots=True)
class LiveProxy:
    """Which proxy is asked, and with what."""

    base_url: str
    token: str | None
    token_from: str
    """Where the token was found, for people."""

    def client(self) -> httpx.Client:
        """Return what to ask it with, to be closed by the caller."""
        headers = {"x-api-key": self.token} if self.token else {}
        return httpx.Client(
            base_url=self.base_url, headers=headers, timeout=TIMEOUT_S, trust_env=False
        )

    def look(self, client: httpx.Client) -> Snapshot:
        """Return what it says now.

        Raises:
            NoProxyError: It says nothing that could be used.
        """
        try:
            health, metrics = (self._answer(client, path) for path in ("/health", "/metrics"))
            samples = [
                (sample.name, sample.labels, sample.value)
                for family in text_string_to_metric_families(metrics.text)
                for sample in family.samples
            ]
            return Snapshot(monotonic(), health.json(), samples)
        except httpx.HTTPStatusError as error:
            raise NoProxyError(f"answers {error.response.status_code}; is it a ccproxy?") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            why = str(error) or type(error).__name__
            start = "; `ccproxy serve` starts one" if is_this_machine(self.base_url) else ""
            raise NoProxyError(f"no proxy answers: {why}{start}") from None
        except ValueError:
            raise NoProxyError("what it answers is not a ccproxy's") from None

    def _answer(self, client: httpx.Client, path: str) -> httpx.Response:
        answer = client.get(path)
        if answer.status_code == 401 and not self.token:
            raise NoProxyError(
                f"wants a token with the scope ops: set $CCPROXY_TOKEN; {_MAKES_ONE}"
            )
        if answer.status_code == 401:
            raise NoProxyError(
                f"the token from {self.token_from} is not one of its own, or has expired; "
                "`ccproxy token list` on its machine shows those there are"
            )
        if answer.status_code == 403:
            raise NoProxyError(
                f"the token from {self.token_from} does not have the scope ops; {_MAKES_ONE}"
            )
        return answer.raise_for_status()


def token_place(token: str | None, environ: Mapping[str, str], variables: Sequence[str]) -> str:
    """Return where the token in use was given: `--token`, else the first variable that is set."""
    if token is not None:
        return "--token"
    return next((f"${name}" for name in variables if environ.get(name)), "--token")


def without_agent(url: str) -> str:
    """Return a proxy's own address, also where a client's base URL names an agent."""
    return re.sub(r"/agents/[^/]+/?$", "", url)


def is_address(url: str) -> bool:
    """Return whether a proxy could be asked at this URL."""
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, half an IPv6 address
        return False


def is_this_machine(url: str) -> bool:
    """Return whether a URL surely leads to this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
