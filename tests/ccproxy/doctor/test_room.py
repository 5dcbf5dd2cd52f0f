"""Whether the models of a config file have room, and whether the doctor agrees with `init`."""

from dataclasses import replace

import pytest

from ccproxy.config.settings import load_settings
from ccproxy.doctor.room import check_room, room_gib
from ccproxy.ports import ModelFacts
from ccproxy.setup.arithmetic import KvCacheType, Runner, model_memory_gib
from ccproxy.setup.choice import RAM_PROFILES_GIB
from ccproxy.setup.deployed import Deployed
from ccproxy.setup.installation import Wanted, installation_files, make_plan
from ccproxy.setup.machine import Machine
from ccproxy.setup.sight import OllamaSight
from ccproxy.upstreams.ollama import OllamaModel

OLLAMA = "http://127.0.0.1:11434"
SILENT = OllamaSight(OLLAMA, problem="does not answer")
CODER = ("coder", "qwen2.5-coder:7b-instruct", 32768, "weights_gib: 4.36, kv_kib_per_token: 56")
FAST = ("fast", "qwen-fast", 32768, "weights_gib: 1.8, kv_kib_per_token: 36")


def deployed_of(folder, *entries, sight=SILENT):
    """Return deployments by name, model, context and what the file says of them."""
    lines = [
        f'- {{model_name: {name}, litellm_params: {{model: "ollama_chat/{model}", num_ctx: {context}}}, '
        f"model_info: {{{said}}}}}"
        for name, model, context, said in entries
    ]
    file = folder / "ccproxy.yaml"
    file.write_text("\n".join(["model_list:", *lines]))
    return [Deployed(each, sight) for each in load_settings(file, {}).deployments]


def told(findings):
    return [f"{each.level} {each.what}" for each in findings]


@pytest.mark.parametrize(
    ("memory_gib", "runner", "expected"),
    [
        (13.0, Runner(), ["ok coder 6.4 + fast 3.2 = 9.6 of 13.0 GiB"]),
        (11.5, Runner(), ["warning coder 6.4 + fast 3.2 = 9.6 of 11.5 GiB, which Ollama finds too close"]),
        (9.0, Runner(), ["warning coder 6.4 + fast 3.2 = 9.6 GiB, and models can have 9.0 GiB here"]),
        (10.5, Runner(parallel=2), ["warning coder 8.2 + fast 4.3 = 12.5 GiB, and models can have 10.5 GiB here"]),
        (5.0, Runner(), ["error coder takes 6.4 GiB, and models can have 5.0 GiB here"]),
        (None, Runner(), []),
    ],
)  # fmt: skip
def test_room_for_the_models(memory_gib, runner, expected, tmp_path):
    """Weights, KV caches and buffers must fit, and fit as Ollama reckons before it loads."""
    deployed = deployed_of(tmp_path, CODER, FAST)

    assert told(check_room(deployed, runner, memory_gib)) == expected


def test_the_longest_context_of_a_model_counts(tmp_path):
    """A model of two deployments is in memory once, as large as either makes it, in any order."""
    short = ("short", CODER[1], 8192, CODER[3])
    for entries in ((CODER, short), (short, CODER)):
        (found,) = check_room(deployed_of(tmp_path, *entries), Runner(), 20.0)
        assert found.what == "coder 6.4 = 6.4 of 20.0 GiB"


def test_what_is_not_known_is_said(tmp_path):
    """Without a KV cache's size the weights count all the same; a model of no known size is named."""
    model = OllamaModel("gemma3:27b", "d1")
    facts = ModelFacts(present=True, weights_bytes=16 * 2**30)
    sight = OllamaSight(OLLAMA, "0.33.0", pulled=(model,), facts={"gemma3:27b": facts})
    entries = [("gemma", "gemma3:27b", 8192, ""), ("strange", "strange:1b", 8192, "")]
    deployed = deployed_of(tmp_path, *entries, sight=sight)

    assert told(check_room(deployed, Runner(), 20.0)) == [
        "ok gemma 16.3 without its KV cache, whose size is not known = 16.3 of 20.0 GiB",
        "ok not reckoned with: strange, whose size is not known",
    ]
    assert [each.level for each in check_room(deployed, Runner(), 15.0)] == ["error", "ok"]


def test_the_files_word_on_the_cache_where_nothing_is_seen(tmp_path):
    """`init` was told a type of KV cache; what can be seen of Ollama's settings is above it."""
    q8_0 = [(*each[:3], each[3].replace(": 56", ": 29.75")) for each in (CODER,)]
    (deployed,) = deployed_of(tmp_path, *q8_0)
    unseen, seen = Runner(is_seen=False), Runner(KvCacheType.F16)

    assert deployed.resident_gib(unseen) == pytest.approx(4.36 + 29.75 / 32 + 0.3, abs=0.01)
    assert deployed.resident_gib(seen) == pytest.approx(4.36 + 56 / 32 + 0.3, abs=0.01)
    assert deployed.load(unseen).predicted_gib == pytest.approx(4.36 + 56 / 32, abs=0.01)


@pytest.mark.parametrize(
    ("system", "said_gib", "expected"),
    [
        ("Darwin", None, 32 * 2 / 3),
        ("Darwin", 20.0, 20.0),
        ("Darwin", 26.0, 32 * 2 / 3),
        ("Linux", 26.0, 26.0),
        ("Linux", None, 32 * 2 / 3),
    ],
)
def test_the_memory_that_init_was_told(system, said_gib, expected):
    """The routing table's `memory_gib` counts, but macOS gives no more than it does."""
    machine = Machine(system, "1", 32.0, 10)

    assert room_gib(machine, said_gib) == pytest.approx(expected)
    assert room_gib(replace(machine, ram_gib=None), None) is None


@pytest.mark.parametrize("ram_gib", RAM_PROFILES_GIB)
@pytest.mark.parametrize("kv_cache", [KvCacheType.F16, KvCacheType.Q8_0])
def test_the_doctor_agrees_with_init(ram_gib, kv_cache, tmp_path):
    """What `init` writes for a machine has room there, whether Ollama's settings are seen or not."""
    runner = Runner(kv_cache)
    plan = make_plan(Wanted(tmp_path, float(ram_gib), runner))
    file = tmp_path / "ccproxy.yaml"
    file.write_bytes(installation_files(plan)["ccproxy.yaml"])
    deployed = [
        Deployed(each, SILENT) for each in load_settings(file, {}).deployments if each.is_ollama
    ]

    for each in (runner, Runner(is_seen=False)):
        (found,) = check_room(deployed, each, model_memory_gib(ram_gib))
        assert found.level == "ok", found.what
