"""Reading rosters in every shape that fleets have, and the roster that is shipped."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ccproxy.config.problems import ConfigError
from ccproxy.config.roster import LoadedRoster, load_roster, slug_of, summary, tier_of
from routing.types import Agent, AgentFallback, FallbackTrigger, Tier

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "config" / "orchestra-config.json"


def fleet_facts() -> list[dict[str, str]]:
    """Return the facts of the fleet's 117 entries, in their order."""
    with (ROOT / "tests" / "data" / "agents117.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def shipped_entries() -> list[tuple[str, dict[str, Any]]]:
    """Return (category, entry) of the shipped file, read without our loader."""
    document = json.loads(SHIPPED.read_text())
    entries = [("architect", document["architect"])]
    for key, value in document.items():
        if key.endswith("Agents"):
            entries.extend((key, entry) for entry in value)
    return entries


@pytest.fixture
def load(tmp_path: Path) -> Callable[[object], LoadedRoster]:
    """Return a function that writes a document (or raw text) and loads it."""

    def write_and_load(document: object) -> LoadedRoster:
        path = tmp_path / "roster.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document, indent=2))
        return load_roster(path)

    return write_and_load


# --- the shipped roster ------------------------------------------------------------------------


def test_the_shipped_roster_has_the_fleets_facts() -> None:
    """Category, name, type and tier word of all 117 entries are the fleet's, in its order."""
    expected = [
        (row["category"], row["name"], row["type"], row["model_tier"]) for row in fleet_facts()
    ]

    assert [(c, e["name"], e["type"], e["model"]) for c, e in shipped_entries()] == expected


def test_the_slug_rule_gives_the_fleets_slugs() -> None:
    """The slug of every name is the one the fleet uses for it."""
    assert [slug_of(row["name"]) for row in fleet_facts()] == [row["slug"] for row in fleet_facts()]


def test_the_shipped_roster_loads() -> None:
    """It has 117 entries and 115 agents, and warns of the two slugs that come twice, no more."""
    loaded = load_roster(SHIPPED)

    assert summary(loaded) == "117 entries, 115 agents, 1/76/38 opus/sonnet/haiku"
    assert set(loaded.roster.agents) == {row["slug"] for row in fleet_facts()}
    assert [(w.key, w.message.split()[2]) for w in loaded.warnings] == [
        ("documentationAgents[5]", "llms-maintainer"),
        ("supportAgents[15]", "test-engineer"),
    ]


def test_the_shipped_descriptions_are_written_one_by_one() -> None:
    """Every entry has its own one-sentence role, three to five specialties and its agent file."""
    entries = [entry for _, entry in shipped_entries()]

    assert len({entry["role"] for entry in entries}) == len(entries)
    for entry in entries:
        assert re.fullmatch(r"[A-Z]([^.]|\.(?=\w))+\.", entry["role"]), entry["role"]
        assert 3 <= len(entry["specialties"]) <= 5
        file = f"{slug_of(entry['name'])}.md"
        folder = "agents" if (SHIPPED.parent / "agents" / file).exists() else ".claude/agents"
        assert entry["agentFile"] == f"{folder}/{file}"


def test_the_shipped_wishes_are_local_models() -> None:
    """Sonnet and haiku entries wish for a qwen model of the example config; the architect doesn't."""
    wishes = Counter(
        (tier_of(entry["model"]), entry.get("ccproxyMapping", {}).get("ollama"))
        for _, entry in shipped_entries()
    )

    assert set(wishes) == {
        (Tier.OPUS, None),
        (Tier.SONNET, "qwen2.5-coder:32b-instruct"),
        (Tier.SONNET, "qwen2.5:32b-instruct"),
        (Tier.HAIKU, "qwen-fast:latest"),
    }


def test_the_shipped_architect_has_a_fallback() -> None:
    """It alone has a block, with a sonnet tier model and every trigger."""
    agents = load_roster(SHIPPED).roster.agents.values()

    assert {agent.slug: agent.fallback for agent in agents if agent.fallback is not None} == {
        "chief-architect": AgentFallback(Tier.SONNET, tuple(FallbackTrigger))
    }


# --- shapes ------------------------------------------------------------------------------------

MODERN: dict[str, Any] = {
    "architect": {"name": "Chief", "model": "opus", "fallback": {"model": "sonnet"}},
    "codingAgents": [
        {
            "name": "Python Pro",
            "type": "python-pro",
            "model": "haiku",
            "role": "Writes Python.",
            "ccproxyMapping": {"apiAlias": "py", "ollama": "qwen-fast:latest", "phase": "Phase 1"},
        }
    ],
}
OLDER_AGENTS: dict[str, Any] = {
    "python-pro": {
        "name": "Python Pro",
        "type": "python-pro",
        "model": "gpt-3.5-turbo",
        "description": "Writes Python.",
        "agent_file": "python-pro.md",
        "ccproxy_mapping": {"api_alias": "py", "ollama": "qwen-fast:latest", "phase": "Phase 1"},
    }
}


def python_pro(category: str) -> Agent:
    """Return the agent that all shapes above describe."""
    return Agent(
        slug="python-pro",
        name="Python Pro",
        tier=Tier.HAIKU,
        category=category,
        type="python-pro",
        description="Writes Python.",
        api_alias="py",
        wished_ollama_model="qwen-fast:latest",
    )


@pytest.mark.parametrize(
    ("document", "category"),
    [
        pytest.param(MODERN, "codingAgents", id="lists"),
        pytest.param({"agents": OLDER_AGENTS}, "agents", id="object keyed by slug"),
        pytest.param({"agents": list(OLDER_AGENTS.values())}, "agents", id="one list"),
        pytest.param(
            {"agents": {"python_pro": OLDER_AGENTS["python-pro"]}}, "agents", id="snake_case slug"
        ),
        pytest.param(
            {"agents": [{**OLDER_AGENTS["python-pro"], "category": "codingAgents"}]},
            "codingAgents",
            id="category of its own",
        ),
        pytest.param(
            {"architect": MODERN["architect"], "agents": OLDER_AGENTS}, "agents", id="mix"
        ),
    ],
)
def test_every_shape_gives_the_same_agent(
    load: Callable[[object], LoadedRoster], document: object, category: str
) -> None:
    """Both shapes, in camelCase or snake_case, describe an agent equally well."""
    loaded = load(document)

    assert loaded.roster.agents["python-pro"] == python_pro(category)
    assert loaded.roster.aliases == {"py": "python-pro"}
    assert loaded.warnings == ()


def test_an_agent_keyed_by_slug_needs_no_name(load: Callable[[object], LoadedRoster]) -> None:
    """In an object keyed by slug the key stands in for a missing name."""
    agent = load({"agents": {"python-pro": {"model": "haiku"}}}).roster.agents["python-pro"]

    assert (agent.name, agent.tier) == ("python-pro", Tier.HAIKU)


def test_a_name_that_differs_from_its_key_is_a_warning(
    load: Callable[[object], LoadedRoster],
) -> None:
    """The key is the slug; a name that gives another one is pointed out."""
    loaded = load({"agents": {"python-pro": {"name": "Snake Charmer", "model": "haiku"}}})

    assert list(loaded.roster.agents) == ["python-pro"]
    assert "'Snake Charmer'" in loaded.warnings[0].message


def test_the_architects_category_is_architect(load: Callable[[object], LoadedRoster]) -> None:
    """The single top-level agent forms a category of its own."""
    assert load(MODERN).roster.agents["chief"].category == "architect"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\ufeff" + json.dumps(MODERN), id="byte order mark"),
        pytest.param(json.dumps(MODERN, indent="\t"), id="tabs"),
        pytest.param(
            json.dumps({**MODERN, "motto": "\U0001f600", "workflow": {"a": [None]}}),
            id="surrogate pairs and unknown keys",
        ),
        pytest.param(json.dumps({**MODERN, "maxConcurrentAgents": None}), id="null list"),
    ],
)
def test_what_other_programs_write_is_accepted(
    load: Callable[[object], LoadedRoster], text: str
) -> None:
    """Valid JSON is read however it is written, and keys we don't know are tolerated."""
    loaded = load(text)

    assert set(loaded.roster.agents) == {"chief", "python-pro"}
    assert loaded.warnings == ()


