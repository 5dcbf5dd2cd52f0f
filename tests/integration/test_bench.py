"""`ccproxy bench` against a whole proxy: what it says, what it spends, what it refuses."""

import asyncio
import io
import json
import re
import statistics
from collections import Counter
from decimal import ROUND_HALF_UP, Decimal
from html.parser import HTMLParser

import pytest

from ccproxy.cli.main import main
from ccproxy.demo.claude_faults import Fault, FaultKind
from tests.support.http_wire import ask
from tests.support.proxy import REPOSITORY
from tests.support.waiting import until_found

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOCAL, CLAUDE, MODEL = "qwen-coder", "claude-sonnet", "claude-sonnet-5-5"
RATES = {"input": "2", "cache_write_5m": "2.5", "cache_write_1h": "4", "cache_read": "0.1", "output": "10"}  # fmt: skip
"""Of claude-sonnet-5-5 in config/pricing.yaml, dollars per million tokens."""


class Command:
    """Runs `ccproxy bench` in a thread of its own, with a token for the proxy."""

    def __init__(self, proxy, folder, monkeypatch, capsys):
        self.proxy, self.folder = proxy, folder
        self.monkeypatch, self.capsys = monkeypatch, capsys

    async def __call__(self, *arguments, token=None):
        """Return exit code, stdout and stderr."""
        self.monkeypatch.setenv("ANTHROPIC_BASE_URL", self.proxy.base_url)
        self.monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", token or self.proxy.token)
        self.monkeypatch.setenv("OTHER_TOKEN", "another-token")
        command = ["bench", "--config", str(self.proxy.config_file), *map(str, arguments)]

        def run():
            with pytest.raises(SystemExit) as caught:
                main(command)
            return int(caught.value.code or 0)

        code = await asyncio.to_thread(run)
        out, err = self.capsys.readouterr()
        return code, out, err


@pytest.fixture
def bench(proxy, tmp_path, monkeypatch, capsys):
    """The command."""
    return Command(proxy, tmp_path, monkeypatch, capsys)


def microusd(sample):
    """Reckon a sample's cost again, from the price list's own figures."""
    if sample["side"] == "local" or (sample["status"] or 0) >= 400:
        return 0
    parts = {
        "input": sample["input_tokens"],
        "output": sample["output_tokens"],
        **{name: sample[f"{name}_tokens"] for name in RATES if name.startswith("cache")},
    }
    total = sum(Decimal(RATES[name]) * tokens for name, tokens in parts.items())
    return int(total.quantize(Decimal(1), ROUND_HALF_UP))


async def test_a_report_adds_up(bench, proxy, tmp_path):
    """Every request is in it once, and its figures come out again from its samples."""
    proxy.claude.faults += [Fault(FaultKind.STATUS, times=2, status=400, message="no")]
    code, _, err = await bench(
        "-r", LOCAL, "-r", CLAUDE, "-w", "mixed", "-n", 4, "-c", 2, "--seed", 72, "--max-usd", 5,
        "--out", tmp_path / "a.json", "--html", tmp_path / "a.html",
    )  # fmt: skip
    assert code == 0, err
    report = json.loads((tmp_path / "a.json").read_text())
    samples = [each for each in report["samples"] if not each["warm_up"]]

    # Claude saw what the report says was sent to it, and a body for each.
    sent = Counter(each["side"] or each["route"] for each in report["samples"])
    assert len(proxy.claude.requests) == sent["claude"]
    assert len({each.body for each in proxy.claude.requests}) == sent["claude"]
    assert "no_connection" not in str(report)

    overall = {each["route"]: each for each in report["figures"] if each["profile"] == "all"}
    assert [LOCAL, CLAUDE] == list(overall)
    for route, found in overall.items():
        mine = [each for each in samples if each["route"] == route]
        whole = [each for each in mine if each["outcome"] == "ok"]
        assert (len(mine), len(mine), len(whole)) == (found["planned"], found["sent"], found["ok"])
        for metric in ("ttft_s", "total_s", "inter_token_s", "tokens_per_s", "cost_microusd"):
            values = [each[metric] for each in whole if each[metric] is not None]
            assert found[metric]["value"] == pytest.approx(statistics.median(values))
            assert found[metric]["low"] <= found[metric]["value"] <= found[metric]["high"]
            assert len(values) == found[metric]["count"]
        assert [microusd(each) for each in mine] == [each["cost_microusd"] for each in mine]
        assert sum(map(microusd, mine)) == found["cost_total_microusd"]
        failed = 1 - len(whole) / len(mine)
        assert found["failure_rate"]["value"] == pytest.approx(failed)
    assert sum(map(microusd, report["samples"])) == report["spending"]["measured_microusd"]
    assert report["spending"]["measured_microusd"] <= report["spending"]["at_most_microusd"]
    warm = [each for each in report["samples"] if each["warm_up"] and each["route"] == CLAUDE]
    wrong = [each for each in report["samples"] if each["outcome"] == "http_400"]
    assert (len(warm) > 0, len(wrong)) == (True, 2)

    (ratio,) = [each for each in report["ratios"] if each["profile"] == "all"]
    of, to = overall[CLAUDE]["total_s"]["value"], overall[LOCAL]["total_s"]["value"]
    assert ratio["total_s"]["value"] == pytest.approx(of / to)
    assert {"ccproxy", "python", "anthropic"} <= set(report["versions"])
    assert report["machine"]["cores"] > 0
    assert proxy.token not in (tmp_path / "a.json").read_text()

    page = (tmp_path / "a.html").read_text()
    assert_needs_nothing(page)
    assert page.count("<svg") == 7
    assert "http_400" in page


