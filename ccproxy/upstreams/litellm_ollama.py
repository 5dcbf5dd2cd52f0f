"""Ollama through LiteLLM: what its translation drops is put back, what it invents is not read.

`litellm.acompletion("ollama_chat/…", stream=True)` translates the request and sends it with
LiteLLM's HTTP handler. `PinnedOllamaChatConfig` overrides the two methods of its Ollama provider
that LiteLLM offers for it:
1. `transform_request`: adds `tool_name`, tool call ids, thinking and images to the messages.
2. `get_async_custom_stream_wrapper`: hands Ollama's own records over instead of LiteLLM's chunks
   (see `litellm_records` for why), and does not raise, so that LiteLLM wraps no error.

What arrives on the wire is pinned by tests to the version of LiteLLM.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import httpx
import litellm
import orjson
from litellm.llms.custom_httpx.aiohttp_transport import LiteLLMAiohttpTransport
from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler
from litellm.llms.ollama.chat.transformation import OllamaChatConfig

from ccproxy.upstreams.litellm_failures import answered_with_error, failed
from ccproxy.upstreams.litellm_records import RecordReader
from routing.failures import FailureClass

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence

    from ccproxy.ports import AttemptFailed, ModelCall, ModelDelta, ModelDone
    from ccproxy.upstreams.litellm import Target

OLLAMA_PREFIX: Final = "ollama_chat/"
_CONNECT_TIMEOUT_S: Final = 10.0
_ERROR_BODY_BYTES: Final = 64 * 1024
_ERROR_BODY_TIMEOUT_S: Final = 5.0
_HEADERS: Final = {
    "accept": "application/x-ndjson",
    "accept-encoding": "identity",
    "connection": "close",
    "content-type": "application/json",
    "user-agent": "ccproxy",
}
_BROKEN: Final = (httpx.TransportError, httpx.StreamError, aiohttp.ClientError, OSError)


class OllamaAnswer:
    """What came of sending one request: an open response, or the failure it ended in."""

    def __init__(
        self, response: httpx.Response | None = None, failure: AttemptFailed | None = None
    ) -> None:
        """Take either."""
        self._response = response
        self._failure = failure

    @property
    def response(self) -> httpx.Response:
        """Return the open response.

        Raises:
            AttemptFailed: There is none.
        """
        if self._response is None:
            raise self._failure or failed(FailureClass.PROXY_ERROR)
        return self._response


class PinnedOllamaChatConfig(OllamaChatConfig):
    """LiteLLM's Ollama provider, with the losses of its translation made good."""

    @property
    def has_custom_stream_wrapper(self) -> bool:
        """Tell LiteLLM to leave the stream to `get_async_custom_stream_wrapper`."""
        return True

    def transform_request(
        self,
        model: str,
        messages: list[Any],
        optional_params: dict[str, Any],
        litellm_params: dict[str, Any],
        headers: dict[str, Any],
    ) -> dict[str, Any]:
        """Return the body of `POST /api/chat`."""
        body: dict[str, Any] = super().transform_request(
            model, messages, optional_params, litellm_params, headers
        )
        for sent, given in zip(body["messages"], messages, strict=True):
            _restore(sent, given)
        return body

    async def get_async_custom_stream_wrapper(  # type: ignore[override]
        self,
        *,
        api_base: str,
        data: dict[str, Any],
        client: AsyncHTTPHandler,
        litellm_params: Mapping[str, object],
        **_: object,
    ) -> OllamaAnswer:
        """Send the request and return as soon as status and headers are there; never raise."""
        headers = dict(_HEADERS)
        if api_key := litellm_params.get("api_key"):
            headers["authorization"] = f"Bearer {api_key}"
        try:
            # The handler's `post` would send a request a second time when a connection breaks.
            http = client.client
            timeout = httpx.Timeout(None, connect=_CONNECT_TIMEOUT_S)
            request = http.build_request(
                "POST", api_base, headers=headers, content=orjson.dumps(data), timeout=timeout
            )
            return OllamaAnswer(await http.send(request, stream=True))
        except (*_BROKEN, httpx.InvalidURL) as error:
            return OllamaAnswer(failure=_not_answered(error))


def _not_answered(error: Exception) -> AttemptFailed:
    """Return what it means that no status came back.

    LiteLLM's transport calls a reset of an open connection a connect error too; the cause decides.
    """
    never_connected = isinstance(error.__cause__, aiohttp.ClientConnectorError)
    if never_connected or isinstance(error, httpx.ConnectTimeout | httpx.InvalidURL):
        return failed(FailureClass.CONNECT_ERROR, repr(error))
    return failed(FailureClass.BROKEN_STREAM, repr(error))


def _restore(sent: dict[str, Any], given: Mapping[str, Any]) -> None:
    """Put back into a message what LiteLLM's translation left out of it."""
    if not sent.get("images"):
        sent.pop("images", None)
    for key in ("thinking", "images", "tool_name"):
        if given.get(key):
            sent[key] = given[key]
    calls = given.get("tool_calls") or ()
    if calls:
        sent["tool_calls"] = [
            {"id": call["id"], **sent_call}
            for call, sent_call in zip(calls, sent["tool_calls"], strict=True)
        ]


