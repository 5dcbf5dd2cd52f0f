"""From what happens in the proxy to what people are told."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace

import pytest

from ccproxy.alerts.alarms import GIB, Alarms, Watched
from ccproxy.alerts.outbox import Outbox
from ccproxy.outcome import AttemptRecord, Outcome
from routing.alerts import AlertKind
from routing.fallback_rate import FallbackRules
from tests.support.waiting import until

FALLBACK = FallbackRules(above=0.5, window_s=60, least_requests=4)


class Post:
    """Keeps every message."""

    name = "post"

    def __init__(self):
        self.messages = []

    async def send(self, message):
        self.messages.append(message)

    @property
    def told(self):
        return [(str(each.kind), str(each.phase), each.subject) for each in self.messages]


@pytest.fixture
def post():
    return Post()


def watched(*folders, least=1, kinds=tuple(AlertKind)):
    return Watched(frozenset(kinds), FALLBACK, tuple(folders), least)


def alarms(post, rules=None, **options):
    outbox = Outbox(post, count=lambda *_: None)
    return Alarms([outbox], rules or watched(), tick_s=0.005, **options)


def outcome(*deployments):
    records = [AttemptRecord(name, "local", "ok") for name in deployments]
    return Outcome("r", "messages", 0.0, attempt_records=records)


async def test_events(post):
    """A backend that goes and comes, a cut prompt, and a budget's two marks."""
    hears = alarms(post, wall=lambda: 1000.0, now=lambda: 7.0)
    async with hears.running():
        hears.backend_changed("http://a", "up")
        hears.backend_changed("http://a", "down", "connection refused")
        hears.backend_changed("http://a", "down", "connection refused")
        hears.backend_changed("http://a", "up")
        hears.prompt_truncated("qwen")
        hears.prompt_truncated("qwen")
        for used in (80, 93, 100, 120):
            hears.budget_threshold("team", used, 100)

    assert post.told == [
        ("backend_down", "raised", "http://a"),
        ("backend_down", "over", "http://a"),
        ("truncation", "raised", "qwen"),
        ("budget", "raised", "team nearly used up"),
        ("budget", "raised", "team used up"),
    ]
    assert [each.text for each in post.messages[-2:]] == [
        "budget team is used to 80 %",
        "budget team is used up",
    ]
    assert post.messages[0].text == "backend http://a is down: connection refused"
    assert {(each.at_s, each.since_s) for each in post.messages} == {(1000.0, 1000.0)}


async def test_fallbacks(post):
    """Told while the share is high, and when it is low again; retries are no fallbacks."""
    hears = alarms(post)
    async with hears.running():
        for _ in range(4):
            hears.record(outcome())
            hears.record(outcome("a", "a"))
        await asyncio.sleep(0.02)
        assert post.told == []
        for _ in range(4):
            hears.record(outcome("a", "b"))
        await until(lambda: post.messages)
        assert "4 of 8 requests in 1 minutes were not served by their first choice" in (
            post.messages[0].text
        )
        for _ in range(8):
            hears.record(outcome("a"))
        await until(lambda: len(post.messages) == 2)

    assert post.told == [
        ("fallback_rate", "raised", "all requests"),
        ("fallback_rate", "over", "all requests"),
    ]


async def test_disk(post, tmp_path):
    """A folder that is not there yet counts as the one above it."""
    missing = tmp_path / "state" / "deeper"
    async with alarms(post, watched(missing, least=10**9 * GIB)).running():
        await until(lambda: post.messages)

    assert post.told == [("disk_low", "raised", str(missing))]
    assert f"GiB are free at {missing}, fewer than 1e+09" in post.messages[0].text
    async with alarms(post, watched(tmp_path, least=1)).running():
        await asyncio.sleep(0.02)
    assert len(post.messages) == 1


async def test_what_nobody_wants_is_not_told(post, tmp_path):
    """A kind that is left out of the settings."""
    rules = watched(tmp_path, least=10**9 * GIB, kinds=(AlertKind.BUDGET,))
    hears = alarms(post, rules)
    async with hears.running():
        hears.backend_changed("http://a", "down")
        hears.budget_threshold("team", 1, 0)
        await asyncio.sleep(0.02)
    assert post.told == [("budget", "raised", "team used up")]


async def test_what_goes_on_is_told_again(post):
    """By the clock, without anything being noticed."""
    clock = SimpleNamespace(now_s=0.0)
    rules = watched()
    rules = replace(rules, rules=replace(rules.rules, repeat_s=60.0))
    hears = alarms(post, rules, now=lambda: clock.now_s)
    async with hears.running():
        hears.backend_changed("http://a", "down")
        clock.now_s = 61.0
        await until(lambda: len(post.messages) == 2)
    assert post.told[1] == ("backend_down", "repeated", "http://a")


async def test_without_a_channel_nothing_is_done():
    """No task, no book."""
    hears = Alarms([], watched())
    before = asyncio.all_tasks()
    async with hears.running():
        hears.backend_changed("http://a", "down")
        hears.record(outcome("a", "b"))
        assert asyncio.all_tasks() == before