def test_a_number_named_like_a_list_is_ignored_with_a_warning(
    load: Callable[[object], LoadedRoster],
) -> None:
    """A setting such as maxConcurrentAgents is no list of agents and no error."""
    loaded = load({**MODERN, "maxConcurrentAgents": 5})

    assert loaded.entries == 2
    assert [warning.key for warning in loaded.warnings] == ["maxConcurrentAgents"]


# --- tiers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("opus", Tier.OPUS),
        ("sonnet", Tier.SONNET),
        ("sonnet-4.5", Tier.SONNET),
        ("haiku", Tier.HAIKU),
        ("gpt-4", Tier.SONNET),
        ("gpt-3.5-turbo", Tier.HAIKU),
        (" Opus ", Tier.OPUS),
        ("claude-haiku-4-5-20251001", Tier.HAIKU),
        ("gpt-5", None),
        ("inherit", None),
    ],
)
def test_tier_words(word: str, expected: Tier | None) -> None:
    """Each word that rosters use has its tier; other words have none."""
    assert tier_of(word) is expected


@pytest.mark.parametrize(
    ("model", "words", "key"),
    [
        ({"model": "gpt-5"}, "'gpt-5'", "codingAgents[0].model"),
        ({}, "no `model`", "codingAgents[0]"),
        ({"model": ""}, "no `model`", "codingAgents[0]"),
    ],
)
def test_an_unknown_tier_is_a_warning_and_sonnet(
    load: Callable[[object], LoadedRoster], model: dict[str, str], words: str, key: str
) -> None:
    """A word nobody knows, or none at all, means sonnet, and the warning names the known words."""
    loaded = load({"codingAgents": [{"name": "X", **model}]})

    assert loaded.roster.agents["x"].tier is Tier.SONNET
    assert [warning.key for warning in loaded.warnings] == [key]
    assert words in loaded.warnings[0].message
    assert "opus, sonnet, haiku, gpt-4, gpt-3.5-turbo" in loaded.warnings[0].message


