"""Whether Claude can be reached, takes the key, and agrees on what time it is. Costs nothing.

`GET /v1/models` generates no token. Its `date` header (RFC 9110, 6.6.1) tells the time there.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from ccproxy.doctor.finding import error, ok, warning

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ccproxy.config.deployments import DeploymentSettings
    from ccproxy.doctor.finding import Finding

ASK_FOR_S: Final = 5.0
CLOCK_OFF_BY_S: Final = 60.0
"""From here on tokens with a time in them are refused, and reports of hours are wrong."""
_VERSION: Final = "2023-06-01"


@dataclass(frozen=True, slots=True)
class ClaudeLook:
    """What one Claude address said to one key."""

    api_base: str
    deployments: tuple[str, ...]
    status: int | None = None
    """None where no answer came."""
    clock_off_by_s: float | None = None
    """By how much this machine's clock is ahead; None where nobody told the time."""
    problem: str = ""
    is_tls: bool = False
    """True if the problem is the certificate."""


async def look_at_claude(
    deployments: Iterable[DeploymentSettings], ask_for_s: float = ASK_FOR_S
) -> list[ClaudeLook]:
    """Ask each Claude address once with each key; waits `ask_for_s` seconds at most."""
    pairs: dict[tuple[str, str], list[str]] = {}
    for each in deployments:
        if each.is_claude and each.api_key and each.api_base:
            pairs.setdefault((each.api_base, each.api_key), []).append(each.name)
    looks = (_look(base, key, tuple(names), ask_for_s) for (base, key), names in pairs.items())
    return list(await asyncio.gather(*looks))


def check_claude(looks: Iterable[ClaudeLook]) -> Iterator[Finding]:
    """Judge the answers."""
    for look in looks:
        yield _reached(look)
        if look.clock_off_by_s is not None:
            yield _clock(look.clock_off_by_s)


def _reached(look: ClaudeLook) -> Finding:
    names = ", ".join(look.deployments)
    if look.status is None and look.is_tls:
        return error(
            "tls",
            f"{look.api_base}: {look.problem}",
            f"{names} cannot be used: nobody proved to be Claude",
            "export SSL_CERT_FILE=... with the certificate of a proxy that inspects traffic here",
        )
    if look.status is None:
        return warning(
            "claude",
            f"{look.api_base} cannot be reached: {look.problem}",
            f"{names} serve nobody; local models go on",
            f"curl -sSI {look.api_base}/v1/models",
        )
    if look.status in (401, 403):
        return error(
            "claude",
            f"{look.api_base} refuses the key (status {look.status})",
            f"every request to {names} fails",
            "make a new key at console.anthropic.com, and put it where api_key refers to",
        )
    if look.status != 200:
        return warning(
            "claude",
            f"{look.api_base} answers with status {look.status}",
            f"whether {names} work is not known",
            f"curl -sSI {look.api_base}/v1/models",
        )
    return ok("claude", f"{look.api_base} takes the key of {names}")


def _clock(off_by_s: float) -> Finding:
    if abs(off_by_s) <= CLOCK_OFF_BY_S:
        return ok("clock", f"within {CLOCK_OFF_BY_S:g} s of Claude's")
    return warning(
        "clock",
        f"this clock is {abs(off_by_s):.0f} s {'ahead' if off_by_s > 0 else 'behind'}",
        "tokens that expire are refused, certificates may be, and reports have wrong hours",
        "sudo sntp -sS time.apple.com   # Linux: sudo timedatectl set-ntp true",
    )


async def _look(api_base: str, key: str, names: tuple[str, ...], ask_for_s: float) -> ClaudeLook:
    import httpx  # noqa: PLC0415 - 0.1 s, for those who ask

    headers = {"x-api-key": key, "anthropic-version": _VERSION}
    # As upstreams.anthropic: the environment's proxies are not used, certificates are verified.
    client = httpx.AsyncClient(
        timeout=ask_for_s, trust_env=False, verify=ssl.create_default_context()
    )
    request = client.build_request(
        "GET", f"{api_base}/v1/models", params={"limit": 1}, headers=headers
    )
    try:
        # The head is enough, and who sends it a byte at a time is as good as silent.
        async with asyncio.timeout(ask_for_s), client:
            answer = await client.send(request, stream=True)
            await answer.aclose()
    except TimeoutError:
        return ClaudeLook(api_base, names, problem=f"no answer within {ask_for_s:g} s")
    except httpx.HTTPError as problem:
        reason = problem.__cause__ or problem
        is_tls = "CERTIFICATE" in str(problem).upper()
        told = str(problem) if is_tls else type(reason).__name__
        return ClaudeLook(api_base, names, problem=told, is_tls=is_tls)
    off_by_s = _off_by_s(answer.headers.get("date"))
    return ClaudeLook(api_base, names, answer.status_code, off_by_s)


def _off_by_s(date: str | None) -> float | None:
    """Return how far this clock is ahead of a `date` header."""
    try:
        told = parsedate_to_datetime(date or "")
    except ValueError:
        return None
    if told.tzinfo is None:
        told = told.replace(tzinfo=UTC)
    return (datetime.now(UTC) - told).total_seconds()
