"""What `ccproxy init` says of Ollama's settings and of models that are there."""

import pytest

from ccproxy.cli.init_told import next_steps, tell
from ccproxy.setup.arithmetic import BYTES_PER_GIB, KvCacheType, Runner
from ccproxy.setup.installation import Wanted, make_plan
from ccproxy.setup.ollama_environment import NOTHING_SEEN, OllamaEnvironment
from ccproxy.setup.sight import OllamaSight
from ccproxy.upstreams.ollama import OllamaModel

FLASH = {"OLLAMA_FLASH_ATTENTION": "1"}
BREWED = FLASH | {"OLLAMA_KV_CACHE_TYPE": "q8_0"}
"""As Homebrew's formula starts it."""


def environment(values):
    return OllamaEnvironment(
        values, "launchctl and brew services", "launchctl setenv {name} {value}", frozenset(BREWED)
    )


@pytest.mark.parametrize(
    ("seen", "used", "said"),
    [
        (NOTHING_SEEN, Runner(), []),
        (environment(FLASH), Runner(), []),
        (environment({"OLLAMA_NUM_PARALLEL": "1"}), Runner(), ["without OLLAMA_FLASH_ATTENTION=1"]),
        (
            environment(BREWED),
            Runner(KvCacheType.Q8_0),
            [
                "with OLLAMA_KV_CACHE_TYPE=q8_0, as Ollama has it (launchctl and brew services)",
                "for f16: brew services stop ollama",
            ],
        ),
        (
            environment(BREWED),
            Runner(),
            ["with OLLAMA_KV_CACHE_TYPE=f16, but Ollama has q8_0 (launchctl and brew services)"],
        ),
        (
            environment(FLASH | {"OLLAMA_NUM_PARALLEL": "2"}),
            Runner(parallel=2),
            ["with OLLAMA_NUM_PARALLEL=2, as Ollama has it"],
        ),
        (environment(FLASH), Runner(parallel=2), ["OLLAMA_NUM_PARALLEL=2, but Ollama has 1"]),
    ],
)
def test_settings_that_were_taken_over(seen, used, said, tmp_path, capsys):
    """A setting of Ollama's that changes the choice is told, and one that contradicts it."""
    plan = make_plan(Wanted(tmp_path, 64, used))

    tell(plan, (), OllamaSight(plan.ollama_url, "0.33.0"), seen)

    told = capsys.readouterr().err.partition("GiB together:\n")[2].splitlines()
    assert len(told) == len(said)
    assert all(part in line for part, line in zip(said, told, strict=True))


@pytest.mark.parametrize(
    ("weights_gib", "presence", "steps"),
    [
        (None, "to be pulled", ["models pull"]),
        (1.8, "yes", ["models pull"]),
        (4.36, "of another base", ["models pull", "models pull qwen-fast --all"]),
    ],
)
def test_a_recipe_whose_base_changed(weights_gib, presence, steps, tmp_path, capsys):
    """A model that an earlier recipe made of another base is no longer the one that was chosen."""
    plan = make_plan(Wanted(tmp_path, 32, Runner(), key_reference=None))
    made = () if weights_gib is None else (_pulled("qwen-fast:latest", weights_gib),)
    sight = OllamaSight(plan.ollama_url, "0.33.0", pulled=made)

    tell(plan, (), sight, NOTHING_SEEN)
    next_steps(plan, tmp_path, sight, "ccproxy init --force")

    told = capsys.readouterr()
    (row,) = (line for line in told.out.splitlines() if line.startswith("qwen-fast"))
    assert row.rstrip().endswith(presence)
    pulls = [line.partition(" --config")[0] for line in told.err.splitlines() if " pull" in line]
    assert pulls == [f"  ccproxy {step}" for step in steps]


def _pulled(name, weights_gib):
    return OllamaModel(name, "sha256:0", size_bytes=int(weights_gib * BYTES_PER_GIB))
