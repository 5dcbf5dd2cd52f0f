"""What a local attempt keeps while it streams, and what it does beside the event loop."""

import asyncio
import gc
import threading
import weakref

import pytest

from ccproxy.pipeline.paces import Paces
from ccproxy.pipeline.prefix_watch import PrefixWatch
from ccproxy.pipeline.slots import Slots
from ccproxy.pipeline.token_ratios import TokenRatios
from ccproxy.pipeline.translated import ModelLimits, TranslatedDeployment
from ccproxy.ports import AttemptFailed, ModelDelta, ModelDone, ModelFacts
from routing.failures import FailureClass
from routing.types import Side
from tests.support.parsed_requests import request_of


class Body(dict):
    """Can be referred to weakly."""


class Talking:
    """A model that begins its answer and goes on for ever."""

    async def stream(self, _call):
        yield ModelDelta(text="well, ")
        await asyncio.Event().wait()


async def no_facts():
    return ModelFacts(supports_vision=True)


def deployment_of(upstream, **options):
    return TranslatedDeployment(
        "d",
        Side.LOCAL,
        upstream,
        model="m",
        facts=no_facts,
        limits=ModelLimits(8192),
        slots=Slots(1),
        token_ratios=TokenRatios({"d": "m"}),
        prefixes=PrefixWatch({"d": 1}),
        paces=Paces(),
        **options,
    )


async def test_a_stream_does_not_keep_the_request():
    """Its bytes and its parsed body go once the answer has begun, however long that lasts."""
    deployment = deployment_of(Talking())
    turn = {"role": "user", "content": "hello"}
    body = Body(model="m", max_tokens=9, stream=True, messages=[turn])
    kept = weakref.ref(body)
    reply = await deployment.open(request_of(body, stream=True))
    chunks = reply.chunks()
    try:
        await anext(chunks)
        assert b"well, " in await anext(chunks)
        del body
        gc.collect()

        assert kept() is None
    finally:
        await reply.aclose()


class SeenFrom(dict):
    """Notes which threads look for its system prompt."""

    def __init__(self, **members):
        super().__init__(**members)
        self.threads = set()

    def get(self, key, default=None):
        if key == "system":
            self.threads.add(threading.get_ident())
        return super().get(key, default)


@pytest.mark.parametrize("has_image", [True, False])
async def test_images_are_made_anew_beside_the_event_loop(has_image):
    """However few bytes they have; a short body without any is not worth a thread."""
    kind = "image" if has_image else "text"
    pixels = "R0lGODlhAQABAIAAAP///wAAACwAAAAAAQABAAACAkQBADs="
    source = {"type": "base64", "media_type": "image/gif", "data": pixels}
    block = {"type": kind, "source": source} if has_image else {"type": kind, "text": "hi"}
    body = SeenFrom(model="m", max_tokens=9, messages=[{"role": "user", "content": [block]}])

    reply = await deployment_of(Talking()).open(request_of(body, stream=True))
    await reply.aclose()

    assert has_image == bool(body.threads - {threading.get_ident()})


class Saying:
    """A model that says what it is given, and then breaks."""

    def __init__(self, *items):
        self.items = items

    async def stream(self, _call):
        for item in self.items:
            yield item
        raise AttemptFailed(FailureClass.BROKEN_STREAM, "It broke off.")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("items", "answers"),
    [
        ([ModelDelta(text="well"), ModelDone("stop")], 1),
        ([ModelDelta(text="well END of it")], 1),
        ([], 0),
    ],
    ids=["to its end", "to a stop sequence", "not at all"],
)
async def test_whoever_wants_to_know_hears_of_each_answer(items, answers, stream):
    """Once, however the answer ends; a model that fails before it ends has not answered."""
    heard = []
    deployment = deployment_of(Saying(*items), on_answer=lambda: heard.append("answer"))
    turn = {"role": "user", "content": "hello"}
    body = {"model": "m", "max_tokens": 9, "stop_sequences": ["END"], "messages": [turn]}

    request = request_of(body, stream=stream)
    if answers:
        reply = await deployment.open(request)
        async for _chunk in reply.chunks():
            pass
        await reply.aclose()
    else:
        with pytest.raises(AttemptFailed):
            await deployment.open(request)

    assert answers == len(heard)
