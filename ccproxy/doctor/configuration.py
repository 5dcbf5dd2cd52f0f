"""The config files themselves, and who may use the proxy."""

from __future__ import annotations

import shlex
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ccproxy.auth import TokenError, list_tokens
from ccproxy.config.hosts import is_loopback
from ccproxy.doctor.files import closing, is_open
from ccproxy.doctor.finding import error, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from ccproxy.config.problems import ConfigProblem
    from ccproxy.config.settings import Settings
    from ccproxy.doctor.finding import Finding

EXPIRES_SOON: Final = timedelta(days=7)


def check_configuration_problems(
    errors: Sequence[ConfigProblem], warnings: Sequence[ConfigProblem], *, is_there: bool = True
) -> Iterator[Finding]:
    """Repeat what `ccproxy config check` says.

    Args:
        errors: Of all config files.
        warnings: Likewise.
        is_there: False where no config file was found.
    """
    means, fix = "the proxy does not start with this", "edit the file, then: ccproxy config check"
    if not is_there:
        means, fix = "there is nothing to start", "ccproxy init"
    for problem in errors:
        yield error("config", str(problem), means, fix)
    if warnings:
        count = "1 warning" if len(warnings) == 1 else f"{len(warnings)} warnings"
        yield ok("config", f"{count}, which `ccproxy config check` tells")
    elif not errors:
        yield ok("config", "settings, roster and routing table are in order")


def check_tokens(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Say whether anybody could use the proxy, and for how long; `now` has a time zone."""
    if not settings.auth_required:
        yield warning(
            "tokens",
            "auth.mode is off",
            "every program on this machine, web pages in a browser included, may use the proxy",
            "set auth.mode: required, then: ccproxy token create NAME",
        )
        return
    try:
        tokens = list_tokens(settings.tokens_file)
    except TokenError as problem:
        yield error("tokens", str(problem), "every client is refused", _mended(settings))
        return
    if not tokens and settings.jwt is not None:
        yield ok("tokens", "none of ours; JSON Web Tokens are taken")
        return
    if not tokens:
        yield warning(
            "tokens",
            f"there are none in {settings.tokens_file}",
            "no client can use the proxy",
            "ccproxy token create NAME",
        )
        return
    expired = [each.name for each in tokens if each.expires_at and each.expires_at <= now]
    soon = [
        each for each in tokens if each.expires_at and now < each.expires_at <= now + EXPIRES_SOON
    ]
    if expired:
        yield warning(
            "tokens",
            f"expired: {', '.join(expired)}",
            "whoever still uses one of them is refused",
            f"{_rotate(expired[0])}, or: ccproxy token revoke ...",
        )
    for each in soon:
        yield warning(
            "tokens",
            f"{each.name} expires at {each.expires_at}",
            "from then on its clients are refused",
            _rotate(each.name),
        )
    good = [each.name for each in tokens if each.name not in expired]
    count = "1 token" if len(good) == 1 else f"{len(good)} tokens"
    yield ok("tokens", f"{count}: {', '.join(good)}")


def check_exposure(settings: Settings) -> Iterator[Finding]:
    """Warn of tokens that cross a network unencrypted."""
    if is_loopback(settings.host):
        yield ok("tls", f"only this machine reaches {settings.host}: nothing crosses a network")
        return
    yield warning(
        "tls",
        f"the proxy listens on {settings.host}, without TLS of its own",
        "tokens and prompts cross the network readable",
        "server.host: 127.0.0.1, and a reverse proxy with TLS in front (docs/reverse-proxy.md)",
    )


def _rotate(name: str) -> str:
    return f"ccproxy token rotate {shlex.quote(name)} --expires 90d"


def _mended(settings: Settings) -> str:
    """Return what makes a tokens file usable that is refused."""
    if is_open(settings.tokens_file):
        return closing(settings.tokens_file)[0]
    file = shlex.quote(str(settings.tokens_file))
    return f"restore it from a backup, or: rm {file}, then: ccproxy token create NAME"