# --- slugs, duplicates, aliases ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("TDD Coding Agent", "tdd-coding-agent"),
        ("UI/UX Designer", "ui-ux-designer"),
        ("  Node.js  Expert ", "node-js-expert"),
        ("python_pro", "python-pro"),
        ("Café Owner", "cafe-owner"),
        ("K8s -- Ops!", "k8s-ops"),
        ("日本", ""),
    ],
)
def test_slugs(name: str, slug: str) -> None:
    """A slug has lower-case ASCII words joined by single hyphens."""
    assert slug_of(name) == slug


def test_duplicates_of_one_tier_are_merged_with_a_warning(
    load: Callable[[object], LoadedRoster],
) -> None:
    """The first entry wins, later ones fill what it lacks, and the warning names both places."""
    loaded = load(
        {
            "aAgents": [{"name": "Twin", "model": "haiku", "type": "a"}],
            "bAgents": [{"name": "twin", "model": "haiku", "type": "b", "role": "Helps."}],
        }
    )

    twin = loaded.roster.agents["twin"]
    assert (twin.category, twin.type, twin.description) == ("aAgents", "a", "Helps.")
    assert twin.categories == ("aAgents", "bAgents")
    assert loaded.entries == 2
    assert [warning.key for warning in loaded.warnings] == ["bAgents[0]"]
    assert "privacy of both aAgents and bAgents" in loaded.warnings[0].message
    assert "aAgents[0] (line 3)" in loaded.warnings[0].message
    assert loaded.warnings[0].line == 10


