"""The files in `config/` that every installation starts from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ccproxy.config.locate import ledger_file
from ccproxy.config.roster import load_roster
from ccproxy.config.routing_file import load_routing
from ccproxy.config.settings import load_settings, routing_deployments
from routing.errors import NoAttempt
from routing.identify import identify
from routing.plan import build_plan
from routing.types import Plan, Privacy, RequestFacts, Roster, RoutingTable

CONFIG = Path(__file__).parents[3] / "config"
ENVIRON = {"ANTHROPIC_API_KEY": "sk-test", "HOME": "/home/ops"}


@pytest.fixture(scope="module")
def roster() -> Roster:
    """Return the shipped roster."""
    return load_roster(CONFIG / "orchestra-config.json").roster


def table_with(profile: str, roster: Roster, environ: dict[str, str]) -> RoutingTable:
    """Return the shipped table with another active profile."""
    settings = load_settings(CONFIG / "ccproxy.yaml", environ)
    table, _ = load_routing(settings.routing_file, routing_deployments(settings), roster)
    return replace(table, active=table.profiles[profile])


def plan(facts: RequestFacts, table: RoutingTable, roster: Roster) -> Plan:
    """Return the plan for one request."""
    return build_plan(facts, identify(facts, roster, table.deployments), table, roster)


def test_the_shipped_files_are_without_a_finding(roster: Roster) -> None:
    """With a key set, neither file has an error or a warning."""
    settings = load_settings(CONFIG / "ccproxy.yaml", ENVIRON)
    table, warnings = load_routing(settings.routing_file, routing_deployments(settings), roster)
    assert (settings.warnings, warnings) == ((), ())
    assert table.active.name == "balanced"
    assert set(table.profiles) == {"balanced", "max-savings", "claude-only", "local-only"}
    assert settings.roster_file == CONFIG / "orchestra-config.json"


def test_state_is_the_checkouts_own() -> None:
    """Tokens and ledger are in a folder that git ignores, apart from those of an installation."""
    settings = load_settings(CONFIG / "ccproxy.yaml", ENVIRON)
    ledger = ledger_file(settings.ledger_url)
    assert ledger is not None
    assert {CONFIG.parent / ".ccproxy"} == {
        each.parent.resolve() for each in (settings.tokens_file, ledger)
    }
    assert "/.ccproxy/" in (CONFIG.parent / ".gitignore").read_text().splitlines()


def test_without_a_key_only_claude_is_missing(roster: Roster) -> None:
    """A machine without a key starts, and its routes go on to the local models."""
    settings = load_settings(CONFIG / "ccproxy.yaml", {"HOME": "/home/ops"})
    missing = [each.name for each in settings.deployments if each.unavailable]
    assert missing == ["claude-opus", "claude-sonnet", "claude-haiku", "claude-default"]
    table = table_with("balanced", roster, {"HOME": "/home/ops"})
    assert plan(RequestFacts("claude-sonnet-4-5"), table, roster).attempts == ("qwen-coder",)
    with pytest.raises(NoAttempt) as caught:
        plan(RequestFacts("claude-opus-4-5"), table, roster)
    assert caught.value.outage


@pytest.mark.parametrize("profile", ["balanced", "max-savings", "claude-only", "local-only"])
def test_every_agent_is_served_in_every_profile(profile: str, roster: Roster) -> None:
    """Each agent of the roster has an attempt, and the auditor never leaves the host."""
    table = table_with(profile, roster, ENVIRON)
    for slug in roster.agents:
        decided = plan(RequestFacts("claude-opus-4-5", path_agent=slug), table, roster)
        assert decided.attempts
        if profile == "local-only" or slug == "security-auditor":
            assert decided.privacy is Privacy.LOCAL_ONLY
            assert all(name.startswith("qwen") for name in decided.attempts)


def test_the_profile_local_only_covers_everybody(roster: Roster) -> None:
    """A caller nobody knows stays on the host too, whatever it asks for."""
    table = table_with("local-only", roster, ENVIRON)
    for model in ("claude-opus-4-5", "claude-haiku-4-5", "gpt-4o"):
        attempts = plan(RequestFacts(model), table, roster).attempts
        assert all(name.startswith("qwen") for name in attempts)
    with pytest.raises(NoAttempt):
        plan(RequestFacts("claude-opus"), table, roster)


def test_claude_only_is_claude_only(roster: Roster) -> None:
    """The profile for comparisons uses no local model but where privacy demands it."""
    table = table_with("claude-only", roster, ENVIRON)
    assert plan(RequestFacts("gpt-4o"), table, roster).attempts == ("claude-default",)
