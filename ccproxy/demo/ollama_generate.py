"""Serves `/api/chat` and `/api/generate` of the simulated Ollama: one call, start to end.

The order of things, and so of errors, is Ollama's (server/routes.go `ChatHandler`, v0.33):
types, model, unload, thinking, tools, load, prompt, generation.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson

from ccproxy.demo.ollama_faults import FaultKind
from ccproxy.demo.ollama_habits import with_habit
from ccproxy.demo.ollama_models import common_prefix_chars, count_tokens, normalised
from ccproxy.demo.ollama_prompt import Prompt, fit_prompt
from ccproxy.demo.ollama_records import Generation, RecordWriter, Timing, cut_answer
from ccproxy.demo.ollama_requests import (
    GenerationCall,
    OllamaError,
    parse_call,
    rendered,
    runner_options,
)
from ccproxy.demo.ollama_script import decide
from ccproxy.demo.ollama_trouble import break_stream, break_whole
from ccproxy.demo.ollama_wire import JSON, NDJSON, Exchange, SimRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from ccproxy.demo.ollama_habits import Habits
    from ccproxy.demo.ollama_memory import Lease, Memory
    from ccproxy.demo.ollama_models import SimModel
    from ccproxy.demo.ollama_script import Answer

Step = dict[str, Any] | bytes | float | asyncio.Event
"""One step of a fixed answer; see `SimulatedOllama.answer_with`."""

_MIN_SLEEP_S: Final = 0.0005
_RECORDS_PER_TURN: Final = 16
"""With unpaced tokens other tasks get a turn after so many records."""
_SHAPES: Final = (FaultKind.SLOW_BYTES, FaultKind.SPLIT_UTF8, FaultKind.ONE_CHUNK)


class Machine(Protocol):
    """What the generator needs of the machine it runs on."""

    memory: Memory
    speed: float
    default_num_ctx: int
    scripts: list[tuple[Step, ...]]
    habits: Habits

    def find(self, name: str) -> SimModel:
        """Return a pulled model, or raise `OllamaError` 404."""
        ...

    async def pause(self, seconds: float) -> None:
        """Let simulated seconds pass."""
        ...


class Generator:
    """Answers generating requests."""

    def __init__(self, machine: Machine) -> None:
        """Work on `machine`."""
        self._machine = machine

    async def serve(self, exchange: Exchange, *, is_chat: bool) -> None:
        """Answer one request.

        Raises:
            OllamaError: What Ollama would answer with a status other than 200.
        """
        machine, request = self._machine, exchange.request
        call = parse_call(request.raw, is_chat=is_chat)
        model = machine.find(call.model)
        writer = RecordWriter(call, request.number)
        if call.is_empty and call.keep_alive_s == 0:
            machine.memory.unload(model.name)
            await exchange.reply(200, writer.load("unload"))
            return
        thinks = _check_capabilities(call, model)
        options = runner_options(call, machine.default_num_ctx, model.trained_context_tokens)
        prompt = fit_prompt(call, model, options)
        lease = await machine.memory.acquire(model, options, prompt.text)
        request.runner = options
        cached = ""
        try:
            if call.is_empty:
                await exchange.reply(200, writer.load("load"))
                return
            if prompt.error is not None:
                raise prompt.error
            cached = prompt.text
            answer = self._misspoken(decide(call, thinks=thinks), call, request)
            generation = cut_answer(answer, call, options, prompt)
            timing = await self._prefill(exchange, lease, prompt, generation)
            answered = _Answering(self._machine, exchange, call, model, writer)
            await answered.send(generation, prompt, timing)
            said = {"role": "assistant", "content": generation.text}
            cached = prompt.text + rendered(said)
        finally:
            machine.memory.release(lease, cached or lease.slot.cached_prompt, call.keep_alive_s)

    def _misspoken(self, answer: Answer, call: GenerationCall, request: SimRequest) -> Answer:
        """Return the answer as this machine's model gives it, with a bad habit or without."""
        habit = self._machine.habits.take(answer, call)
        if habit is None:
            return answer
        request.habit = habit
        return with_habit(answer, habit, call)

    async def _prefill(
        self, exchange: Exchange, lease: Lease, prompt: Prompt, generation: Generation
    ) -> Timing:
        """Read the part of the prompt that the slot's cache lacks."""
        request, model = exchange.request, lease.resident.model
        shared = common_prefix_chars(lease.slot.cached_prompt, prompt.text)
        cached = min(count_tokens(prompt.text[:shared]), prompt.tokens - 1) if shared else 0
        request.prompt_tokens, request.cached_tokens = prompt.tokens, cached
        request.dropped_messages = prompt.dropped_messages
        prefill_s = (prompt.tokens - cached) / model.prefill_tokens_per_s
        await self._machine.pause(prefill_s)
        return Timing(lease.load_s, prefill_s, generation.tokens / model.decode_tokens_per_s)


