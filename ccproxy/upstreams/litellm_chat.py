"""Every other provider of LiteLLM (`openai/…`, `bedrock/…`): its chunks as typed deltas.

Ollama has its own way in `litellm_ollama`. Here LiteLLM's stream is read as it is, so its limits
hold: token counts are the provider's only where it sends them, and a stream that ends without a
finish reason cannot always be told from a good end. Thinking of a history is not sent back, since
the shape of it differs between providers.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import litellm
import orjson

from ccproxy.ports import ModelDelta, ModelDone, ToolCall
from ccproxy.upstreams.litellm_failures import answered_with_error, failed
from ccproxy.upstreams.litellm_records import MAX_ANSWER_BYTES, tool_arguments
from routing.failures import FailureClass

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from ccproxy.ports import AttemptFailed, ModelCall
    from ccproxy.upstreams.litellm import Target

_THINKS: Final = "medium"
"""Effort asked for where the client wants thinking and names no effort."""


@dataclass(slots=True)
class _OpenCall:
    """A tool call whose arguments are still arriving."""

    id: str | None
    name: str
    arguments: str = ""


class _Reader:
    """Collects what may come in pieces: tool calls, the finish reason and the usage."""

    def __init__(self) -> None:
        self._calls: list[_OpenCall] = []
        self._by_index: dict[int, _OpenCall] = {}
        self._reason: str | None = None
        self._input_tokens: int | None = None
        self._output_tokens: int | None = None
        self._said_chars = 0

    def feed(self, chunk: Any) -> ModelDelta | None:  # noqa: ANN401 - LiteLLM's objects
        """Return the words of a chunk, if any, and keep the rest.

        Raises:
            AttemptFailed: MALFORMED_OUTPUT for an answer without end.
        """
        if (usage := getattr(chunk, "usage", None)) is not None:
            self._input_tokens = usage.prompt_tokens
            self._output_tokens = usage.completion_tokens
        if not chunk.choices:
            return None
        choice = chunk.choices[0]
        self._reason = choice.finish_reason or self._reason
        for piece in choice.delta.tool_calls or ():
            self._add_piece(piece)
        thinking = getattr(choice.delta, "reasoning_content", None) or ""
        text = choice.delta.content or ""
        self._count(len(thinking) + len(text))
        return ModelDelta(thinking, text) if thinking or text else None

    def _add_piece(self, piece: Any) -> None:  # noqa: ANN401 - LiteLLM's objects
        call = self._by_index.get(piece.index)
        # Some providers count every call as 0: a new id under a known index is a new call.
        if call is None or (piece.id and call.id and piece.id != call.id):
            call = _OpenCall(piece.id, piece.function.name or "")
            self._by_index[piece.index] = call
            self._calls.append(call)
        more = piece.function.arguments or ""
        self._count(len(more))
        call.arguments += more

    def _count(self, chars: int) -> None:
        self._said_chars += chars
        if self._said_chars > MAX_ANSWER_BYTES:
            raise failed(FailureClass.MALFORMED_OUTPUT, f"more than {MAX_ANSWER_BYTES} characters")

    def calls(self) -> tuple[ToolCall, ...]:
        """Return all calls, complete.

        Raises:
            AttemptFailed: MALFORMED_OUTPUT where arguments are not an object.
        """
        return tuple(
            ToolCall(call.id, call.name, tool_arguments(call.arguments)) for call in self._calls
        )

    def done(self) -> ModelDone:
        """Return the end, or fail where the provider gave none.

        Raises:
            AttemptFailed: BROKEN_STREAM.
        """
        if self._reason is None:
            raise failed(FailureClass.BROKEN_STREAM, "no finish reason")
        reason = "length" if self._reason == "length" else "stop"
        return ModelDone(reason, self._input_tokens, self._output_tokens)


class ChatUpstream:
    """One model of a provider that LiteLLM knows, as a `ports.ModelUpstream`."""

    def __init__(self, target: Target) -> None:
        """Connect nowhere yet."""
        self._target = target

    async def stream(self, call: ModelCall) -> AsyncGenerator[ModelDelta | ModelDone]:
        """See `ports.ModelUpstream.stream`."""
        chunks = await self._send(call)
        reader = _Reader()
        limit_s = self._target.first_byte_timeout_s
        silence = FailureClass.TIMEOUT_FIRST_BYTE
        try:
            while (chunk := await self._next(chunks, limit_s, silence)) is not None:
                limit_s = self._target.timeout_s
                silence = FailureClass.TIMEOUT_BETWEEN_BYTES
                if (delta := reader.feed(chunk)) is not None:
                    yield delta
            if calls := reader.calls():
                yield ModelDelta(tool_calls=calls)
            yield reader.done()
        finally:
            await chunks.aclose()

    async def aclose(self) -> None:
        """Do nothing: LiteLLM keeps the clients of these providers itself."""

    async def _send(self, call: ModelCall) -> Any:  # noqa: ANN401 - LiteLLM's objects
        target = self._target
        try:
            async with asyncio.timeout(target.first_byte_timeout_s):
                return await litellm.acompletion(
                    model=target.model,
                    api_base=target.api_base,
                    api_key=target.api_key,
                    stream=True,
                    stream_options={"include_usage": True},
                    num_retries=0,
                    max_retries=0,
                    **_parameters(call),
                )
        except TimeoutError as error:
            raise failed(FailureClass.TIMEOUT_FIRST_BYTE) from error
        except Exception as error:
            raise self._failure(error) from error

    async def _next(
        self,
        chunks: Any,  # noqa: ANN401 - LiteLLM's objects
        limit_s: float | None,
        silence: FailureClass,
    ) -> Any:  # noqa: ANN401 - as above
        """Return the next chunk, or None at the end."""
        try:
            async with asyncio.timeout(limit_s):
                return await anext(chunks, None)
        except TimeoutError as error:
            raise failed(silence) from error
        except Exception as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> AttemptFailed:
        """Return what one of LiteLLM's exceptions means; its words stay in the log."""
        if isinstance(error, litellm.exceptions.Timeout):
            return failed(FailureClass.TIMEOUT_FIRST_BYTE, error)
        if _never_connected(error):
            return failed(FailureClass.CONNECT_ERROR, error)
        status = getattr(error, "status_code", None)
        if not isinstance(status, int):
            return failed(FailureClass.PROXY_ERROR, repr(error))
        return answered_with_error(
            status,
            orjson.dumps({"error": str(error)}),
            name=self._target.name,
            context_tokens=self._target.num_ctx,
        )


