"""Every table in docs/routing.md is linted, and sends requests where the page says."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ccproxy.config.pricing_file import load_pricing
from ccproxy.config.roster import load_roster
from ccproxy.config.routing_file import parse_routing
from ccproxy.config.settings import load_settings, routing_deployments
from routing.capabilities import FleetSnapshot
from routing.condition_reader import WHEN_KEYS
from routing.conditions import DAYS
from routing.content import StatedContent
from routing.errors import RoutingError
from routing.identify import identify
from routing.plan import build_plan
from routing.policy_reader import POLICY_KEYS
from routing.types import FallbackTrigger, Plan, RequestClass, RequestFacts, Roster, Side

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/routing.md").read_text()
EXAMPLE = re.compile(r"```yaml\n(.*?)```\n```text\n(.*?)```", re.DOTALL)
LINE = re.compile(r"(?P<request>.*?) +-> (?P<outcome>.*)")
SAYS = re.compile(r"(?P<attempts>.*?)(?: \[(?P<says>.*)\])?")

SETTINGS = load_settings(ROOT / "config/ccproxy.yaml", {"ANTHROPIC_API_KEY": "k", "HOME": "/h"})
DEPLOYMENTS = routing_deployments(SETTINGS)
SHIPPED_ROSTER = load_roster(ROOT / "config/orchestra-config.json").roster
ROSTER = Roster(
    {s: replace(a, wished_ollama_model=None) for s, a in SHIPPED_ROSTER.agents.items()},
    SHIPPED_ROSTER.aliases,
)
"""Without wishes: the page's tables are too small to follow them all."""


@dataclass(frozen=True)
class Example:
    """A table and the lines under it."""

    table: str
    lines: tuple[str, ...]


EXAMPLES = [Example(table, tuple(text.splitlines())) for table, text in EXAMPLE.findall(PAGE)]
LINES = [(example.table, line) for example in EXAMPLES for line in example.lines]


def whole(text: str) -> bytes:
    """Return a table; the inside of a profile becomes one."""
    body: dict[str, Any] = yaml.safe_load(text)
    if "version" in body:
        return text.encode()
    profile = {"default": {"route": ["qwen-coder", "claude-default"]}, **body}
    table = {"version": 1, "active_profile": "example", "profiles": {"example": profile}}
    return yaml.safe_dump(table, sort_keys=False).encode()


def request_of(text: str) -> RequestFacts:
    """Return the request that a line describes."""
    said = dict(word.partition("=")[::2] for word in text.split())
    content = StatedContent(
        input_tokens=int(said.pop("tokens", 100)),
        has_images=said.pop("images", None) is not None,
        has_documents=said.pop("documents", None) is not None,
        tool_loop_side=Side(side) if (side := said.pop("loop", None)) else None,
        tool_names=frozenset(filter(None, said.pop("tools", "").split(","))),
    )
    minute = None
    if moment := said.pop("time", None):
        day, hour, minutes = re.fullmatch(r"(\w+)-(\d+):(\d+)", moment).groups()
        minute = (DAYS.index(day), int(hour) * 60 + int(minutes))
    header, _, value = said.pop("header", "").partition(":")
    facts = RequestFacts(
        requested_model=said.pop("model", "claude-sonnet-5-5"),
        path_agent=said.pop("agent", None),
        principal=said.pop("principal", ""),
        project=said.pop("project", None),
        request_class=RequestClass(said.pop("class", "turn")),
        headers={header: value} if header else {},
        content=content,
        local_minute=minute,
    )
    assert said == {}, f"unknown words in {text!r}"
    return facts


def decide(table_text: str, facts: RequestFacts, fleet: FleetSnapshot) -> Plan | RoutingError:
    """Return what the table says of a request."""
    parsed, _ = parse_routing(whole(table_text), "page", DEPLOYMENTS, ROSTER)
    table = replace(parsed, prices=load_pricing(ROOT / "config/pricing.yaml"))
    try:
        match = identify(facts, ROSTER, table.deployments)
        return build_plan(facts, match, table, ROSTER, fleet)
    except RoutingError as error:
        return error


def policy(plan: Plan, name: str) -> str:
    """Return one policy of a plan, as the page writes it."""
    if name == "thinking":
        return str(plan.thinking.max_budget_tokens or plan.thinking.mode)
    if name == "only_after":
        return ",".join(plan.only_after)
    if name == "asks":
        return ",".join(f"{deployment}:{model}" for deployment, model in plan.asks.items())
    value = getattr(plan, name)
    return f"{value:g}" if isinstance(value, float) else str(value)


def test_every_table_of_the_page_is_explained() -> None:
    """No YAML block stands without its lines, and there are some."""
    assert len(EXAMPLES) == PAGE.count("```yaml") > 8
    assert all(example.lines for example in EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_every_table_is_without_a_finding(example: Example) -> None:
    """Neither an error nor a warning."""
    _, warnings = parse_routing(whole(example.table), "page", DEPLOYMENTS, ROSTER)
    assert warnings == ()


@pytest.mark.parametrize(("table", "line"), LINES, ids=[line for _, line in LINES])
def test_a_request_goes_where_the_page_says(table: str, line: str) -> None:
    """The attempts, in order, or the refusal; and the policies where they are given."""
    parts = LINE.fullmatch(line)
    assert parts is not None, line
    request, _, down = parts["request"].partition(" down=")
    fleet = FleetSnapshot(unavailable=dict.fromkeys(filter(None, down.split(",")), "down"))
    verdict = decide(table, request_of(request), fleet)
    if parts["outcome"].startswith("refused: "):
        assert isinstance(verdict, RoutingError)
        assert parts["outcome"].removeprefix("refused: ") in str(verdict)
        return
    assert isinstance(verdict, Plan), verdict
    outcome = SAYS.fullmatch(parts["outcome"])
    assert ", ".join(verdict.attempts) == outcome["attempts"]
    for said in (outcome["says"] or "").split():
        name, _, value = said.partition("=")
        assert policy(verdict, name) == value


@pytest.mark.parametrize(
    "key", [*WHEN_KEYS, *POLICY_KEYS, *FallbackTrigger, "memory_gib", "extends", "unknown"]
)
def test_every_key_is_taught(key: str) -> None:
    """Each key of the language is on the page."""
    assert f"`{key}`" in PAGE
