"""The settings of a running proxy: `ccproxy.yaml`, read and checked as a whole.

`load_settings` reports every problem at once, with file, line and column. What it returns is plain
frozen data with absolute paths; nothing later reads the file, the environment or the working
directory. A change takes effect at the next start.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ccproxy.config.alerts_block import NO_ALERTS, AlertSettings, Complaints, read_alerts
from ccproxy.config.budgets_block import read_budgets
from ccproxy.config.deployments import (
    DeploymentSettings,
    InvalidDeploymentError,
    build_deployment,
    to_routing_deployment,
)
from ccproxy.config.environment import resolve_params
from ccproxy.config.findings import unused_keys, validation_problems
from ccproxy.config.hosts import is_loopback
from ccproxy.config.jwt_block import read_jwt
from ccproxy.config.literal_secrets import literal_secrets
from ccproxy.config.locate import expand_path, find_config, resolve_ledger_url
from ccproxy.config.models import ConfigFile, DeploymentBlock
from ccproxy.config.problems import ConfigError, ConfigProblem
from ccproxy.config.secrets import SecretError, Secrets
from ccproxy.config.yaml_marks import read_marked
from ccproxy.wire.our_tokens import OurTokens

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ccproxy.config.jwt_block import JwtSettings
    from ccproxy.config.models import LoggingBlock
    from ccproxy.config.problems import KeyPath
    from ccproxy.config.yaml_marks import MarkedDocument
    from routing.budget_book import Budget
    from routing.types import Deployment

__all__ = [
    "DeploymentSettings",
    "Settings",
    "find_config",
    "load_settings",
    "refuse_open_bind",
    "routing_deployments",
    "to_routing_deployment",
]


@dataclass(frozen=True, slots=True)
class LogFile:
    """Where log lines go, and how many of them are kept."""

    path: Path
    max_bytes: int
    keep: int
    """Older files."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything `ccproxy.yaml` says, checked. Paths are absolute; the files may not exist.

    `agents_folder` was there when the settings were read.
    """

    path: Path
    """The file itself."""
    host: str
    port: int
    """0 takes a free one."""
    auth_required: bool
    tokens_file: Path
    roster_file: Path
    routing_file: Path
    deployments: tuple[DeploymentSettings, ...]
    """In the order of the file; names are unique."""
    ledger_url: str = field(repr=False)
    """An SQLAlchemy URL, which may hold a password."""
    ledger_keep_days: int | None = None
    """After which single requests are thrown away; None: never."""
    strict: bool = False
    """Requests for local models are checked as strictly as Claude does; see `validate_request`."""
    agents_folder: Path | None = None
    """Where the agents' files are, besides the roster's folder."""
    log_file: LogFile | None = None
    """None is stderr."""
    alerts: AlertSettings = NO_ALERTS
    """Who is told of trouble."""
    budgets: tuple[Budget, ...] = ()
    """In the order of the file; names are unique."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks of reverse proxies whose `X-Forwarded-For` is believed."""
    jwt: JwtSettings | None = None
    """Whose JSON Web Tokens are accepted; None: nobody's."""
    warnings: tuple[ConfigProblem, ...] = ()

    @property
    def our_tokens(self) -> OurTokens:
        """What tells this proxy's tokens from credentials for Claude."""
        if not self.auth_required:
            return OurTokens(are_asked_for=False)
        return OurTokens(issuer=None if self.jwt is None else self.jwt.issuer)


def load_settings(path: Path, environ: Mapping[str, str]) -> Settings:
    """Return the settings in a file.

    Args:
        path: The config file.
        environ: Environment variables, for `os.environ/NAME` and for `HOME`.

    Raises:
        ConfigError: With every problem of the file, in its order.
    """
    path = path.absolute()
    document = read_marked(path)
    return _SettingsReader(document, Secrets(environ, path.parent)).read(path)


def routing_deployments(settings: Settings) -> dict[str, Deployment]:
    """Return the deployments as routing sees them, by name."""
    return {each.name: to_routing_deployment(each) for each in settings.deployments}


