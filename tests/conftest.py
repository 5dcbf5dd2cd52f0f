"""What holds for every test: sizes, missing tools, no skips in CI, loopback only."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from hypothesis import Phase, settings

from tests.support.live_url import live_url
from tests.support.loopback import LoopbackGuard
from tests.support.sizes import Size, count, present_size
from tests.support.tools import are_tools_required, known_tools, missing_tools

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

_MISSING = "missing_tool"

_guard = pytest.StashKey[LoopbackGuard]()


def pytest_configure(config: pytest.Config) -> None:
    guard = LoopbackGuard()
    if config.option.markexpr == "live":
        guard.allow(urlsplit(live_url(os.environ)).hostname or "")
    guard.install()
    config.stash[_guard] = guard
    is_full = present_size() is Size.FULL
    settings.register_profile(
        "ccproxy",
        max_examples=count(quick=12, ci=30, full=2000),
        derandomize=not is_full,
        # Shrinking takes minutes, which a run with a time limit does not have.
        phases=[phase for phase in Phase if is_full or phase is not Phase.shrink],
        deadline=None,
        database=None,
    )
    settings.load_profile("ccproxy")


@pytest.fixture(autouse=True)
def stays_on_loopback(request: pytest.FixtureRequest) -> Iterator[None]:
    guard = request.config.stash[_guard]
    guard.take_refused()
    yield
    refused = guard.take_refused()
    if refused:
        pytest.fail(f"left loopback: {', '.join(refused)}", pytrace=False)


def pytest_runtest_setup(item: pytest.Item) -> None:
    names = tuple(name for marker in item.iter_markers("needs") for name in marker.args)
    missing = missing_tools(names)
    if not missing:
        return
    item.user_properties += [(_MISSING, tool.name) for tool in missing]
    what = ", ".join(f"{tool.name} ({tool.how_to_get})" for tool in missing)
    if are_tools_required():
        pytest.fail(f"needs {what}, and CCPROXY_REQUIRE_TOOLS=1 allows no gaps", pytrace=False)
    pytest.skip(f"needs {what}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and are_tools_required():
        reason = getattr(report, "wasxfail", None) or report.longreprtext
        report.outcome = "failed"
        report.longrepr = f"skipped or expected to fail, and this run allows no gaps: {reason}"
        vars(report).pop("wasxfail", None)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped and are_tools_required():
        report.outcome = "failed"
        report.longrepr = f"a whole file skipped, and this run allows no gaps: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lost: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", []):
        for name, value in getattr(report, "user_properties", []):
            if name == _MISSING:
                lost[value] = lost.get(value, 0) + 1
    for name, tests in sorted(lost.items()):
        tool = known_tools()[name]
        terminalreporter.write_line(
            f"left out {tests} tests: {name} is missing; it {tool.purpose}. "
            f"To get it: {tool.how_to_get}",
            yellow=True,
        )
