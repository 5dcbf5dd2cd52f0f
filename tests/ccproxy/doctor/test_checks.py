"""What the doctor makes of what it sees, check by check."""

import plistlib
import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ccproxy.auth import create_token
from ccproxy.config.problems import ConfigProblem
from ccproxy.config.secrets import SecretPlace, Secrets
from ccproxy.config.settings import load_settings
from ccproxy.doctor.claude import ClaudeLook, check_claude
from ccproxy.doctor.configuration import (
    check_configuration_problems,
    check_exposure,
    check_tokens,
)
from ccproxy.doctor.files import check_files
from ccproxy.doctor.hardware import check_hardware
from ccproxy.doctor.ollama import check_environment, check_models, check_ollamas
from ccproxy.doctor.port import Listener, PortLook, check_port
from ccproxy.doctor.power import check_power
from ccproxy.doctor.reverse_proxy import check_traefik
from ccproxy.doctor.secrets import check_secrets
from ccproxy.doctor.versions import check_ollama_version, check_packages
from ccproxy.ports import ModelFacts
from ccproxy.setup.arithmetic import KvCacheType, Runner
from ccproxy.setup.deployed import Deployed
from ccproxy.setup.machine import Machine, read_machine
from ccproxy.setup.ollama_environment import (
    AGENTS,
    BREW_PLIST,
    OWN_PLIST,
    OllamaEnvironment,
    read_environment,
)
from ccproxy.setup.sight import OllamaSight
from ccproxy.upstreams.ollama import OllamaModel

NOW = datetime.now(UTC)
MINI = Machine("Darwin", "15.6.1", 32.0, 10)
PMSET = """\
System-wide power settings:
Currently in use:
 standby              0
 Sleep On Power Button 1
 hibernatefile        /var/vm/sleepimage
 powernap             1
 disksleep            10
 sleep                1 (sleep prevented by powerd, bluetoothd)
 lowpowermode         0
 autorestart          0
 womp                 1
"""
AWAKE = """\
System-wide power settings:
Currently in use:
 disksleep            0
 sleep                0
 autorestart          1
"""
CONFIG = """\
auth: {tokens_file: state/tokens.json}
model_list:
  - model_name: coder
    litellm_params: {model: "ollama_chat/qwen2.5-coder:7b-instruct", num_ctx: 32768}
    model_info: {weights_gib: 4.36, kv_kib_per_token: 56}
  - model_name: fast
    litellm_params: {model: "ollama_chat/qwen-fast", num_ctx: 32768, keep_alive: 30m}
    model_info: {weights_gib: 1.8, kv_kib_per_token: 36}
ledger: {url: "sqlite:///state/ccproxy.db"}
"""


def told(findings):
    """Return what is not in order, as `level check: what`."""
    return [f"{each.level} {each.check}: {each.what}" for each in findings if each.level != "ok"]


def fixes(findings):
    return [each.fix for each in findings if each.level != "ok"]


@pytest.fixture
def settings(tmp_path):
    tmp_path.chmod(0o700)
    (tmp_path / "state").mkdir(mode=0o700)
    file = tmp_path / "ccproxy.yaml"
    file.write_text(CONFIG)
    file.chmod(0o600)
    return load_settings(file, {})


@pytest.fixture
def deployed(settings):
    """Both deployments, pulled, at an Ollama of this machine."""
    names = [each.upstream_model for each in settings.deployments]
    facts = ModelFacts(present=True, trained_context_tokens=32768)
    sight = OllamaSight(
        "http://127.0.0.1:11434",
        "0.33.0",
        pulled=tuple(OllamaModel(name, "d1") for name in names),
        facts=dict.fromkeys(names, facts),
    )
    return tuple(Deployed(each, sight) for each in settings.deployments)


def runs(answers):
    """Return a runner of commands that knows these answers by the commands' words."""
    return lambda arguments: answers.get(" ".join(arguments))


