"""`ccproxy service` against programs that behave as launchctl and systemctl do."""

import json
import os
import plistlib
import pwd
import socket
import stat
import time

import pytest

from ccproxy.cli.service_parts import Plan
from ccproxy.service import choice
from ccproxy.service.property_list import property_list
from ccproxy.service.spec import DEFAULT_LABEL, ServiceSpec
from tests.support.services import LABEL, machine

BOTH = ("launchctl", "systemctl")


@pytest.fixture(params=BOTH)
def mac_or_linux(request, tmp_path, monkeypatch, capfd):
    """A machine with launchd, and one with systemd."""
    with machine(tmp_path, monkeypatch, capfd, request.param, "journalctl") as found:
        yield found


@pytest.fixture
def mac(tmp_path, monkeypatch, capfd):
    with machine(tmp_path, monkeypatch, capfd, "launchctl") as found:
        yield found


@pytest.fixture
def linux(tmp_path, monkeypatch, capfd):
    with machine(tmp_path, monkeypatch, capfd, "systemctl", "journalctl") as found:
        yield found


def definition_of(box):
    return box.plist if (box.folder / "Library").exists() else box.unit


def present(box):
    """What is loaded, whichever tool has it."""
    return box.service(LABEL) or box.service("ccproxy.service")


# --- install, and what follows ------------------------------------------------------------------


def test_install_starts_it_and_says_where_it_answers(mac_or_linux):
    """`install` returns when the proxy answers; `status` then exits 0 and tells all of it."""
    done = mac_or_linux("install")

    assert (0, True) == (done.code, f"http://127.0.0.1:{mac_or_linux.port} answers" in done.out)
    status = mac_or_linux("status", "--json")
    facts = status.json()
    assert 0 == status.code
    assert {"installed": True, "running": True, "live": True, "ready": True, "runs": 1} == {
        key: facts[key] for key in ("installed", "running", "live", "ready", "runs")
    }
    assert present(mac_or_linux)["pid"] == facts["pid"]
    assert str(mac_or_linux.config) == facts["config"]
    assert str(facts["pid"]) in mac_or_linux("status").out


def test_a_definition_is_nobody_elses_to_write(mac):
    """The file has mode 0644, as launchd demands (launchctl(1)), whatever the umask is."""
    before = os.umask(0)
    try:
        mac("install")
    finally:
        os.umask(before)

    definition = mac.plist
    assert 0o644 == stat.S_IMODE(definition.stat().st_mode)
    assert [definition] == list(definition.parent.iterdir())


def test_what_it_is_given(mac):
    """The process has the definition's limits, umask and folder, and no variable of the shell."""
    mac("install")

    service = mac.service()
    assert (0o077, 8192, str(mac.folder)) == (service["umask"], service["files"], service["folder"])
    assert {"PATH", "HOME"} == set(service["environment"])
    assert ["-P", "-m", "ccproxy", "serve", "--config", str(mac.config)] == service["arguments"][1:]


def test_installing_again_starts_it_anew(mac_or_linux):
    """A second `install` of the same takes code and settings that changed since the first."""
    mac_or_linux("install")
    pid, definition = present(mac_or_linux)["pid"], definition_of(mac_or_linux).read_bytes()

    again = mac_or_linux("install")

    assert (0, True) == (again.code, "restarted" in again.out)
    assert pid != present(mac_or_linux)["pid"]
    assert definition == definition_of(mac_or_linux).read_bytes()


def test_installing_again_starts_what_was_stopped(mac_or_linux):
    """What is installed just so and does not run is started."""
    mac_or_linux("install")
    mac_or_linux("stop")

    again = mac_or_linux("install")

    assert (0, True) == (again.code, "started" in again.out)
    assert 0 == mac_or_linux("status").code


@pytest.fixture
def sample(mac, monkeypatch):
    """Settings of the folder that commands are run in, as a checkout has them."""
    folder = mac.folder / "checkout" / "config"
    folder.mkdir(parents=True)
    for name in ("ccproxy.yaml", "routing.yaml", "roster.json"):
        (folder / name).write_bytes((mac.folder / name).read_bytes())
    monkeypatch.delenv("CCPROXY_CONFIG")
    monkeypatch.chdir(folder.parent)
    return folder / "ccproxy.yaml"


