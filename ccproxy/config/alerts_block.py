"""The `alerts:` block of `ccproxy.yaml`: who is told of trouble, and of which."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from ccproxy.config.block import Block, NotBool, Port, PositiveInt, PositiveNumber, Text
from ccproxy.config.hosts import is_loopback
from ccproxy.config.references import is_reference
from ccproxy.config.secrets import EXAMPLES, SecretError, SecretMissing
from routing.alerts import AlertKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from ccproxy.config.problems import KeyPath
    from ccproxy.config.secrets import Secrets

GIB: Final = 1024**3
ADDRESS: Final = re.compile(r"[^@\s<>,;:\"]+@[^@\s<>,;:\"]+")
EMAIL_NAME: Final = "email"
_LONGEST_URL: Final = 2000


def _address(value: str) -> str:
    """Return a mail address, bare."""
    if not ADDRESS.fullmatch(value):
        raise ValueError("must be a mail address such as ops@example.com")
    return value


def _reference(value: str) -> str:
    """Return a reference to a secret."""
    if not is_reference(value):
        raise ValueError(f"must be {EXAMPLES}: a password has no place in this file")
    return value


Address = Annotated[str, AfterValidator(_address)]
Reference = Annotated[str, AfterValidator(_reference)]
Seconds = Annotated[PositiveNumber, Field(le=3600)]
Share = Annotated[float, NotBool, Field(gt=0, le=1)]
Kind = Literal["budget", "backend_down", "truncation", "fallback_rate", "disk_low"]
"""`AlertKind` without the test's."""


class WebhookBlock(Block):
    """One address that alerts are posted to."""

    url: Text
    """http or https; best a reference such as `os.environ/NAME`, since whoever has it can post."""
    format: Literal["json", "slack"] = "json"
    """`json`: our own fields. `slack`: `{"text": ...}`, which Slack and its like take."""
    name: Text | None = None
    """For the log and the metrics; `webhook-1` and so on by default."""
    timeout_s: Seconds = 10.0
    """Seconds that one delivery may take."""


class EmailBlock(Block):
    """A mail server, and whom it is to write to."""

    host: Text
    """The mail server."""
    port: Port = 587
    """587 for starttls, 465 for tls."""
    tls: Literal["starttls", "tls", "none"] = "starttls"
    """`none` is refused together with a password, unless the server is on this machine."""
    sender: Address
    """The address it comes from."""
    to: Annotated[list[Address], Field(min_length=1)]
    """The addresses it goes to."""
    username: Text | None = None
    """For the login; none without it."""
    password: Reference | None = None
    """`os.environ/NAME`, `file/PATH` or `keychain/SERVICE/ACCOUNT`, never the password itself."""
    timeout_s: Seconds = 30.0
    """Seconds that one delivery may take."""


class AlertsBlock(Block):
    """Who is told of trouble, and of which. Nobody is without `webhooks` and `email`."""

    webhooks: list[WebhookBlock] = Field(default=[])
    """Addresses that alerts are posted to."""
    email: EmailBlock | None = None
    """Alerts by e-mail."""
    kinds: list[Kind] = Field(default_factory=lambda: list(get_args(Kind)))
    """What is told; all of it by default."""
    repeat_after_s: PositiveNumber = 3600.0
    """Trouble that goes on is told again after so many seconds."""
    fallback_rate_above: Share = 0.2
    """The share of requests not served by their first choice from which on it is trouble."""
    fallback_window_s: PositiveNumber = 900.0
    """Seconds over which that share is taken."""
    fallback_least_requests: PositiveInt = 20
    """Of fewer requests in that time no share is taken."""
    disk_free_gib: PositiveNumber = 1.0
    """Room that must be free where ccproxy keeps its state, in GiB."""


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """A webhook, with its address read."""

    name: str
    url: str = field(repr=False)
    format: str
    """`json` or `slack`."""
    timeout_s: float


