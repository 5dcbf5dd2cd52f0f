"""What is known of where a model is, between two looks."""

from ccproxy.health.inventory import Inventory
from ccproxy.ports import ModelFacts
from ccproxy.upstreams.ollama import OllamaModel


class Answering:
    """A backend with nothing in memory, whose model ends an answer while it is being asked."""

    def __init__(self):
        self.inventory = Inventory(self, ["q"], lambda: 0.0)
        self.answers_meanwhile = False

    async def models(self):
        return (OllamaModel("q:latest", "d1"),)

    async def show(self, _model):
        return ModelFacts(present=True)

    async def resident(self):
        if self.answers_meanwhile:
            self.inventory.answered("q")
        return ()


async def test_an_answer_during_a_look_is_newer_than_the_look():
    """What it says of the memory may have been true before; the look after that one counts."""
    backend = Answering()
    known = backend.inventory.known("q")
    seen = [known.is_loaded]
    for backend.answers_meanwhile in (False, True, False):
        await backend.inventory.take()
        seen.append(known.is_loaded)

    assert [None, False, True, False] == seen


def test_an_answer_is_enough_to_know():
    """Nobody has looked yet, and what answers is in memory."""
    inventory = Answering().inventory

    inventory.answered("Q:latest")
    inventory.answered("other")

    assert inventory.known("q").is_loaded