def test_a_mac_mini_describes_itself():
    """Memory, cores and the GPU's limit are read from sysctl; an older one without the limit too."""
    key = "sysctl hw.memsize hw.ncpu iogpu.wired_limit_mb"
    version = {"sw_vers -productVersion": "15.6.1\n"}
    full = "hw.memsize: 34359738368\nhw.ncpu: 10\niogpu.wired_limit_mb: 26624\n"
    plain = {"sysctl hw.memsize hw.ncpu": "hw.memsize: 34359738368\nhw.ncpu: 10\n"}

    new = read_machine(runs({key: full, **version}), system="Darwin")
    old = read_machine(runs({**plain, **version}), system="Darwin")

    assert (new.version, new.ram_gib, new.cores, new.memory_gib) == ("15.6.1", 32.0, 10, 26.0)
    assert old.memory_gib == pytest.approx(32 * 2 / 3)


def test_linux_describes_itself(tmp_path):
    """Memory is MemTotal; where nothing is said nothing is guessed."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       65843212 kB\nMemFree: 1 kB\n")

    assert read_machine(runs({}), system="Linux", meminfo=meminfo).ram_gib == pytest.approx(
        62.79, abs=0.01
    )
    assert read_machine(runs({}), system="Linux", meminfo=tmp_path / "no").ram_gib is None


@pytest.mark.parametrize(
    ("machine", "free_gib", "to_pull_gib", "expected"),
    [
        (MINI, 200, 30, []),
        (replace(MINI, ram_gib=8.0), 200, 0, ["warning memory: 8.0 GiB, 5.3 GiB of it for models"]),
        (replace(MINI, ram_gib=None), 200, 0, []),
        (MINI, 35, 30, ["warning disk: 35 GiB free"]),
        (MINI, 20, 30, ["error disk: 20 GiB free"]),
        (replace(MINI, cores=2), 200, 0, ["warning cores: 2 cores"]),
        (replace(MINI, version="13.4"), 200, 0, ["warning macos: macOS 13.4"]),
    ],
)
def test_hardware(machine, free_gib, to_pull_gib, expected):
    """Too little memory, disk, cores or too old a system are told."""
    found = check_hardware(
        machine,
        memory_gib=machine.memory_gib,
        free_disk_gib=free_gib,
        to_pull_gib=to_pull_gib,
    )

    assert told(found) == expected


@pytest.mark.parametrize(
    ("wired_mib", "ram_gib", "memory_gib", "wired_gib"),
    [(0, 32.0, 32 * 2 / 3, None), (26624, 32.0, 26.0, 26.0), (99999, 32.0, 32.0, 32.0)],
)
def test_what_the_gpu_was_given(wired_mib, ram_gib, memory_gib, wired_gib):
    """An operator's limit counts, but never more than there is."""
    machine = replace(MINI, ram_gib=ram_gib, wired_limit_mib=wired_mib)

    assert machine.memory_gib == pytest.approx(memory_gib)
    assert machine.wired_limit_gib == wired_gib


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (" SleepDisabled\t\t1\n sleep 1\n", []),
        (" SleepDisabled\t\t0\n sleep 1\n", ["error power: the machine goes to sleep after 1 minutes without a user"]),
        (" powermode 1\n", ["warning power: low power mode is on"]),
        (" lowpowermode 1\n", ["warning power: low power mode is on"]),
        (" powermode 2\n", []),
    ],
)  # fmt: skip
def test_other_words_of_pmset(said, expected):
    """`disablesleep` is above `sleep`; low power mode has a name of each age of macOS."""
    assert told(check_power(said)) == expected


def test_a_machine_that_goes_to_sleep():
    """Sleep is an error; what keeps it from coming back, or slows it, a warning; each with a command."""
    found = list(check_power(PMSET))

    assert told(found) == [
        "error power: the machine goes to sleep after 1 minutes without a user",
        "warning power: the machine stays off after a power cut",
        "warning power: disks go to sleep",
    ]
    assert fixes(found)[0] == "sudo pmset -a sleep 0"
    assert told(check_power(AWAKE)) == []
    assert told(check_power(None)) == ["warning power: pmset -g says nothing"]