class References(HTMLParser):
    """Collects what a page would fetch or run."""

    def __init__(self):
        super().__init__()
        self.tags, self.found = set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.found += [
            (tag, name, value)
            for name, value in attrs
            if name in {"src", "href", "xlink:href", "srcset", "action", "data", "poster"}
            or name.startswith("on")
        ]


def assert_needs_nothing(page):
    references = References()
    references.feed(page)
    assert references.found == []
    assert not references.tags & {"script", "link", "iframe", "img", "object", "embed", "base"}
    assert not re.search(r"@import|url\(", page)
    addresses = set(re.findall(r"\w+://[^\"'\s<>,]*", page))
    own = {address for address in addresses if address.startswith("http://127.0.0.1:")}
    # A name of a vocabulary, which nobody fetches, and the address that was measured.
    assert addresses - own == {"http://www.w3.org/2000/svg"}


async def ledger_open(proxy):
    async def look():
        answer = await ask(proxy.base_url, "/health", method="GET", headers=proxy.headers)
        return answer.json()["ledger"]["state"] == "up" or None

    await until_found(look)


@pytest.mark.parametrize(
    ("arguments", "scopes", "code", "says"),
    [
        (("-r", CLAUDE), ("ops",), 1, "say --max-usd USD if it may spend so much"),
        (("-r", LOCAL), (), 1, "its token needs the scope ops: ccproxy token create NAME --scope ops"),
        (("-r", "claude-opus-99"), ("ops",), 1, "claude-opus-99 has no price"),
        (("-r", "agent/nobody"), ("ops",), 1, "nobody"),
        (("-r", CLAUDE, "--max-usd", "0"), ("ops",), 1, "the limit of $0 was reached"),
        ((), ("ops",), 2, "say which routes"),
        (("-r", LOCAL, "-w", "mixt"), ("ops",), 2, "Did you mean 'mixed'"),
        (("-r", LOCAL, "-w", "ledger", "--shapes-of", "x"), ("ops",), 2, "the ledger has no answered request of x"),
    ],
)  # fmt: skip
async def test_nothing_is_sent_before_it_may(bench, proxy, arguments, scopes, code, says):
    """Without a terminal and a limit nothing is spent; what cannot be run says why."""
    await ledger_open(proxy)
    token = proxy.new_token(f"t{abs(hash((arguments, says)))}", scopes=scopes)
    done, out, err = await bench(*arguments, "-n", 1, token=token)

    assert (code, True) == (done, says.split()[-1] in err), out + err
    assert says in err
    assert [] == list(proxy.claude.requests)


async def test_a_simulation_needs_no_route(bench, proxy):
    """As the first example of its help has it: the first local deployment against the first Claude."""
    code, out, err = await bench("--simulate", "-n", 1, "-w", "quick", "--warm-up", 0, "--json")
    report = json.loads(out)

    assert code == 0, err
    assert [LOCAL, "claude-opus"] == [each["label"] for each in report["routes"]]
    assert ["ok", "ok"] == [each["outcome"] for each in report["samples"]]
    assert [] == list(proxy.claude.requests)


class Terminal(io.StringIO):
    """What a person types."""

    def isatty(self):
        return True


@pytest.mark.parametrize(("typed", "code", "sent"), [("n\n", 1, 0), ("\n", 1, 0), ("y\n", 0, 1)])
async def test_a_person_is_asked_before_money_is_spent(
    bench, proxy, monkeypatch, typed, code, sent
):
    """At a terminal; only yes is yes, and what it may cost was said before."""
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    done, _, err = await bench("-r", CLAUDE, "-w", "quick", "-n", 1, "--warm-up", 0)

    assert code == done
    assert "1 requests; estimated cost $0.002" in err
    assert "Go on?" in err
    assert sent == len(proxy.claude.requests)


