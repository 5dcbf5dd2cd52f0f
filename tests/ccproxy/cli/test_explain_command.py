"""`ccproxy explain` as people and scripts use it."""

import io
import json
from types import SimpleNamespace

import pytest

from ccproxy.auth import create_token
from routing.types import Privacy
from tests.support.command_line import command_line


@pytest.fixture
def ccproxy(tmp_path, monkeypatch, capsys):
    return command_line(tmp_path, monkeypatch, capsys)


def attempts(result):
    return [each["deployment"] for each in result.json()["attempts"]]


def test_for_people(ccproxy):
    """Who and how found, each step kept or skipped with its reason, the attempts in order."""
    result = ccproxy("explain", "--agent", "debugger", "--model", "claude-sonnet-5-5")

    assert result.code == 0
    assert "agent    debugger, from path (confidence 1)" in result.out
    assert ["rules.long", "skipped", "at", "most"] == next(
        words[:4] for words in result.lines() if words[:1] == ["rules.long"]
    )
    assert ["tiers.sonnet", "kept", "most", "specific", "entry", "with", "a", "route"] in (
        result.lines()
    )
    assert [["1", "coder", "local"], ["2", "cloud", "claude"]] == result.lines()[-2:]
    assert "what is up at the moment was not asked" in result.err


def test_for_programs(ccproxy):
    """The same as JSON, in the shape of POST /admin/explain."""
    result = ccproxy("explain", "--agent", "debugger", "--json")

    assert result.code == 0
    assert {"agent", "source", "attempts", "trace", "facts", "policies"} <= set(result.json())
    assert attempts(result) == ["coder", "cloud"]


def test_health_is_assumed(ccproxy):
    """--health takes a backend away."""
    result = ccproxy("explain", "--agent", "debugger", "--health", "ollama=down", "--json")

    assert attempts(result) == ["cloud"]


def test_a_request_from_a_file(ccproxy):
    """The request decides by its content; options stand beside it and win."""
    request = {
        "model": "claude-haiku-4-5",
        "messages": [{"role": "user", "content": "word " * 900}],
    }
    (ccproxy.folder / "request.json").write_text(json.dumps(request))

    result = ccproxy(
        "explain", "--agent", "debugger", "--model", "x", "--request", "request.json", "--json"
    )

    assert result.json()["rule"] == "long"
    assert result.json()["requested_model"] == "x"


def test_a_request_from_stdin(ccproxy, monkeypatch):
    """A dash reads it from stdin."""
    stdin = SimpleNamespace(buffer=io.BytesIO(b'{"model": "agent/python-pro"}'))
    monkeypatch.setattr("sys.stdin", stdin)

    assert ccproxy("explain", "--request", "-", "--json").json()["agent"] == "python-pro"


def test_headers_and_time(ccproxy):
    """Headers name agents as they do for traffic; the time is that of --at."""
    result = ccproxy(
        "explain", "--header", "X-Ccproxy-Agent: debugger", "--at", "2026-03-31T14:30", "--json"
    )

    assert (result.json()["agent"], result.json()["source"]) == ("debugger", "header")
    assert result.json()["facts"]["local_minute"] == [1, 870]


def test_the_prompt_of_a_file_is_recognised(ccproxy):
    """The agents' own prompts are read as the proxy reads them."""
    prompt = "\n".join(
        f"Rule {number}: look at part {number} of the program." for number in range(40)
    )
    roster = {"codingAgents": [{"name": "Debugger", "model": "sonnet", "prompt": prompt}]}
    (ccproxy.folder / "roster.json").write_text(json.dumps(roster))
    ccproxy.routing.write_text(
        "version: 1\nactive_profile: a\nprofiles: {a: {default: {route: [coder]}}}\n"
    )
    (ccproxy.folder / "r.json").write_text(json.dumps({"model": "claude-opus-5", "system": prompt}))

    result = ccproxy("explain", "--request", "r.json", "--json")

    assert (result.json()["agent"], result.json()["source"]) == ("debugger", "prompt")