@pytest.mark.parametrize(
    ("installed", "bad"),
    [
        ({"litellm": "1.105.3", "starlette": "1.10.0", "python-jose": "3.5.0"}, 0),
        ({"litellm": "1.82.7"}, 2),
        ({"litellm": "1.82.8"}, 2),
        ({"litellm": "1.106.1"}, 1),
        ({"python-jose": "3.3.0"}, 1),
        ({"starlette": "0.47.0"}, 1),
    ],
)
def test_packages(installed, bad):
    """Versions with a known fault are named with who says so."""
    found = [each for each in check_packages(installed, ()) if each.level != "ok"]

    assert len(found) == bad
    assert all("(" in each.means for each in found)


def test_what_a_stolen_package_left_behind():
    """A .pth file that sends credentials away is found by its name, whatever is installed."""
    found = check_packages({"litellm": "1.105.3"}, [Path("/x/litellm_init.pth"), Path("/x/a.pth")])

    assert told(found) == [
        "error versions: /x/litellm_init.pth is what a stolen litellm left behind"
    ]


@pytest.mark.parametrize(
    ("version", "levels"),
    [
        ("0.33.0", []),
        ("0.17.0", ["warning"]),
        ("0.12.5", ["warning", "error"]),
        ("0.9.1", ["warning", "error", "error"]),
        ("0.1.33", ["error", "warning", "error"]),
        ("0.0.0", ["error"]),
    ],
)
def test_ollama_versions(version, levels):
    """Too old an Ollama cuts prompts, leaks memory or loses tool calls; each is said (conformance 240)."""
    assert [each.level for each in check_ollama_version(version) if each.level != "ok"] == levels


def test_an_ollama_that_is_down():
    """It is an error, with how to start it."""
    found = list(check_ollamas([OllamaSight("http://127.0.0.1:11434", problem="does not answer")]))

    assert told(found) == ["error ollama: does not answer"]
    assert "ollama serve" in fixes(found)[0]


def test_where_the_settings_of_ollama_come_from(tmp_path):
    """launchctl, the plist of brew services, and the systemd unit are read; elsewhere nothing is known."""
    launchctl = runs({"launchctl getenv OLLAMA_KEEP_ALIVE": "1h\n"})
    plain = read_environment(launchctl, is_macos=True, home=tmp_path)
    plist = tmp_path / BREW_PLIST
    plist.parent.mkdir(parents=True)
    plist.write_bytes(plistlib.dumps({"EnvironmentVariables": {"OLLAMA_FLASH_ATTENTION": "1"}}))
    brewed = read_environment(launchctl, is_macos=True, home=tmp_path)
    unit = (
        'Environment=OLLAMA_NUM_PARALLEL=2 "OLLAMA_KV_CACHE_TYPE=q8_0" OTHER=x\nLoadState=loaded\n'
    )
    show = "systemctl show ollama --property=Environment,LoadState"
    linux = read_environment(runs({show: unit}), is_macos=False, home=tmp_path)
    nothing = read_environment(runs({show: "LoadState=not-found\n"}), is_macos=False, home=tmp_path)

    assert (plain.values, plain.source) == ({"OLLAMA_KEEP_ALIVE": "1h"}, "launchctl")
    assert brewed.values == {"OLLAMA_KEEP_ALIVE": "1h", "OLLAMA_FLASH_ATTENTION": "1"}
    assert linux.values == {"OLLAMA_NUM_PARALLEL": "2", "OLLAMA_KV_CACHE_TYPE": "q8_0"}
    assert linux.runner() == Runner(KvCacheType.F16, flash_attention=False, parallel=2)
    assert nothing.source == ""


@pytest.mark.parametrize(
    ("value", "is_on"),
    [
        *((each, True) for each in ("1", "t", "T", "TRUE", "true", "True", "yes", "on", "'1'")),
        *((each, False) for each in ("0", "f", "F", "FALSE", "false", "False", '"0"')),
        (" ", None),
    ],
)
def test_switches_as_ollama_reads_them(value, is_on):
    """Go's words for true and false; anything else that is set is true."""
    environment = OllamaEnvironment({"OLLAMA_FLASH_ATTENTION": value})

    assert environment.flash_attention is is_on


def test_nothing_visible_on_a_mac_says_nothing(tmp_path, deployed):
    """An Ollama that a terminal started may have any settings: they are not judged."""
    environment = read_environment(runs({}), is_macos=True, home=tmp_path)
    found = list(check_environment(environment, deployed))

    assert told(found) == []
    assert "cannot be seen" in found[0].what
    assert environment.runner() == Runner(is_seen=False)


