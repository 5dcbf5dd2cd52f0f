"""The config files themselves, their secrets, and who may use the proxy."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ccproxy.auth import TokenError, list_tokens
from ccproxy.config.hosts import is_loopback
from ccproxy.config.problems import render_key
from ccproxy.doctor.finding import error, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from ccproxy.config.problems import ConfigProblem
    from ccproxy.config.secrets import SecretPlace
    from ccproxy.config.settings import Settings
    from ccproxy.doctor.finding import Finding

EXPIRES_SOON: Final = timedelta(days=7)


def check_configuration_problems(
    errors: Sequence[ConfigProblem], warnings: Sequence[ConfigProblem]
) -> Iterator[Finding]:
    """Repeat what `ccproxy config check` says."""
    for problem in errors:
        means = "the proxy does not start with this"
        yield error("config", str(problem), means, "edit the file, then: ccproxy config check")
    if warnings:
        count = "1 warning" if len(warnings) == 1 else f"{len(warnings)} warnings"
        yield ok("config", f"{count}, which `ccproxy config check` tells")
    elif not errors:
        yield ok("config", "settings, roster and routing table are in order")


def check_secrets(places: Iterable[SecretPlace]) -> Iterator[Finding]:
    """Say which references lead nowhere; no secret is ever told."""
    found = list(places)
    missing: dict[str, list[SecretPlace]] = {}
    for place in found:
        if place.problem is not None:
            missing.setdefault(place.reference, []).append(place)
    for reference, users in missing.items():
        more = f" and {len(users) - 1} more" if len(users) > 1 else ""
        yield error(
            "secrets",
            f"{render_key(users[0].key)}{more}: {users[0].problem}",
            "what needs it is unavailable",
            _how_to_give(reference),
        )
    if found and not missing:
        yield ok("secrets", f"all {len(found)} references lead to a secret")


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
        yield error("tokens", str(problem), "every client is refused", "ccproxy token list")
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
            f"ccproxy token rotate {expired[0]} --expires 90d, or: ccproxy token revoke ...",
        )
    for each in soon:
        yield warning(
            "tokens",
            f"{each.name} expires at {each.expires_at}",
            "from then on its clients are refused",
            f"ccproxy token rotate {each.name} --expires 90d",
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


def _how_to_give(reference: str) -> str:
    if reference.startswith("os.environ/"):
        return f"export {reference.removeprefix('os.environ/')}=..., where the proxy is started"
    return f"ccproxy secret set {reference}"
