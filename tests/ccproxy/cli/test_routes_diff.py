"""`ccproxy routes diff`: what an edit changes, and what it would have changed."""

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ccproxy.observability.decision_log import FILE_NAME
from tests.support.command_line import ROUTING, command_line
from tests.support.decision_samples import sample_decision, to_line

ROOT = Path(__file__).parents[3]


@pytest.fixture
def ccproxy(tmp_path, monkeypatch, capsys):
    run = command_line(tmp_path, monkeypatch, capsys)
    (tmp_path / "old.yaml").write_text(ROUTING)
    shutil.copy(ROOT / "config/pricing.yaml", tmp_path)
    return run


def edited(ccproxy, *edits):
    """Write new.yaml: the table after some replacements, each of which must hit."""
    text = ROUTING
    for before, after in edits:
        assert before in text
        text = text.replace(before, after)
    (ccproxy.folder / "new.yaml").write_text(text)


def diff(ccproxy, *arguments):
    return ccproxy("routes", "diff", "old.yaml", "new.yaml", *arguments)


HAIKU = ("haiku: {route: [coder]}", "haiku: {route: [writer, cloud], deadline_s: 30}")
LONG = ("min_input_tokens: 500", "min_input_tokens: 100")


def test_for_people(ccproxy):
    """Only who changes is listed, with before and after; callers nobody knows included."""
    edited(ccproxy, HAIKU, LONG)

    result = diff(ccproxy)

    assert result.code == 0
    assert [
        ["agent", "what", "before", "after"],
        ["python-pro", "route", "coder", "writer", ">", "cloud"],
        ["python-pro", "policies", "(none)", "deadline", "30", "s"],
        ["(unknown,", "haiku", "model)", "route", "coder", "writer", ">", "cloud"],
        ["(unknown,", "haiku", "model)", "policies", "(none)", "deadline", "30", "s"],
        ["rule", "long", "changed"],
    ] == result.lines()
    assert "agents or callers that change: 2; rules: 1" in result.err


def test_for_programs(ccproxy):
    """The same as JSON."""
    edited(ccproxy, HAIKU)

    told = diff(ccproxy, "--json").json()

    assert [each["agent"] for each in told["agents"]] == ["python-pro", "(unknown, haiku model)"]
    assert told["agents"][0]["before"]["route"] == ["coder"]
    assert told["agents"][0]["after"]["deadline_s"] == 30
    assert told["rules"] == []
    assert "replay" not in told


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (("- {name: long,", "- {name: longer,"), {"long": "removed", "longer": "added"}),
        (("route: [cloud]}\n    tiers", "route: [cloud], deadline_s: 5}\n    tiers"), {"long": "changed"}),
    ],
)  # fmt: skip
def test_rules_are_compared_by_name(ccproxy, edit, expected):
    """A rule is added, removed or changed."""
    edited(ccproxy, edit)

    told = diff(ccproxy, "--json").json()

    assert {each["rule"]: each["change"] for each in told["rules"]} == expected


def test_a_rule_that_only_moves(ccproxy):
    """The order counts, so it is told."""
    rule = "      - {name: long, when: {min_input_tokens: 500}, route: [cloud]}\n"
    other = "      - {name: tools, when: {tool_names: Bash}, route: [coder]}\n"
    (ccproxy.folder / "old.yaml").write_text(ROUTING.replace(rule, rule + other))
    edited(ccproxy, (rule, other + rule))

    assert {each["change"] for each in diff(ccproxy, "--json").json()["rules"]} == {"moved"}


def test_nothing_changes(ccproxy):
    """Comments and layout are no change."""
    edited(ccproxy, ("# It stays here.", "# Here."))

    assert diff(ccproxy, "--exit-code").code == 0
    assert diff(ccproxy).out == "No agent and no rule changes.\n"


@pytest.mark.parametrize(("arguments", "code"), [((), 0), (("--exit-code",), 1)])
def test_exit_codes(ccproxy, arguments, code):
    """A difference is no problem unless a script asks."""
    edited(ccproxy, HAIKU)

    assert diff(ccproxy, *arguments).code == code


