"""`ccproxy token`: create, list, rotate and revoke the tokens of clients."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ccproxy.cli.completing import agent_names, token_names
from ccproxy.cli.options import ConfigOption, JsonOption, config_path
from ccproxy.cli.output import print_json, print_table, remark

if TYPE_CHECKING:
    from datetime import datetime

    from ccproxy.auth import StoredToken
    from ccproxy.config.settings import Settings

app: Final = typer.Typer(no_args_is_help=True)


class Scope(StrEnum):
    """What a token may do besides `/v1`; the values of `ccproxy.auth.KNOWN_SCOPES`."""

    OPS = "ops"


ExpiresOption = Annotated[
    str | None,
    typer.Option(
        metavar="WHEN", help="The end: 12h, 30d, 2w from now, or that of a day such as 2027-01-31."
    ),
]


@app.callback()
def root() -> None:
    """Create, list, rotate and revoke clients' tokens.

    A client sends its token as `x-api-key` or as a bearer. Only hashes are kept, and a running
    proxy takes up every change within seconds.

    Examples:
        ccproxy token create laptop
        ccproxy token list

    Read on: docs/tokens.md
    """


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="A name of your choice, for logs and `revoke`.")],
    agents: Annotated[
        list[str] | None,
        typer.Option(
            metavar="A,B",
            help="Limit the token to these agents of the roster.",
            autocompletion=agent_names,
        ),
    ] = None,
    scope: Annotated[
        list[Scope] | None, typer.Option(help="ops: also /metrics, /health and /admin.")
    ] = None,
    expires: ExpiresOption = None,
    rate: Annotated[
        int | None,
        typer.Option(min=1, max=1_000_000, help="Messages requests in a minute; any by default."),
    ] = None,
    config: ConfigOption = None,
    *,
    local_only: Annotated[
        bool, typer.Option("--local-only", help="Nothing sent with the token leaves this host.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Create a token and print it, this once; only its hash is kept.

    Examples:
        ccproxy token create laptop
        ccproxy token create ci --agents python-pro,debugger --local-only
        ccproxy token create grafana --scope ops --json

    Read on: docs/tokens.md
    """
    from ccproxy.auth import create_token
    from ccproxy.cli.auditing import note
    from routing.types import Privacy

    expires_at = _moment(expires)
    slugs = _split(agents or [])
    if agents and not slugs:
        # Without a limit the token would be good for every agent.
        remark("error: --agents: names no agent; name some, or leave it out for all of them")
        raise typer.Exit(2)
    settings = _settings(config)
    if slugs:
        _refuse_unknown(slugs, settings.roster_file)
    scopes = [str(each) for each in dict.fromkeys(scope or [])]
    privacy = Privacy.LOCAL_ONLY if local_only else Privacy.ANY
    token = create_token(
        settings.tokens_file,
        name,
        scopes,
        slugs,
        privacy,
        expires_at=expires_at,
        requests_per_minute=rate,
    )
    note(settings.tokens_file, " ".join(("token create", name, *(f"--scope {s}" for s in scopes))))
    if as_json:
        print_json(_told(_entry(settings.tokens_file, name)) | {"token": token})
    else:
        print(token)
    remark(f"Stored its hash in {settings.tokens_file}; the token itself is not shown again.")


