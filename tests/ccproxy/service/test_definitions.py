"""What launchd and systemd are told, read back as they read it."""

import plistlib
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ccproxy.serve import GRACE_S
from ccproxy.service.launchd import Launchd
from ccproxy.service.launchd import state_in as launchd_state
from ccproxy.service.manager import RunState
from ccproxy.service.problems import ServiceError
from ccproxy.service.property_list import property_list, read_property_list
from ccproxy.service.spec import EXIT_TIMEOUT_S, ServiceSpec
from ccproxy.service.systemd import state_in as systemd_state
from ccproxy.service.unit_file import command_of, unit_file, user_of

KEYS = {
    "Label": str,
    "ProgramArguments": list,
    "WorkingDirectory": str,
    "RunAtLoad": bool,
    "KeepAlive": bool,
    "ThrottleInterval": int,
    "ExitTimeOut": int,
    "ProcessType": str,
    "SoftResourceLimits": dict,
    "HardResourceLimits": dict,
    "Umask": int,
    "StandardOutPath": str,
    "StandardErrorPath": str,
    "UserName": str,
    "EnvironmentVariables": dict,
}
"""Keys and types of launchd.plist(5); launchd ignores a misspelt key silently."""
ODD = '/Users/me/a b%c"$d\\é/&<x>.yaml'


def spec(**changes):
    usual = {
        "label": "com.visiquate.ccproxy",
        "command": (sys.executable, "-P", "-m", "ccproxy", "serve", "--config", ODD),
        "folder": Path("/usr"),
        "log": Path("/Users/me/Library/Logs/x.log"),
        "user": "ops",
        "environment": {"HOME": "/Users/ops", "NAME": "with 'quotes' and $x %y"},
    }
    return ServiceSpec(**(usual | changes))


def test_every_key_is_one_that_launchd_knows():
    """A property list parses, and each of its keys has the type that launchd.plist(5) gives it."""
    document = plistlib.loads(property_list(spec()))

    assert {key: type(value) for key, value in document.items()} == KEYS
    assert (0o077, "Interactive") == (document["Umask"], document["ProcessType"])
    assert document["SoftResourceLimits"] == document["HardResourceLimits"]


def test_streams_have_their_time_to_end():
    """SIGKILL comes well after the time that the server itself gives running streams."""
    assert GRACE_S + 5 <= EXIT_TIMEOUT_S
    assert f"TimeoutStopSec={EXIT_TIMEOUT_S}\n" in unit_file(spec()).decode()
    assert EXIT_TIMEOUT_S == plistlib.loads(property_list(spec()))["ExitTimeOut"]


def test_a_path_is_the_same_when_it_is_read_back():
    """Spaces, quotes, `%` and `$` of a path survive both formats."""
    assert spec().command == command_of(unit_file(spec()))
    # Which is how systemd.service(5) has a dollar sign written.
    assert b"$$d" in unit_file(spec())
    assert list(spec().command) == read_property_list(property_list(spec()))["ProgramArguments"]
    assert ("ops", None) == (user_of(unit_file(spec())), user_of(unit_file(spec(user=None))))


def test_a_units_variables_are_whole_words():
    """Systemd splits `Environment=` at spaces outside quotes and expands `%` alone."""
    lines = unit_file(spec()).decode().splitlines()
    (line,) = [each for each in lines if each.startswith('Environment="NAME')]

    assert ["NAME=with 'quotes' and $x %%y"] == shlex.split(line.partition("=")[2])


@pytest.mark.parametrize("text", ["a\nExecStartPre=/bin/sh", "a\x00", "a\x7f", "a\udcff"])
def test_a_line_break_gets_into_no_definition(text):
    """A path or value with a control character, or that is no UTF-8, is refused, wherever it stands."""
    for changes in (
        {"command": ("/x", text)},
        {"folder": Path(text)},
        {"environment": {"A": text}},
    ):
        with pytest.raises(ServiceError, match="control character"):
            spec(**changes)


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("user", [None, "daemon"])
def test_systemd_accepts_the_unit(tmp_path, user):
    """`systemd-analyze verify` has nothing to say about either kind of unit."""
    unit = tmp_path / "ccproxy.service"
    unit.write_bytes(unit_file(spec(user=user)))
    scope = [] if user else ["--user"]
    done = subprocess.run(
        ["systemd-analyze", *scope, "verify", "--man=no", "--recursive-errors=no", unit],
        capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)},
    )  # fmt: skip

    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.needs("systemd-analyze")