def test_a_missing_key_hides_nothing(ccproxy):
    """Whether a deployment is available here is not what the tables differ in."""
    config = ccproxy.folder / "ccproxy.yaml"
    config.write_text(config.read_text().replace("sk-test", "os.environ/NO_SUCH_KEY"))
    edited(ccproxy, ("[coder, cloud]", "[cloud, coder]"))

    told = diff(ccproxy, "--json").json()

    assert told["agents"][0]["after"]["route"] == ["cloud", "coder"]


def test_another_profile(ccproxy):
    """--profile compares that one in both."""
    edited(ccproxy, ("deadline_s: 600", "deadline_s: 60"))

    assert diff(ccproxy).out.startswith("No agent")
    assert "deadline 60 s" in diff(ccproxy, "--profile", "night").out


def test_both_files_are_checked(ccproxy):
    """Problems of both are told at once."""
    edited(ccproxy, ("[coder, cloud]", "[codr]"))
    (ccproxy.folder / "old.yaml").write_text("version: 2\n")

    result = diff(ccproxy)

    assert result.code == 1
    assert "old.yaml:1:1" in result.err
    assert "there is no deployment 'codr'" in result.err


# --- over recorded decisions -------------------------------------------------------------------


def record(ccproxy, *decisions):
    folder = ccproxy.folder / "state"
    folder.mkdir()
    lines = b"".join(to_line(each) + b"\n" for each in decisions)
    (folder / FILE_NAME).write_bytes(lines)


def decided(
    model="claude-haiku-4-5", *, hours_ago=1.0, input_tokens=1000, output_tokens=100, **more
):
    """A recorded request of nobody in particular."""
    sample = sample_decision()
    outcome = replace(
        sample.outcome,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cache_creation_input_tokens=None,
        cache_read_input_tokens=None,
    )
    facts = {"requested_model": model, "content": {"input_tokens": 10}}
    at = time.time() - hours_ago * 3600
    return replace(sample, at=at, endpoint="messages", facts=facts, outcome=outcome, **more)


TO_CLOUD = ("haiku: {route: [coder]}", "haiku: {route: [cloud]}")


def test_replay(ccproxy):
    """Requests since then that would have gone elsewhere, with the cost of their tokens."""
    record(
        ccproxy,
        decided(hours_ago=30),
        decided("claude-sonnet-5"),
        decided("claude-haiku-4-5"),
        decided("claude-haiku-5-5"),
        replace(decided(), endpoint="count_tokens"),
    )
    edited(ccproxy, TO_CLOUD)

    result = diff(ccproxy, "--since", "24h", "--json")

    assert result.json()["replay"] == {
        "requests": 3,
        "elsewhere": 2,
        "moves": [
            {
                "from": "coder",
                "to": "cloud",
                "requests": 2,
                "before_microusd": 0,
                # 1000 and 100 tokens at 1 and 5, and at 0.1 and 0.5 dollars per million.
                "after_microusd": 1500 + 150,
                "unpriced": 0,
            }
        ],
        "unpriced": {},
    }


def test_replay_for_people(ccproxy):
    """The same as a sentence and a table."""
    record(ccproxy, decided(), decided("claude-sonnet-5"))
    edited(ccproxy, TO_CLOUD)

    result = diff(ccproxy, "--since", "7d")

    assert "Of 2 requests since 7d, 1 would have gone elsewhere." in result.out
    assert result.lines()[-1] == ["coder", "cloud", "1", "$0.000000", "$0.001500", "0"]


def test_savings_are_told_too(ccproxy):
    """What leaves Claude costs nothing any more."""
    record(ccproxy, decided("claude-opus-5"))
    edited(ccproxy, ("opus: {route: [cloud]}", "opus: {route: [writer]}"))

    (move,) = diff(ccproxy, "--since", "24h", "--json").json()["replay"]["moves"]

    assert (move["before_microusd"], move["after_microusd"]) == (7500, 0)


