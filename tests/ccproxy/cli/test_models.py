"""`ccproxy models` against simulated Ollamas."""

import json
import math

import httpx
import pytest

from ccproxy.demo.ollama_models import SimModel
from ccproxy.demo.ollama_server import SimulatedOllama
from tests.support.command_line import command_line
from tests.support.simulator_thread import served_in_thread

CODER = SimModel("qwen2.5-coder:7b-instruct", 4.36, 56)
CONFIG = """\
server: {{host: 127.0.0.1, port: 8081}}
roster: roster.json
model_list:
  - model_name: coder
    litellm_params: {{model: "ollama_chat/qwen2.5-coder:7b-instruct", num_ctx: 8192, api_base: "{url}"}}
    model_info: {{weights_gib: 4.36, kv_kib_per_token: 56, supports_tools: true}}
  - model_name: fast
    litellm_params: {{model: ollama_chat/qwen-fast, num_ctx: 4096, api_base: "{url}"}}
  - model_name: cloud
    litellm_params: {{model: anthropic/*, api_key: sk-test}}
"""
RECIPE = "# creates qwen-fast\nFROM qwen2.5-coder:7b-instruct\nPARAMETER num_ctx 4096\n"


@pytest.fixture(scope="module")
def served():
    simulator = SimulatedOllama(models=(), speed=math.inf)
    with served_in_thread(simulator) as url:
        yield simulator, url


@pytest.fixture
def simulator(served):
    """An Ollama with nothing pulled, and a registry with one model."""
    simulator, url = served
    httpx.post(f"{url}/_sim/reset", trust_env=False)  # in the simulator's own thread
    simulator.downloads.registry.clear()
    simulator.offer(CODER)
    return simulator


@pytest.fixture
def ccproxy(served, simulator, tmp_path, monkeypatch, capsys):
    command = command_line(tmp_path, monkeypatch, capsys)
    (tmp_path / "ccproxy.yaml").write_text(CONFIG.format(url=served[1]))
    (tmp_path / "modelfiles").mkdir()
    (tmp_path / "modelfiles" / "qwen-fast.Modelfile").write_text(RECIPE)
    return command


def test_pull_fetches_what_is_missing_and_makes_what_has_a_recipe(ccproxy, simulator):
    """One command gets every model that the config file names; a second finds nothing to do."""
    before = ccproxy("models", "list", "--json").json()
    first = ccproxy("models", "pull")
    second = ccproxy("models", "pull")
    after = ccproxy("models", "list", "--json").json()

    assert (first.code, second.code) == (0, 0)
    assert [each["present"] for each in before] == [False, False]
    assert [each["present"] for each in after] == [True, True]
    assert "verifying sha256 digest" in first.err
    assert "Every model is there" in second.err
    assert simulator.models["qwen-fast:latest"].made_with == (("num_ctx", 4096),)
    assert simulator.loads == 0


def test_a_recipe_that_names_another_base(ccproxy, simulator):
    """The model that is there stays, it is said that it is another, and --all makes it anew."""
    small = SimModel("qwen2.5-coder:3b-instruct", 1.8, 36)
    simulator.offer(small)
    ccproxy("models", "pull")
    file = ccproxy.folder / "modelfiles" / "qwen-fast.Modelfile"
    file.write_text(RECIPE.replace("7b", "3b"))
    kept = ccproxy("models", "pull")
    sizes = [simulator.models["qwen-fast:latest"].weights_gib]
    anew = ccproxy("models", "pull", "fast", "--all")
    sizes.append(simulator.models["qwen-fast:latest"].weights_gib)
    after = ccproxy("models", "pull")

    assert (kept.code, anew.code) == (0, 0)
    assert "not made of qwen2.5-coder:3b-instruct as its recipe says" in kept.err
    assert "`ccproxy models pull fast --all` makes it anew" in kept.err
    assert "Every model is there" not in kept.err
    assert sizes == [4.36, 1.8]
    assert "Every model is there" in after.err


def test_a_model_that_ollama_says_nothing_of(ccproxy, simulator):
    """One broken model is told as such; the others are listed, fetched and verified."""
    ccproxy("models", "pull", "coder")
    simulator.add_fault("server_error", path="/api/show", model=CODER.name, times=3)
    verified = ccproxy("models", "verify", "coder")
    listed = ccproxy("models", "list", "--json").json()
    pulled = ccproxy("models", "pull")

    assert "warning: coder (qwen2.5-coder:7b-instruct): Ollama says nothing of" in verified.out
    assert [each["present"] for each in listed] == [True, False]
    assert pulled.code == 0, pulled.err
    assert "qwen-fast:latest" in simulator.models


