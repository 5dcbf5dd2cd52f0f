"""Sends one request as agents do, with the anthropic SDK, and measures its answer.

Times are those at which the SDK hands events on. Nothing is retried; whatever happens becomes the
outcome of the sample.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import anthropic

from ccproxy.bench.samples import NO_CONNECTION, OK
from ccproxy.outcome import Usage
from ccproxy.pipeline.billing import bill_of, token_counts
from routing.pricing import bill_microusd
from routing.types import Side

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ccproxy.bench.routes import Route
    from ccproxy.bench.samples import Sample
    from routing.pricing import PriceList

_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_CONTENT: Final = "content_block_delta"
_HEADERS: Final = {
    "deployment": "x-ccproxy-deployment",
    "side": "x-ccproxy-route",
    "attempts": "x-ccproxy-attempts",
    "notes": "x-ccproxy-notes",
}
_COUNTS: Final = (
    "input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens",
)  # fmt: skip
_ERROR_CHARS: Final = 200
_NEVER_CONNECTED: Final = ("ConnectError", "ConnectTimeout")
"""Errors of the SDK's transport, by name: which package it is depends on the SDK's version."""


@dataclass(slots=True)
class _Reading:
    """What an answer has said so far."""

    usage: dict[str, Any]
    first_at: float | None = None
    last_at: float | None = None
    pieces: int = 0
    is_whole: bool = False


class BenchClient:
    """Asks routes; close it in the end."""

    def __init__(self, prices: PriceList, timeout_s: float) -> None:
        """Take what costs are reckoned by, and how long one answer may take."""
        self._prices = prices
        self._timeout_s = timeout_s
        self._clients: dict[tuple[str, str], anthropic.AsyncAnthropic] = {}

    async def aclose(self) -> None:
        """Close every connection."""
        for client in self._clients.values():
            await client.close()

    async def ask(
        self, route: Route, body: Mapping[str, Any], sample: Sample, *, stream: bool
    ) -> None:
        """Send a request and fill in the sample; raises only what cancels."""
        reading = _Reading({})
        began = perf_counter()
        try:
            async with asyncio.timeout(self._timeout_s):
                if stream:
                    await self._stream(route, body, sample, reading)
                else:
                    await self._whole(route, body, sample, reading)
            sample.outcome = OK if reading.is_whole else "cut"
        except asyncio.CancelledError:
            sample.outcome = "interrupted"
            raise
        except Exception as error:  # noqa: BLE001 - whatever happens is an outcome
            sample.outcome = _outcome(error, reading)
            sample.error = f"{type(error).__name__}: {error}"[:_ERROR_CHARS]
            self._read_headers(sample, getattr(error, "response", None))
        finally:
            _take_times(sample, reading, began, perf_counter())
            self._take_usage(route, sample, reading)

    async def _stream(
        self, route: Route, body: Mapping[str, Any], sample: Sample, reading: _Reading
    ) -> None:
        stream = await self._client(route).messages.create(
            model=route.model, stream=True, extra_headers=_sent_headers(route), **body
        )
        self._read_headers(sample, stream.response)
        async with stream:
            async for event in stream:
                if event.type == _CONTENT:
                    reading.last_at = perf_counter()
                    reading.first_at = reading.first_at or reading.last_at
                    reading.pieces += 1
                elif event.type == "message_start":
                    sample.response_model = event.message.model
                    reading.usage |= event.message.usage.model_dump()
                elif event.type == "message_delta":
                    sample.stop_reason = event.delta.stop_reason
                    said = event.usage.model_dump(exclude_none=True)
                    reading.usage |= said
                elif event.type == "message_stop":
                    reading.is_whole = True

    async def _whole(
        self, route: Route, body: Mapping[str, Any], sample: Sample, reading: _Reading
    ) -> None:
        raw = await self._client(route).messages.with_raw_response.create(
            model=route.model, extra_headers=_sent_headers(route), **body
        )
        self._read_headers(sample, raw.http_response)
        message = await raw.parse()
        sample.response_model, sample.stop_reason = message.model, message.stop_reason
        reading.usage |= message.usage.model_dump()
        reading.is_whole = True

    def _client(self, route: Route) -> anthropic.AsyncAnthropic:
        key = (route.base_url, route.token)
        if key not in self._clients:
            own_host = urlsplit(route.base_url).hostname in _LOOPBACK
            self._clients[key] = anthropic.AsyncAnthropic(
                base_url=route.base_url,
                api_key=route.token,
                max_retries=0,
                timeout=self._timeout_s,
                # A proxy of the environment is not on the way to this machine.
                http_client=anthropic.DefaultAsyncHttpxClient(trust_env=not own_host),
            )
        return self._clients[key]

    def _read_headers(self, sample: Sample, response: Any) -> None:  # noqa: ANN401 - the SDK's
        if response is None:
            return
        sample.status = response.status_code
        for name, header in _HEADERS.items():
            setattr(sample, name, response.headers.get(header))

    def _take_usage(self, route: Route, sample: Sample, reading: _Reading) -> None:
        if reading.usage:
            usage = _usage(reading.usage, sample.response_model)
            tokens = token_counts(usage)
            sample.input_tokens = tokens.input_tokens
            sample.output_tokens = tokens.output_tokens
            sample.cache_write_5m_tokens = tokens.cache_write_5m_tokens
            sample.cache_write_1h_tokens = tokens.cache_write_1h_tokens
            sample.cache_read_tokens = tokens.cache_read_tokens
            sample.cost_microusd = self._cost_microusd(route, sample, usage)
        elif sample.outcome == NO_CONNECTION or (sample.status or 0) >= 400:
            sample.cost_microusd = 0  # an error answer is not billed
        if sample.is_ok and sample.output_tokens:
            _take_speeds(sample, reading)

    def _cost_microusd(self, route: Route, sample: Sample, usage: Usage) -> int | None:
        """Return what an answer cost, as the ledger reckons it; None where that is not known."""
        if route.free or sample.side == Side.LOCAL:
            return 0
        price, bill = self._prices.find(sample.response_model or route.model), bill_of(usage)
        if price is None or bill is None:
            return None
        return bill_microusd(bill, price, self._prices.fees_microusd)


def _sent_headers(route: Route) -> dict[str, str]:
    return {"x-ccproxy-agent": route.agent} if route.agent else {}


def _usage(said: Mapping[str, Any], response_model: str | None) -> Usage:
    """Return an answer's `usage` as the proxy reads it."""
    known = {name: value for name, value in said.items() if value is not None}
    counts = {name: known.pop(name, None) for name in _COUNTS}
    return Usage(**counts, response_model=response_model, extra=known)