@pytest.mark.parametrize(
    ("decision", "reason"),
    [
        (decided("claude-haiku-9"), "claude-haiku-9 has no price"),
        (decided(output_tokens=None), "no tokens were counted"),
    ],
)
def test_what_is_not_known_is_not_zero(ccproxy, decision, reason):
    """Without tokens or a price a request is counted apart, and why is said."""
    record(ccproxy, decision)
    edited(ccproxy, TO_CLOUD)

    result = diff(ccproxy, "--since", "24h")

    assert result.lines()[-1] == ["coder", "cloud", "1", "$0.000000", "$0.000000", "1"]
    assert f"1 of them cost something unknown: {reason}" in result.err


def test_a_model_that_is_not_claudes_is_asked_for_as_base_model(ccproxy):
    """The price is that of the model Claude would be asked for."""
    record(ccproxy, decided("gpt-4o"))
    edited(ccproxy, ("default: {route: [coder]}", "default: {route: [cloud]}"))

    (move,) = diff(ccproxy, "--since", "24h", "--json").json()["replay"]["moves"]

    assert move["after_microusd"] == 3000


def test_requests_that_would_be_refused(ccproxy):
    """A table that serves them no more sends them nowhere, at no cost."""
    record(ccproxy, decided("claude-opus-5"))
    edited(ccproxy, ("opus: {route: [cloud]}", "opus: {route: [cloud], privacy: local_only}"))

    (move,) = diff(ccproxy, "--since", "24h", "--json").json()["replay"]["moves"]

    assert (move["from"], move["to"], move["after_microusd"]) == ("cloud", "(refused)", 0)


def test_rules_about_content_are_replayed(ccproxy):
    """What was recorded of the content decides again."""
    facts = {"requested_model": "claude-haiku-4-5", "content": {"input_tokens": 300}}
    record(ccproxy, replace(decided(), facts=facts))
    edited(ccproxy, LONG)

    (move,) = diff(ccproxy, "--since", "24h", "--json").json()["replay"]["moves"]

    assert (move["from"], move["to"]) == ("coder", "cloud")


def test_torn_lines_are_said(ccproxy):
    """A line that is no decision is left out, not silently."""
    record(ccproxy, decided())
    with (ccproxy.folder / "state" / FILE_NAME).open("ab") as file:
        file.write(b'{"request_id": "req_')
    edited(ccproxy, TO_CLOUD)

    result = diff(ccproxy, "--since", "24h")

    assert "Of 1 requests" in result.out
    assert "a recorded decision is left out" in result.err


def test_nothing_recorded(ccproxy):
    """Where nothing was recorded nothing is replayed, which is no error."""
    edited(ccproxy, TO_CLOUD)

    result = diff(ccproxy, "--since", "2026-01-31T14:30")

    assert result.code == 0
    assert "Of 0 requests since 2026-01-31T14:30, 0 would have gone elsewhere." in result.out


@pytest.mark.parametrize("since", ["yesterday", "24", "-1h", "24 h"])
def test_a_time_that_is_none(ccproxy, since):
    """Exit code 2, with the ways to write it."""
    edited(ccproxy)

    result = diff(ccproxy, f"--since={since}")

    assert result.code == 2
    assert "write 90m, 24h, 7d" in result.err


def test_no_prices(ccproxy):
    """Without a price file requests are counted all the same, and what is missing is said."""
    (ccproxy.folder / "pricing.yaml").unlink()
    record(ccproxy, decided())
    edited(ccproxy, TO_CLOUD)

    result = diff(ccproxy, "--since", "24h")

    assert result.lines()[-1] == ["coder", "cloud", "1", "$0.000000", "$0.000000", "1"]
    assert "there is no" in result.err
    assert "pricing.yaml" in result.err


def test_broken_prices(ccproxy):
    """A price file with a mistake in it is not used at all."""
    (ccproxy.folder / "pricing.yaml").write_text("version: 1\n")
    edited(ccproxy, TO_CLOUD)

    result = diff(ccproxy, "--since", "24h")

    assert result.code == 1
    assert "pricing.yaml:1:1: as_of: must be the day" in result.err
