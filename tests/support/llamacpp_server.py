"""llama.cpp's own HTTP server, from the package `xllamacpp`, in a process of its own.

usage: llamacpp_server.py MODEL.gguf NUM_CTX SHIFT(0|1) SLOTS

Prints `READY http://127.0.0.1:PORT` when it serves, and ends with its stdin: whoever started it
cannot leave it behind. As a module it is the parent's end of that.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from pathlib import Path

_START_TIMEOUT_S = 30.0
_READ_TIMEOUT_S = 60.0
_LOOK_EVERY_S = 0.005


@dataclass(slots=True)
class LlamaServer:
    """A running server with one model loaded."""

    base_url: str
    client: httpx.AsyncClient
    _process: asyncio.subprocess.Process

    async def busy_slots(self) -> int:
        """Return how many slots are at work now."""
        slots = (await self.client.get("/slots")).json()
        return sum(bool(slot["is_processing"]) for slot in slots)

    async def idle(self, timeout_s: float = 5.0) -> None:
        """Return when nothing is generated.

        Raises:
            TimeoutError: Something still is.
        """
        async with asyncio.timeout(timeout_s):
            while await self.busy_slots():  # noqa: ASYNC110 - the server has no event for it
                await asyncio.sleep(_LOOK_EVERY_S)

    async def prompt_tokens(self, request: dict[str, Any]) -> int:
        """Return the length of the prompt that a chat request becomes, by the engine's tokenizer."""
        prompt = (await self.client.post("/apply-template", json=request)).json()["prompt"]
        asked = {"content": prompt, "add_special": True, "parse_special": True}
        return len((await self.client.post("/tokenize", json=asked)).json()["tokens"])

    async def stop(self) -> None:
        """End the process and wait for it."""
        await self.client.aclose()
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


async def start_llama_server(
    model_file: Path, *, num_ctx: int, shift: bool = False, slots: int = 1
) -> LlamaServer:
    """Start a server and wait until it serves.

    Raises:
        RuntimeError: It did not come up; the message has what it said.
    """
    arguments = (str(model_file), str(num_ctx), str(int(shift)), str(slots))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        __file__,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    said = ""
    async with asyncio.timeout(_START_TIMEOUT_S):
        while line := (await process.stdout.readline()).decode(errors="replace"):
            said += line
            word, _, url = line.strip().partition(" ")
            if word == "READY":
                client = httpx.AsyncClient(base_url=url, timeout=_READ_TIMEOUT_S, trust_env=False)
                return LlamaServer(url, client, process)
    await process.wait()
    raise RuntimeError(f"llama.cpp's server did not start ({process.returncode}): {said[-2000:]}")


def _serve(model_file: str, num_ctx: str, shift: str, slots: str) -> None:
    import xllamacpp  # type: ignore[import-untyped] # noqa: PLC0415 -- in the child only

    params = xllamacpp.CommonParams()
    params.model.path = model_file
    params.n_ctx = int(num_ctx)
    params.ctx_shift = bool(int(shift))
    params.n_parallel = int(slots)
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.use_jinja = params.endpoint_slots = params.offline = True
    params.warmup = params.fit_params = False
    params.n_gpu_layers = 0
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    server = xllamacpp.Server(params)
    print("READY", server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _serve(*sys.argv[1:])
