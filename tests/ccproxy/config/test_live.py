"""Routing that follows its files."""

import asyncio
import contextlib
import json
import os
import threading
from dataclasses import replace

import pytest

from ccproxy.config.live import LiveRouting
from ccproxy.config.loading import load_files
from ccproxy.config.problems import ConfigError
from tests.support.routing_folder import ROSTER, route_of, routing_folder, routing_text
from tests.support.waiting import settled, until


@pytest.fixture
def folder(tmp_path):
    return routing_folder(tmp_path / "config")


@contextlib.asynccontextmanager
async def watched(live):
    task = asyncio.create_task(live.watch())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def patient(folder, *, still_s, retry_s):
    return LiveRouting(
        lambda: load_files(folder.files),
        report=folder.reports.append,
        count=folder.counts.append,
        poll_s=0.01,
        still_s=still_s,
        retry_s=retry_s,
    )


def in_place(path, text):
    path.write_text(text)


def replaced(path, text):
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def same_size_and_time(path, text):
    before = path.stat()
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size


def removed_and_written(path, text):
    path.unlink()
    path.write_text(text)


def linked(path, text):
    target = path.with_suffix(".target")
    target.write_text(text)
    path.unlink()
    path.symlink_to(target)


# --- asked for -----------------------------------------------------------------------------------


def test_prompts_come_from_the_agents_folder_too(folder, tmp_path):
    """A file that is not beside the roster is read, and watched, in `agents_folder`."""
    slug, prompt = "coder", "You write code and mind what you were told. " * 3
    roster = {"testAgents": [{"name": slug, "model": "haiku", "agentFile": "agents/coder.md"}]}
    folder.files.roster_file.write_text(json.dumps(roster))
    agents_folder = tmp_path / "elsewhere"
    agents_folder.mkdir()
    (agents_folder / "coder.md").write_text(prompt)

    assert load_files(folder.files).prompts.find([prompt]).chosen is None
    loaded = load_files(replace(folder.files, agents_folder=agents_folder))
    assert loaded.prompts.find([prompt]).chosen == slug
    assert agents_folder / "coder.md" in loaded.looks


async def test_a_good_edit_is_put_in_force(folder):
    """A reload reads the file anew; the result says so and names the version."""
    live = folder.live()
    folder.write("claude")

    result = await live.reload()

    assert (result.changed, result.problems) == (True, ())
    assert route_of(live) == ("claude",)
    assert result.version == live.loaded.version == load_files(folder.files).version
    assert result.table_version == live.loaded.table.version
    assert folder.counts == ["changed"]


async def test_nothing_new_is_no_change(folder):
    """A reload of the same files changes nothing, and nobody is told."""
    live = folder.live()

    result = await live.reload()

    assert not result.changed
    assert (folder.counts, folder.reports) == (["unchanged"], [])


async def test_a_request_keeps_the_pair_it_took(folder):
    """What was taken before a swap stays as it was: table and roster of one version."""
    live = folder.live()
    table, roster = live.loaded.table, live.loaded.roster
    folder.write("claude")
    folder.files.roster_file.write_text(json.dumps({"architect": {"name": "New", "model": "opus"}}))

    await live.reload()

    assert table.active.default.route == ("qwen",)
    assert set(roster.agents) == {"chief", "coder", "clerk"}
    assert set(live.loaded.roster.agents) == {"new"}


async def test_table_and_roster_are_never_of_two_versions(folder):
    """However often both files change, who asks gets two that belong together."""
    live = folder.live()
    stop = threading.Event()
    seen = set()

    def ask():
        while not stop.is_set():
            loaded = live.loaded
            seen.add((loaded.table.active.default.route, len(loaded.roster.agents)))

    asking = asyncio.create_task(asyncio.to_thread(ask))
    for round_ in range(20):
        lists = ROSTER if round_ % 2 else {"architect": ROSTER["architect"]}
        folder.files.roster_file.write_text(json.dumps(lists))
        folder.write("qwen" if round_ % 2 else "claude")
        await live.reload()
    stop.set()
    await asking

    assert seen <= {(("qwen",), 3), (("claude",), 1)}
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (
            lambda files: files.routing_file.write_text("version: 1\nactive_profile: a\n"),
            "profiles",
        ),
        (lambda files: files.routing_file.write_text("a: [1,"), "not valid YAML"),
        (lambda files: files.routing_file.write_text(routing_text("qwne")), "Did you mean 'qwen'"),
        (lambda files: files.routing_file.unlink(), "cannot be read"),
        (lambda files: files.roster_file.write_text("{"), "not JSON"),
        (lambda files: files.roster_file.unlink(), "cannot be read"),
    ],
    ids=["no profiles", "no yaml", "no such deployment", "no file", "bad roster", "no roster"],
)
async def test_a_bad_edit_changes_nothing_and_is_told(folder, spoil, problem):
    """The old pair serves on; result, status, report and count say what was wrong."""
    live = folder.live()
    before, version = live.loaded, live.loaded.version
    spoil(folder.files)

    result = await live.reload()

    assert live.loaded is before
    assert (result.changed, result.version) == (False, version)
    assert problem in str(result.problems)
    assert live.rejected.problems == result.problems
    assert problem in str(live.status()["rejected"]["problems"])
    assert folder.counts == ["rejected"]
    assert len(folder.reports) == 1
    assert problem in folder.reports[0]


