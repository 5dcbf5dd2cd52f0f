"""What a local attempt keeps while it streams."""

import asyncio
import gc
import weakref

import orjson

from ccproxy.pipeline.paces import Paces
from ccproxy.pipeline.prefix_watch import PrefixWatch
from ccproxy.pipeline.request import MessagesRequest
from ccproxy.pipeline.slots import Slots
from ccproxy.pipeline.token_ratios import TokenRatios
from ccproxy.pipeline.translated import ModelLimits, TranslatedDeployment
from ccproxy.ports import Incoming, ModelDelta, ModelFacts
from routing.types import Side


class Body(dict):
    """Can be referred to weakly."""


class Talking:
    """A model that begins its answer and goes on for ever."""

    async def stream(self, _call):
        yield ModelDelta(text="well, ")
        await asyncio.Event().wait()


async def no_facts():
    return ModelFacts()


def request_with(body):
    raw = orjson.dumps(body)
    return MessagesRequest(
        incoming=Incoming("POST", "/v1/messages", b"", ()),
        raw_body=raw,
        decoded_body=raw,
        body=body,
        request_id="req_1",
        requested_model="m",
        version="2023-06-01",
        counting=False,
        stream=True,
        notes=[],
    )


async def test_a_stream_does_not_keep_the_request():
    """Its bytes and its parsed body go once the answer has begun, however long that lasts."""
    deployment = TranslatedDeployment(
        "d",
        Side.LOCAL,
        Talking(),
        facts=no_facts,
        limits=ModelLimits(8192),
        slots=Slots(1),
        token_ratios=TokenRatios({"d": "m"}),
        prefixes=PrefixWatch({"d": 1}),
        paces=Paces(),
    )
    turn = {"role": "user", "content": "hello"}
    body = Body(model="m", max_tokens=9, stream=True, messages=[turn])
    kept = weakref.ref(body)
    reply = await deployment.open(request_with(body))
    chunks = reply.chunks()
    try:
        await anext(chunks)
        assert b"well, " in await anext(chunks)
        del body
        gc.collect()

        assert kept() is None
    finally:
        await reply.aclose()