@pytest.mark.parametrize("option", [[], ["--dry-run"]], ids=["install", "dry run"])
def test_settings_that_were_only_found_replace_no_others(option, mac, sample):
    """An `install` in a folder that has settings of its own leaves the service with its own."""
    mac("install", "--config", str(mac.config))
    before, pid = mac.plist.read_bytes(), mac.service()["pid"]

    done = mac("install", *option)

    assert (1, "") == (done.code, done.out)
    assert f"--config {mac.config} keeps it" in done.err
    assert f"--config {sample} is for a change" in done.err
    assert (before, pid) == (mac.plist.read_bytes(), mac.service()["pid"])


def test_named_settings_replace_others(mac, sample):
    """With `--config` the same change is made."""
    mac("install", "--config", str(mac.config))

    assert 0 == mac("install", "--config", str(sample)).code
    assert str(sample) == mac("status", "--json").json()["config"]


def test_an_upgrade_waits_for_the_old_one_to_go(mac, monkeypatch):
    """Another definition replaces the running one, also while launchd still refuses its label."""
    monkeypatch.setenv("STANDIN_PROGRAM", "slow")
    mac("install", "--env", "STANDIN_PROGRAM")
    pid = mac.service()["pid"]
    mac.has_habits(settling=1)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mini")

    done = mac("install", "--env", "OTEL_SERVICE_NAME")

    assert (0, True) == (done.code, "upgraded" in done.out)
    assert pid != mac.service()["pid"]
    assert "mini" == mac.service()["environment"]["OTEL_SERVICE_NAME"]


def test_an_upgrade_that_does_not_start_is_taken_back(mac_or_linux, monkeypatch):
    """The definition of before is in force and runs again; its last lines say what was wrong."""
    mac_or_linux("install")
    before = definition_of(mac_or_linux).read_bytes()
    monkeypatch.setenv("STANDIN_PROGRAM", "dies")

    done = mac_or_linux("install", "--env", "STANDIN_PROGRAM")

    assert 1 == done.code
    assert "ended with exit code 1" in done.err
    assert f"error: {mac_or_linux.config}: this cannot be used" in done.err
    assert "as it was is installed again and runs" in done.err
    assert before == definition_of(mac_or_linux).read_bytes()
    assert 0 == mac_or_linux("status").code


@pytest.mark.parametrize(
    ("program", "words"), [("dies", "exit code 1"), ("deaf", "did not answer within 0")]
)
def test_a_first_install_that_fails_leaves_nothing(mac, monkeypatch, program, words):
    """Neither a definition nor a process is left of what never answered."""
    monkeypatch.setenv("STANDIN_PROGRAM", program)

    done = mac("install", "--env", "STANDIN_PROGRAM", "--wait", "0.4")

    assert (1, True) == (done.code, words in done.err)
    assert "Nothing is installed\n" in done.err
    assert not mac.plist.exists()
    assert not mac.unit.exists()
    assert mac.service() is None


def test_ctrl_c_leaves_nothing_half_done(mac, monkeypatch):
    """An install that is called off while it waits is taken back as one that failed."""
    monkeypatch.setenv("STANDIN_PROGRAM", "deaf")
    real_sleep, pressed = time.sleep, []

    def sleep(pause_s):
        if mac.service() is not None and not pressed:
            pressed.append(True)
            raise KeyboardInterrupt
        real_sleep(pause_s)

    monkeypatch.setattr(time, "sleep", sleep)

    done = mac("install", "--env", "STANDIN_PROGRAM")

    assert [True] == pressed
    assert (True, True) == (done.code != 0, "Nothing is installed" in done.err)
    assert (None, False) == (mac.service(), mac.plist.exists())


def test_what_it_prints_does_not_reach_the_terminal_as_orders(mac_or_linux, monkeypatch):
    """Control characters in its last lines are replaced."""
    monkeypatch.setenv("STANDIN_PROGRAM", "dies")

    told = mac_or_linux("install", "--env", "STANDIN_PROGRAM").err

    assert "\ufffd" in told
    assert "\x1b" not in told


