"""One long conversation with Claude Code, turn by turn, as a program that embeds it has one.

`--input-format stream-json`: user messages and control requests go in as lines, events come out as
lines. Source: behaviour of `@anthropic-ai/claude-code` 2.1.329, whose Agent SDK speaks this way.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from tests.support.claude_code import (
    JsonObject,
    client_environment,
    event_of,
    installed_program,
    working_folder,
)

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

TURN_TIMEOUT_S = 50.0
_LONGEST_LINE_BYTES = 2**24


class ClaudeCodeSession:
    """A running Claude Code that is given one user message after the other.

    Attributes:
        work: Its working directory.
        events: Everything it printed so far, in order.
    """

    def __init__(self, process: Process, work: Path) -> None:
        """Speak with a started process."""
        assert process.stdin is not None
        assert process.stdout is not None
        self.work = work
        self.events: list[JsonObject] = []
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._controls = 0

    async def turn(self, prompt: str) -> list[JsonObject]:
        """Say something, and return the events up to the turn's `result`, which is the last."""
        await self.say(prompt)
        return await self.end_of_turn()

    async def say(self, prompt: str) -> None:
        """Say something, and do not wait."""
        await self._send({"type": "user", "message": {"role": "user", "content": prompt}})

    async def end_of_turn(self) -> list[JsonObject]:
        """Return the events up to the next `result`, which is the last of them."""
        return await self.until(lambda event: event["type"] == "result")

    async def interrupt(self) -> list[JsonObject]:
        """Do what Escape does in the middle of a turn; return the events up to the turn's end."""
        name = await self._ask("interrupt")
        waits_for = {"result", name}
        return await self.until(lambda event: not _without(waits_for, event))

    async def control(self, subtype: str, **fields: Any) -> JsonObject:
        """Send a control request and return what the client answers."""
        name = await self._ask(subtype, **fields)
        answer = (await self.until(lambda event: _answers(event) == name))[-1]["response"]
        assert answer["subtype"] == "success", answer
        response: JsonObject = answer.get("response") or {}
        return response

    async def until(
        self, wanted: Callable[[JsonObject], bool], timeout_s: float = TURN_TIMEOUT_S
    ) -> list[JsonObject]:
        """Return the next events up to the first wanted one.

        Raises:
            AssertionError: It did not come in time, or the client ended; says what came instead.
        """
        heard: list[JsonObject] = []
        try:
            async with asyncio.timeout(timeout_s):
                while line := await self._stdout.readline():
                    event = event_of(line.decode())
                    self.events.append(event)
                    heard.append(event)
                    if wanted(event):
                        return heard
        except TimeoutError:
            why = f"nothing more in {timeout_s} s"
        else:
            why = "Claude Code ended"
        raise AssertionError(f"{why}; heard {json.dumps(heard)[-3000:]}")

    async def end(self) -> int:
        """Close the conversation and return the exit code."""
        self._stdin.close()
        async with asyncio.timeout(TURN_TIMEOUT_S):
            while line := await self._stdout.readline():
                self.events.append(event_of(line.decode()))
            return await self._process.wait()

    async def _ask(self, subtype: str, **fields: Any) -> str:
        self._controls += 1
        name = f"control-{self._controls}"
        request = {"subtype": subtype, **fields}
        await self._send({"type": "control_request", "request_id": name, "request": request})
        return name

    async def _send(self, message: JsonObject) -> None:
        self._stdin.write(json.dumps(message).encode() + b"\n")
        await self._stdin.drain()


def _answers(event: JsonObject) -> str | None:
    """Return which control request an event answers."""
    return event["response"]["request_id"] if event["type"] == "control_response" else None


def _without(waits_for: set[str], event: JsonObject) -> set[str]:
    waits_for -= {event["type"], _answers(event) or ""}
    return waits_for


@asynccontextmanager
async def claude_code_session(
    *,
    base_url: str,
    token: str,
    folder: Path,
    model: str,
    agent_files: Sequence[Path] = (),
    extra_arguments: Sequence[str] = (),
    extra_environment: Mapping[str, str] | None = None,
) -> AsyncIterator[ClaudeCodeSession]:
    """Run Claude Code while the block runs; the arguments are those of `run_claude_code`."""
    work = working_folder(folder, agent_files)
    errors = folder / "stderr"
    with errors.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            installed_program(),
            "-p",
            "--input-format",
            "stream-json",
            "--output-format",
            "stream-json",
            "--verbose",
            *extra_arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            env={
                **client_environment(folder / "home", base_url, token, model),
                **(extra_environment or {}),
            },
            cwd=work,
            start_new_session=True,
            limit=_LONGEST_LINE_BYTES,
        )
    try:
        yield ClaudeCodeSession(process, work)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