async def test_both_files_are_judged_at_once(folder):
    """A broken roster does not hide that the routing file is no YAML."""
    live = folder.live()
    folder.files.roster_file.write_text("{")
    folder.files.routing_file.write_text("a: [1,")

    problems = (await live.reload()).problems

    assert {problem.file for problem in problems} == {
        str(folder.files.roster_file),
        str(folder.files.routing_file),
    }


async def test_mending_takes_the_complaint_back(folder):
    """Once the file is good again nothing is rejected any more, also if it is as before."""
    live = folder.live()
    folder.write("qwne")
    await live.reload()
    folder.write("qwen")

    result = await live.reload()

    assert (result.changed, result.problems, live.rejected) == (False, (), None)
    assert live.status()["rejected"] is None
    assert "is in force" in folder.reports[-1]


async def test_warnings_come_with_the_result(folder):
    """What the loader warns of is in the result and the status."""
    live = folder.live()
    folder.files.routing_file.write_text(
        routing_text("qwen") + "    unknown: {route: [claude], privacy: local_only}\n"
    )

    result = await live.reload()

    assert result.changed
    assert "local_only" in str(result.warnings)
    assert live.status()["warnings"] == [str(each) for each in result.warnings]


async def test_a_bug_in_a_check_is_a_rejection(folder, caplog):
    """Whatever a check raises, the old table serves on and the watch goes on."""
    first = load_files(folder.files)
    answers = iter([first])

    def load():
        for answer in answers:
            return answer
        raise RuntimeError("boom")

    live = LiveRouting(load, report=folder.reports.append)

    result = await live.reload()

    assert "boom" in str(result.problems)
    assert live.loaded is first
    assert "could not be checked" in caplog.text


async def test_reloads_at_once_are_one(folder):
    """Those who ask while a reload runs share the next one, which sees what they saw."""
    loads = []
    started, go_on = threading.Event(), threading.Event()

    def load():
        loads.append(1)
        if len(loads) == 2:
            started.set()
            go_on.wait(5)
        return load_files(folder.files)

    live = LiveRouting(load, report=folder.reports.append)
    first = asyncio.create_task(live.reload())
    await asyncio.to_thread(started.wait, 5)
    folder.write("claude")
    others = [asyncio.create_task(live.reload()) for _ in range(10)]
    await asyncio.sleep(0)
    go_on.set()
    results = await asyncio.gather(first, *others)

    assert len(loads) == 3
    assert len({id(result) for result in results[1:]}) == 1
    assert route_of(live) == ("claude",)


async def test_who_stops_waiting_stops_nobody_else(folder):
    """A client that leaves does not take the reload of the others with it."""
    live = folder.live()
    folder.write("claude")
    leaving = asyncio.create_task(live.reload())
    staying = asyncio.create_task(live.reload())
    await asyncio.sleep(0)
    leaving.cancel()

    assert (await staying).changed
    assert leaving.cancelled()


async def test_the_loop_is_free_while_files_are_read(folder):
    """Loading happens in another thread, at the start as later only the caller waits."""
    threads = []

    def load():
        threads.append(threading.current_thread())
        return load_files(folder.files)

    live = LiveRouting(load, report=folder.reports.append)
    await live.reload()

    assert threads[1] is not threading.main_thread()


def test_nothing_to_serve_by_is_an_error(folder):
    """At the start there is no old table that could serve on."""
    folder.write("qwne")

    with pytest.raises(ConfigError, match="qwne"):
        folder.live()


