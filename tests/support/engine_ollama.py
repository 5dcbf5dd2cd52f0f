"""A real engine behind Ollama's API: llama.cpp generates, this translates and loads.

It stands where an Ollama would, so that a proxy's own path to `ollama_chat/` runs unchanged against
tokens that are really computed. A model is loaded (a process started) by the first request that
needs it, loaded again by one with other runner options, and unloaded when asked. Requests are read
by the simulated Ollama's strict reader; counts and durations are llama.cpp's.

What Ollama does besides, in short: with `truncate` it drops the oldest messages of a prompt that is
too long; without, it answers 400, in one of two wordings (`native_chat`).
"""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson

from ccproxy.demo.asgi_server import running
from ccproxy.demo.ollama_faults import OVERFLOW_MESSAGE
from ccproxy.demo.ollama_listing import show, tag
from ccproxy.demo.ollama_models import SimModel, normalised
from ccproxy.demo.ollama_requests import OllamaError, parse_call, runner_options
from ccproxy.demo.ollama_wire import JSON, NDJSON, Exchange, SimRequest
from tests.support.llamacpp_server import start_llama_server
from tests.support.tiny_model import TRAINED_TOKENS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping
    from pathlib import Path

    import httpx

    from ccproxy.demo.ollama_requests import GenerationCall, RunnerOptions
    from tests.support.llamacpp_server import LlamaServer

VERSION: Final = "0.33.0"
THINKER: Final = "tiny-thinker:latest"
PLAIN: Final = "tiny-plain:latest"
_DEFAULT_NUM_CTX: Final = 4096
_WEIGHTS_GIB: Final = 0.0003
_NS_PER_MS: Final = 1_000_000


def engine_models() -> tuple[SimModel, ...]:
    """Return the two models there are: the same weights, with and without thinking."""
    abilities = ("completion", "tools")
    return tuple(
        SimModel(name, _WEIGHTS_GIB, 0.5, TRAINED_TOKENS, found, parameter_size="68K")
        for name, found in ((PLAIN, abilities), (THINKER, (*abilities, "thinking")))
    )


@dataclass(slots=True)
class _Loaded:
    """A model in memory."""

    model: SimModel
    options: RunnerOptions
    server: LlamaServer
    expires_at: datetime = field(default_factory=lambda: datetime.now(UTC))