def _outcome(error: Exception, reading: _Reading) -> str:
    if isinstance(error, TimeoutError | anthropic.APITimeoutError):
        return "timeout"
    if isinstance(error, anthropic.APIStatusError):
        # Inside of a stream the status is that of its beginning.
        return f"http_{error.status_code}" if error.status_code >= 400 else "error_event"
    if reading.usage or reading.pieces:
        return "cut"
    if type(error.__cause__).__name__ in _NEVER_CONNECTED:
        return NO_CONNECTION
    if isinstance(error, anthropic.APIConnectionError | OSError):
        return "connection"
    return "client"


def _take_times(sample: Sample, reading: _Reading, began: float, ended: float) -> None:
    sample.total_s = ended - began
    if reading.first_at is not None:
        sample.ttft_s = reading.first_at - began


def _take_speeds(sample: Sample, reading: _Reading) -> None:
    tokens = sample.output_tokens or 0
    first, last = reading.first_at, reading.last_at
    if first is None or last is None or sample.total_s is None or sample.ttft_s is None:
        return
    if tokens > 1 and reading.pieces > 1:
        sample.inter_token_s = (last - first) / (tokens - 1)
    if sample.total_s > sample.ttft_s:
        sample.tokens_per_s = tokens / (sample.total_s - sample.ttft_s)