# --- watched -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "edit", [in_place, replaced, same_size_and_time, removed_and_written, linked]
)
async def test_an_edit_is_noticed(folder, edit):
    """However an editor writes the file, it is put in force without being asked."""
    folder.write("qwen-fast")
    live = folder.live()
    async with watched(live):
        edit(folder.files.routing_file, routing_text("qwen-down"))
        await until(lambda: route_of(live) == ("qwen-down",))

    assert folder.counts == ["changed"]


async def test_the_roster_is_watched_too(folder):
    """A new agent is known without a restart."""
    live = folder.live()
    async with watched(live):
        folder.files.roster_file.write_text(json.dumps({"architect": ROSTER["architect"]}))
        await until(lambda: set(live.loaded.roster.agents) == {"chief"})


async def test_an_edit_made_before_the_watch_began_is_noticed(folder):
    """Between loading and watching no edit is lost."""
    live = folder.live()
    folder.write("claude")
    async with watched(live):
        await until(lambda: route_of(live) == ("claude",))


async def test_half_of_a_file_never_counts(folder):
    """A file that is still being written is not read, although its first half would be valid."""
    whole = routing_text("qwen-fast") + "    privacy: local_only\n"
    live = patient(folder, still_s=0.5, retry_s=0.0)
    profiles = set()
    async with watched(live):
        with folder.files.routing_file.open("w") as file:
            for line in whole.splitlines(keepends=True):
                file.write(line)
                file.flush()
                await asyncio.sleep(0.01)
                profiles.add(live.loaded.table.active.privacy)
        await until(lambda: route_of(live) == ("qwen-fast",))

    assert live.loaded.table.active.privacy == "local_only"
    assert folder.counts == ["changed"]
    assert profiles == {"any"}


async def test_a_pause_within_an_edit_alarms_nobody(folder):
    """A file that is broken for a moment is tried again before it is reported."""
    live = patient(folder, still_s=0.01, retry_s=1.0)
    async with watched(live):
        folder.files.routing_file.write_text("version: 1\nprofiles: [")
        await asyncio.sleep(0.1)
        folder.write("claude")
        await until(lambda: route_of(live) == ("claude",))

    assert folder.counts == ["changed"]
    assert "rejected" not in "".join(folder.reports)


async def test_a_bad_edit_is_reported_once(folder):
    """A bad file is not complained of again and again while nobody touches it."""
    live = folder.live()
    async with watched(live):
        folder.write("qwne")
        await until(lambda: live.rejected)
        await settled(lambda: len(folder.counts), quiet_s=0.2)
        assert folder.counts == ["rejected"]
        folder.write("claude")
        await until(lambda: route_of(live) == ("claude",))

    assert live.rejected is None


async def test_a_file_that_comes_back_is_noticed(folder):
    """While the file is missing the old table serves on; then the new file is read."""
    live = folder.live()
    async with watched(live):
        folder.files.routing_file.unlink()
        await until(lambda: live.rejected)
        assert route_of(live) == ("qwen",)
        folder.write("claude")
        await until(lambda: route_of(live) == ("claude",))


async def test_an_asked_reload_is_not_repeated_by_the_watch(folder):
    """A change that somebody has had loaded is no news any more."""
    live = folder.live()
    folder.write("claude")
    await live.reload()
    async with watched(live):
        await asyncio.sleep(0.1)

    assert folder.counts == ["changed"]


async def test_with_the_real_pauses_an_edit_is_in_force_within_three_seconds(folder):
    """The promise of the docs, with the intervals a proxy has."""
    live = LiveRouting(lambda: load_files(folder.files), report=folder.reports.append)
    async with watched(live):
        await asyncio.sleep(0.05)
        folder.write("claude")
        await until(lambda: route_of(live) == ("claude",), timeout_s=3)


# --- kept ----------------------------------------------------------------------------------------


async def test_good_versions_are_kept(folder):
    """The version of the start and each good edit can be returned to; a bad one cannot."""
    live = folder.live()
    first = live.loaded.version
    async with watched(live):
        await until(folder.store.versions)
        folder.write("claude")
        await until(lambda: len(folder.store.versions()) == 2)
        folder.write("qwne")
        await until(lambda: live.rejected)

    assert [each.version for each in folder.store.versions()] == [live.loaded.version, first]


async def test_a_version_that_cannot_be_kept_serves(folder):
    """Where the state folder cannot be written the edit is in force all the same; it is told."""
    (folder.store.folder.parent).write_text("a file where the folder should be")
    live = folder.live()
    folder.write("claude")

    result = await live.reload()

    assert result.changed
    assert folder.counts == ["changed", "version_not_kept"]
    assert "cannot be kept" in folder.reports[-1]
