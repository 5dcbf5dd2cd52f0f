"""What kind of call a request is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.request_class import CallFeatures, classify_call
from routing.types import RequestClass

CLASSIFIER = CallFeatures(
    from_claude_code=True,
    model="claude-sonnet-5",
    max_tokens=64,
    stop_sequences=frozenset({"</block>"}),
    system_chars=141_000,
    system_openings=(
        "x-anthropic-billing-header",
        "You are a security monitor for autonomous AI coding agents.\n",
    ),
)
SECOND_STAGE = replace(CLASSIFIER, max_tokens=8192, stop_sequences=frozenset())
REWORDED = replace(SECOND_STAGE, system_openings=("x", "You judge what coding agents do."))
TURN = CallFeatures(
    from_claude_code=True,
    model="claude-opus-5-5",
    stream=True,
    max_tokens=128_000,
    has_tools=True,
    thinking=True,
    system_chars=7_000,
    system_openings=("x-anthropic-billing-header", "You are Claude Code", "You are an agent"),
    last_user_opening="please fetch it",
)
TITLE = replace(TURN, has_tools=False, schema_keys=frozenset({"title"}))
COMPACTION = replace(TURN, last_user_opening="CRITICAL: Respond with TEXT ONLY. Do NOT call any")
HAIKU = CallFeatures(from_claude_code=True, model="claude-haiku-4-5-20251001", max_tokens=512)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        pytest.param(CallFeatures(counting=True), RequestClass.COUNT, id="count_tokens"),
        pytest.param(CLASSIFIER, RequestClass.SAFETY_CLASSIFIER, id="classifier, first stage"),
        pytest.param(SECOND_STAGE, RequestClass.SAFETY_CLASSIFIER, id="classifier, second stage"),
        pytest.param(REWORDED, RequestClass.SAFETY_CLASSIFIER, id="classifier, reworded"),
        pytest.param(
            replace(SECOND_STAGE, model="qwen", from_claude_code=False),
            RequestClass.SAFETY_CLASSIFIER,
            id="classifier with another model, behind another client",
        ),
        pytest.param(
            CallFeatures(betas=("auto-mode-classifier-2026-07-16",)),
            RequestClass.SAFETY_CLASSIFIER,
            id="classifier's beta",
        ),
        pytest.param(
            replace(REWORDED, from_claude_code=False), RequestClass.TURN, id="an SDK's long prompt"
        ),
        pytest.param(replace(REWORDED, stream=True), RequestClass.TURN, id="streamed"),
        pytest.param(replace(REWORDED, max_tokens=4096), RequestClass.TURN, id="other length"),
        pytest.param(replace(REWORDED, system_chars=9_000), RequestClass.TURN, id="short prompt"),
        pytest.param(replace(REWORDED, thinking=True), RequestClass.TURN, id="with thinking"),
        pytest.param(replace(CLASSIFIER, has_tools=True), RequestClass.TURN, id="with tools"),
        pytest.param(TITLE, RequestClass.TITLE, id="title"),
        pytest.param(replace(TITLE, from_claude_code=False), RequestClass.TURN, id="SDK's title"),
        pytest.param(
            replace(TITLE, schema_keys=frozenset({"title", "body"})),
            RequestClass.TURN,
            id="article",
        ),
        pytest.param(COMPACTION, RequestClass.COMPACTION, id="compaction"),
        pytest.param(
            replace(COMPACTION, from_claude_code=False), RequestClass.TURN, id="SDK's text only"
        ),
        pytest.param(
            replace(TURN, class_hint="compaction"), RequestClass.COMPACTION, id="compaction, hinted"
        ),
        pytest.param(
            replace(TURN, class_hint="auxiliary"), RequestClass.BACKGROUND, id="auxiliary"
        ),
        pytest.param(replace(TURN, class_hint="side_reply"), RequestClass.BACKGROUND, id="side"),
        pytest.param(HAIKU, RequestClass.BACKGROUND, id="small model, not streamed"),
        pytest.param(
            CallFeatures(from_claude_code=True, model="claude-opus-5-5", max_tokens=1),
            RequestClass.BACKGROUND,
            id="quota check",
        ),
        pytest.param(replace(HAIKU, class_hint="main"), RequestClass.TURN, id="hinted as main"),
        pytest.param(replace(HAIKU, subagent=True), RequestClass.TURN, id="sub-agent on haiku"),
        pytest.param(replace(HAIKU, stream=True), RequestClass.TURN, id="haiku, streamed"),
        pytest.param(replace(HAIKU, has_tools=True), RequestClass.TURN, id="haiku with tools"),
        pytest.param(replace(HAIKU, from_claude_code=False), RequestClass.TURN, id="SDK on haiku"),
        pytest.param(TURN, RequestClass.TURN, id="turn"),
        pytest.param(replace(TURN, class_hint="subagent"), RequestClass.TURN, id="sub-agent"),
        pytest.param(replace(TURN, class_hint="workflow"), RequestClass.TURN, id="workflow"),
        pytest.param(CallFeatures(), RequestClass.TURN, id="nothing known"),
    ],
)
def test_the_class_of_a_call(call: CallFeatures, expected: RequestClass) -> None:
    """Each call of Claude Code's own is recognised; everything else is a turn."""
    assert classify_call(call) is expected


@given(
    st.builds(
        replace,
        st.sampled_from([CLASSIFIER, SECOND_STAGE, REWORDED]),
        class_hint=st.sampled_from(["", "main", "subagent", "auxiliary", "compaction", "x"]),
        subagent=st.booleans(),
        schema_keys=st.sampled_from([frozenset(), frozenset({"title"})]),
        last_user_opening=st.sampled_from(["", COMPACTION.last_user_opening, "hello"]),
    )
)
def test_nothing_but_its_own_shape_makes_the_classifier_less(call: CallFeatures) -> None:
    """No hint, schema or message takes the safety classifier away from Claude."""
    assert classify_call(call) is RequestClass.SAFETY_CLASSIFIER