@app.command("list")
def list_(config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """List the tokens: names, limits and last use, never the tokens themselves.

    A running proxy writes down once in a minute who has called. Times are local, in JSON UTC.

    Examples:
        ccproxy token list
        ccproxy token list --json

    Read on: docs/tokens.md
    """
    from datetime import UTC, datetime

    from ccproxy.auth import list_tokens
    from ccproxy.auth.last_used import read_last_used

    settings = _settings(config)
    tokens = list_tokens(settings.tokens_file)
    used = {
        name: datetime.fromtimestamp(at_s, UTC)
        for name, at_s in read_last_used(settings.tokens_file).items()
    }
    if as_json:
        print_json([_told(token, used.get(token.name)) for token in tokens])
        return
    if tokens:
        print_table(
            ("name", "scopes", "agents", "privacy", "rate", "expires", "last used", "created"),
            [_row(token, used.get(token.name)) for token in tokens],
            spare=("created", "rate", "privacy"),
        )
    count = "1 token" if len(tokens) == 1 else f"{len(tokens)} tokens"
    remark(f"{count} in {settings.tokens_file}")


@app.command()
def rotate(
    name: Annotated[
        str,
        typer.Argument(help="The token's name, as `list` shows it.", autocompletion=token_names),
    ],
    overlap: Annotated[
        str, typer.Option(metavar="SPAN", help="How long the old one is good: 24h, 7d, 0.")
    ] = "24h",
    expires: ExpiresOption = None,
    config: ConfigOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Put a new token in the place of one, with the same name and limits, and print it.

    The old one is good a while longer, so that clients can be changed one after the other.

    Examples:
        ccproxy token rotate laptop               # the old one is good for another day
        ccproxy token rotate ci --overlap 0 --json

    Read on: docs/tokens.md
    """
    from datetime import UTC, datetime, timedelta

    from ccproxy.auth import rotate_token
    from ccproxy.cli.auditing import note
    from ccproxy.cli.moments import span_s

    seconds, expires_at = span_s(overlap, "--overlap"), _moment(expires)
    settings = _settings(config)
    file = settings.tokens_file
    now = datetime.now(UTC)
    token, ends = rotate_token(file, name, timedelta(seconds=seconds), expires_at=expires_at)
    note(file, f"token rotate {name}")
    still = "is refused from now on"
    if ends is None:
        seconds = 0
    elif ends < now + timedelta(seconds=seconds):
        seconds = int((ends - now).total_seconds())
        still = f"is good until it expires, {_local(ends)}"
    else:
        still = f"is good for {overlap} more"
    if as_json:
        print_json(_told(_entry(file, name)) | {"token": token, "overlap_s": seconds})
    else:
        print(token)
    remark(f"The old token of {name!r} {still}. The new one is not shown again.")


@app.command()
def revoke(
    name: Annotated[
        str,
        typer.Argument(help="The token's name, as `list` shows it.", autocompletion=token_names),
    ],
    config: ConfigOption = None,
) -> None:
    """Revoke a token; a running proxy refuses it within seconds.

    Examples:
        ccproxy token revoke laptop

    Read on: docs/tokens.md
    """
    from ccproxy.auth import revoke_token
    from ccproxy.cli.auditing import note

    settings = _settings(config)
    revoke_token(settings.tokens_file, name)
    note(settings.tokens_file, f"token revoke {name}")
    remark(f"Revoked {name!r} in {settings.tokens_file}.")


def _settings(config: Path | None) -> "Settings":
    from ccproxy.config.settings import load_settings

    return load_settings(config_path(config), os.environ)


def _moment(expires: str | None) -> "datetime | None":
    """Return when a token ends, in whole seconds."""
    from datetime import UTC, datetime

    from ccproxy.cli.moments import ahead

    if expires is None:
        return None
    return datetime.fromtimestamp(int(ahead(expires, "--expires")), UTC)


def _entry(file: Path, name: str) -> "StoredToken":
    """Return what the tokens file has of a token that was just made."""
    from ccproxy.auth import TokenError, list_tokens

    for each in list_tokens(file):
        if each.name == name:
            return each
    raise TokenError(f"{file}: {name!r} was revoked meanwhile.")


def _told(token: "StoredToken", used_at: "datetime | None" = None) -> dict[str, object]:
    """Return a token for programs: always the same keys, times in UTC."""
    return {
        "name": token.name,
        "scopes": list(token.scopes),
        "agents": list(token.agents),
        "privacy": token.privacy.value,
        "requests_per_minute": token.requests_per_minute,
        "created_at": token.created_at or None,
        "expires_at": _utc(token.expires_at),
        "former_until": [_utc(each.until) for each in token.retiring],
        "last_used_at": _utc(used_at),
    }


def _row(token: "StoredToken", used_at: "datetime | None") -> tuple[str, ...]:
    """Return a token for people."""
    from datetime import datetime

    rate = token.requests_per_minute
    try:
        created = _local(datetime.fromisoformat(token.created_at))
    except ValueError:
        created = token.created_at
    return (
        token.name,
        ", ".join(token.scopes),
        ", ".join(token.agents) or "any",
        token.privacy,
        f"{rate}/min" if rate is not None else "",
        _expiry(token.expires_at),
        _local(used_at) if used_at is not None else "",
        created,
    )


def _expiry(ends: "datetime | None") -> str:
    from datetime import UTC, datetime

    if ends is None:
        return "never"
    return f"{_local(ends)}{' (expired)' if ends <= datetime.now(UTC) else ''}"


def _utc(moment: "datetime | None") -> str | None:
    from datetime import UTC

    return None if moment is None else moment.astimezone(UTC).isoformat()


def _local(moment: "datetime") -> str:
    """Return a moment for people; one beyond every local calendar as it is written."""
    from ccproxy.cli.amounts import local_time

    try:
        return local_time(round(moment.timestamp() * 1000))
    except (ValueError, OverflowError):
        return moment.isoformat()


def _split(values: list[str]) -> list[str]:
    """Return the names in comma-separated values, each once, in order."""
    names = (name.strip() for value in values for name in value.split(","))
    return list(dict.fromkeys(name for name in names if name))


def _refuse_unknown(slugs: list[str], roster_file: Path) -> None:
    from ccproxy.config.roster import load_roster
    from routing.nearest import did_you_mean

    known = load_roster(roster_file).roster.agents
    unknown = [slug for slug in slugs if slug not in known]
    for slug in unknown:
        remark(f"error: --agents: {slug!r} is not in {roster_file}.{did_you_mean(slug, known)}")
    if unknown:
        raise typer.Exit(1)
