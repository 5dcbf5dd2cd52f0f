"""The benchmark of the prompt cache runs, and measures what it says."""

import json

import pytest

from benchmarks.prefix_cache import main


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """What a short run writes."""
    out = tmp_path_factory.mktemp("benchmark") / "result.json"
    main(["--tokens", "3000", "--speed", "2000", "--out", str(out)])
    return json.loads(out.read_text())


def test_a_stable_prefix_is_read_once(result):
    """Its second turn reads little; one with another system prompt is read whole, and named."""
    turns = result["turns"]
    for first, second in turns.values():
        assert 2800 < first["prompt_tokens"] < 3600 < second["prompt_tokens"] + 400
        assert second["reused"] + second["evaluated"] == second["prompt_tokens"]
        assert second["ttft_s"] >= second["prefill_s"] > 0
    assert turns["stable"][1]["prefill_s"] < 0.5 * turns["broken"][1]["prefill_s"]
    assert turns["stable"][1]["prefix_broken"] == ""
    assert turns["broken"][1]["prefix_broken"] == "system:28"


def test_a_conversation_keeps_its_prefix(result):
    """Each of Claude Code's ten prompts begins with the one before; LiteLLM's begin anew (167)."""
    ours, bare, unbilled = result["conversation"].values()

    assert ours["kept_share"] == [1.0] * 9
    assert max(bare["kept_share"]) < 0.1
    assert bare["broken_at"] == ["system:49"]
    assert unbilled["least_kept_share"] == 1.0
    assert ours["read_share"] < 0.25
    assert bare["read_share"] > 0.75