@dataclass(frozen=True, slots=True)
class EmailSettings:
    """A mail server, with its password read."""

    host: str
    port: int
    tls: str
    """`starttls`, `tls` or `none`."""
    sender: str
    to: tuple[str, ...]
    username: str | None
    password: str | None = field(repr=False)
    timeout_s: float


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """Everything the block says."""

    webhooks: tuple[WebhookSettings, ...] = ()
    email: EmailSettings | None = None
    unavailable: tuple[tuple[str, str], ...] = ()
    """Name and reason of each channel whose secret is not there."""
    kinds: frozenset[AlertKind] = frozenset(AlertKind)
    repeat_after_s: float = 3600.0
    fallback_rate_above: float = 0.2
    fallback_window_s: float = 900.0
    fallback_least_requests: int = 20
    disk_free_bytes: int = GIB


NO_ALERTS: Final = AlertSettings()


@dataclass(frozen=True, slots=True)
class Complaints:
    """Who hears what is wrong with the block; each is called with a key and a message."""

    problem: Callable[[KeyPath, str], None]
    warning: Callable[[KeyPath, str], None]


def read_alerts(block: AlertsBlock, secrets: Secrets, complaints: Complaints) -> AlertSettings:
    """Return the settings of a block; what cannot be used is reported and left out.

    A secret that is not there is a warning, as it is for a deployment: the proxy serves on without
    this channel.
    """
    unavailable: list[tuple[str, str]] = []

    def read(name: str, key: KeyPath, reference: str) -> str | None:
        try:
            return secrets.read(reference)
        except SecretMissing as missing:
            unavailable.append((name, str(missing)))
            complaints.warning(key, f"{missing}, so alerts don't go out by {name}")
        except SecretError as error:
            complaints.problem(key, str(error))
        return None

    webhooks: list[WebhookSettings] = []
    names = {EMAIL_NAME}
    for index, item in enumerate(block.webhooks):
        key: KeyPath = ("alerts", "webhooks", index)
        name = item.name or f"webhook-{index + 1}"
        if name in names:
            complaints.problem((*key, "name"), f"{name!r} is another channel's name already")
        names.add(name)
        url = read(name, (*key, "url"), item.url)
        if url is None:
            continue
        if (wrong := _wrong_with(url)) is not None:
            complaints.problem((*key, "url"), wrong)
        else:
            webhooks.append(WebhookSettings(name, url, item.format, item.timeout_s))
    return AlertSettings(
        tuple(webhooks),
        _read_email(block.email, complaints, read) if block.email else None,
        tuple(unavailable),
        frozenset(AlertKind(kind) for kind in block.kinds),
        block.repeat_after_s,
        block.fallback_rate_above,
        block.fallback_window_s,
        block.fallback_least_requests,
        round(block.disk_free_gib * GIB),
    )


def _read_email(
    block: EmailBlock,
    complaints: Complaints,
    read: Callable[[str, KeyPath, str], str | None],
) -> EmailSettings | None:
    key: KeyPath = ("alerts", "email")
    if (block.username is None) != (block.password is None):
        there, other = ("password", "username") if block.password else ("username", "password")
        complaints.problem((*key, there), f"needs {other} beside it")
    if block.password and block.tls == "none" and not is_loopback(block.host):
        complaints.problem((*key, "tls"), "the password would go over the network in the clear")
    password = read(EMAIL_NAME, (*key, "password"), block.password) if block.password else None
    if block.password and password is None:
        return None
    return EmailSettings(
        block.host,
        block.port,
        block.tls,
        block.sender,
        tuple(block.to),
        block.username,
        password,
        block.timeout_s,
    )


def _wrong_with(url: str) -> str | None:
    """Return what is wrong with a webhook's address, without it."""
    wrong = "must be an address such as https://hooks.slack.com/services/..."
    if len(url) > _LONGEST_URL or not url.isprintable() or " " in url:
        return wrong
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return wrong
    return None if usable else wrong
