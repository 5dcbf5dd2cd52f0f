"""The benchmark of fallbacks runs, and measures what it says."""

import json

from benchmarks.fallback import CASES, main


def test_it_measures_every_case(tmp_path):
    """Each case falls back as it says, streamed and not."""
    out = tmp_path / "result.json"
    main(["--requests", "1", "--out", str(out)])
    result = json.loads(out.read_text())

    assert 2 * len(CASES) == len(result["cases"])
    for figures in result["cases"].values():
        assert 0 < figures["alone_p50_ms"]
        assert figures["added_p50_ms"] <= figures["added_p99_ms"]
