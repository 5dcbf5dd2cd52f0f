"""Minutes of a local model's silence, on a clock that runs fast."""

import asyncio

import httpx

from tests.support.fast_clock import FastClockLoop
from tests.support.grammar import check_stream
from tests.support.http_wire import ask
from tests.support.messages import turn
from tests.support.proxy import running_proxy

SILENCE_S = 330  # Claude Code gives up after 300 (version 2.1.329)
SPEED = 600
PING_AFTER_S = 0.02  # of a clock that is not the loop's: twelve seconds of the loop's
DONE = {"done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 2}


def said(text):
    return {"message": {"role": "assistant", "content": text}}


def streamed(proxy):
    """Return status and body of one stream; called in a thread, whose timers are its own."""
    body = turn(stream=True)
    answer = httpx.post(f"{proxy.base_url}/v1/messages", headers=proxy.headers, json=body)
    return answer.status_code, answer.content


async def silent_for_minutes(loop):
    """Return a stream whose model is silent for minutes before each of its two words."""
    async with running_proxy(patience_s=0.05, ping_after_s=PING_AFTER_S) as proxy:
        await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=turn())
        gates = [asyncio.Event(), asyncio.Event()]
        proxy.ollama.answer_with(gates[0], said("one "), gates[1], said("two"), DONE)
        answer = asyncio.create_task(asyncio.to_thread(streamed, proxy))
        await proxy.ollama.generation(1)
        loop.speed = SPEED
        for gate in gates:
            await asyncio.sleep(SILENCE_S)
            gate.set()
        loop.speed = 1
        return await answer


def test_minutes_of_silence_end_no_turn():
    """No timer of ours or of a library ends what is only slow; pings say so (conformance 235, 290)."""
    with asyncio.Runner(loop_factory=FastClockLoop) as runner:
        loop = runner.get_loop()
        status, raw = runner.run(silent_for_minutes(loop))

    assert 200 == status
    assert "one two" == check_stream(raw).message["content"][0]["text"]
    before, _, after = raw.partition(b"one ")
    assert min(before.count(b"event: ping"), after.count(b"event: ping")) > 5
