"""Fetching models: `/api/pull` and `/api/create` of one Ollama, with their progress.

Ollama keeps the pieces of an unfinished download, so that the next pull of the same model goes on
where this one broke off. Never part of serving: only people pull (conformance 241).

Source: Ollama docs/api.md and api/types.go (`PullRequest`, `CreateRequest`, `ProgressResponse`),
v0.33.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import httpx
import ollama

from ccproxy.upstreams.ollama_odd import IS_ODD, ODD_ANSWER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Mapping

CONNECT_S: Final = 10.0
SILENCE_S: Final = 600.0
"""The longest without a word: Ollama says nothing while it checks what it fetched."""
TRIES: Final = 5
"""How often a download that broke off is taken up again."""
PAUSE_S: Final = 1.0
"""Before the first of them, then twice as long each time."""


class PullFailed(Exception):
    """A model that could not be fetched or made; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One piece of news of a download."""

    status: str
    """In Ollama's words, e.g. `pulling 6a7f3c1d2e4b` or `verifying sha256 digest`."""
    digest: str | None = None
    """Of the piece that is fetched, if it is one."""
    done_bytes: int = 0
    total_bytes: int = 0
    retry: int = 0
    """Which time it is taken up again; 0 while it never broke off."""


class OllamaPuller:
    """Fetches models into one Ollama."""

    def __init__(self, api_base: str, *, pause_s: float = PAUSE_S) -> None:
        """`api_base` is a URL like `http://127.0.0.1:11434`."""
        self.api_base = api_base.rstrip("/")
        self._pause_s = pause_s
        self._client = ollama.AsyncClient(
            host=self.api_base,
            timeout=httpx.Timeout(SILENCE_S, connect=CONNECT_S),
            trust_env=False,
            follow_redirects=False,
        )
        self._http: httpx.AsyncClient = self._client._client  # noqa: SLF001 - see upstreams.ollama
        self._http.headers.pop("authorization", None)

    async def pull(self, model: str) -> AsyncIterator[Progress]:
        """Fetch a model; what was broken off before goes on, and so does what breaks off now.

        Raises:
            PullFailed: The registry does not have it, it broke off too often, or what answers is
                no Ollama.
        """
        pause_s = self._pause_s
        for retry in range(TRIES + 1):
            try:
                async for part in self._parts(self._client.pull(model, stream=True), retry):
                    yield part
            except (httpx.TransportError, _Unfinished) as error:
                if retry == TRIES:
                    raise PullFailed(
                        f"{model}: broke off {TRIES + 1} times, last with {_name(error)}. Run the "
                        "same command again: what was fetched is kept"
                    ) from error
                yield Progress(f"broke off ({_name(error)}), going on", retry=retry + 1)
                await asyncio.sleep(pause_s)
                pause_s *= 2
            except ollama.ResponseError as error:
                raise PullFailed(_told(model, error)) from error
            except _Odd as error:
                raise PullFailed(f"{model}: {IS_ODD}") from error
            else:
                return

    async def create(
        self, model: str, base: str, parameters: Mapping[str, int | float | str]
    ) -> AsyncIterator[Progress]:
        """Make a model of another one that is there; takes seconds and little room.

        Raises:
            PullFailed: Ollama refuses, does not answer, or is none.
        """
        stream = self._client.create(model, from_=base, parameters=dict(parameters), stream=True)
        try:
            async for part in self._parts(stream, 0):
                yield part
        except (httpx.TransportError, _Unfinished) as error:
            raise PullFailed(f"{model}: Ollama broke off with {_name(error)}") from error
        except ollama.ResponseError as error:
            raise PullFailed(_told(model, error)) from error
        except _Odd as error:
            raise PullFailed(f"{model}: {IS_ODD}") from error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _parts(
        self,
        stream: Awaitable[ollama.ProgressResponse | AsyncIterator[ollama.ProgressResponse]],
        retry: int,
    ) -> AsyncIterator[Progress]:
        status: str | None = None
        try:
            parts = await stream
            if not isinstance(parts, ollama.ProgressResponse):
                async for part in parts:
                    status = part.status or ""
                    done, total = part.completed or 0, part.total or 0
                    yield Progress(status, part.digest or None, done, total, retry)
        except ODD_ANSWER as error:
            raise _Odd from error
        if status != "success":
            raise _Unfinished


class _Unfinished(Exception):
    """An answer that ended before it was done."""

    def __str__(self) -> str:
        return "an end before its time"


class _Odd(Exception):
    """An answer that Ollama does not give."""


def _name(error: Exception) -> str:
    return str(error) if isinstance(error, _Unfinished) else type(error).__name__


def _told(model: str, error: ollama.ResponseError) -> str:
    message = str(error.error)
    if "file does not exist" in message or "not found" in message:
        return (
            f"{model}: the registry does not have it. Write a recipe for it into modelfiles/ "
            "(docs/models.md), or correct the name in ccproxy.yaml"
        )
    return f"{model}: {message}"
