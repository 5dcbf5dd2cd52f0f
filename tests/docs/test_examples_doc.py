"""The examples of the pages for ops and for agents' owners do what they are there for."""

import json
import re

import yaml

from ccproxy.config.models import ConfigFile
from ccproxy.config.roster import load_roster
from ccproxy.config.routing_file import parse_routing
from ccproxy.config.settings import load_settings, routing_deployments
from tests.support.tools import ROOT

FENCED = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
SETTINGS = load_settings(ROOT / "config/ccproxy.yaml", {"ANTHROPIC_API_KEY": "k", "HOME": "/h"})


def examples(page, language):
    """Return the fenced blocks of a page in one language."""
    text = (ROOT / "docs" / page).read_text()
    return [block for name, block in FENCED.findall(text) if name == language]


def test_the_table_for_hybrid_routing():
    """The page's table loads over the shipped deployments and roster, as a file would."""
    (table,) = examples("hybrid-routing-setup.md", "yaml")
    roster = load_roster(ROOT / "config/orchestra-config.json").roster

    routing, _ = parse_routing(table.encode(), "the page", routing_deployments(SETTINGS), roster)

    assert "balanced" == routing.active.name


def test_agents_are_known_by_their_files():
    """Pages that lead to a first agent show the key, as the schema has it."""
    for page in ("install.md", "agents-side.md"):
        (block,) = examples(page, "yaml")
        assert {"agents_folder": "~/.claude/agents"} == yaml.safe_load(block)
    assert "agents_folder" in ConfigFile.model_fields


def test_the_settings_for_claude_code():
    """They are JSON with the two variables."""
    (block,) = examples("agents-side.md", "json")

    assert {"ANTHROPIC_BASE_URL", "ANTHROPIC_AUTH_TOKEN"} <= json.loads(block)["env"].keys()