def test_what_brew_sets_itself(tmp_path, deployed):
    """Its plist is above launchctl and is written anew, so that neither is told to be changed."""
    plist = tmp_path / BREW_PLIST
    plist.parent.mkdir(parents=True)
    variables = {"OLLAMA_FLASH_ATTENTION": "1", "OLLAMA_KV_CACHE_TYPE": "q4_0"}
    plist.write_bytes(plistlib.dumps({"EnvironmentVariables": variables}))
    one = runs({"launchctl getenv OLLAMA_MAX_LOADED_MODELS": "1\n", "launchctl getenv OLLAMA_KEEP_ALIVE": "1h"})  # fmt: skip
    environment = read_environment(one, is_macos=True, home=tmp_path)
    by_brew, by_launchctl = fixes(check_environment(environment, deployed))

    assert by_brew.startswith("brew services stop ollama, which sets OLLAMA_KV_CACHE_TYPE itself")
    assert by_launchctl == "launchctl setenv OLLAMA_MAX_LOADED_MODELS 2, then restart Ollama"


@pytest.mark.parametrize("is_daemon", [True, False])
def test_what_a_property_list_of_ones_own_sets(tmp_path, deployed, is_daemon):
    """It is what starts Ollama; a daemon sees nothing of what is set for a user's session."""
    folder = tmp_path / ("daemons" if is_daemon else AGENTS)
    folder.mkdir(parents=True)
    (folder / OWN_PLIST).write_bytes(
        plistlib.dumps(
            {"EnvironmentVariables": {"OLLAMA_FLASH_ATTENTION": "0", "HOME": "/Users/x"}}
        )
    )
    said = runs({"launchctl getenv OLLAMA_KEEP_ALIVE": "1h"})
    environment = read_environment(said, is_macos=True, home=tmp_path, daemons=tmp_path / "daemons")
    fix = fixes(check_environment(environment, deployed))[0]

    inherited = {} if is_daemon else {"OLLAMA_KEEP_ALIVE": "1h"}
    assert environment.values == inherited | {"OLLAMA_FLASH_ATTENTION": "0"}
    assert fix.startswith(f"in {folder / OWN_PLIST}, EnvironmentVariables: OLLAMA_FLASH_ATTENTION")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"FLASH_ATTENTION": "1"}, []),
        ({"FLASH_ATTENTION": "0"}, ["OLLAMA_FLASH_ATTENTION is 0"]),
        ({}, ["OLLAMA_FLASH_ATTENTION is not set"]),
        ({"KV_CACHE_TYPE": "q8_0"}, ["OLLAMA_FLASH_ATTENTION is not set"]),
        ({"FLASH_ATTENTION": "1", "KV_CACHE_TYPE": "q4_0"}, ["OLLAMA_KV_CACHE_TYPE=q4_0"]),
        (
            {"FLASH_ATTENTION": "1", "MAX_LOADED_MODELS": "1"},
            ["2 models are configured, and Ollama keeps 1 loaded"],
        ),
    ],
)
def test_settings_of_ollama(values, expected, deployed):
    """What makes models bigger, slower, worse or unloaded is told with the command that sets it."""
    values = {f"OLLAMA_{name}": value for name, value in {"KEEP_ALIVE": "1h", **values}.items()}
    environment = OllamaEnvironment(values, "launchctl", "launchctl setenv {name} {value}")
    found = list(check_environment(environment, deployed))

    assert [each.what for each in found if each.level != "ok"] == expected
    assert all(fix.startswith("launchctl setenv OLLAMA_") for fix in fixes(found))


def test_a_model_that_would_be_unloaded(deployed):
    """Without keep_alive anywhere a model goes after five minutes."""
    environment = OllamaEnvironment({"OLLAMA_FLASH_ATTENTION": "1"}, "launchctl", "{name}{value}")

    assert told(check_environment(environment, deployed)) == [
        "warning ollama settings: coder: no keep_alive, so that of Ollama counts (5m)"
    ]