def test_every_list_of_an_agent_is_kept_once(load: Callable[[object], LoadedRoster]) -> None:
    """Three lists, one of them twice: all three in their order, and no word of one list alone."""
    twin = {"name": "Twin", "model": "haiku"}
    loaded = load({"bAgents": [twin, twin], "aAgents": [twin], "cAgents": [twin]})

    assert loaded.roster.agents["twin"].categories == ("bAgents", "aAgents", "cAgents")
    assert ["privacy of both" in each.message for each in loaded.warnings] == [False, True, True]


def test_duplicates_of_different_tiers_are_an_error(
    load: Callable[[object], LoadedRoster],
) -> None:
    """Nobody can say which tier was meant, so the error names both places and both tiers."""
    with pytest.raises(ConfigError) as caught:
        load(
            {
                "aAgents": [{"name": "Twin", "model": "haiku"}],
                "bAgents": [{"name": "twin", "model": "sonnet"}],
            }
        )

    text = str(caught.value)
    for part in ("roster.json:9:5", "bAgents[0]", "twin", "sonnet", "haiku", "aAgents[0] (line 3)"):
        assert part in text


def test_only_unique_aliases_name_agents(load: Callable[[object], LoadedRoster]) -> None:
    """An alias shared by two agents names nobody; one repeated by a duplicate still names its agent."""
    loaded = load(
        {
            "xAgents": [
                {"name": name, "model": "haiku", "ccproxyMapping": {"apiAlias": alias}}
                for name, alias in [("A", "shared"), ("B", "shared"), ("C", "own"), ("C", "own")]
            ]
        }
    )

    assert loaded.roster.aliases == {"own": "c"}


# --- files that cannot be used -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        pytest.param("", ":1:1: not JSON", id="empty"),
        pytest.param('{\n  "a" 1\n}', ":2:7: not JSON", id="no colon"),
        pytest.param("architect: {}", ":1:1: not JSON", id="yaml"),
        pytest.param("[" * 100_000, ":1:1: nested too deeply", id="nesting bomb"),
        pytest.param([], ":1:1: expected an object", id="list"),
        pytest.param({}, ":1:1: no agents found", id="nothing"),
        pytest.param({"name": "x"}, "does `roster` in ccproxy.yaml", id="another file"),
        pytest.param(
            {"aAgents": "x"}, ":2:3: aAgents: expected a list of agents, not text", id="s"
        ),
        pytest.param({"aAgents": {}}, "aAgents: expected a list of agents, not an object", id="o"),
        pytest.param({"aAgents": [1]}, "aAgents[0]: expected an agent", id="number"),
        pytest.param({"architect": []}, "architect: expected an agent", id="architect"),
        pytest.param({"agents": "x"}, "agents: expected a list", id="agents"),
        pytest.param(
            {"aAgents": [{"model": "opus"}]}, "aAgents[0]: this agent has no name", id="n"
        ),
        pytest.param(
            {"aAgents": [{"name": 5}]}, "aAgents[0].name: expected text, not 5", id="name"
        ),
        pytest.param(
            {"aAgents": [{"name": "!"}]}, "aAgents[0].name: '!' has no letters", id="slug"
        ),
        pytest.param(
            {"aAgents": [{"name": "x", "model": ["opus"]}]},
            ":5:7: aAgents[0].model: expected text, not a list",
            id="model",
        ),
        pytest.param(
            {"aAgents": [{"name": "x", "ccproxyMapping": "qwen"}]},
            "aAgents[0].ccproxyMapping: expected an object",
            id="mapping",
        ),
        pytest.param(
            {"aAgents": [{"name": "x", "ccproxy_mapping": {"api_alias": 1}}]},
            "aAgents[0].ccproxy_mapping.api_alias: expected text",
            id="alias",
        ),
        pytest.param(
            '{"aAgents": [],\n "aAgents": []}', ":2:2: aAgents: this key occurs twice", id="twice"
        ),
    ],
)
def test_a_roster_in_another_shape_is_refused(
    load: Callable[[object], LoadedRoster], document: object, expected: str
) -> None:
    """A file that is no roster is an error with file, line, column, key and what was expected."""
    with pytest.raises(ConfigError) as caught:
        load(document)

    assert "roster.json:" in str(caught.value)
    assert expected in str(caught.value)