async def test_it_stops_when_the_money_is_spent(bench, proxy, tmp_path):
    """What was measured counts; what was not sent is told, and the exit code says so."""
    out = tmp_path / "a.json"
    code, _, err = await bench(
        "-r", CLAUDE, "-w", "quick", "-n", 20, "--warm-up", 0, "--max-usd", "0.005", "--out", out
    )
    report = json.loads(out.read_text())
    costs = [each["cost_microusd"] for each in report["samples"] if each["outcome"] == "ok"]

    assert (1, True) == (code, "stopped: the limit of $0.005 was reached" in err)
    assert sum(costs[:-1]) < 5_000 <= sum(costs)
    assert len(costs) == len(proxy.claude.requests) < 20
    assert 20 == len(report["samples"])
    assert {"ok", "not_sent"} == {each["outcome"] for each in report["samples"]}
    assert f"of {len(report['samples'])}" not in err


async def test_a_local_route_needs_no_leave(bench, proxy):
    """Where no attempt can cost anything nobody is asked; an agent is named as agents are."""
    code, out, err = await bench(
        "-r", f"mine={LOCAL}+debugger", "-w", "quick", "-n", 1, "--warm-up", 0, "--json"
    )
    report = json.loads(out)

    assert code == 0, err
    assert "no route can cost anything" in err
    assert {LOCAL: 1} == report["figures"][0]["deployments"]
    assert ("mine", "debugger") == (report["routes"][0]["label"], report["routes"][0]["agent"])
    assert [] == list(proxy.claude.requests)


async def test_another_address_gets_its_own_token_and_price(bench, proxy):
    """Claude itself beside the proxy: no estimate there, so the price list says what it may cost."""
    code, out, err = await bench(
        "-r", CLAUDE, "-r", f"direct={MODEL}@{proxy.claude_url}", "--token-env", "direct=OTHER_TOKEN",
        "-w", "quick", "-n", 1, "--warm-up", 0, "--max-usd", 1, "--json",
    )  # fmt: skip
    assert code == 0, err
    report = json.loads(out)
    direct = next(each for each in report["samples"] if each["route"] == "direct")

    assert direct["side"] is None
    assert direct["cost_microusd"] == microusd(direct) > 0
    assert report["spending"]["expected_microusd"] > 0
    heard = str([each.headers for each in proxy.claude.requests])
    assert "another-token" in heard
    assert proxy.token not in heard


async def test_two_reports_are_compared(bench, tmp_path):
    """Ratios with intervals, second to first; what only one has is named; no other file will do."""
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    code, _, err = await bench(
        "-r", LOCAL, "-r", f"only-first={LOCAL}", "-w", "quick", "-n", 6, "--warm-up", 0,
        "--out", first,
    )  # fmt: skip
    assert code == 0, err
    document = json.loads(first.read_text().replace("only-first", "only-second"))
    for sample in document["samples"]:
        sample["total_s"] *= 3
    document["samples"][0]["outcome"] = "timeout"
    second.write_text(json.dumps(document))

    code, out, err = await bench("--compare", first, second, "--json")
    compared = json.loads(out)
    overall = next(each for each in compared["ratios"] if each["profile"] == "all")
    mine = [each["total_s"] for each in document["samples"] if each["route"] == LOCAL]

    assert code == 0, err
    of, to = statistics.median(mine[1:]), statistics.median(mine) / 3
    assert overall["total_s"]["value"] == pytest.approx(of / to)
    assert overall["total_s"]["low"] <= overall["total_s"]["value"] <= overall["total_s"]["high"]
    assert (["only-first"], ["only-second"]) == (
        compared["only_in_first"], compared["only_in_second"],
    )  # fmt: skip
    (rates,) = [each for each in compared["rates"] if each["profile"] == "all"]
    assert (0, 1 / 6) == (rates["first"]["value"], rates["second"]["value"])

    code, out, err = await bench("--compare", first, second)
    assert (0, True) == (code, "Ratios of medians" in out), err
    code, _, err = await bench("--compare", first, REPOSITORY / "benchmarks/results/fallback.json")
    assert (2, True) == (code, "is no report of" in err)


async def test_tasks_can_be_as_large_as_those_in_the_ledger(bench, proxy):
    """After some requests the ledger's own sizes are a workload."""
    code, _, err = await bench("-r", LOCAL, "-w", "short-question", "-n", 1, "--warm-up", 0)
    assert code == 0, err
    async with asyncio.timeout(20):
        while True:
            code, out, err = await bench(
                "-r", LOCAL, "-w", "ledger", "-n", 2, "--warm-up", 0, "--json"
            )
            if "no answered request" not in err:
                break
    report = json.loads(out)

    assert code == 0, err
    assert {"ledger"} == {each["profile"] for each in report["samples"]}
    assert 2 == len(report["samples"])