def test_a_model_that_is_missing(deployed):
    """It is an error with the command that fetches it."""
    away = replace(deployed[0].sight, pulled=())
    found = list(check_models([replace(deployed[0], sight=away)]))

    assert fixes(found) == ["ccproxy models pull coder"]


def test_files_and_folders(settings):
    """Whatever others can change or read is told, and --fix takes only away."""
    tokens, ledger = settings.tokens_file, settings.tokens_file.with_name("ccproxy.db")
    tokens.write_text('{"version": 1, "tokens": []}')
    ledger.write_text("")
    for path, mode in ((settings.path, 0o666), (tokens, 0o644), (ledger, 0o600)):
        path.chmod(mode)
    before = list(check_files(settings))
    done = [each.repair() for each in before if each.repair is not None]

    assert [each.level for each in before] == ["error", "error"]
    assert done == [
        f"{settings.path}: mode 0666 is 0644 now",
        f"{tokens}: mode 0644 is 0600 now",
    ]
    assert told(check_files(settings)) == []


def test_a_folder_that_is_missing(settings):
    """It is made for its owner alone."""
    settings.tokens_file.parent.rmdir()
    (found,) = check_files(settings)
    found.repair()

    assert settings.tokens_file.parent.stat().st_mode & 0o777 == 0o700
    assert told(check_files(settings)) == []


def test_tokens(settings):
    """No token, a broken file and auth that is off are told."""
    none = told(check_tokens(settings, NOW))
    settings.tokens_file.write_text("[]")
    settings.tokens_file.chmod(0o600)
    broken = told(check_tokens(settings, NOW))
    (mended,) = fixes(check_tokens(settings, NOW))
    settings.tokens_file.chmod(0o644)
    (closed,) = fixes(check_tokens(settings, NOW))
    off = told(check_tokens(replace(settings, auth_required=False), NOW))

    assert none == [f"warning tokens: there are none in {settings.tokens_file}"]
    assert broken[0].startswith("error tokens: ")
    assert mended.endswith(f"or: rm {settings.tokens_file}, then: ccproxy token create NAME")
    assert closed == f"chmod 600 {settings.tokens_file}"
    assert off == ["warning tokens: auth.mode is off"]


def test_tokens_that_expire(settings):
    """Who is refused already, or will be within a week, is told with how to go on."""
    file = settings.tokens_file
    create_token(file, "for-ever")
    for name, days in (("gone", 1), ("my going one", 5), ("staying", 60)):
        create_token(file, name, expires_at=NOW + timedelta(days=days))
    found = list(check_tokens(settings, NOW + timedelta(days=2)))

    assert [shlex.split(fix)[:4] for fix in fixes(found)] == [
        ["ccproxy", "token", "rotate", "gone"],
        ["ccproxy", "token", "rotate", "my going one"],
    ]
    assert found[-1].what == "3 tokens: for-ever, my going one, staying"


def test_secrets_that_are_missing(tmp_path):
    """Each reference is told once, with how to give it; no value is ever in it."""
    key = ("model_list", 0, "litellm_params", "api_key")
    missing = [
        SecretPlace(key, "os.environ/KEY", "environment variable KEY is not set"),
        SecretPlace(("model_list", 1), "os.environ/KEY", "environment variable KEY is not set"),
        SecretPlace(("alerts",), "keychain/ccproxy/smtp", "does not exist"),
        SecretPlace(("ledger",), "file/there", None),
    ]
    found = list(check_secrets(missing, tmp_path, {}))

    assert told(found)[0] == (
        "error secrets: model_list[0].litellm_params.api_key and 1 more: "
        "environment variable KEY is not set"
    )
    assert fixes(found)[1] == "ccproxy secret set keychain/ccproxy/smtp"
    assert len(found) == 2


def test_a_secret_that_others_can_read(tmp_path):
    """It is closed by --fix; the command for it quotes the path."""
    file = tmp_path / "my key"
    file.write_text("sk-made-up")
    file.chmod(0o644)
    secrets = Secrets({}, tmp_path)
    before = list(check_secrets([secrets.look(("key",), "file/my key")], tmp_path, {}))
    done = [each.repair() for each in before]
    after = list(check_secrets([secrets.look(("key",), "file/my key")], tmp_path, {}))

    assert fixes(before) == [f"chmod 600 '{file}'"]
    assert done == [f"{file}: mode 0644 is 0600 now"]
    assert told(after) == []