class OllamaUpstream:
    """One model of one Ollama as a `ports.ModelUpstream`."""

    def __init__(self, target: Target) -> None:
        """Connect nowhere yet."""
        self._target = target
        self._client = AsyncHTTPHandler(
            transport=LiteLLMAiohttpTransport(client=_new_session), follow_redirects=False
        )
        self._options = _options(target)

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelDelta | ModelDone]:
        """See `ports.ModelUpstream.stream`."""
        target = self._target
        response = await self._send(call)
        try:
            if response.status_code != httpx.codes.OK:
                raise await self._refusal(response)
            reader = RecordReader(name=target.name, context_tokens=target.num_ctx)
            async for chunk in self._chunks(response):
                for event in reader.feed(chunk):
                    yield event
                if reader.done:
                    return
            for event in reader.finish():
                yield event
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        """Close the HTTP client."""
        await self._client.close()  # type: ignore[no-untyped-call]

    async def _send(self, call: ModelCall) -> httpx.Response:
        """Return the response as soon as it has begun."""
        try:
            async with asyncio.timeout(self._target.first_byte_timeout_s):
                answer: OllamaAnswer = await litellm.acompletion(
                    messages=_messages(call.messages),
                    stream=True,
                    client=self._client,
                    **self._options,
                    **_parameters(call, self._target.model),
                )
        except TimeoutError as error:
            raise failed(FailureClass.TIMEOUT_FIRST_BYTE) from error
        except Exception as error:
            # Sending does not raise (see above), so LiteLLM refused to translate.
            raise failed(FailureClass.PROXY_ERROR, repr(error)) from error
        return answer.response

    async def _chunks(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, never waiting longer than the deployment allows."""
        chunks = response.aiter_raw()
        limit_s = self._target.first_byte_timeout_s
        silence = FailureClass.TIMEOUT_FIRST_BYTE
        try:
            while True:
                async with asyncio.timeout(limit_s):
                    chunk = await anext(chunks, b"")
                if not chunk:
                    return
                yield chunk
                limit_s = self._target.timeout_s
                silence = FailureClass.TIMEOUT_BETWEEN_BYTES
        except TimeoutError as error:
            raise failed(silence) from error
        except _BROKEN as error:
            raise failed(FailureClass.BROKEN_STREAM, repr(error)) from error

    async def _refusal(self, response: httpx.Response) -> AttemptFailed:
        """Return what an answer other than 200 means, reading as much of it as is needed."""
        body = b""
        try:
            async with asyncio.timeout(_ERROR_BODY_TIMEOUT_S):
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > _ERROR_BODY_BYTES:
                        break
        except (TimeoutError, *_BROKEN):
            pass  # the status alone has to do
        return answered_with_error(
            response.status_code,
            body,
            name=self._target.name,
            context_tokens=self._target.num_ctx,
            retry_after=response.headers.get("retry-after"),
        )


def _new_session() -> aiohttp.ClientSession:
    """Return a session that reuses no connection and keeps no cookie.

    A kept connection may have died with an Ollama that was restarted, and a request that has been
    sent must not be sent again; a new one costs 0.2 ms on loopback.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )


def _options(target: Target) -> dict[str, Any]:
    """Return the arguments of `acompletion` that are the same for every request."""
    options: dict[str, Any] = {
        "model": target.model,
        "api_base": target.api_base.rstrip("/") if target.api_base else None,
        "api_key": target.api_key,
        "num_ctx": target.num_ctx,
        "keep_alive": target.keep_alive,
        "num_retries": 0,
        "max_retries": 0,
        # Overflow is an error, never a silent cut (conformance 199).
        "extra_body": {"truncate": False, "shift": False},
    }
    return {name: value for name, value in options.items() if value is not None}


def _parameters(call: ModelCall, model: str) -> dict[str, Any]:
    """Return the arguments of `acompletion` that the request decides; what is None is left out."""
    think = call.think
    if isinstance(think, str) and not model.removeprefix(OLLAMA_PREFIX).startswith("gpt-oss"):
        think = True  # only gpt-oss knows levels (conformance 195)
    parameters: dict[str, Any] = {
        "max_tokens": call.max_output_tokens,
        "temperature": call.temperature,
        "top_p": call.top_p,
        "top_k": call.top_k,
        "tools": list(call.tools) or None,
        "think": think,
        "format": call.response_schema,
    }
    return {name: value for name, value in parameters.items() if value is not None}


def _messages(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages with tool arguments as JSON text, the form LiteLLM reads."""
    return [_with_text_arguments(message) for message in messages]


def _with_text_arguments(message: Mapping[str, Any]) -> dict[str, Any]:
    if not message.get("tool_calls"):
        return dict(message)
    calls = [
        {
            **call,
            "function": {**call["function"], "arguments": _text(call["function"]["arguments"])},
        }
        for call in message["tool_calls"]
    ]
    return {**message, "tool_calls": calls}


def _text(arguments: Mapping[str, Any]) -> str:
    return orjson.dumps(arguments).decode()
