"""`ccproxy token`: create, list and revoke the tokens of clients."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ccproxy.cli.options import ConfigOption, JsonOption, config_path
from ccproxy.cli.output import print_json, print_table, remark

if TYPE_CHECKING:
    from ccproxy.config.settings import Settings
    from routing.types import Privacy

app: Final = typer.Typer(no_args_is_help=True, help="Create, list and revoke clients' tokens.")


class Scope(StrEnum):
    """What a token may do besides `/v1`; the values of `ccproxy.auth.KNOWN_SCOPES`."""

    OPS = "ops"


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="A name of your choice, for logs and `revoke`.")],
    agents: Annotated[
        list[str] | None,
        typer.Option(metavar="A,B", help="Limit the token to these agents of the roster."),
    ] = None,
    scope: Annotated[
        list[Scope] | None, typer.Option(help="ops: also /metrics, /health and /admin.")
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
    token = create_token(settings.tokens_file, name, scopes, slugs, privacy)
    note(settings.tokens_file, " ".join(("token create", name, *(f"--scope {s}" for s in scopes))))
    if as_json:
        made = {"name": name, "token": token, "scopes": scopes, "agents": slugs}
        print_json(made | _limit(privacy))
    else:
        print(token)
    remark(f"Stored its hash in {settings.tokens_file}; the token itself is not shown again.")


@app.command("list")
def list_(config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """List the tokens: names and limits, never the tokens themselves.

    Examples:
        ccproxy token list
        ccproxy token list --json

    Read on: docs/tokens.md
    """
    from ccproxy.auth import list_tokens

    settings = _settings(config)
    tokens = list_tokens(settings.tokens_file)
    if as_json:
        print_json(
            [
                {
                    "name": token.name,
                    "scopes": list(token.scopes),
                    "agents": list(token.agents),
                    "created_at": token.created_at,
                    **_limit(token.privacy),
                }
                for token in tokens
            ]
        )
        return
    if tokens:
        print_table(
            ("name", "scopes", "agents", "privacy", "created"),
            [
                (
                    token.name,
                    ", ".join(token.scopes),
                    ", ".join(token.agents) or "any",
                    token.privacy,
                    token.created_at,
                )
                for token in tokens
            ],
        )
    count = "1 token" if len(tokens) == 1 else f"{len(tokens)} tokens"
    remark(f"{count} in {settings.tokens_file}")


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="The token's name, as `list` shows it.")],
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


def _limit(privacy: "Privacy") -> dict[str, str]:
    """Return `privacy` for JSON, where it is a limit."""
    return {} if privacy == "any" else {"privacy": privacy.value}


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
