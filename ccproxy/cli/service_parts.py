"""What the commands of `ccproxy service` work with: the settings, the user, and the manager."""

from __future__ import annotations

import os
import pwd
import sys
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ccproxy.cli.checking import usable_settings
from ccproxy.cli.options import config_path
from ccproxy.config.settings import load_settings
from ccproxy.replaced_files import make_folder
from ccproxy.service.asking import Patience
from ccproxy.service.choice import managers_here
from ccproxy.service.environment import passed_on
from ccproxy.service.lifecycle import Service
from ccproxy.service.probe import ProxyProbe
from ccproxy.service.problems import ServiceError
from ccproxy.service.spec import ServiceSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ccproxy.config.settings import Settings
    from ccproxy.service.manager import Manager

LONGEST_SETTLING_S = Patience().settle_s
ROOT = (0, 0)


@dataclass(frozen=True, slots=True)
class Plan:
    """A service that is to be installed."""

    manager: Manager
    spec: ServiceSpec
    proxy: ProxyProbe
    account: pwd.struct_passwd | None
    """Whom the service runs as; None: whoever runs this."""
    warnings: tuple[str, ...]

    def make_log_folder(self) -> None:
        """Make the folder of what it prints; launchd makes the file, with the right owner.

        With the rights of its user: in a folder where somebody else may change names, a `chown` by
        root could be led to any file.
        """
        if self.spec.log is not None:
            with _as(self.account):
                make_folder(self.spec.log.parent)

    def service(self, say: Callable[[object], None], wait_s: float) -> Service:
        """Return what `install` works on."""
        owner = ROOT if self.manager.needs_root else None
        return Service(self.manager, self.proxy, say, _patience(wait_s), owner)


@dataclass(frozen=True, slots=True)
class Installed:
    """A service that may be installed."""

    manager: Manager
    label: str

    @property
    def config(self) -> Path | None:
        """The settings it was installed with."""
        command = list(self.manager.command())
        if "--config" not in command[:-1]:
            return None
        return Path(command[command.index("--config") + 1])

    def environ(self) -> dict[str, str]:
        """Return variables in which `~` is the home folder of its user."""
        account = self._account()
        return {**os.environ, **({} if account is None else {"HOME": account.pw_dir})}

    def settings(self) -> Settings | None:
        """Return its settings as they are now, and as it sees them; None if nothing is installed.

        Raises:
            ConfigError: They cannot be used.
        """
        config = self.config
        if config is None:
            return None
        with _as(self._account()):
            return load_settings(config, self.environ())

    def service(self, say: Callable[[object], None], wait_s: float) -> Service:
        """Return what `start` and `restart` work on, after a look at everything it reads.

        Raises:
            ConfigError: The proxy would refuse to start; what runs is left alone.
            ServiceError: Nothing of ours is installed.
        """
        config = self.config
        if config is None:
            raise ServiceError(
                f"{self.manager.name} is not installed: {self.manager.definition} does not exist "
                "or is none of `ccproxy service install`, which is what to run"
            )
        user = self.manager.user()
        with _as(_found(user, self.manager.name) if user is not None else None):
            settings, _ = usable_settings(config, self.environ())
        return Service(self.manager, _probe(settings), say, _patience(wait_s))

    def _account(self) -> pwd.struct_passwd | None:
        """Return whom it runs as; None if that is not said, or was removed since."""
        user = self.manager.user()
        with suppress(KeyError):
            return pwd.getpwnam(user) if user is not None else None
        return None

    def log_files(self) -> list[Path]:
        """Return the files that its log is in: what it prints, and what its settings name."""
        settings = self.settings()
        named = settings.log_file.path if settings is not None and settings.log_file else None
        return [path for path in (self.manager.log_file(), named) if path is not None]


