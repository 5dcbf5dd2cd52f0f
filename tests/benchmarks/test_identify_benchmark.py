"""The benchmark of identify and plan runs, and measures what it says."""

from benchmarks.identify import SYSTEM_BYTES, body_of, measure


def test_it_measures_every_case_and_step() -> None:
    """Each case is checked for its result while it is timed; every step has both percentiles."""
    result = measure(rounds=20)

    assert result["agents"] == 115
    assert 550_000 < result["prompts_bytes"] < 700_000
    assert set(result["us"]) == {
        "recognised",
        "unknown",
        "near miss",
        "recognised, CRLF and spaces",
    }
    for steps in result["us"].values():
        assert set(steps) == {"facts", "prompt", "identify_plan", "together", "yardstick", "first"}
        assert all(0 < times["p50"] <= times["p99"] for times in steps.values())


def test_the_system_prompt_has_the_stated_size() -> None:
    """The request is as large as the aim says."""
    body = body_of("You are somebody.\n" * 50, found=True, trailing_space=False)

    assert 0.95 * SYSTEM_BYTES < len(body) < 1.1 * SYSTEM_BYTES
