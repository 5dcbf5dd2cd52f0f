"""Alerts as an HTTP POST: our own JSON, or the `{"text"}` that Slack and its like take.

The URL is a credential: no message, log line or error has more of it than its host. Redirects are
not followed, proxies of the environment are not used, certificates are verified.
"""

from __future__ import annotations

import asyncio
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import aiohttp
import orjson

from ccproxy.alerts.channel import NotDelivered

if TYPE_CHECKING:
    from ccproxy.alerts.message import Message

_WORD: Final = re.compile(rb"[a-z_]{1,60}")
"""How Slack names an error, e.g. `no_service`; nothing else of an answer's body is shown."""
_READ_BYTES: Final = 1024
_WORTH_A_RETRY: Final = frozenset({408, 425, 429})


class WebhookFormat(StrEnum):
    """What is posted."""

    JSON = "json"
    SLACK = "slack"


class Webhook:
    """Implements `Channel`; a connection for each message, since there are few."""

    def __init__(self, name: str, url: str, form: WebhookFormat, timeout_s: float) -> None:
        """`timeout_s` is for the whole of one delivery."""
        self.name = name
        self._url = url
        self._host = urlsplit(url).hostname or ""
        self._form = form
        self._timeout_s = timeout_s

    async def send(self, message: Message) -> None:
        """Post a message; see `Channel`."""
        is_slack = self._form is WebhookFormat.SLACK
        body = orjson.dumps(message.as_slack() if is_slack else message.as_json())
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._post(body)
        except TimeoutError:
            raise NotDelivered(f"{self._host} did not answer in {self._timeout_s:g} s") from None
        except aiohttp.InvalidURL:
            raise NotDelivered("its url cannot be used", is_final=True) from None
        except (aiohttp.ClientError, OSError) as error:
            # The error's own text may hold the URL; its cause would show in a traceback.
            raise NotDelivered(f"no answer from {self._host}: {_reason(error)}") from None

    async def _post(self, body: bytes) -> None:
        headers = {"content-type": "application/json", "user-agent": "ccproxy"}
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.post(self._url, data=body, headers=headers, allow_redirects=False) as reply,
        ):
            if reply.status < 300:
                return
            said = await reply.content.read(_READ_BYTES)
            raise NotDelivered(
                f"{self._host} answered {reply.status}{_word(said)}",
                is_final=reply.status < 500 and reply.status not in _WORTH_A_RETRY,
                retry_after_s=_seconds(reply.headers.get("retry-after", "")),
            )


def _word(said: bytes) -> str:
    found = _WORD.fullmatch(said.strip())
    return f" ({found[0].decode()})" if found else ""


def _seconds(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() else None


def _reason(error: Exception) -> str:
    cause = getattr(error, "os_error", error)
    words = getattr(cause, "strerror", None)
    return words or type(error).__name__
