"""Taking an edit back."""

import asyncio
import contextlib

import pytest

from ccproxy.config.problems import ConfigError
from ccproxy.config.rollback import carry_out, plan_rollback, present_version
from tests.support.routing_folder import route_of, routing_folder, routing_text
from tests.support.waiting import until


@pytest.fixture
def folder(tmp_path):
    return routing_folder(tmp_path / "config")


async def run_through(folder, *deployments):
    """Put tables in force one after another; return the live routing."""
    live = folder.live()
    for deployment in deployments:
        folder.write(deployment)
        await live.reload()
    return live


async def test_there_and_back_again(folder):
    """A rollback puts the bytes of before in place; a second one takes the first one back."""
    await run_through(folder, "qwen", "claude")

    first = plan_rollback(folder.files, folder.store, None)
    carry_out(folder.files, folder.store, first)
    after_first = folder.files.routing_file.read_text()
    carry_out(folder.files, folder.store, plan_rollback(folder.files, folder.store, None))

    assert after_first == routing_text("qwen")
    assert folder.files.routing_file.read_text() == routing_text("claude")


async def test_the_running_proxy_takes_it_up(folder):
    """Nobody has to be told of a rollback: it is an edit like another."""
    live = folder.live()
    watch = asyncio.create_task(live.watch())
    await until(folder.store.versions)
    folder.write("claude")
    await until(lambda: len(folder.store.versions()) == 2)

    carry_out(folder.files, folder.store, plan_rollback(folder.files, folder.store, None))
    await until(lambda: route_of(live) == ("qwen",))

    watch.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watch


async def test_the_diff_says_what_would_change(folder):
    """Lines that go and lines that come, under the file's name and the version."""
    await run_through(folder, "qwen", "claude")

    diff = plan_rollback(folder.files, folder.store, None).diff(folder.files.routing_file)

    assert "-    default: {route: [claude]}" in diff
    assert "+    default: {route: [qwen]}" in diff


async def test_any_kept_version_may_be_named(folder):
    """By its version, its beginning, or the version of its table."""
    live = await run_through(folder, "qwen")
    version, table = live.loaded.version, live.loaded.table.version
    await run_through(folder, "claude", "qwen-fast")

    for wanted in (version, version[:8], table):
        assert plan_rollback(folder.files, folder.store, wanted).after.decode() == routing_text(
            "qwen"
        )


@pytest.mark.parametrize("wanted", ["ffffffffffff", "../../etc/passwd", ""])
async def test_an_unknown_version_is_refused_with_those_there_are(folder, wanted):
    """A word that means no version is answered with the list."""
    live = await run_through(folder, "claude")

    with pytest.raises(ConfigError, match=live.loaded.version) as raised:
        plan_rollback(folder.files, folder.store, wanted)

    assert str(raised.value).startswith(f"{folder.store.folder}: {wanted!r}: ")


async def test_without_an_earlier_version_there_is_nothing_to_go_back_to(folder):
    """One version is not enough."""
    await run_through(folder, "qwen")

    with pytest.raises(ConfigError, match="no earlier version") as raised:
        plan_rollback(folder.files, folder.store, None)

    assert str(raised.value).startswith(f"{folder.files.routing_file}: there is no ")


async def test_a_version_that_is_no_good_any_more_is_refused(folder):
    """A deployment that it names is gone from the settings: told like any other mistake."""
    await run_through(folder, "qwen", "claude")
    later = type(folder.files)(
        folder.files.roster_file,
        folder.files.routing_file,
        {name: each for name, each in folder.files.deployments.items() if name != "qwen"},
    )

    with pytest.raises(ConfigError, match="qwen"):
        plan_rollback(later, folder.store, None)

    assert folder.files.routing_file.read_text() == routing_text("claude")


async def test_an_edit_that_was_never_loaded_is_kept_as_a_version(folder):
    """A good file that no proxy has seen yet is not lost by a rollback over it."""
    await run_through(folder, "qwen")
    folder.write("claude")

    aside = carry_out(folder.files, folder.store, plan_rollback(folder.files, folder.store, None))

    assert aside is None
    assert {each.routing_file.read_text() for each in folder.store.versions()} == {
        routing_text("qwen"),
        routing_text("claude"),
    }


async def test_a_broken_edit_is_set_aside(folder):
    """From a bad file one goes back to what is in force, and the bad file is not lost."""
    await run_through(folder, "qwen", "claude")
    folder.write("qwne")

    aside = carry_out(folder.files, folder.store, plan_rollback(folder.files, folder.store, None))

    assert folder.files.routing_file.read_text() == routing_text("claude")
    assert aside.read_text() == routing_text("qwne")


async def test_a_file_that_changes_meanwhile_is_not_overwritten(folder):
    """Between the question and the answer somebody else has saved: nothing is done."""
    await run_through(folder, "qwen", "claude")
    plan = plan_rollback(folder.files, folder.store, None)
    folder.write("qwen-fast")

    with pytest.raises(ConfigError, match="changed meanwhile"):
        carry_out(folder.files, folder.store, plan)

    assert folder.files.routing_file.read_text() == routing_text("qwen-fast")


async def test_a_removed_file_comes_back(folder):
    """Without a routing file the newest version is what one goes back to."""
    await run_through(folder, "qwen", "claude")
    folder.files.routing_file.unlink()
    assert present_version(folder.files) is None

    carry_out(folder.files, folder.store, plan_rollback(folder.files, folder.store, None))

    assert folder.files.routing_file.read_text() == routing_text("claude")
