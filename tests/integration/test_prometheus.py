"""What Prometheus makes of a proxy: a scrape, the shipped rules and queries, and how many series."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.http_wire import ask
from tests.support.messages import turn
from tests.support.proxy import running_proxy
from tests.support.tools import known_tools

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "config/grafana/ccproxy.json"
RULES = ROOT / "config/prometheus/ccproxy-alerts.yml"
MIXED = "claude-sonnet-4-5"
CLAUDE = "claude-opus-4-5"


def promtool(*arguments, stdin=""):
    """Return promtool's exit code and all it said."""
    program = known_tools()["promtool"].find()
    answer = subprocess.run(
        [program, *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=30
    )
    return answer.returncode, answer.stdout + answer.stderr


async def scrape(proxy):
    answer = await ask(proxy.base_url, "/metrics", method="GET", headers=proxy.headers)
    assert answer.header("content-type") == "text/plain; version=0.0.4; charset=utf-8"
    return answer.body.decode()


async def mixed_run(proxy):
    """Send what makes every kind of series: streams, fallbacks, refusals, counts, other paths."""
    proxy.ollama.add_fault("busy")
    for body in (
        turn(model=MIXED),
        turn("Give me 9 words.", model=MIXED, stream=True),
        turn(model=CLAUDE, stream=True),
        turn(max_tokens=-1),
    ):
        await ask(proxy.base_url, "/v1/messages", headers=proxy.headers, body=body)
    await ask(proxy.base_url, "/v1/messages", headers={}, body=turn())
    await ask(
        proxy.base_url,
        "/agents/code-reviewer/v1/messages",
        headers=proxy.headers,
        body=turn(model=MIXED, stream=True),
    )
    await ask(proxy.base_url, "/v1/files", method="GET", headers=proxy.headers)


@pytest.mark.needs("promtool")
async def test_promtool_has_nothing_to_say_about_a_scrape():
    """After a run of every kind each name, unit and help text is as Prometheus wants it."""
    async with running_proxy() as proxy:
        await mixed_run(proxy)
        text = await scrape(proxy)

    assert promtool("check", "metrics", stdin=text) == (0, "")
    shown = {line.split("{")[0] for line in text.splitlines() if not line.startswith("#")}
    assert {
        "ccproxy_fallbacks_total",
        "ccproxy_inter_token_seconds_bucket",
        "ccproxy_queue_seconds_bucket",
        "ccproxy_cost_usd_total",
    } <= shown


async def test_what_a_client_chooses_makes_no_series():
    """Models, projects, agents and paths that nobody knows: after two of each, ten more add none."""

    async def strange(proxy, number):
        headers = {
            **proxy.headers,
            "x-ccproxy-agent": f"stranger-{number}",
            "x-ccproxy-project": f"project-{number}",
            "user-agent": f"client-{number}",
        }
        plain = {**proxy.headers, "x-ccproxy-project": f"project-{number}"}
        body = turn(model=f"claude-sonnet-4-5-2025{number:04}")
        await ask(proxy.base_url, "/v1/messages", headers=headers, body=body)
        await ask(proxy.base_url, "/v1/messages", headers=plain, body=body)
        await ask(proxy.base_url, f"/v1/odd-{number}", method="GET", headers=proxy.headers)
        await ask(proxy.base_url, f"/agents/a{number}/v1/messages", headers=plain, body=body)

    def names(text):
        return {line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")}

    async with running_proxy() as proxy:
        for number in range(2):
            await strange(proxy, number)
        before = names(await scrape(proxy))
        for number in range(2, 12):
            await strange(proxy, number)
        after = names(await scrape(proxy))

    assert after == before


async def test_what_alarms_watch_is_there_before_it_happens():
    """A counter that appears with its first event shows no rise, and would alarm nobody."""
    async with running_proxy() as proxy:
        lines = set((await scrape(proxy)).splitlines())

    assert {
        'ccproxy_truncation_seen_total{deployment="qwen-coder"} 0.0',
        'ccproxy_unpriced_attempts_total{deployment="claude-opus"} 0.0',
        'ccproxy_ledger_rows_total{end="dropped"} 0.0',
        'ccproxy_breaker_state{deployment="qwen-coder",state="open"} 0.0',
    } <= lines


@pytest.mark.needs("promtool")
def test_the_shipped_rules_are_rules():
    """`promtool check` finds nothing in the rules and in the configuration that uses them."""
    code, said = promtool("check", "rules", str(RULES))
    assert code == 0, said
    config = RULES.with_name("prometheus.yml")
    code, said = promtool("check", "config", "--syntax-only", str(config))
    assert code == 0, said
    document = yaml.safe_load(config.read_text())
    assert document["rule_files"] == [RULES.name]
    assert document["scrape_configs"][0]["job_name"] == "ccproxy"


@pytest.mark.needs("promtool")
def test_alarms_are_raised_when_they_should_be():
    """Rules against made-up series: when each begins, what it says, and when it keeps quiet."""
    code, said = promtool("test", "rules", str(ROOT / "tests/data/ccproxy-alerts.test.yml"))

    assert code == 0, said


@pytest.mark.needs("promtool")
def test_every_query_of_the_dashboard_is_understood(tmp_path):
    """Prometheus parses each of them, with Grafana's variables filled in."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    queries = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    rules = [
        {
            "record": f"panel:{number}",
            "expr": query.replace("$__rate_interval", "5m").replace("$__range", "6h"),
        }
        for number, query in enumerate(queries)
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    code, said = promtool("check", "rules", str(file))
    assert (code, f"{len(queries)} rules found" in said) == (0, True), said
