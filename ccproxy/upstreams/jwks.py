"""Fetches a JWK set from the issuer of tokens, or from a file."""

# ruff: noqa: PLC0415 -- httpx costs 0.1 s, which only those pay who use it

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ccproxy.auth.jwks import FetchFailedError
from ccproxy.auth.jwt_keys import LONGEST_SET_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    from httpx import AsyncClient

TIMEOUT_S: Final = 10.0
"""For the whole of one fetch, however slowly the bytes come."""

_HEADERS: Final = {"accept": "application/json", "accept-encoding": "identity"}
"""Nothing is decoded, so that a limit on the bytes is one on the memory."""


@dataclass(frozen=True, slots=True)
class JwksUrl:
    """A set at an address; redirects are not followed, proxies of the environment are not used."""

    url: str
    """https, or http at a loopback address."""

    async def fetch(self) -> bytes:
        """Return the set's bytes.

        Raises:
            FetchFailedError: No answer in time, another status than 200, or too many bytes.
        """
        client = await asyncio.to_thread(_client)
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                client,
                client.stream("GET", self.url, headers=_HEADERS) as answer,
            ):
                if answer.status_code != 200:
                    raise FetchFailedError(f"{self.url} answered {answer.status_code}")
                content = bytearray()
                async for chunk in answer.aiter_raw():
                    content += chunk
                    if len(content) > LONGEST_SET_BYTES:
                        raise FetchFailedError(f"{self.url}: more than {LONGEST_SET_BYTES} bytes")
                return bytes(content)
        except TimeoutError:
            raise FetchFailedError(f"{self.url} did not answer in {TIMEOUT_S:g} s") from None
        except FetchFailedError:
            raise
        except Exception as error:  # noqa: BLE001 - httpx's own have no common base
            is_tls = "CERTIFICATE" in str(error).upper()
            why = str(error) if is_tls else type(error).__name__
            raise FetchFailedError(f"{self.url}: {why}") from None


def _client() -> AsyncClient:
    """Return a client that trusts whom this machine trusts, and `SSL_CERT_FILE`, as Claude's does.

    To read all the certificates takes too long for the event loop.
    """
    import ssl

    import httpx

    return httpx.AsyncClient(
        follow_redirects=False,
        trust_env=False,
        timeout=TIMEOUT_S,
        verify=ssl.create_default_context(),
    )


@dataclass(frozen=True, slots=True)
class JwksFile:
    """A set in a file, which may change."""

    path: Path

    async def fetch(self) -> bytes:
        """Return the set's bytes.

        Raises:
            FetchFailedError: It cannot be read.
        """
        try:
            return await asyncio.to_thread(self._read)
        except OSError as error:
            raise FetchFailedError(f"{self.path}: {error.strerror or error}") from None

    def _read(self) -> bytes:
        with self.path.open("rb") as file:
            return file.read(LONGEST_SET_BYTES + 1)