def test_configuration_problems():
    """Errors of the files are the doctor's too; warnings are counted, since `config check` has them."""
    problem = ConfigProblem("a.yaml", 3, 1, "server", "unknown key.")

    assert told(check_configuration_problems([problem], [problem])) == [
        "error config: a.yaml:3:1: server: unknown key."
    ]
    assert told(check_configuration_problems([], [problem])) == []
    assert fixes(check_configuration_problems([problem], [], is_there=False)) == ["ccproxy init"]


@pytest.mark.parametrize(
    ("host", "levels"), [("127.0.0.1", []), ("::1", []), ("0.0.0.0", ["warning"])]
)
def test_tokens_that_cross_a_network(host, levels, settings):
    """A proxy that others reach wants TLS in front."""
    found = check_exposure(replace(settings, host=host))

    assert [each.level for each in found if each.level != "ok"] == levels


@pytest.mark.parametrize(
    ("look", "expected"),
    [
        ({"status": 200, "clock_off_by_s": 3.0}, []),
        ({"status": 401}, ["error claude"]),
        ({"status": 403}, ["error claude"]),
        ({"status": 529}, ["warning claude"]),
        ({"problem": "ConnectError"}, ["warning claude"]),
        ({"problem": "CERTIFICATE_VERIFY_FAILED", "is_tls": True}, ["error tls"]),
        ({"status": 200, "clock_off_by_s": -900.0}, ["warning clock"]),
    ],
)
def test_claude(look, expected):
    """A key that is refused, an address that is not reached and a clock that is wrong are told."""
    found = check_claude([ClaudeLook("https://claude.test", ("claude-opus",), **look)])

    assert [f"{each.level} {each.check}" for each in found if each.level != "ok"] == expected


@pytest.mark.parametrize(
    ("listener", "levels"),
    [
        (Listener.NOBODY, []),
        (Listener.CCPROXY, []),
        (Listener.SOMEBODY_ELSE, ["error"]),
        (Listener.CANNOT_BE, ["error"]),
    ],
)
def test_the_port(listener, levels):
    """A port that another program has, or nobody can have, is an error; the proxy's own is not."""
    found = check_port(PortLook("127.0.0.1", 8081, listener), has_run=True)

    assert [each.level for each in found if each.level != "ok"] == levels


def test_the_proxy_of_another_installation():
    """Where this one never ran, the one that answers is another's."""
    look = PortLook("127.0.0.1", 8081, Listener.CCPROXY)

    assert told(check_port(look, has_run=False)) == [
        (
            "error port: a ccproxy answers on 127.0.0.1:8081, and this installation has no ledger yet: "
            "it is another's, or was started with other settings"
        )
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http: {services: {c: {loadBalancer: {servers: [{url: 'http://127.0.0.1:8081'}]}}}}", []),
        ("http: {services: {c: {loadBalancer: {servers: [{url: 'http://127.0.0.1:9'}]}}}}", ["warning"]),
        ("http: {middlewares: {}}", []),
        ("http: {services: {c: {loadBalancer: {servers: [{url: 'http://127.0.0.1:x'}]}}}}", ["warning"]),
        ("http: {services: {c: {loadBalancer: {servers: [{url: 'http://[::1'}]}}}}", ["warning"]),
        ("http: [", ["error"]),
        ("when: 2026-99-99", ["error"]),
        ("[" * 5000, ["error"]),
    ],
)  # fmt: skip
def test_traefik(text, expected, tmp_path):
    """A file that cannot be read, or sends requests elsewhere, is told."""
    (tmp_path / "traefik").mkdir()
    (tmp_path / "traefik" / "ccproxy.yml").write_text(text)

    assert [each.level for each in check_traefik(tmp_path, 8081) if each.level != "ok"] == expected


def test_no_traefik(tmp_path):
    """Where there is none nothing is said."""
    assert list(check_traefik(tmp_path, 8081)) == []