def test_a_proxy_started_by_hand_is_in_the_way(mac):
    """Something at the port is not taken for the service: nothing is started."""
    with socket.create_server(("127.0.0.1", mac.port)):
        done = mac("install")

    assert (1, True) == (done.code, "something else listens" in done.err)
    assert "lsof" in done.err
    assert {"bootstrap", "start"}.isdisjoint(mac.verbs())


def test_uninstall_removes_it_and_may_be_repeated(mac_or_linux):
    """Nothing is left but the user's own files; a second time there is nothing to do."""
    mac_or_linux("install")

    assert "removed" in mac_or_linux("uninstall").out
    assert not definition_of(mac_or_linux).exists()
    assert present(mac_or_linux) is None
    assert mac_or_linux.config.exists()
    again = mac_or_linux("uninstall")
    assert (0, True) == (again.code, "nothing to do" in again.out)
    gone = mac_or_linux("status")
    assert (1, True) == (gone.code, "not installed" in gone.out)


# --- start, stop, restart -------------------------------------------------------------------------


def test_stop_and_start(mac_or_linux):
    """A stopped service stays installed; each command may be repeated; `status` exits 1 meanwhile."""
    mac_or_linux("install")

    assert "stopped" in mac_or_linux("stop").out
    assert "nothing to do" in mac_or_linux("stop").out
    assert (1, None) == (mac_or_linux("status").code, present(mac_or_linux))
    assert "started" in mac_or_linux("start").out
    assert "nothing to do" in mac_or_linux("start").out
    assert 0 == mac_or_linux("status").code


def test_restart_lets_streams_end(mac):
    """A restart is a stop and a start: `kickstart -k` would kill without SIGTERM."""
    mac("install")
    pid = mac.service()["pid"]

    assert "restarted" in mac("restart").out
    assert pid != mac.service()["pid"]
    assert not any("-k" in call for call in mac.calls)


def test_a_restart_into_broken_settings_is_refused(mac):
    """The proxy that runs goes on running; the place of the mistake is told."""
    mac("install")
    pid = mac.service()["pid"]
    mac.config.write_text(mac.config.read_text().replace("server", "sever"))

    done = mac("restart")

    assert (1, True) == (done.code, "ccproxy.yaml:1:1" in done.err)
    assert pid == mac.service()["pid"]
    assert "sever" in mac("status").out


def test_start_does_not_wait_for_the_throttle(mac):
    """What is loaded and pauses between two starts is started at once."""
    mac("install")
    os.kill(mac.service()["pid"], 9)
    deadline = time.monotonic() + 5
    while mac.service()["pid"] and time.monotonic() < deadline:
        pass

    assert "started" in mac("start").out
    assert "kickstart" in mac.verbs()
    assert "SIGKILL" == mac("status", "--json").json()["last_signal"]


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_what_is_not_installed_cannot_start(mac, verb):
    """The answer says what to run."""
    done = mac(verb)

    assert (1, True) == (done.code, "ccproxy service install" in done.err)


# --- refusals -------------------------------------------------------------------------------------


def test_nobody_at_the_screen(mac):
    """Without a login at the screen there is no domain for an agent: code 125, and the way out."""
    mac.has_habits(screen=False)

    done = mac("install")

    assert 1 == done.code
    assert "125: Domain does not support specified action" in done.err
    assert "--daemon" in done.err
    assert not mac.plist.exists()


def test_a_refusal_of_launchd_is_told_with_what_to_do(mac):
    """Code 5 for good is given up after a while, with launchd's own words and where to look."""
    mac.has_habits(refusal=122)

    done = mac("install", "--wait", "0.2")

    assert 1 == done.code
    assert "Bootstrap failed: 5: Input/output error" in done.err
    assert "plutil -lint" in done.err


def test_a_disabled_service_is_enabled(mac):
    """Someone's `launchctl disable` does not stand in the way of an install."""
    (mac.state / "disabled").write_text(f"gui/501/{LABEL}")

    assert 0 == mac("install").code