def test_the_agents_of_a_token_count(ccproxy):
    """--principal reads what the token may from the tokens file."""
    create_token(ccproxy.folder / "state/tokens.json", "ci", scopes=(), agents=("debugger",))

    result = ccproxy("explain", "--principal", "ci", "--json")

    assert (result.json()["agent"], result.json()["source"]) == ("debugger", "token")


def test_the_privacy_of_a_token_counts(ccproxy):
    """A `local_only` token keeps the request here, and the explanation says that it is the token's."""
    create_token(ccproxy.folder / "state/tokens.json", "vault", privacy=Privacy.LOCAL_ONLY)

    result = ccproxy("explain", "--principal", "vault", "--model", "claude-opus-5-5")

    assert "local_only, from token" in result.out
    result = ccproxy("explain", "--principal", "vault", "--json").json()
    assert (result["privacy"], result["facts"]["token_privacy"]) == ("local_only", "local_only")
    assert {attempt["side"] for attempt in result["attempts"]} == {"local"}


def test_a_principal_without_a_token(ccproxy):
    """It is explained all the same, and said."""
    result = ccproxy("explain", "--principal", "nobody", "--json")

    assert result.json()["facts"]["principal"] == "nobody"
    assert "there is no token 'nobody'" in result.err


def test_a_refusal_is_exit_code_1(ccproxy):
    """What the client would get is printed, after how it came about."""
    result = ccproxy("explain", "--agent", "security-auditor", "--health", "ollama=down")

    assert result.code == 1
    assert "Refused with 529 overloaded_error: No deployment may serve this request" in result.out
    assert ["cloud", "skipped", "leaves", "the", "host,"] in [line[:5] for line in result.lines()]


def test_json_has_always_the_same_keys(ccproxy):
    """A plan has no refusal, and a refusal nothing of a plan: that is null then."""
    plan = ccproxy("explain", "--agent", "debugger", "--json").json()
    refusal = ccproxy("explain", "--agent", "debuger", "--json").json()

    assert set(plan) == set(refusal)
    assert plan["refused"] is None
    assert refusal["refused"]["status"] == 404
    assert [refusal[key] for key in ("tier", "privacy", "rule", "policies")] == [None] * 4


def test_an_unknown_agent(ccproxy):
    """The nearest is named."""
    result = ccproxy("explain", "--agent", "debuger")

    assert result.code == 1
    assert "Did you mean 'debugger'?" in result.out


def test_count_tokens(ccproxy):
    """The class of the request is that of a count."""
    result = ccproxy("explain", "--agent", "debugger", "--count-tokens", "--json")

    assert result.json()["request_class"] == "count"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--health", "olama=down"], "there is no deployment 'olama'"),
        (["--health", "ollama"], "write --health NAME=down"),
        (["--health", "ollama=ill"], "'down' or 'up'"),
        (["--header", "x-team"], "write --header NAME:VALUE"),
        (["--header", ": red"], "write --header NAME:VALUE"),
        (["--at", "noon"], "is no time"),
        (["--request", "missing.json"], "No such file"),
        (["--request", "broken.json"], "JSON"),
        (["--request", "list.json"], "object"),
        (["--wrong"], "No such option"),
    ],
)
def test_wrong_usage_is_exit_code_2(ccproxy, arguments, complaint):
    """The complaint names the option and the way to write it."""
    (ccproxy.folder / "broken.json").write_text("{")
    (ccproxy.folder / "list.json").write_text("[]")

    result = ccproxy("explain", *arguments)

    assert result.code == 2
    assert complaint in result.err


def test_a_broken_table(ccproxy):
    """Every problem with its place; nothing is explained by half a table."""
    ccproxy.routing.write_text("version: 1\nactive_profile: a\nprofiles: {a: {tires: {}}}\n")

    result = ccproxy("explain", "--agent", "debugger")

    assert (result.code, result.out) == (1, "")
    assert "routing.yaml:3:16: profiles.a.tires: unknown key 'tires'" in result.err
