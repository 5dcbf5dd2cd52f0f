"""The floor of the local side: `litellm.acompletion` in a process of its own, without a proxy.

Reads jobs as JSON lines on stdin, answers each with a JSON line:
`{"quick": n}`: n short answers, one after the other -> `{"latencies_s": [...]}`;
`{"streams": n, "model": "paced-…"}`: n streams at once -> `{"cpu_s": ..., "chunks": ...}`.

Run: `python -m benchmarks.bare_litellm http://127.0.0.1:PORT`
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from typing import Any, Final

import uvloop

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["LITELLM_MODE"] = "PRODUCTION"
import litellm

NUM_CTX: Final = 32768
QUICK_MODEL: Final = "ollama_chat/quick:latest"


async def complete(api_base: str, model: str, messages: list[dict[str, str]]) -> int:
    """Ask once, read the answer to its end, return how many chunks it had."""
    chunks: Any = await litellm.acompletion(
        model=model, api_base=api_base, messages=messages, stream=True, num_ctx=NUM_CTX
    )
    count = 0
    async for _ in chunks:
        count += 1
    return count


async def run(api_base: str) -> None:
    """Do jobs until stdin ends."""
    litellm.suppress_debug_info = True
    logging.disable(logging.CRITICAL)
    loop = asyncio.get_running_loop()
    messages = [{"role": "user", "content": "Say it. " * 40}]
    await complete(api_base, QUICK_MODEL, messages)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        job = json.loads(line)
        if "quick" in job:
            latencies = []
            for _ in range(job["quick"]):
                began = time.perf_counter()
                await complete(api_base, QUICK_MODEL, messages)
                latencies.append(time.perf_counter() - began)
            result: dict[str, object] = {"latencies_s": latencies}
        else:
            cpu_s = time.process_time()
            model = f"ollama_chat/{job['model']}"
            counts = await asyncio.gather(
                *(complete(api_base, model, messages) for _ in range(job["streams"]))
            )
            result = {"cpu_s": time.process_time() - cpu_s, "chunks": sum(counts)}
        sys.stdout.write(json.dumps(result) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(run(sys.argv[1]))