def test_the_systems_unit_is_confined(tmp_path):
    """Systemd's own judgement of what the unit exposes stays below 4 of 10 (`OK`)."""
    unit = tmp_path / "ccproxy.service"
    unit.write_bytes(unit_file(spec(user="daemon")))
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=40", "--no-pager", unit],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert 0 == done.returncode, done.stdout[-300:]


# --- what they answer -----------------------------------------------------------------------------

RUNNING = """\
gui/501/com.visiquate.ccproxy = {
\tactive count = 1
\tpath = /Users/me/Library/LaunchAgents/com.visiquate.ccproxy.plist
\ttype = LaunchAgent
\tstate = running

\tprogram = /Users/me/ccproxy/.venv/bin/python
\targuments = {
\t\tpid = 1
\t}

\tdomain = gui/501 [100006]
\tminimum runtime = 10
\texit timeout = 30
\truns = 3
\tpid = 4711
\timmediate reason = speculative
\tlast terminating signal = Killed: 9
\tlast exit code = (never exited)
\tendpoints = {
\t\tstate = active
\t\truns = 99
\t}

\tproperties = keepalive | runatload
}
"""


@pytest.mark.parametrize(
    ("text", "state"),
    [
        (RUNNING, RunState(True, "running", 4711, 3, None, "SIGKILL")),
        (
            "x = {\n\tstate = spawn scheduled\n\truns = 2\n\tlast exit code = 78: EX_CONFIG\n}\n",
            RunState(True, "spawn scheduled", None, 2, 78),
        ),
        ("x = {\n\tstate = not running\n\tlast exit code = 1\n}", RunState(True, "not running", None, 0, 1)),
        ("something else altogether", RunState(True, "unknown")),
    ],
    ids=["running", "throttled", "ended", "unknown"],
)  # fmt: skip
def test_what_launchctl_print_says(text, state):
    """Only the service's own lines count, and a line that is not there is not made up."""
    assert state == launchd_state(text)


def shown(**changes):
    usual = {"ActiveState": "active", "SubState": "running", "MainPID": 7, "NRestarts": 0,
             "ExecMainCode": 0, "ExecMainStatus": 0, "InvocationID": "ab"}  # fmt: skip
    return "\n".join(f"{key}={value}" for key, value in (usual | changes).items())


@pytest.mark.parametrize(
    ("text", "state"),
    [
        (shown(), RunState(True, "active (running)", 7, 1)),
        (
            shown(ActiveState="activating", SubState="auto-restart", MainPID=0, NRestarts=2,
                  ExecMainCode=1, ExecMainStatus=1),
            RunState(True, "activating (auto-restart)", None, 3, 1),
        ),
        (
            shown(ActiveState="failed", SubState="failed", MainPID=0, ExecMainCode=2, ExecMainStatus=9),
            RunState(False, "failed (failed)", None, 1, None, "SIGKILL"),
        ),
        (
            shown(ActiveState="inactive", SubState="dead", MainPID=0, InvocationID=""),
            RunState(False, "inactive (dead)"),
        ),
    ],
    ids=["running", "throttled", "killed", "unknown"],
)  # fmt: skip
def test_what_systemctl_show_says(text, state):
    """Restarts that systemd made by itself, and how the last run ended."""
    assert state == systemd_state(text)


def test_a_file_that_is_no_property_list_says_nothing(tmp_path):
    """Somebody's own file in that place is no service of ours, and no crash."""
    path = tmp_path / "x.plist"
    manager = Launchd("LaunchAgent", "x", "gui/501", path)
    for data in (b"", b"not a plist", b"<plist><array/></plist>", b"\xff\xfe"):
        path.write_bytes(data)
        assert ([], None, None) == (manager.command(), manager.user(), manager.log_file())
