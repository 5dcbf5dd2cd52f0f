"""The benchmark itself: it runs, and its report says what it is supposed to say."""

import json

import pytest

from benchmarks.aims import AIMS, table
from benchmarks.proxy_overhead import main, with_added


@pytest.mark.timeout(120)
def test_a_tiny_run_measures_every_figure(tmp_path):
    """A run with tiny counts starts every process and fills the Claude side's table."""
    main(["--rounds", "1", "--scale", "0.01", "--skip-local", "--out", str(tmp_path)])

    result = json.loads((tmp_path / "proxy_overhead.json").read_text())
    measured = result["medians"]["claude"]["ccproxy"]
    wanted = {aim.figure for aim in AIMS if not aim.figure.startswith("local_")}
    assert wanted - {"rps", "loaded_cpu_ms"} <= measured.keys()
    assert measured["left_after_1s"] == 0
    assert measured["added_json_p50_ms"] > 0
    assert "ccproxy" in (tmp_path / "proxy_overhead.md").read_text()


def test_added_is_the_difference_within_a_round():
    """What a contender adds is compared with going direct in the same round, then the median."""
    summary = with_added(
        {
            "direct": [{"json_p50_ms": 1.0}, {"json_p50_ms": 9.0}, {"json_p50_ms": 1.0}],
            "ccproxy": [{"json_p50_ms": 2.0}, {"json_p50_ms": 12.0}, {"json_p50_ms": 3.0}],
        }
    )

    assert summary["ccproxy"]["added_json_p50_ms"] == 2.0


@pytest.mark.parametrize(
    ("figure", "value", "verdict"),
    [
        ("json_cpu_ms", 0.33, "met"),
        ("json_cpu_ms", 0.34, "missed"),
        ("json_cpu_ms", 1.15, "NOT ACCEPTABLE"),
        ("rps", 3000, "met"),
        ("rps", 2999, "missed"),
        ("rps", 850, "NOT ACCEPTABLE"),
        ("local_event_cpu_us", 401, "missed"),
        ("left_after_1s", 0, "met"),
        ("left_after_1s", 1, "NOT ACCEPTABLE"),
    ],
)
def test_verdicts(figure, value, verdict):
    """A figure at its aim meets it; one at the bound is not acceptable."""
    row = next(aim for aim in AIMS if aim.figure == figure)

    assert row.verdict(value) == verdict
    assert f"| {verdict} |" in table({figure: value})