def refuse_open_bind(host: str, *, auth_required: bool) -> str | None:
    """Return why the proxy may not listen on `host` like this, or None if it may.

    To be asked again wherever a command line overrides the host of the file.
    """
    if auth_required or is_loopback(host):
        return None
    return (
        f"{host} can be reached from other machines, so clients must have tokens; "
        "set auth.mode: required, or server.host: 127.0.0.1"
    )


class _SettingsReader:
    """Reads one document, collecting problems and warnings."""

    def __init__(self, document: MarkedDocument, secrets: Secrets) -> None:
        """Nothing is read yet."""
        self._document = document
        self._secrets = secrets
        self._environ = secrets.environ
        self._problems: list[ConfigProblem] = []
        self._warnings = [*unused_keys(document), *literal_secrets(document)]

    def read(self, path: Path) -> Settings:
        """Return the settings, or raise `ConfigError` with every problem."""
        root = self._document.value
        if not isinstance(root, dict):
            state = "is empty" if root is None else "must be a map of `key: value`"
            again = f"`ccproxy init --force --dir {path.parent}` writes a whole ccproxy.yaml"
            message = f"{state}; {again} and keeps a backup"
            raise ConfigError([self._document.problem((), message)])
        items = root.get("model_list")
        resolved = [
            self._resolve(index, item)
            for index, item in enumerate(items if isinstance(items, list) else [])
        ]
        if isinstance(items, list):
            root = {**root, "model_list": [item for item, _ in resolved]}
        file = self._validate(root)
        ledger_url = self._ledger_url(path.parent, file) if file is not None else ""
        agents_folder = self._agents_folder(path.parent, file) if file is not None else None
        hosts = file.on_premises_hosts if file is not None else []
        complaints = Complaints(self._report, self._warn)
        alerts = read_alerts(file.alerts, self._secrets, complaints) if file else NO_ALERTS
        block = file.auth.jwt if file is not None else None
        jwt = read_jwt(block, self._secrets, self._report) if block is not None else None
        deployments = [
            deployment
            for index, (item, unavailable) in enumerate(resolved)
            if (deployment := self._deployment(index, item, unavailable, hosts)) is not None
        ]
        self._check_names(resolved)
        self._check_runner_options(deployments)
        names = [each.name for each in deployments]
        budgets = read_budgets(file.budgets, names, self._report) if file else ()
        if file is None or self._problems:
            raise ConfigError(_in_order(self._problems))
        settings = self._settings(path, file, ledger_url, agents_folder, tuple(deployments))
        return replace(
            settings,
            alerts=alerts,
            budgets=budgets,
            jwt=jwt,
            warnings=tuple(_in_order(self._warnings)),
        )

    def _report(self, key: KeyPath, message: str) -> None:
        """Add a problem."""
        self._problems.append(self._document.problem(key, message))

    def _warn(self, key: KeyPath, message: str) -> None:
        """Add a warning."""
        self._warnings.append(self._document.problem(key, message))

    def _resolve(self, index: int, item: object) -> tuple[object, str | None]:
        """Return an entry with its references read, and why it is unavailable, if it is."""
        params = item.get("litellm_params") if isinstance(item, dict) else None
        if not isinstance(item, dict) or not isinstance(params, dict):
            return item, None
        resolved = resolve_params(params, self._secrets)
        entry: KeyPath = ("model_list", index, "litellm_params")
        for key, why in resolved.missing.items():
            self._warn((*entry, key), f"{why}, so this deployment is unavailable")
        for key, why in resolved.refused.items():
            self._report((*entry, key), why)
        reasons = (*resolved.missing.values(), *resolved.refused.values())
        return {**item, "litellm_params": resolved.values}, "; ".join(reasons) or None

    def _validate(self, root: Mapping[str, object]) -> ConfigFile | None:
        """Return the validated file, or None after reporting what is wrong."""
        try:
            file = ConfigFile.model_validate(root)
        except ValidationError as error:
            self._problems.extend(validation_problems(error, self._document))
            return None
        reason = refuse_open_bind(file.server.host, auth_required=file.auth.mode == "required")
        if reason is not None:
            self._report(("auth", "mode"), reason)
        return file

    def _deployment(
        self, index: int, item: object, unavailable: str | None, hosts: list[str]
    ) -> DeploymentSettings | None:
        """Return one deployment, or None if something is wrong with it."""
        try:
            block = DeploymentBlock.model_validate(item)
        except ValidationError:
            return None  # reported with the file as a whole
        entry: KeyPath = ("model_list", index)
        try:
            deployment = build_deployment(block, hosts, unavailable)
        except InvalidDeploymentError as error:
            place = (error.block, error.key) if error.block else (error.key,)
            self._report((*entry, *place), str(error))
            return None
        if deployment.unavailable is not None and unavailable is None:
            self._warn(
                (*entry, "litellm_params"),
                f"{deployment.unavailable}, so this deployment is unavailable",
            )
        return deployment

    def _check_names(self, resolved: list[tuple[object, str | None]]) -> None:
        """Report names that are used twice, which LiteLLM would take as a balanced group."""
        first: dict[str, int] = {}
        for index, (item, _) in enumerate(resolved):
            name = item.get("model_name") if isinstance(item, dict) else None
            if not isinstance(name, str):
                continue
            earlier = first.setdefault(name, index)
            if earlier != index:
                key: KeyPath = ("model_list", earlier, "model_name")
                line, _column = self._document.locate(key)
                message = (
                    f"{name!r} is already the name of the deployment in line {line}; give each its "
                    "own name and list both in a route"
                )
                self._report(("model_list", index, "model_name"), message)

    def _check_runner_options(self, deployments: list[DeploymentSettings]) -> None:
        """Warn where two deployments make Ollama load one model with different contexts."""
        first: dict[tuple[str | None, str], DeploymentSettings] = {}
        for deployment in deployments:
            if not deployment.is_ollama:
                continue
            model = deployment.upstream_model.removesuffix(":latest")
            other = first.setdefault((deployment.api_base, model), deployment)
            if other.num_ctx != deployment.num_ctx:
                message = (
                    f"{other.name} and {deployment.name} are the same Ollama model with different "
                    "num_ctx; Ollama reloads it at every change between them"
                )
                self._warn(("model_list",), message)

    def _ledger_url(self, folder: Path, file: ConfigFile) -> str:
        """Return the ledger's URL, or an empty text after reporting what is wrong."""
        try:
            url = self._secrets.read(file.ledger.url)
            return resolve_ledger_url(url, folder, self._environ)
        except (ValueError, SecretError) as error:
            self._report(("ledger", "url"), str(error))
            return ""

    def _agents_folder(self, folder: Path, file: ConfigFile) -> Path | None:
        """Return the folder of the agents' files; one that is not there is reported."""
        if file.agents_folder is None:
            return None
        path = expand_path(file.agents_folder, folder, self._environ)
        if not path.is_dir():
            what = "is no folder" if path.exists() else "does not exist"
            message = (
                f"{path} {what}; name the folder with the agents' Markdown files, or leave the key "
                "out to read those beside the roster only"
            )
            self._report(("agents_folder",), message)
        return path

    def _log_file(self, folder: Path, block: LoggingBlock) -> LogFile | None:
        """Return where log lines go, if that is a file."""
        if block.file is None:
            return None
        path = expand_path(block.file, folder, self._environ)
        return LogFile(path, block.max_mib * 2**20, block.keep)

    def _settings(
        self,
        path: Path,
        file: ConfigFile,
        ledger_url: str,
        agents_folder: Path | None,
        deployments: tuple[DeploymentSettings, ...],
    ) -> Settings:
        """Return the settings of a file without problems."""
        folder = path.parent
        return Settings(
            path=path,
            host=file.server.host,
            port=file.server.port,
            trusted_proxies=tuple(file.server.trusted_proxies),
            auth_required=file.auth.mode == "required",
            tokens_file=expand_path(file.auth.tokens_file, folder, self._environ),
            roster_file=expand_path(file.roster, folder, self._environ),
            routing_file=expand_path(file.routing, folder, self._environ),
            deployments=deployments,
            ledger_url=ledger_url,
            ledger_keep_days=file.ledger.keep_days,
            strict=file.local.strict,
            agents_folder=agents_folder,
            log_file=self._log_file(folder, file.logging),
        )


def _in_order(problems: list[ConfigProblem]) -> list[ConfigProblem]:
    """Return the problems in the order of the file."""
    return sorted(problems, key=lambda problem: (problem.line, problem.column))
