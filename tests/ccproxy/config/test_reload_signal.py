"""SIGHUP."""

import asyncio
import os
import pty
import signal
import subprocess
import sys
import threading

import pytest

from ccproxy.config.reload_signal import install_reload_signal
from tests.support.routing_folder import route_of, routing_folder
from tests.support.tools import ROOT
from tests.support.waiting import until

PROGRAM = """
import asyncio, signal, sys
from pathlib import Path
from ccproxy.config.reload_signal import install_reload_signal
from tests.support.routing_folder import routing_folder

async def main():
    loop = asyncio.get_running_loop()
    folder = routing_folder(Path(sys.argv[1]))
    live = folder.live()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    install_reload_signal(loop, live)
    print("ready", file=sys.stderr, flush=True)
    await ended.wait()
    print(folder.counts, file=sys.stderr, flush=True)

asyncio.run(main())
"""


@pytest.fixture
def folder(tmp_path):
    return routing_folder(tmp_path / "config")


async def test_the_signal_reloads(folder):
    """A real SIGHUP puts an edit in force."""
    live = folder.live()
    remove = install_reload_signal(asyncio.get_running_loop(), live)
    folder.write("claude")

    os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: route_of(live) == ("claude",))

    remove()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


async def test_many_signals_are_few_reloads(folder):
    """A storm of signals does not become a storm of reloads."""
    live = folder.live()
    remove = install_reload_signal(asyncio.get_running_loop(), live)

    for _ in range(100):
        os.kill(os.getpid(), signal.SIGHUP)
    await until(lambda: folder.counts)
    await live.reload()

    remove()
    assert len(folder.counts) < 10


async def test_outside_the_main_thread_nothing_is_installed(folder):
    """A server in a thread of a test has no signals, and no trouble with that."""
    live = folder.live()
    loop = asyncio.get_running_loop()
    removed = []

    thread = threading.Thread(target=lambda: removed.append(install_reload_signal(loop, live)()))
    thread.start()
    await asyncio.to_thread(thread.join)

    assert removed == [None]
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


@pytest.mark.parametrize("closed", [False, True], ids=["terminal open", "terminal closed"])
def test_a_closed_terminal_still_ends_the_program(tmp_path, closed):
    """With its terminal SIGHUP is a reload; the one that a closed terminal sends is the end."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "config")],
        stdin=theirs,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        start_new_session=True,
        text=True,
    )
    os.close(theirs)
    try:
        assert process.stderr.readline() == "ready\n"
        if closed:
            os.close(ours)
        process.send_signal(signal.SIGHUP)
        if not closed:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
            process.send_signal(signal.SIGTERM)
        _out, said = process.communicate(timeout=20)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stderr.close()
        if not closed:
            os.close(ours)

    assert process.returncode == 0
    assert said == ("[]\n" if closed else "['unchanged']\n")