def test_all_problems_are_reported_at_once(load: Callable[[object], LoadedRoster]) -> None:
    """Three mistakes in one file are three problems of one error, in the order of the file."""
    with pytest.raises(ConfigError) as caught:
        load({"architect": 1, "aAgents": [{"name": 5}, {"name": "a", "model": 7}]})

    assert [problem.key for problem in caught.value.problems] == [
        "architect",
        "aAgents[0].name",
        "aAgents[1].model",
    ]


def test_a_missing_roster_is_a_config_error(tmp_path: Path) -> None:
    """A path that leads nowhere is an error that names it."""
    with pytest.raises(ConfigError, match=r"nowhere\.json.*No such file"):
        load_roster(tmp_path / "nowhere.json")


def test_a_roster_that_is_no_text_is_a_config_error(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are an error that says so."""
    path = tmp_path / "roster.json"
    path.write_bytes(b"\xff\xfe{\x00}\x00")

    with pytest.raises(ConfigError, match="UTF-8"):
        load_roster(path)


RATE = FallbackTrigger.RATE_LIMIT
ALL = tuple(FallbackTrigger)


@pytest.mark.parametrize(
    ("block", "expected", "warning"),
    [
        ({"model": "haiku", "triggers": ["rate_limit"]}, AgentFallback(Tier.HAIKU, (RATE,)), None),
        ({"model": "sonnet-4.5", "retries": 3}, AgentFallback(Tier.SONNET, ALL), None),
        (None, None, None),
        (
            {"model": "opus", "triggers": ["rate_limit", "moonshine", "rate_limit", 7]},
            AgentFallback(Tier.OPUS, (RATE,)),
            (
                "architect.fallback.triggers: unknown: 'moonshine', 7; the others count. "
                "Known triggers: token_limit, rate_limit, availability."
            ),
        ),
        (
            {"model": "o3", "triggers": ["rate_limit"]},
            AgentFallback(Tier.SONNET, (RATE,)),
            "architect.fallback.model: the unknown model word 'o3': taken as sonnet.",
        ),
        (
            {"triggers": ["rate_limit"]},
            AgentFallback(Tier.SONNET, (RATE,)),
            "architect.fallback: no `model`: taken as sonnet.",
        ),
        ({"model": "opus", "triggers": ["x"]}, None, "unknown: 'x'; the block is ignored."),
        ({"model": "opus", "triggers": []}, None, "names no trigger: the block is ignored."),
        ({"model": "opus", "triggers": "rate_limit"}, None, "expected a list of token_limit"),
        ("sonnet", None, "architect.fallback: ignored: expected an object such as"),
    ],
)
def test_the_fallback_block(
    load: Callable[[object], LoadedRoster],
    block: object,
    expected: AgentFallback | None,
    warning: str | None,
) -> None:
    """Tier and triggers; what cannot be understood is left out with a warning at its place."""
    loaded = load({"architect": {"name": "Chief", "model": "opus", "fallback": block}})

    assert loaded.roster.agents["chief"].fallback == expected
    told = [f"{problem.key}: {problem.message}" for problem in loaded.warnings]
    assert len(told) == (warning is not None)
    assert warning is None or warning in told[0]


@pytest.mark.parametrize(
    ("phase", "number"),
    [("Phase 2 - Coding", 2), (3, 3), ("soon", None), (True, None), (None, None), ([1], None)],
)
def test_the_phase_is_the_number_in_it(tmp_path, phase, number):
    """`ccproxyMapping.phase` may be a number or a name with one; anything else is no phase."""
    path = tmp_path / "roster.json"
    mapping = {"ollama": "qwen", "phase": phase}
    agents = [{"name": "A", "model": "opus", "ccproxyMapping": mapping}]
    path.write_text(json.dumps({"xAgents": agents}))

    assert load_roster(path).phases == ({} if number is None else {"a": number})
