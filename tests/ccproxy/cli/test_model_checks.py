"""`routes check` and what Ollama knows of the models."""

import pytest
import yaml

from ccproxy.cli.model_checks import SeenModels, ask_ollama, check_models
from ccproxy.config.settings import load_settings
from ccproxy.demo.ollama_server import SimulatedOllama
from routing.fit import SeenModel
from tests.support.command_line import CONFIG, command_line
from tests.support.simulator_thread import served_in_thread


@pytest.fixture
def ccproxy(tmp_path, monkeypatch, capsys):
    return command_line(tmp_path, monkeypatch, capsys)


@pytest.fixture
def ollama():
    """A simulated Ollama that a command with a loop of its own can ask."""
    simulator = SimulatedOllama(speed=1000)
    with served_in_thread(simulator) as url:
        yield simulator, url


def configured(folder, url="http://127.0.0.1:9", *, num_ctx=65536, **info):
    """Write a config whose first deployment has this context, and load it."""
    config = yaml.safe_load(CONFIG)
    for each in config["model_list"][:2]:
        each["litellm_params"]["api_base"] = url
    config["model_list"][0]["litellm_params"]["num_ctx"] = num_ctx
    config["model_list"][0]["model_info"] = info
    path = folder / "ccproxy.yaml"
    path.write_text(yaml.safe_dump(config))
    return load_settings(path, {})


def test_a_context_beyond_the_training_is_an_error(ccproxy, ollama):
    """Ollama is asked; the error names file, line, key and both numbers (197). Nothing loads."""
    simulator, url = ollama
    configured(ccproxy.folder, url)

    result = ccproxy("routes", "check")
    offline = ccproxy("routes", "check", "--offline")

    assert (result.code, offline.code) == (1, 0)
    (line,) = [text for text in result.err.splitlines() if text.startswith("error: ")]
    assert "ccproxy.yaml:" in line
    assert "model_list[0].litellm_params.num_ctx: num_ctx 65536 is above" in line
    assert "trained for (32768)" in line
    assert (simulator.loads, simulator.generations) == (0, [])


def test_a_stated_length_needs_no_ollama(ccproxy):
    """`trained_context_tokens` in the file is enough, and the file says where."""
    configured(ccproxy.folder, trained_context_tokens=32768)

    result = ccproxy("routes", "check", "--offline")

    assert result.code == 1
    assert "above what the model was trained for (32768)" in result.err


def test_an_ollama_that_is_down_is_said_to_be(ccproxy):
    """It makes nothing wrong, and that it was not asked is told."""
    result = ccproxy("routes", "check", "--strict")

    assert (result.code, result.err) == (0, "")
    assert "http://127.0.0.1:9 does not answer" in result.out
    assert "does not answer" not in ccproxy("routes", "check", "--offline").out


def test_what_ollama_says_of_sizes_and_lengths(tmp_path, ollama):
    """Weights as on disk and the trained length, by deployment."""
    seen = ask_ollama(configured(tmp_path, ollama[1]))

    assert seen.silent == ()
    assert seen.models["coder"].trained_context_tokens == 32768
    assert seen.models["coder"].weights_gib == pytest.approx(19.8)


@pytest.mark.parametrize(
    ("info", "memory_gib", "physical_gib", "said"),
    [
        (
            {},
            None,
            26.0,
            "19.8 GiB + 256 KiB x 32768 tokens = 27.8 GiB, and its machine has 26 GiB",
        ),
        ({}, 24.0, 64.0, "and its machine has 24 GiB for models"),
        ({}, None, 28.0, None),
        ({}, None, None, None),
        ({"weights_gib": 30.0}, None, 28.0, "30 GiB + 256 KiB x 32768 tokens = 38.0 GiB"),
        # The table's own check has said it.
        ({"weights_gib": 30.0}, 28.0, 64.0, None),
    ],
)
def test_a_model_too_big_for_its_machine_is_a_warning(
    info, memory_gib, physical_gib, said, tmp_path
):
    """The arithmetic, with what the file says and Ollama adds."""
    settings = configured(tmp_path, num_ctx=32768, **info)
    seen = SeenModels({"coder": SeenModel(32768, 19.8, 256.0)})
    found = check_models(settings, seen, memory_gib=memory_gib, physical_gib=lambda: physical_gib)

    assert found.errors == []
    assert [said in str(each) for each in found.warnings] == ([] if said is None else [True])


def test_the_memory_of_another_machine_is_not_known(tmp_path):
    """This machine's memory says nothing of a host in the next room."""
    settings = configured(tmp_path, "http://192.0.2.1:11434", num_ctx=32768)
    seen = SeenModels({"coder": SeenModel(32768, 1e6, 256.0)})

    assert check_models(settings, seen, memory_gib=8.0).warnings == []


def test_agents_that_are_left_without_a_model_are_told(ccproxy):
    """A deployment that is not used serves nobody, and the table's check knows it."""
    configured(ccproxy.folder, trained_context_tokens=32768)

    result = ccproxy("routes", "check", "--offline")

    assert "profiles.day: no deployment may serve these agents: python-pro" in result.err