def test_list(ccproxy, simulator):
    """What a model is and needs, for people and for programs."""
    ccproxy("models", "pull", "coder")
    (coder, fast) = ccproxy("models", "list", "--json").json()
    told = ccproxy("models", "list")

    expected = {
        "deployment": "coder",
        "model": "qwen2.5-coder:7b-instruct",
        "ollama": coder["ollama"],
        "present": True,
        "digest": CODER.digest,
        "size_bytes": CODER.weights_bytes,
        "weights_gib": 4.36,
        "quantisation": "Q4_K_M",
        "family": "qwen2",
        "num_ctx": 8192,
        "trained_context_tokens": 32768,
        "memory_gib": pytest.approx(4.36 + 56 * 8192 / 2**20 + 0.3, abs=0.02),
        "capabilities": ["tools"],
        "loaded": False,
        "loaded_context_tokens": None,
    }
    assert expected == {key: coder[key] for key in expected}
    assert fast["present"] is False
    assert "1 missing" in told.err


def test_one_that_cannot_be_had_does_not_stop_the_others(ccproxy, simulator):
    """The failure is told with what to do, and the exit code is 1."""
    (ccproxy.folder / "modelfiles" / "qwen-fast.Modelfile").unlink()
    result = ccproxy("models", "pull", "fast", "coder")

    assert result.code == 1
    assert "error: qwen-fast: the registry does not have it. Write a recipe" in result.err
    assert "qwen2.5-coder:7b-instruct" in simulator.models


def test_an_unknown_name(ccproxy):
    """A name that nothing has is wrong usage, and the nearest one is named."""
    result = ccproxy("models", "verify", "codr")

    assert result.code == 2
    assert "Did you mean 'coder'?" in result.err
    assert "try: ccproxy models verify --help" in result.err


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (SimModel(CODER.name, 4.36, capabilities=("completion",)), "supports_tools: true"),
        (SimModel(CODER.name, 4.36, trained_context_tokens=4096), "trained for (4096)"),
        (SimModel(CODER.name, 4.36, remote_host="https://ollama.com"), "somebody else's machine"),
        (SimModel(CODER.name, 9.0), "weights_gib: 4.36, and it has 9.00 GiB"),
        (None, "is not in this Ollama"),
    ],
)
def test_verify(model, said, ccproxy, simulator):
    """What is not as the config file says is named, with what to do; nothing is loaded."""
    if model is not None:
        simulator.models[CODER.name] = model
    result = ccproxy("models", "verify", "coder")
    document = ccproxy("models", "verify", "coder", "--json").json()

    assert said in result.out
    assert result.code == (1 if document[0]["errors"] else 0)
    assert len(document[0]["errors"] + document[0]["warnings"]) == 1
    assert simulator.loads == 0


def test_verify_with_a_question(ccproxy, simulator):
    """With --ask each model says a few tokens at its pinned context, and it is said that it loads."""
    ccproxy("models", "pull", "coder")
    silent = ccproxy("models", "verify", "coder")
    loads_before = simulator.loads
    asked = ccproxy("models", "verify", "coder", "--ask")

    assert (silent.code, loads_before) == (0, 0)
    assert "which loads qwen2.5-coder:7b-instruct" in asked.err
    assert "answered after" in asked.out
    assert simulator.generations[-1].runner.num_ctx == 8192


def test_an_ollama_that_is_down(ccproxy):
    """Nothing is guessed: it is said that nobody answers."""
    (ccproxy.folder / "ccproxy.yaml").write_text(CONFIG.format(url="http://127.0.0.1:9"))

    listed = ccproxy("models", "list", "--json")
    assert [each["present"] for each in listed.json()] == [None, None]
    pulled = ccproxy("models", "pull")
    assert pulled.code == 1
    assert "try: start Ollama (open -a Ollama, or: ollama serve)" in pulled.err
    assert ccproxy("models", "verify").code == 1


def test_recipes_that_cannot_be_used(ccproxy):
    """A line that is no recipe's is named with its number."""
    file = ccproxy.folder / "modelfiles" / "odd.Modelfile"
    file.write_text("# creates odd\nFROM a\nTEMPLATE x\n")

    result = ccproxy("models", "pull")

    assert result.code == 1
    assert f"{file}:3: only FROM, PARAMETER" in result.err
    assert json.dumps(ccproxy("models", "list", "--json").json())