def test_no_bus_for_a_users_units(linux):
    """`su` has no session of that user: the answer says what has."""
    linux.has_habits(bus=False)

    done = linux("install")

    assert (1, True) == (done.code, "Failed to connect to bus" in done.err)
    assert "Log in as the user" in done.err
    status = linux("status", "--json")
    assert (1, False) == (status.code, status.json()["installed"])
    assert "Failed to connect to bus" in status.json()["state"]
    assert (0, 1) == (linux("uninstall").code, linux("logs").code)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ANTHROPIC_API_KEY", "anything"),
        ("UPSTREAM", "sk-ant-api03-secret"),
        ("LEDGER", "postgresql://me:hunter2@db/ccproxy"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=x"),
    ],
)
def test_secrets_do_not_get_into_a_definition(mac, monkeypatch, name, value):
    """A variable that looks like a secret by name or value is refused, without showing it."""
    monkeypatch.setenv(name, value)

    done = mac("install", "--env", name)

    assert (1, True) == (done.code, "looks like a secret" in done.err)
    assert value not in done.err + done.out
    assert not mac.plist.exists()


def test_what_the_service_will_not_see_is_told(mac, monkeypatch):
    """A variable of this shell does not make a deployment available to the service."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-from-my-shell")
    mac.config.write_text(mac.config.read_text().replace("sk-test", "os.environ/ANTHROPIC_API_KEY"))

    done = mac("install", "--dry-run")

    assert (0, True) == (done.code, "ANTHROPIC_API_KEY is not set" in done.err)
    assert "sk-ant" not in done.out + done.err


def test_root_installs_no_agent(mac, monkeypatch):
    """Under sudo an agent would be root's; the answer names both ways."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    done = mac("install")

    assert (1, True) == (done.code, "without sudo" in done.err)
    assert [] == mac.calls


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--daemon", "--user", "daemon"], "run the same with sudo"),
        (["--daemon"], "--user NAME"),
        (["--daemon", "--user", "root"], "ordinary user"),
        (["--daemon", "--user", "no-such-user"], "no user 'no-such-user'"),
        (["--user", "daemon"], "--user goes with --daemon"),
        (["--label", "../x"], "--label"),
        (["--env", "NOT_SET_HERE"], "not set here"),
    ],
)
def test_what_cannot_be_installed(mac, arguments, words):
    """Each refusal says what is wrong, before anything is touched."""
    done = mac("install", *arguments)

    assert (1, True) == (done.code, words in done.err)
    assert [] == mac.calls


def test_only_one_kind_under_a_label(mac):
    """A user's service and the machine's would want the same port: the second is refused."""
    choice.LAUNCH_DAEMONS.mkdir()
    (choice.LAUNCH_DAEMONS / f"{LABEL}.plist").touch()

    done = mac("install")

    assert (1, True) == (done.code, "installed as a LaunchDaemon already" in done.err)
    assert [] == mac.calls


def test_a_daemons_settings_are_read_with_its_users_rights(mac, monkeypatch):
    """Root looks at files as the user who will run the service, and is root again afterwards."""
    account, done = pwd.getpwnam("daemon"), []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for name in ("initgroups", "setegid", "seteuid", "setgroups"):
        monkeypatch.setattr(os, name, lambda *given, name=name: done.append((name, *given)))
    mac.config.write_text("sever: {}")

    assert 1 == mac("install", "--daemon", "--user", "daemon", "--dry-run").code
    assert [
        ("initgroups", "daemon", account.pw_gid),
        ("setegid", account.pw_gid),
        ("seteuid", account.pw_uid),
        ("seteuid", 0),
        ("setegid", os.getegid()),
        ("setgroups", os.getgroups()),
    ] == done


def test_a_daemons_log_folder_is_made_with_its_users_rights(tmp_path, monkeypatch):
    """Root makes nothing itself where a user may change names: a link could lead it anywhere."""
    account, done, mkdir, users = pwd.getpwnam("daemon"), [], os.mkdir, [0]
    monkeypatch.setattr(os, "geteuid", lambda: users[-1])
    for name in ("initgroups", "setegid", "setgroups", "chown"):
        monkeypatch.setattr(os, name, lambda *_, name=name, **_how: done.append(name))
    monkeypatch.setattr(os, "seteuid", lambda user: (done.append(user), users.append(user)))
    monkeypatch.setattr(os, "mkdir", lambda *given: (done.append("mkdir"), mkdir(*given)))
    log = tmp_path / "Library" / "Logs" / "ccproxy.log"
    spec = ServiceSpec("ccproxy", ("ccproxy",), tmp_path, log=log, user="daemon")

    Plan(None, spec, None, account, ()).make_log_folder()

    assert 0o700 == stat.S_IMODE(log.parent.stat().st_mode)
    becoming, returning = ["initgroups", "setegid", account.pw_uid], [0, "setegid", "setgroups"]
    assert [*becoming, "mkdir", "mkdir", *returning] == done


