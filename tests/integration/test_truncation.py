"""A prompt that was cut on its way to the model is seen from the model's own count."""

import pytest

from tests.support.black_box import post
from tests.support.http_wire import ask
from tests.support.messages import turn

pytestmark = pytest.mark.asyncio(loop_scope="module")

LONG = "The quick brown fox jumps over the lazy dog. " * 400


def answer(counted):
    record = {"message": {"role": "assistant", "content": "Ok."}, "done": True}
    return {**record, "done_reason": "stop", "prompt_eval_count": counted, "eval_count": 1}


async def test_a_cut_prompt_is_an_alarm(proxy):
    """A count far below the estimate is a note on the answer and a metric (conformance 228)."""
    counted = await post(proxy, turn(LONG), path="/v1/messages/count_tokens")
    expected = counted.json()["input_tokens"]
    for share in (1.0, 0.4):
        proxy.ollama.answer_with(answer(int(expected * share)))

    whole = await post(proxy, turn(LONG))
    cut = await post(proxy, turn(LONG))

    assert "truncation_seen" not in (whole.header("x-ccproxy-notes") or "")
    assert "truncation_seen" in cut.header("x-ccproxy-notes")
    scraped = await ask(proxy.base_url, "/metrics", headers=proxy.headers, method="GET")
    assert b'ccproxy_truncation_seen_total{deployment="qwen-coder"} 1.0' in scraped.body


async def test_the_estimate_learns_from_the_model(proxy):
    """What a model counts moves count_tokens and preflight of that deployment (244, 246)."""
    ask_count = turn(LONG, model="qwen-quality")
    before = await post(proxy, ask_count, path="/v1/messages/count_tokens")
    expected = before.json()["input_tokens"]
    for _ in range(12):
        proxy.ollama.answer_with(answer(int(expected * 1.3)))
        await post(proxy, ask_count)

    after = await post(proxy, ask_count, path="/v1/messages/count_tokens")

    assert after.json()["input_tokens"] == pytest.approx(expected * 1.3, rel=0.05)