class EngineOllama:
    """Serves one GGUF file under Ollama's API.

    Attributes:
        requests: Everything that was asked, oldest first.
        final_records: The records with `done: true` that were sent, oldest first.
        cached_tokens: Of each answer, how much of its prompt was found in the KV cache.
        loads: Models loaded so far, reloads included.
        native_chat: A prompt that is too long is refused in llama.cpp's words, with numbers.
    """

    def __init__(self, model_file: Path) -> None:
        """Load nothing yet."""
        self._model_file = model_file
        self._models = {normalised(each.name): each for each in engine_models()}
        self._loaded: dict[str, _Loaded] = {}
        self._loading = asyncio.Lock()
        self.requests: list[SimRequest] = []
        self.final_records: list[dict[str, Any]] = []
        self.cached_tokens: list[int] = []
        self.loads = 0
        self.native_chat = False

    @asynccontextmanager
    async def serve(self, port: int = 0) -> AsyncIterator[str]:
        """Serve on loopback while the block runs; gives the base URL."""
        try:
            async with running(self.app, port) as base_url:
                yield base_url
        finally:
            for name in list(self._loaded):
                await self._unload(name)

    def server(self, model: str = PLAIN) -> LlamaServer:
        """Return the engine of a loaded model."""
        return self._loaded[normalised(model)].server

    @property
    def chats(self) -> list[SimRequest]:
        """The requests to `/api/chat`, oldest first."""
        return [request for request in self.requests if request.path == "/api/chat"]

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one ASGI request; a client that leaves cancels the generation."""
        if scope["type"] != "http":
            return
        request = SimRequest(
            len(self.requests) + 1, scope["method"], scope["path"], list(scope["headers"])
        )
        exchange = Exchange(scope, receive, send, request)
        self.requests.append(request)
        request.raw = await exchange.read_body()
        task = asyncio.current_task()
        assert task is not None
        watcher = asyncio.create_task(exchange.watch(task))
        try:
            await self._route(exchange)
        except OllamaError as error:
            await exchange.json(error.status, {"error": error.message})
        except asyncio.CancelledError:
            if not request.disconnected.is_set():
                raise
            task.uncancel()
        finally:
            watcher.cancel()
            request.finished.set()

    async def _route(self, exchange: Exchange) -> None:
        request = exchange.request
        match (request.method, request.path):
            case ("GET", "/api/version"):
                await exchange.json(200, {"version": VERSION})
            case ("GET", "/api/tags"):
                listed = [tag(each, with_capabilities=True) for each in self._models.values()]
                await exchange.json(200, {"models": listed})
            case ("GET", "/api/ps"):
                resident = [_process(each) for each in self._loaded.values()]
                await exchange.json(200, {"models": resident})
            case ("POST", "/api/show"):
                asked = orjson.loads(request.raw)
                await exchange.json(200, show(self._find(str(asked.get("model")))))
            case ("POST", "/api/chat"):
                request.body = orjson.loads(request.raw)
                await self._chat(exchange)
            case _:
                await exchange.reply(404, b"404 page not found", b"text/plain")

    def _find(self, name: str) -> SimModel:
        model = self._models.get(normalised(name))
        if model is None:
            raise OllamaError(404, f"model '{name}' not found")
        return model

    # --- loading ------------------------------------------------------------------------------

    async def _load(self, model: SimModel, call: GenerationCall) -> _Loaded:
        options = runner_options(call, _DEFAULT_NUM_CTX, model.trained_context_tokens)
        name = normalised(model.name)
        async with self._loading:
            loaded = self._loaded.get(name)
            if loaded is None or loaded.options != options:
                await self._unload(name)
                server = await start_llama_server(
                    self._model_file, num_ctx=options.num_ctx, shift=options.shift
                )
                self.loads += 1
                loaded = self._loaded[name] = _Loaded(model, options, server)
        stay = timedelta(seconds=min(call.keep_alive_s, 1e9))
        loaded.expires_at = datetime.now(UTC) + stay
        return loaded

    async def _unload(self, name: str) -> None:
        loaded = self._loaded.pop(name, None)
        if loaded is not None:
            await loaded.server.stop()

    # --- generating ---------------------------------------------------------------------------

    async def _chat(self, exchange: Exchange) -> None:
        started_ns = time.perf_counter_ns()
        call = parse_call(exchange.request.raw, is_chat=True)
        model = self._find(call.model)
        if call.is_empty and call.keep_alive_s == 0:
            await self._unload(normalised(model.name))
            await exchange.json(200, _record(call, {}, done_reason="unload"))
            return
        if call.think and "thinking" not in model.capabilities:
            raise OllamaError(400, f'"{call.model}" does not support thinking')
        loaded = await self._load(model, call)
        load_ns = time.perf_counter_ns() - started_ns
        exchange.request.runner = loaded.options
        if call.is_empty:
            await exchange.json(200, _record(call, {}, done_reason="load"))
            return
        answer = _Answer(call, started_ns, load_ns)
        messages = list(call.messages)
        while (overflow := await self._generate(exchange, loaded, answer, messages)) is not None:
            if not call.truncate or not _drop_oldest(messages):
                raise OllamaError(400, overflow if self.native_chat else OVERFLOW_MESSAGE)
            exchange.request.dropped_messages += 1
        if call.keep_alive_s == 0:
            await self._unload(normalised(model.name))

    async def _generate(
        self, exchange: Exchange, loaded: _Loaded, answer: _Answer, messages: list[Any]
    ) -> str | None:
        """Send an answer; returns llama.cpp's own refusal where the prompt is too long."""
        asked = engine_request(answer.call, messages, loaded.model)
        client = loaded.server.client
        async with client.stream("POST", "/v1/chat/completions", json=asked) as response:
            if response.status_code != 200:
                words = (await response.aread()).decode()
                if "exceed_context_size_error" in words:
                    return words
                raise OllamaError(response.status_code, words)
            began = False
            async for record in self._records(response, answer):
                if not answer.call.stream:
                    continue
                if not began:
                    # Nothing before the first token, headers included.
                    began = True
                    await exchange.start(200, NDJSON)
                await exchange.write(orjson.dumps(record) + b"\n")
                exchange.request.records_sent += 1
        if answer.call.stream:
            await exchange.end()
        else:
            await exchange.reply(200, orjson.dumps(answer.whole()), JSON)
        return None

    async def _records(
        self, response: httpx.Response, answer: _Answer
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield the records of an answer; its end is noted before whoever reads it may leave."""
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            for record in answer.feed(orjson.loads(line[6:])):
                if record["done"]:
                    self.cached_tokens.append(answer.cached_tokens)
                    self.final_records.append(record)
                yield record


class _Answer:
    """From llama.cpp's chunks to Ollama's records."""

    def __init__(self, call: GenerationCall, started_ns: int, load_ns: int) -> None:
        self.call = call
        self.last: dict[str, Any] = {}
        self.cached_tokens = 0
        self._started_ns = started_ns
        self._load_ns = load_ns
        self._calls: dict[int, dict[str, str]] = {}
        self._message = {"content": "", "thinking": ""}
        self._finish_reason = ""

    def feed(self, chunk: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the records that a chunk becomes."""
        records = []
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            self._finish_reason = choice.get("finish_reason") or self._finish_reason
            said = {
                "content": delta.get("content") or "",
                "thinking": delta.get("reasoning_content") or "",
            }
            for part in delta.get("tool_calls") or ():
                found = self._calls.setdefault(part["index"], {"name": "", "arguments": ""})
                function = part.get("function") or {}
                found["name"] += function.get("name") or ""
                found["arguments"] += function.get("arguments") or ""
            if any(said.values()):
                for key, text in said.items():
                    self._message[key] += text
                shown = {key: text for key, text in said.items() if text or key == "content"}
                records.append(_record(self.call, shown))
        if timings := chunk.get("timings"):
            records += self._end(timings)
        return records

    def whole(self) -> dict[str, Any]:
        """Return the one record of an answer that is not streamed."""
        message = {key: text for key, text in self._message.items() if text or key == "content"}
        if self._calls:
            message["tool_calls"] = self._tool_calls()  # type: ignore[assignment]
        return {**self.last, "message": {"role": "assistant", **message}}

    def _end(self, timings: Mapping[str, Any]) -> list[dict[str, Any]]:
        self.cached_tokens = timings["cache_n"]
        records = []
        if self._calls:
            called = {"content": "", "tool_calls": self._tool_calls()}
            records.append(_record(self.call, called))
        self.last = _record(
            self.call,
            {"content": ""},
            done_reason="length" if self._finish_reason == "length" else "stop",
            total_duration=time.perf_counter_ns() - self._started_ns,
            load_duration=self._load_ns,
            prompt_eval_count=timings["cache_n"] + timings["prompt_n"],
            prompt_eval_duration=int(timings["prompt_ms"] * _NS_PER_MS),
            eval_count=timings["predicted_n"],
            eval_duration=int(timings["predicted_ms"] * _NS_PER_MS),
        )
        return [*records, self.last]

    def _tool_calls(self) -> list[dict[str, Any]]:
        return [
            {
                "id": f"call_{self._started_ns}_{index}",
                "function": {
                    "index": index,
                    "name": call["name"],
                    "arguments": orjson.loads(call["arguments"] or "{}"),
                },
            }
            for index, call in sorted(self._calls.items())
        ]


def engine_request(
    call: GenerationCall, messages: Iterable[Mapping[str, Any]], model: SimModel
) -> dict[str, Any]:
    """Return a call as llama.cpp's `/v1/chat/completions` takes it."""
    # A model that can think does so unless it is told not to (conformance 194).
    thinks = "thinking" in model.capabilities and call.think is not False
    asked: dict[str, Any] = {
        "messages": [_engine_message(message) for message in messages],
        "stream": True,
        "cache_prompt": True,
        "chat_template_kwargs": {"enable_thinking": thinks},
    }
    if call.tools:
        asked["tools"] = list(call.tools)
    if isinstance(call.format, dict):
        asked["response_format"] = {"type": "json_schema", "json_schema": {"schema": call.format}}
    options = {"num_predict": "max_tokens", "temperature": "temperature", "top_p": "top_p"}
    options |= {"top_k": "top_k", "stop": "stop", "seed": "seed"}
    asked |= {
        theirs: call.options[ours] for ours, theirs in options.items() if ours in call.options
    }
    return asked


def _engine_message(message: Mapping[str, Any]) -> dict[str, Any]:
    made = {"role": message["role"], "content": message.get("content") or ""}
    if message.get("thinking"):
        made["reasoning_content"] = message["thinking"]
    if message.get("tool_call_id"):
        made["tool_call_id"] = message["tool_call_id"]
    calls = message.get("tool_calls") or ()
    if calls:
        made["tool_calls"] = [
            {
                "id": call.get("id") or f"call_{index}",
                "type": "function",
                "function": {
                    "name": call["function"]["name"],
                    "arguments": orjson.dumps(call["function"]["arguments"]).decode(),
                },
            }
            for index, call in enumerate(calls)
        ]
    return made


def _drop_oldest(messages: list[Any]) -> bool:
    """Drop the oldest message that is neither a system message nor the last; False if none is."""
    for index, message in enumerate(messages[:-1]):
        if message["role"] != "system":
            del messages[index]
            return True
    return False


def _record(call: GenerationCall, message: Mapping[str, Any], **ending: Any) -> dict[str, Any]:
    """Return one record; with an ending it is the last."""
    return {
        "model": call.model,
        "created_at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
        "message": {"role": "assistant", "content": "", **message},
        "done": bool(ending),
        **ending,
    }


def _process(loaded: _Loaded) -> dict[str, Any]:
    model = loaded.model
    size_bytes = model.resident_bytes(loaded.options.num_ctx, 1)
    return {
        **tag(model, with_capabilities=False),
        "size": size_bytes,
        "size_vram": size_bytes,
        "context_length": loaded.options.num_ctx,
        "expires_at": loaded.expires_at.isoformat().replace("+00:00", "Z"),
    }