def _never_connected(error: BaseException | None) -> bool:
    """Return whether a refused connection began this; LiteLLM calls it a 500 by some providers."""
    while error is not None:
        if isinstance(error, aiohttp.ClientConnectorError | litellm.exceptions.APIConnectionError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _parameters(call: ModelCall) -> dict[str, Any]:
    """Return the arguments of `acompletion` that the request decides; what is None is left out."""
    effort = _THINKS if call.think is True else call.think
    parameters: dict[str, Any] = {
        "messages": [_message(message) for message in call.messages],
        "tools": list(call.tools) or None,
        "max_tokens": call.max_output_tokens,
        "temperature": call.temperature,
        "top_p": call.top_p,
        "reasoning_effort": effort or None,
        "response_format": _response_format(call.response_schema),
    }
    return {name: value for name, value in parameters.items() if value is not None}


def _response_format(schema: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if schema is None:
        return None
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return one message in OpenAI's own shape."""
    shape = {key: message[key] for key in ("role", "content", "tool_call_id") if key in message}
    if message.get("tool_calls"):
        shape["tool_calls"] = [
            {
                **call,
                "function": {
                    "name": call["function"]["name"],
                    "arguments": orjson.dumps(call["function"]["arguments"]).decode(),
                },
            }
            for call in message["tool_calls"]
        ]
    return shape
