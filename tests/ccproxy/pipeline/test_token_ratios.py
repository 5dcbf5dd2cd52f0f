"""One object knows what every deployment's counts have taught."""

import logging

import pytest

from ccproxy.outcome import LearnedRatio
from ccproxy.pipeline.token_ratios import TokenRatios
from ccproxy.wire.estimate import PromptEstimate
from routing.capabilities import FleetSnapshot

LONG = PromptEstimate(20_000)
MODELS = {"qwen": "ollama_chat/qwen", "other": "ollama_chat/other"}


@pytest.fixture
def saved():
    return []


@pytest.fixture
def alarms():
    return []


@pytest.fixture
def ratios(saved, alarms):
    return TokenRatios(MODELS, save=saved.append, on_truncation=alarms.append, now=lambda: 7.0)


def learn(ratios, counted, estimate=LONG, deployment="qwen"):
    return ratios.learn(deployment, estimate, counted, request_id="req_1")


def test_each_deployment_has_its_own_ratio(ratios):
    """What one model counts says nothing of another."""
    learn(ratios, 24_000)

    assert 10_500 == ratios.calibrated("qwen", 10_000)
    assert 10_000 == ratios.calibrated("other", 10_000)
    assert ["qwen"] == list(ratios.snapshot())


def test_routing_sees_the_same_tokens(ratios):
    """A candidate's room is judged by what preflight will say (conformance 246)."""
    learn(ratios, 23_456)
    fleet = FleetSnapshot(token_ratios=ratios.snapshot())

    for tokens in (1, 999, 123_456):
        for name in ("qwen", "other"):
            assert ratios.calibrated(name, tokens) == fleet.prompt_tokens(name, tokens)


def test_a_cut_prompt_is_an_alarm(ratios, alarms, saved, caplog):
    """Metric, log with the request's id, and a note for the header; nothing is learned (conformance 228)."""
    with caplog.at_level(logging.WARNING):
        verdict = learn(ratios, 4_095)

    assert verdict.truncated
    assert verdict.notes == ("truncation_seen=4095:20000",)
    assert alarms == ["qwen"]
    assert [("WARNING", "req_1")] == [(r.levelname, r.request_id) for r in caplog.records]
    assert "qwen read 4095 tokens of a prompt of about 20000" in caplog.text
    assert (saved, ratios.snapshot()) == ([], {})


@pytest.mark.parametrize(
    ("estimate", "counted"),
    [(LONG, 19_000), (LONG, None), (LONG, 0), (LONG, -5), (PromptEstimate(20_000, 9_000), 4_000)],
    ids=["as expected", "no count", "zero", "nonsense", "images"],
)
def test_what_is_no_alarm(estimate, counted, ratios, alarms):
    """A missing count (conformance 218) and one whose estimate is a guess accuse nobody."""
    assert not learn(ratios, counted, estimate).truncated
    assert alarms == []


def test_a_ratio_is_saved_when_it_has_moved(ratios, saved):
    """The first sample and every hundredth are saved, so that a busy model writes little."""
    learn(ratios, 20_000)
    learn(ratios, 20_010)
    assert saved == [LearnedRatio("qwen", MODELS["qwen"], 1.0, 1, 7.0)]
    learn(ratios, 24_000)
    assert [row.samples for row in saved] == [1, 3]
    assert saved[-1].ratio == pytest.approx(1.05, abs=0.001)


def test_what_was_saved_counts_after_a_restart(ratios, saved):
    """Another process goes on where this one was."""
    for _ in range(20):
        learn(ratios, 26_000)
    later = TokenRatios(MODELS)
    later.restore(saved)

    assert ratios.calibrated("qwen", 10_000) == pytest.approx(
        later.calibrated("qwen", 10_000), rel=0.01
    )


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (LearnedRatio("qwen", MODELS["qwen"], 1.5, 9, 1.0), 15_000),
        (LearnedRatio("qwen", "ollama_chat/earlier", 1.5, 9, 1.0), 10_000),
        (LearnedRatio("gone", MODELS["qwen"], 1.5, 9, 1.0), 10_000),
        (LearnedRatio("qwen", MODELS["qwen"], 55.0, 9, 1.0), 10_000),
    ],
    ids=["its own", "another model", "another deployment", "out of bounds"],
)
def test_what_is_restored(row, expected, ratios):
    """Only what was learned of this very model under this name, and within the bounds."""
    ratios.restore([row])

    assert expected == ratios.calibrated("qwen", 10_000)


def test_what_is_known_better_by_now_stays(ratios):
    """A database that comes up late does not undo what was learned meanwhile."""
    for _ in range(3):
        learn(ratios, 24_000)
    known = ratios.snapshot()
    ratios.restore([LearnedRatio("qwen", MODELS["qwen"], 0.7, 2, 1.0)])

    assert known == ratios.snapshot()
