"""Looks at an Ollama of which one model is broken."""

import math

import pytest

from ccproxy.demo.ollama_models import SimModel
from ccproxy.demo.ollama_server import SimulatedOllama
from ccproxy.setup.sight import look_at

GOOD, BAD = SimModel("good:1b", 1.0), SimModel("bad:1b", 2.0)


@pytest.mark.parametrize(
    ("kind", "why"),
    [("server_error", "answered status 500"), ("non_json", "is not JSON"), ("hang", "no answer")],
)
async def test_one_broken_model_is_no_broken_ollama(kind, why):
    """The others are seen as ever; of this one what the list says, and why it is not more."""
    simulator = SimulatedOllama(models=(GOOD, BAD), speed=math.inf)
    async with simulator.serve() as url:
        simulator.add_fault(kind, path="/api/show", model=BAD.name)
        sight = await look_at(url, [GOOD.name, BAD.name], show_for_s=1.0)

    assert (sight.answers, sight.problem) == (True, "")
    assert sight.facts[GOOD.name].family == "qwen2"
    bad = sight.facts[BAD.name]
    assert (bad.present, bad.family, bad.weights_bytes) == (True, None, BAD.weights_bytes)
    assert list(sight.unsaid) == [BAD.name]
    assert why in sight.unsaid[BAD.name]
