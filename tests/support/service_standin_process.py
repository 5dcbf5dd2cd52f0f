"""What a stand-in for launchd or systemd does with processes: start, watch, start again, end.

Imported by `service_standin` and by the tests that clean up after it. A call of a tool must cost
next to nothing, since a test makes twenty: only modules that Python has loaded anyway are imported
at the head, and state is kept by `marshal`.
"""

# ruff: noqa: PLC0415, PTH105, PTH108, PTH123, PTH208, S302 -- see above

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found] # `signal` imports enum: half a call
import marshal
import os
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_LOOK_EVERY_S = 0.01
_ENDING = ".loaded"


def known(folder: str, name: str) -> dict[str, Any] | None:
    """Return a service that is loaded: what it runs, `pid` (0: none), `runs`, how it ended."""
    try:
        with open(_file(folder, name), "rb") as file:
            found: dict[str, Any] = marshal.load(file)
    except FileNotFoundError:
        return None
    return found


def supervise(folder: str, name: str, service: dict[str, Any]) -> None:
    """Start a service, and leave a process behind that starts it again whenever it ends."""
    _keep(folder, name, {**service, "pid": 0, "runs": 0, "exit_code": None, "signal": 0})
    if os.fork():
        # As for the real tools: when they return, the program has been started.
        while not (known(folder, name) or {"runs": 1})["runs"]:
            time.sleep(_LOOK_EVERY_S)
        return
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    try:
        _Supervisor(folder, name).run()
    finally:
        os._exit(0)


def end(folder: str, name: str) -> None:
    """Tell a service to end; returns at once."""
    service = known(folder, name)
    if service is not None:
        os.kill(service["supervisor"], signal.SIGTERM)


def start_now(folder: str, name: str, *, kill: bool) -> None:
    """Start a service without waiting for its throttle; `kill` ends the present process first."""
    service = known(folder, name)
    if service is None:
        return
    if kill and service["pid"]:
        os.kill(service["pid"], signal.SIGKILL)
    os.kill(service["supervisor"], signal.SIGUSR1)


def wait_until_gone(folder: str, name: str) -> None:
    """Return when a service that was told to end has done so."""
    while known(folder, name) is not None:
        time.sleep(_LOOK_EVERY_S)


def kill_all(folder: str) -> None:
    """End whatever a test left running."""
    for file in os.listdir(folder):
        service = known(folder, file.removesuffix(_ENDING)) if file.endswith(_ENDING) else None
        for pid in (service.get("supervisor", 0), service["pid"]) if service else ():
            if pid:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue


class _Supervisor:
    """Runs one service until it is told to end."""

    def __init__(self, folder: str, name: str) -> None:
        self._folder = folder
        self._name = name
        self._service = known(folder, name) or {}
        self._is_ending = False
        self._is_wanted_now = False

    def run(self) -> None:
        """Start, wait, start again; the service's file goes when it is over."""
        signal.signal(signal.SIGTERM, self._on_term)
        signal.signal(signal.SIGALRM, self._on_alarm)
        signal.signal(signal.SIGUSR1, self._on_wanted)
        while not self._is_ending:
            pid = os.fork()
            if not pid:
                _become(self._service)
            runs = self._service["runs"] + 1
            self._update(pid=pid, runs=runs, supervisor=os.getpid())
            if self._is_ending:  # told so while there was nothing to end
                os.kill(pid, signal.SIGTERM)
            _, status = os.waitpid(pid, 0)
            code = os.waitstatus_to_exitcode(status)
            self._update(pid=0, exit_code=max(code, 0), signal=max(-code, 0))
            again_at = time.monotonic() + self._service["throttle_s"]
            while time.monotonic() < again_at and not (self._is_ending or self._is_wanted_now):
                time.sleep(_LOOK_EVERY_S)
            self._is_wanted_now = False
        os.unlink(_file(self._folder, self._name))

    def _update(self, **facts: Any) -> None:
        self._service |= facts
        _keep(self._folder, self._name, self._service)

    def _on_term(self, *_: object) -> None:
        self._is_ending = True
        if self._service["pid"]:
            os.kill(self._service["pid"], signal.SIGTERM)
            signal.alarm(self._service["exit_timeout_s"])

    def _on_alarm(self, *_: object) -> None:
        os.kill(self._service["pid"], signal.SIGKILL)

    def _on_wanted(self, *_: object) -> None:
        self._is_wanted_now = True


def _keep(folder: str, name: str, service: dict[str, Any]) -> None:
    """Write a service's file, whole at any moment."""
    path = _file(folder, name)
    with open(f"{path}.new", "wb") as file:
        marshal.dump(service, file)
    os.replace(f"{path}.new", path)


def _file(folder: str, name: str) -> str:
    return f"{folder}/{name}{_ENDING}"


def _become(service: dict[str, Any]) -> NoReturn:
    """Be the program of a service, as its definition says; 78 is EX_CONFIG of sysexits(3)."""
    import resource

    for number in (signal.SIGTERM, signal.SIGALRM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.umask(service["umask"])
        log = os.open(service["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(service["folder"])
        resource.setrlimit(resource.RLIMIT_NOFILE, (service["files"],) * 2)
        program = service["environment"].get("STANDIN_PROGRAM", "live")
        if program == "real":
            os.execve(service["arguments"][0], service["arguments"], service["environment"])  # noqa: S606
        config = service["arguments"][service["arguments"].index("--config") + 1]
        _PROGRAMS[program](config)
    except OSError:
        os._exit(78)
    finally:
        os._exit(70)


def _live(config: str) -> None:
    """Answer health as a proxy does, ready included."""
    import _socket  # `socket` itself imports selectors, enum and more

    with open(config) as file:
        port = int(file.read().partition("port: ")[2].partition("}")[0])
    listener = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    listener.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(16)
    sys.stderr.write("listening\n")
    sys.stderr.flush()
    while True:
        descriptor, _ = listener._accept()  # type: ignore[attr-defined] # typeshed has none
        connection = _socket.socket(fileno=descriptor)
        word = b"ready" if b"/ready " in connection.recv(4096) else b"live"
        connection.send(b'HTTP/1.0 200 OK\r\n\r\n{"status": "%s"}' % word)
        connection.close()


def _slow(config: str) -> None:
    """Take its time to end, as a proxy does whose streams run."""

    def on_term(*_: object) -> None:
        time.sleep(0.3)
        os._exit(0)

    signal.signal(signal.SIGTERM, on_term)
    _live(config)


def _dies(config: str) -> None:
    """End at once, with a reason."""
    sys.stderr.write(f"error: {config}: this cannot be used\n\x1b[31m")
    sys.stderr.flush()
    os._exit(1)


def _deaf(_: str) -> None:
    """Run, and answer nobody."""
    signal.pause()


_PROGRAMS = {"live": _live, "slow": _slow, "dies": _dies, "deaf": _deaf}
