"""Two generated pages: docs/orchestra-model-assignments.md and docs/qwen-model-report.md.

    python -m tests.support.orchestra_pages

writes both anew from the shipped files and from the comparison in benchmarks/results.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Final

from ccproxy.cli.models import model_entry
from ccproxy.cli.models_report import model_report
from ccproxy.cli.offline import read_offline
from ccproxy.config.settings import load_settings
from ccproxy.setup.arithmetic import Runner
from ccproxy.setup.deployed import Deployed
from ccproxy.setup.sight import OllamaSight
from routing.resolved import agent_routes, ignoring_outages
from routing.types import ANY_UPSTREAM_MODEL
from tests.support.tools import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG: Final = ROOT / "config/ccproxy.yaml"
BENCH: Final = ROOT / "benchmarks/results/routes_simulated_c1.json"
ASSIGNMENTS: Final = ROOT / "docs/orchestra-model-assignments.md"
REPORT: Final = ROOT / "docs/qwen-model-report.md"
NOBODY: Final = {"HOME": "/nonexistent"}
"""An environment without keys."""
_REPORT_HEAD: Final = (
    "# Qwen model report",
    "",
    "Written by `make docs`: the local models of the shipped `ccproxy.yaml` by their arithmetic, and the",
    "comparison in `benchmarks/results/`. Write your own, with your machine's models and speeds:",
    "",
    "```sh",
    "ccproxy bench -r qwen-coder -r qwen-fast -r claude-sonnet --out bench.json",
    "ccproxy models report bench.json > qwen-model-report.md",
    "```",
    "",
)


def report_page() -> str:
    """Return what `ccproxy models report` prints where no Ollama answers, with its heading."""
    deployed = (
        Deployed(each, OllamaSight(each.api_base or ""))
        for each in load_settings(CONFIG, NOBODY).deployments
        if each.is_ollama
    )
    entries = [model_entry(each, Runner()) for each in deployed]
    return "\n".join((*_REPORT_HEAD, model_report(entries, json.loads(BENCH.read_text()))))


def assignments_page() -> str:
    """Return which model each agent of the shipped roster wishes for, and which it gets."""
    routing = read_offline(CONFIG, NOBODY)
    roster, table = routing.loaded.roster, ignoring_outages(routing.table)
    rows = []
    for each in agent_routes(table, roster):
        wish = roster.agents[each.agent].wished_ollama_model or ""
        first = table.deployments[each.route[0]].upstream_model
        gets = "what it asks Claude for" if first == ANY_UPSTREAM_MODEL else first
        rows.append(
            f"| {each.agent} | {each.category} | {each.tier} | {wish} | {gets} | "
            f"{' > '.join(each.route)} |"
        )
    wishes = Counter(agent.wished_ollama_model for agent in roster.agents.values())
    return "\n".join((*_assignments_head(table.active.name, wishes), *rows)) + "\n"


def _assignments_head(profile: str, wishes: Counter[str | None]) -> Iterator[str]:
    yield from (
        "# Orchestra model assignments",
        "",
        "Written by `make docs` from the shipped roster and the active profile of the shipped table,",
        f"`{profile}`. *Wishes* is the roster's `ccproxyMapping.ollama`; serving follows the table, and",
        "`ccproxy routes check` names where the two differ. `ccproxy routes import-roster` makes the",
        "wishes entries of a table.",
        "",
        "| wished model | agents |",
        "|---|---:|",
    )
    for model, agents in wishes.most_common():
        yield f"| {model or 'none'} | {agents} |"
    yield from (
        "",
        "| agent | category | tier | wishes | is asked first | route |",
        "|---|---|---|---|---|---|",
    )


if __name__ == "__main__":
    ASSIGNMENTS.write_text(assignments_page(), "utf-8")
    REPORT.write_text(report_page(), "utf-8")