def planned(
    label: str,
    config: Path | None,
    variables: Sequence[str],
    user: str | None,
    *,
    daemon: bool,
    changes: bool,
) -> Plan:
    """Return the service that these options ask for, its settings checked as it will see them.

    Raises:
        ServiceError: The options do not go together, or this user may not do it.
        ConfigError: The proxy would refuse to start.
    """
    account = _account(user, daemon=daemon)
    home = Path(account.pw_dir) if account is not None else Path.home()
    managers = managers_here(label, os.getuid(), home)
    manager = managers.system if daemon else managers.own
    other = managers.own if daemon else managers.system
    if changes:
        _must_be_allowed(manager)
    if other.definition.exists():
        raise ServiceError(
            f"{label} is installed as a {other.kind} already, and both would want the same port; "
            f"`ccproxy service uninstall` removes it, --label NAME installs a second one"
        )
    environment = passed_on(variables, os.environ)
    if account is not None:
        environment["HOME"] = str(home)  # which launchd gives agents only
    path = config_path(config, home)
    if config is None:
        _must_be_the_same(path, Installed(manager, label))
    with _as(account):
        settings, findings = usable_settings(path, {"HOME": str(home), **environment})
    if settings.port == 0:
        raise ServiceError(f"{path}: server.port is 0, and a service needs one that stays the same")
    command = (sys.executable, "-P", "-m", "ccproxy", "serve", "--config", str(path))
    spec = ServiceSpec(
        label=label,
        command=command,
        folder=path.parent,
        log=home / managers.logs / f"{label}.log" if managers.logs is not None else None,
        user=account.pw_name if account is not None else None,
        environment=environment,
    )
    warnings = [str(each) for each in findings.warnings]
    if spec.log is not None and settings.log_file is None:
        warnings.append(
            f"{path}: logging.file is not set, so the log goes to {spec.log}, which launchd lets "
            "grow; with logging.file ccproxy keeps its log small by itself"
        )
    return Plan(manager, spec, _probe(settings), account, tuple(warnings))


def installed(label: str, *, daemon: bool, changes: bool = False) -> Installed:
    """Return the service with this label, whichever kind is installed.

    Raises:
        ServiceError: This machine has no services, or this user may not change this one.
    """
    managers = managers_here(label, os.getuid(), Path.home())
    manager = managers.installed(system=daemon)
    if changes and manager.definition.exists():
        _must_be_allowed(manager)
    return Installed(manager, label)


def report(done: str, manager: Manager, proxy: ProxyProbe | None = None) -> None:
    """Print what was done."""
    if done == "unchanged":
        words = f"answers at {proxy.url} already" if proxy else "does not run"
        print(f"{manager.name} ({manager.kind}) {words}; nothing to do.")
        return
    answers = f"; {proxy.url} answers" if proxy is not None else ""
    print(f"{manager.name} ({manager.kind}) {done}{answers}.")


def _account(user: str | None, *, daemon: bool) -> pwd.struct_passwd | None:
    """Return whom the service runs as; None: whoever runs this."""
    if not daemon:
        if user is not None:
            raise ServiceError("--user goes with --daemon; without it a service runs as you")
        return None
    name = user or os.environ.get("SUDO_USER", "")
    if not name:
        raise ServiceError("--daemon needs --user NAME: whom the service runs as, not root")
    account = _found(name, "--user")
    if account.pw_uid == 0:
        raise ServiceError("--user: the proxy needs no rights of root; name an ordinary user")
    return account


def _found(name: str, whose: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise ServiceError(f"{whose}: this machine has no user {name!r}") from None


@contextmanager
def _as(account: pwd.struct_passwd | None) -> Iterator[None]:
    """Look at files with the rights of another user, if this is root.

    What the service may not read shows before it is installed, and secrets' files, which count only
    for their owner, count.
    """
    if account is None or os.geteuid() != 0 or account.pw_uid == 0:
        yield
        return
    group, groups = os.getegid(), os.getgroups()
    os.initgroups(account.pw_name, account.pw_gid)
    os.setegid(account.pw_gid)
    os.seteuid(account.pw_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def _must_be_allowed(manager: Manager) -> None:
    is_root = os.geteuid() == 0
    if manager.needs_root and not is_root:
        raise ServiceError(f"a {manager.kind} belongs to the machine; run the same with sudo")
    if is_root and not manager.needs_root:
        raise ServiceError(
            f"a {manager.kind} belongs to the user it runs as; run this as that user, without "
            "sudo, or add --daemon --user NAME for one that needs no login"
        )


def _must_be_the_same(path: Path, there: Installed) -> None:
    """Refuse settings that were only found, in a folder that may be any, for others."""
    if there.config is not None and there.config.resolve() != path.resolve():
        raise ServiceError(
            f"{there.manager.name} is installed with {there.config}, and here {path} was found; "
            f"--config {there.config} keeps it, --config {path} is for a change"
        )


def _probe(settings: Settings) -> ProxyProbe:
    return ProxyProbe(settings.host, settings.port)


def _patience(wait_s: float) -> Patience:
    return Patience(start_s=wait_s, settle_s=min(LONGEST_SETTLING_S, wait_s))
