"""What a running proxy says of itself, read into figures."""

import io

import pytest
from rich.console import Console

from ccproxy.cli.live_figures import BackendFigures, Snapshot, figures_of
from ccproxy.cli.live_view import drawn

HEALTH = {
    "ready": True,
    "profile": "balanced",
    "ledger": {"state": "up"},
    "deployments": [
        {"deployment": "qwen", "side": "local", "busy": 2, "waiting": 1, "unavailable": None},
        {
            "deployment": "claude",
            "side": "claude",
            "busy": 0,
            "waiting": 0,
            "unavailable": "no key",
        },
    ],
    "backends": [
        {
            "api_base": "http://a",
            "state": "down",
            "why": "refused",
            "models": [
                {"model": "q:7b", "loaded": {}},
                {"model": "q:32b", "loaded": {"size_bytes": 1}},
            ],
        },
        {"api_base": "https://api.anthropic.com", "state": "unknown", "why": ""},
    ],
}


def look(at_s, requests, failed=0, tokens=0, answers=0, waited_s=0.0):
    def counted(count, **labels):
        return ("ccproxy_requests_total", {"deployment": "qwen", **labels}, float(count))

    qwen = {"deployment": "qwen"}
    samples = [
        counted(requests, endpoint="messages", ending="completed", status="200"),
        counted(failed, endpoint="messages", ending="failed", status="529"),
        counted(1000, endpoint="count_tokens", ending="completed", status="200"),
        ("ccproxy_tokens_total", {**qwen, "kind": "output"}, float(tokens)),
        ("ccproxy_tokens_total", {**qwen, "kind": "input"}, 9999.0),
        ("ccproxy_ttft_seconds_count", qwen, float(answers)),
        ("ccproxy_ttft_seconds_sum", qwen, waited_s),
        ("ccproxy_cost_usd_total", {"deployment": "claude"}, 1.5),
    ]
    return Snapshot(at_s, HEALTH, samples)


def test_one_look():
    """Counts since the start, of Messages requests alone; no rate, since nothing is known of time."""
    figures = figures_of([look(5, 10, failed=2)])
    qwen, claude = figures.deployments

    assert (figures.ready, figures.profile, figures.ledger) == (True, "balanced", "up")
    assert (figures.total.requests, figures.total.failed, figures.total.cost_usd) == (12, 2, 1.5)
    assert figures.total.requests_per_min is None
    assert (qwen.busy, qwen.waiting, qwen.state, qwen.flow.requests) == (2, 1, "", 12)
    assert (claude.state, claude.flow.requests, claude.flow.cost_usd) == ("no key", 0, 1.5)
    assert list(figures.backends) == [
        BackendFigures("http://a", "down", "refused", ("q:32b",)),
        BackendFigures("https://api.anthropic.com", "unknown", "", ()),
    ]


def test_an_error_that_was_relayed_is_none_of_the_answers():
    """Claude's 529 reached the client whole, and yet the request failed; a refusal is no failure."""
    seen = look(5, 10, failed=2)
    labels = {"deployment": "claude", "endpoint": "messages"}
    seen.samples.extend(
        [
            ("ccproxy_requests_total", {**labels, "ending": "completed", "status": "529"}, 3.0),
            ("ccproxy_requests_total", {**labels, "ending": "refused", "status": "429"}, 7.0),
        ]
    )

    total, claude = figures_of([seen]).total, figures_of([seen]).deployments[1].flow

    assert (total.requests, total.failed) == (22, 5)
    assert (claude.requests, claude.failed) == (10, 3)


def test_rates():
    """Of the time between the first look and the last; of a proxy that was started anew none."""
    looks = [
        look(5, 10, tokens=100, answers=4, waited_s=8),
        look(7, 500),
        look(35, 20, 5, 400, 6, 9),
    ]
    flow = figures_of(looks).total
    assert (flow.requests_per_min, flow.output_tokens_per_s, flow.ttft_s) == (30.0, 10.0, 0.5)
    assert figures_of([look(5, 10), look(35, 10)]).total.ttft_s is None
    assert figures_of([look(5, 10), look(35, 3)]).total.requests_per_min is None


def framed(room, *looks):
    """Return the lines of a frame on a screen of so many columns."""
    console = Console(width=room, record=True, file=io.StringIO())
    console.print(drawn(figures_of(looks), "ccproxy [x]", room))
    return console.export_text().splitlines()


def test_a_frame():
    """Names with brackets stay what they are; what is wrong is told in words."""
    lines = framed(140, look(5, 10), look(65, 70))
    text = "\n".join(lines)

    assert "ccproxy [x]  ready  profile balanced  ledger up" in text
    assert "70 requests, 0 failed, $1.50 since the start; 60/min" in text
    assert ["qwen", "local", "2", "1", "60.0", "70", "ok"] in [line.split() for line in lines]
    assert "no key" in text
    assert "q:32b" in text


@pytest.mark.parametrize(
    ("room", "qwen", "gone"),
    [
        (98, "qwen local 2 1 61.0 13.3 0.49 s 72 2 ok", ""),
        (80, "qwen 2 1 61.0 0.49 s 72 2 ok", "side, tokens/s"),
        (60, "qwen 2 1 61.0 72 2 ok", "side, tokens/s, TTFT, cost"),
        (46, "qwen 2 1 2 ok", "side, per min, tokens/s, TTFT, requests, cost"),
    ],
)
def test_a_narrow_frame(room, qwen, gone):
    """Figures are whole or not there, which it says; what may be wrong is always there."""
    lines = framed(room, look(5, 10, 1, 100, 4, 8), look(65, 70, 2, 900, 90, 50))
    words = [line.split() for line in lines]

    assert qwen.split() in words
    assert ["no", "key"] in [each[-2:] for each in words]
    said = " ".join(line.strip() for line in lines).partition("no room for ")[2]
    assert gone == said
