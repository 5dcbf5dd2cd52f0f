"""Stand-ins for `launchctl`, `systemctl` and `journalctl`, each a program of its own on the PATH.

They do what can be observed of the real ones: states that last, exit codes, the words on stderr, a
`bootout` that returns before the service is gone. Sources: launchctl(1), launchd.plist(5),
systemctl(1); error texts as people report them of macOS 13 to 26.

What they run is what the definition says, with its folder, umask, limits and environment; unless
the definition's `STANDIN_PROGRAM` names one of the small programs of `service_standin_process`.

Run by a script that imports this module, which spares compiling it each time (`services.py`), with
`python -IS`; the state is in the folder `$CCPROXY_STANDIN`, where a test may write
`habits`: `screen` (somebody is logged in there),
`bus` (a user's systemd can be reached), `settling` (how many bootstraps fail after a bootout),
`refusal` (the code of every bootstrap).
"""

# ruff: noqa: PLC0415, PTH110, PTH116, PTH123, PTH208, S302 -- as in service_standin_process

from __future__ import annotations

import marshal
import os
import sys

import service_standin_process as process  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

FOLDER = os.environ["CCPROXY_STANDIN"]
WORDS = {
    3: "No such process",
    5: "Input/output error",
    36: "Operation now in progress",
    37: "Operation already in progress",
    119: "Service is disabled",
    122: "Path had bad ownership/permissions",
    125: "Domain does not support specified action",
}


def fail(code: int, *lines: str) -> NoReturn:
    """End as the tool would."""
    for line in lines:
        print(line, file=sys.stderr)
    sys.exit(code)


def habits() -> dict[str, Any]:
    """Return how the tools behave in this test."""
    given = f"{FOLDER}/habits"
    usual = {"screen": True, "bus": True, "settling": 0, "refusal": 0}
    return usual | (marshal.loads(read(given)) if os.path.exists(given) else {})


def names_in(file: str) -> set[str]:
    """Return the lines of a file of the state."""
    path = f"{FOLDER}/{file}"
    return set(read(path).decode().split()) if os.path.exists(path) else set()


def keep_names(file: str, names: set[str]) -> None:
    """Write the lines of a file of the state."""
    write(f"{FOLDER}/{file}", "\n".join(sorted(names)).encode())


def read(path: str) -> bytes:
    """Return a file."""
    with open(path, "rb") as file:
        return file.read()


def write(path: str, data: bytes) -> None:
    """Write a file."""
    with open(path, "wb") as file:
        file.write(data)


# --- launchctl ------------------------------------------------------------------------------------


def launchctl(verb: str, *arguments: str) -> None:
    """Do one subcommand."""
    domain, _, label = arguments[-1 if verb in {"print", "bootout", "kickstart"} else 0].rpartition(
        "/"
    )
    if verb == "bootstrap":
        bootstrap(arguments[0], arguments[1])
    elif verb == "enable":
        keep_names("disabled", names_in("disabled") - {arguments[0]})
    elif verb == "disable":
        keep_names("disabled", names_in("disabled") | {arguments[0]})
    elif verb == "bootout":
        if process.known(FOLDER, label) is None:
            fail(3, "Boot-out failed: 3: No such process")
        process.end(FOLDER, label)
        write(f"{FOLDER}/settling", b"%d" % habits()["settling"])
    elif process.known(FOLDER, label) is None:
        kind, _, uid = domain.partition("/")
        where = f"user gui: {uid}" if kind == "gui" else "system"
        fail(113, "Bad request.", f'Could not find service "{label}" in domain for {where}')
    elif verb == "kickstart":
        process.start_now(FOLDER, label, kill="-k" in arguments)
    elif verb == "print":
        show(f"{domain}/{label}", process.known(FOLDER, label))
    else:
        fail(64, f"Unrecognized subcommand: {verb}")


def bootstrap(domain: str, path: str) -> None:
    """Load a property list and start what it says."""
    import plistlib

    is_system = domain == "system"

    def refuse(code: int) -> NoReturn:
        # Only root is told more than 5.
        told = code if is_system or code == 125 else 5
        more = (
            ()
            if is_system or code == 125
            else ("Try re-running the command as root for richer errors.",)
        )
        fail(told, f"Bootstrap failed: {told}: {WORDS[told]}", *more)

    if not is_system and not habits()["screen"]:
        refuse(125)
    if habits()["refusal"]:
        refuse(habits()["refusal"])
    try:
        document = plistlib.loads(read(path))
        label = document["Label"]
        arguments = document["ProgramArguments"]
    except (OSError, ValueError, KeyError, plistlib.InvalidFileException):
        refuse(5)
    if os.stat(path).st_mode & 0o022:
        refuse(122)
    if f"{domain}/{label}" in names_in("disabled"):
        refuse(119)
    settling = f"{FOLDER}/settling"
    left = int(read(settling)) if os.path.exists(settling) else 0
    if process.known(FOLDER, label) is not None:
        refuse(37)
    if left:
        write(settling, b"%d" % (left - 1))
        refuse(37)
    environment = {
        "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
        # Of a service in the system domain launchd sets no HOME.
        **({} if is_system else {"HOME": os.environ["HOME"]}),
        **document.get("EnvironmentVariables", {}),
    }
    process.supervise(
        FOLDER,
        label,
        {
            "definition": path,
            "arguments": arguments,
            "environment": environment,
            "folder": document.get("WorkingDirectory", "/"),
            "umask": document.get("Umask", 0o022),
            "files": document.get("SoftResourceLimits", {}).get("NumberOfFiles", 256),
            "log": document.get("StandardErrorPath", "/dev/null"),
            "exit_timeout_s": document.get("ExitTimeOut", 5),
            "throttle_s": document.get("ThrottleInterval", 10),
        },
    )


