"""Frames of the Messages stream, byte for byte."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from ccproxy.wire import events as e
from tests.support.grammar import frames
from tests.support.model_answers import wire_text

FRAMES = [
    (
        e.MessageStart("msg_1", "qwen-coder", 42),
        (
            b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1",'
            b'"type":"message","role":"assistant","model":"qwen-coder","content":[],'
            b'"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":42,'
            b'"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}}\n\n'
        ),
    ),
    (
        e.TextStart(0),
        (
            b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
            b'"content_block":{"type":"text","text":""}}\n\n'
        ),
    ),
    (
        e.ThinkingStart(1),
        (
            b'event: content_block_start\ndata: {"type":"content_block_start","index":1,'
            b'"content_block":{"type":"thinking","thinking":"","signature":""}}\n\n'
        ),
    ),
    (
        e.ToolUseStart(2, "toolu_1", "Read"),
        (
            b'event: content_block_start\ndata: {"type":"content_block_start","index":2,'
            b'"content_block":{"type":"tool_use","id":"toolu_1","name":"Read","input":{}}}\n\n'
        ),
    ),
    (
        e.TextDelta(0, 'a "b"\n\\%s%d'),
        (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
            b'"delta":{"type":"text_delta","text":"a \\"b\\"\\n\\\\%s%d"}}\n\n'
        ),
    ),
    (
        e.ThinkingDelta(0, "hm"),
        (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
            b'"delta":{"type":"thinking_delta","thinking":"hm"}}\n\n'
        ),
    ),
    (
        e.SignatureDelta(0, "sig"),
        (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
            b'"delta":{"type":"signature_delta","signature":"sig"}}\n\n'
        ),
    ),
    (
        e.InputJsonDelta(12, '{"a":"é"}'),
        (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":12,'
            b'"delta":{"type":"input_json_delta","partial_json":"{\\"a\\":\\"\xc3\xa9\\"}"}}\n\n'
        ),
    ),
    (
        e.BlockStop(3),
        b'event: content_block_stop\ndata: {"type":"content_block_stop","index":3}\n\n',
    ),
    (
        e.MessageDelta(e.StopReason.END_TURN, None, 40, 7),
        (
            b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn",'
            b'"stop_sequence":null},"usage":{"input_tokens":40,"cache_creation_input_tokens":0,'
            b'"cache_read_input_tokens":0,"output_tokens":7}}\n\n'
        ),
    ),
    (
        e.MessageDelta(e.StopReason.STOP_SEQUENCE, "END", 1, 0),
        (
            b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":'
            b'"stop_sequence","stop_sequence":"END"},"usage":{"input_tokens":1,'
            b'"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":0}}\n\n'
        ),
    ),
    (e.MessageStop(), b'event: message_stop\ndata: {"type":"message_stop"}\n\n'),
    (e.Ping(), b'event: ping\ndata: {"type": "ping"}\n\n'),
    (
        e.StreamError("api_error", "It broke."),
        (
            b'event: error\ndata: {"type":"error","error":{"type":"api_error",'
            b'"message":"It broke."}}\n\n'
        ),
    ),
]


@pytest.mark.parametrize(("event", "frame"), FRAMES, ids=lambda value: type(value).__name__)
def test_frame(event: e.Event, frame: bytes) -> None:
    """Each event has exactly one frame (131, 133, 136, 137, 138, 140, 145, 150, 155)."""
    assert e.encode(event) == frame


def test_every_event_has_a_frame_here() -> None:
    """The table above names every kind of event there is."""
    assert {type(event) for event, _ in FRAMES} == set(e.Event.__args__)


@given(wire_text())
def test_any_text_is_a_valid_frame(text: str) -> None:
    """Any text becomes one line of UTF-8 that carries it, lone surrogates apart (130)."""
    for event, key in ((e.TextDelta(0, text), "text"), (e.ThinkingDelta(0, text), "thinking")):
        raw = e.encode(event)
        [(name, data)] = frames(raw)
        assert name == "content_block_delta"
        assert len(data.decode().splitlines()) == 1
        carried = json.loads(data)["delta"][key]
        assert carried == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