@pytest.mark.parametrize("verb", ["status", "logs"])
def test_a_daemon_is_looked_at_with_its_users_rights(verb, mac, monkeypatch):
    """Secrets' files count only for their owner: to root they would look like somebody else's."""
    account, done = pwd.getpwnam("daemon"), []
    choice.LAUNCH_DAEMONS.mkdir()
    command = ("ccproxy", "serve", "--config", str(mac.config))
    spec = ServiceSpec(LABEL, command, mac.folder, user="daemon")
    (choice.LAUNCH_DAEMONS / f"{LABEL}.plist").write_bytes(property_list(spec))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for name in ("initgroups", "setegid", "setgroups"):
        monkeypatch.setattr(os, name, lambda *_: None)
    monkeypatch.setattr(os, "seteuid", done.append)

    assert mac(verb, "--daemon").err == ""

    assert [account.pw_uid, 0] == done


def test_a_daemon_whose_user_was_removed(mac, monkeypatch):
    """It cannot be started, and the reason is told."""
    choice.LAUNCH_DAEMONS.mkdir()
    command = ("ccproxy", "serve", "--config", str(mac.config))
    spec = ServiceSpec(LABEL, command, mac.folder, user="removed-since")
    (choice.LAUNCH_DAEMONS / f"{LABEL}.plist").write_bytes(property_list(spec))
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    done = mac("restart")

    told = f"error: {LABEL}: this machine has no user 'removed-since'\n"
    assert (1, told) == (done.code, done.err)


def test_a_service_needs_a_port_that_stays(mac):
    """Port 0 takes another one at each start, and nobody would find it."""
    mac.config.write_text(mac.config.read_text().replace(str(mac.port), "0"))

    assert "server.port" in mac("install").err


def test_neither_launchd_nor_systemd(tmp_path, monkeypatch, capfd):
    """The answer says how to run it under another supervisor."""
    with machine(tmp_path, monkeypatch, capfd) as bare:
        done = bare("install")

    assert (1, True) == (done.code, "ccproxy serve --config" in done.err)


def test_a_dry_run_prints_and_does_nothing(mac):
    """What `--dry-run` prints is a property list, for a daemon with its user and home folder."""
    done = mac("install", "--daemon", "--user", "daemon", "--dry-run")
    document = plistlib.loads(done.out.encode())

    assert ("daemon", LABEL) == (document["UserName"], document["Label"])
    assert {"HOME"} == set(document["EnvironmentVariables"])
    assert ([], False) == (mac.calls, mac.plist.exists())


def test_labels_are_services_of_their_own(mac):
    """Another label is another service, which the first one's commands leave alone."""
    mac("install")

    assert 1 == mac("status", "--label", f"{DEFAULT_LABEL}-two").code
    mac("uninstall", "--label", f"{DEFAULT_LABEL}-two")
    assert 0 == mac("status").code


# --- logs -----------------------------------------------------------------------------------------


def test_logs(mac_or_linux):
    """`logs` shows what the service printed, from launchd's file or systemd's journal."""
    mac_or_linux("install")

    assert "listening\n" == mac_or_linux("logs", "-n", "1").out


def test_logs_go_on_with_what_is_written(mac, monkeypatch):
    """`logs -f` shows lines as they come, of the settings' own log file too, until Ctrl-C."""
    own = mac.folder / "own.jsonl"
    own.write_text('{"n": 1}\n{"n": 2}\n')
    mac.config.write_text(mac.config.read_text() + f"logging: {{file: {own}}}\n")
    mac("install")

    def time_passes(_):
        if "3" in own.read_text():
            raise KeyboardInterrupt
        with own.open("a") as file:
            file.write(json.dumps({"n": 3}) + "\n")

    monkeypatch.setattr(time, "sleep", time_passes)
    shown = mac("logs", "-f", "-n", "1")

    assert ["listening", '{"n": 2}', '{"n": 3}'] == shown.out.splitlines()
    assert str(own) in shown.err