class _Answering:
    """Sends one answer, with the fault that the request drew."""

    def __init__(
        self,
        machine: Machine,
        exchange: Exchange,
        call: GenerationCall,
        model: SimModel,
        writer: RecordWriter,
    ) -> None:
        self._machine = machine
        self._exchange = exchange
        self._call = call
        self._model = model
        self._writer = writer
        self._fault = exchange.fault
        self._counts = self._fault is None or self._fault.kind is not FaultKind.MISSING_COUNTS

    async def send(self, generation: Generation, prompt: Prompt, timing: Timing) -> None:
        """Send the answer, streamed or whole, generated or scripted."""
        scripts = self._machine.scripts
        script = scripts.pop(0) if scripts else None
        if not self._call.stream:
            await self._send_whole(script, generation, prompt, timing)
        elif script is not None:
            await self._send_lines(self._scripted(script))
        else:
            await self._send_lines(self._paced(self._lines(generation, prompt, timing)))

    def _lines(self, generation: Generation, prompt: Prompt, timing: Timing) -> Iterator[bytes]:
        writer = self._writer
        for piece in generation.thinking:
            yield writer.thinking(piece)
        for piece in generation.content:
            yield writer.content(piece)
        native = self._model.native_chat
        if generation.calls and not native:
            yield writer.calls(generation.calls)
        calls = generation.calls if native else ()
        yield writer.done(generation, prompt, timing, calls=calls, counts=self._counts)

    async def _paced(self, lines: Iterator[bytes]) -> AsyncIterator[bytes]:
        """Yield lines at the model's present pace, on a schedule that does not drift."""
        clock = asyncio.get_running_loop().time
        due = clock()
        for index, line in enumerate(lines):
            # A speed of infinity makes it nothing.
            due += 1 / (self._model.decode_tokens_per_s * self._machine.speed)
            ahead = due - clock()
            if ahead > _MIN_SLEEP_S:
                await asyncio.sleep(ahead)
            elif index % _RECORDS_PER_TURN == _RECORDS_PER_TURN - 1:
                await asyncio.sleep(0)
            yield line

    async def _scripted(self, script: tuple[Step, ...]) -> AsyncIterator[bytes]:
        for step in script:
            match step:
                case bytes():
                    yield step
                case dict():
                    yield self._writer.scripted(step)
                case asyncio.Event():
                    await step.wait()
                case _:
                    await asyncio.sleep(step)

    async def _send_lines(self, lines: AsyncIterator[bytes]) -> None:
        exchange, fault = self._exchange, self._fault
        breaks_after = fault.after_records if fault and fault.kind not in _SHAPES else -1
        gathers = fault is not None and fault.kind is FaultKind.ONE_CHUNK
        gathered: list[bytes] = []
        await exchange.start(200, NDJSON)
        if breaks_after == 0 and fault and await break_stream(exchange, fault):
            return
        async for line in lines:
            if gathers:
                gathered.append(line)
                continue
            await exchange.write(line)
            exchange.request.records_sent += 1
            if b'"eval_count"' in line:
                said = orjson.loads(line)
                exchange.request.counted = (said.get("prompt_eval_count", 0), said["eval_count"])
            breaks = fault is not None and exchange.request.records_sent == breaks_after
            if breaks and fault and await break_stream(exchange, fault):
                return
        await exchange.end(b"".join(gathered))

    async def _send_whole(
        self,
        script: tuple[Step, ...] | None,
        generation: Generation,
        prompt: Prompt,
        timing: Timing,
    ) -> None:
        if self._fault is not None and await break_whole(self._exchange, self._fault):
            return
        if script is None:
            await self._machine.pause(timing.decode_s)
            body = self._writer.whole(generation, prompt, timing, counts=self._counts)
        else:
            body = await self._scripted_whole(script)
        await self._exchange.reply(200, body, JSON)

    async def _scripted_whole(self, script: tuple[Step, ...]) -> bytes:
        waits = [step for step in script if isinstance(step, (int, float, asyncio.Event))]
        async for _ in self._scripted(tuple(waits)):
            pass
        raw = b"".join(step for step in script if isinstance(step, bytes))
        return raw or self._writer.merged([step for step in script if isinstance(step, dict)])


def _check_capabilities(call: GenerationCall, model: SimModel) -> bool:
    """Return whether the model will think.

    Raises:
        OllamaError: 400 for tools or thinking the model lacks, 500 for images without vision.
    """
    can_think = "thinking" in model.capabilities
    if call.think and not can_think:
        raise OllamaError(400, f'"{call.model}" does not support thinking')
    if call.tools and "tools" not in model.capabilities:
        full_name = f"registry.ollama.ai/library/{normalised(model.name)}"
        raise OllamaError(400, f"{full_name} does not support tools")
    has_images = any(message.get("images") for message in call.messages)
    if has_images and "vision" not in model.capabilities:
        raise OllamaError(
            500,
            "image input is not supported - hint: if this is unexpected,"
            " you may need to provide the mmproj",
        )
    # Ollama turns thinking on for capable models that were not told (conformance 194).
    return can_think and call.think is not False