def show(target: str, service: dict[str, Any]) -> None:
    """Print a service as `launchctl print` does, endpoints included."""
    ended = service["exit_code"]
    lines = [
        f"{target} = {{",
        f"\tactive count = {1 if service['pid'] else 0}",
        f"\tpath = {service['definition']}",
        f"\tstate = {'running' if service['pid'] else 'spawn scheduled'}",
        "",
        "\targuments = {",
        *(f"\t\t{each}" for each in service["arguments"]),
        "\t}",
        f"\texit timeout = {service['exit_timeout_s']}",
        f"\truns = {service['runs']}",
        *([f"\tpid = {service['pid']}"] if service["pid"] else []),
        *(
            [f"\tlast terminating signal = Killed: {service['signal']}"]
            if service["signal"]
            else []
        ),
        f"\tlast exit code = {'(never exited)' if ended is None else ended}",
        "\tendpoints = {",
        '\t\t"com.example.port" = {',
        "\t\t\tstate = active",
        "\t\t}",
        "\t\tstate = active",
        "\t}",
        "}",
    ]
    print("\n".join(lines))


# --- systemctl, journalctl ------------------------------------------------------------------------


def systemctl(*arguments: str) -> None:
    """Do one command."""
    words = [each for each in arguments if not each.startswith("-")]
    verb, unit = words[0], words[-1]
    is_user = "--user" in arguments
    if is_user and not habits()["bus"]:
        fail(1, "Failed to connect to bus: No medium found")
    folder = f"{os.environ['HOME']}/.config/systemd/user" if is_user else f"{FOLDER}/system"
    if verb == "daemon-reload":
        units = {name: read(f"{folder}/{name}") for name in os.listdir(folder)}
        write(f"{FOLDER}/units", marshal.dumps(units))
    elif verb in {"enable", "disable"}:
        if verb == "enable" and not os.path.exists(f"{folder}/{unit}"):
            fail(1, f"Failed to enable unit: Unit file {unit} does not exist.")
        others = names_in("enabled") - {unit}
        keep_names("enabled", others | {unit} if verb == "enable" else others)
    else:
        use_unit(verb, unit)


def use_unit(verb: str, unit: str) -> None:
    """Do a command that is about one unit, as it was read at the last `daemon-reload`."""
    units = f"{FOLDER}/units"
    text = marshal.loads(read(units)).get(unit) if os.path.exists(units) else None
    service = process.known(FOLDER, unit)
    if verb == "show":
        show_unit(text, service)
    elif text is None and service is None:
        fail(5, f"Failed to {verb} {unit}: Unit {unit} not loaded.")
    elif verb == "stop" and service is not None:
        process.end(FOLDER, unit)
        process.wait_until_gone(FOLDER, unit)
    elif verb == "start" and service is None:
        start_unit(unit, (text or b"").decode())
    elif verb == "restart":
        process.start_now(FOLDER, unit, kill=False)


def start_unit(unit: str, text: str) -> None:
    """Start what a unit says."""
    import shlex

    said: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals:
            said.setdefault(key, []).append(value.replace("%%", "%"))
    environment = {"PATH": "/usr/bin:/bin", "HOME": os.environ["HOME"]}
    for value in said.get("Environment", []):
        environment |= dict(pair.split("=", 1) for pair in shlex.split(value))
    process.supervise(
        FOLDER,
        unit,
        {
            "definition": unit,
            "arguments": [each.replace("$$", "$") for each in shlex.split(said["ExecStart"][0])],
            "environment": environment,
            "folder": said["WorkingDirectory"][0],
            "umask": int(said["UMask"][0], 8),
            "files": int(said["LimitNOFILE"][0]),
            "log": f"{FOLDER}/{unit}.journal",
            "exit_timeout_s": int(said["TimeoutStopSec"][0]),
            "throttle_s": int(said["RestartSec"][0]),
        },
    )


def show_unit(text: bytes | None, service: dict[str, Any] | None) -> None:
    """Print properties of a unit."""
    running = service is not None and service["pid"]
    states = ("active", "running") if running else ("activating", "auto-restart")
    active, sub = states if service is not None else ("inactive", "dead")
    ended = service if service is not None and not running else None
    killed = ended["signal"] if ended else 0
    properties = {
        "LoadState": "loaded" if text else "not-found",
        "ActiveState": active,
        "SubState": sub,
        "MainPID": service["pid"] if service is not None and running else 0,
        "NRestarts": service["runs"] - 1 if service is not None else 0,
        "ExecMainCode": (2 if killed else 1) if ended else 0,
        "ExecMainStatus": (killed or ended["exit_code"]) if ended else 0,
        "InvocationID": "0123456789abcdef" if service is not None else "",
    }
    print("\n".join(f"{key}={value}" for key, value in properties.items()))


def journalctl(*arguments: str) -> None:
    """Print the end of what a unit printed."""
    unit = arguments[arguments.index("--unit") + 1]
    count = next(int(each.partition("=")[2]) for each in arguments if each.startswith("--lines="))
    path = f"{FOLDER}/{unit}.journal"
    lines = read(path).decode().splitlines() if os.path.exists(path) else []
    print("\n".join(lines[-count:]))


def main(tool: str, *arguments: str) -> None:
    """Do what a call of a tool asks for, and keep the call."""
    with open(f"{FOLDER}/calls", "a") as calls:
        print(tool, *arguments, file=calls)
    if tool == "launchctl":
        launchctl(*arguments)
    elif tool == "systemctl":
        systemctl(*arguments)
    else:
        journalctl(*arguments)
