"""`ccproxy routes versions` and `ccproxy routes rollback`: taking an edit back."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

import os
from typing import TYPE_CHECKING, Annotated

import typer

from ccproxy.cli.completing import version_names
from ccproxy.cli.options import ConfigOption, JsonOption, config_path
from ccproxy.cli.output import print_json, print_table, remark

if TYPE_CHECKING:
    from pathlib import Path

    from ccproxy.config.loading import RoutingFiles
    from ccproxy.config.versions import VersionStore

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
VersionArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="VERSION",
        help="As `routes versions` shows it, or its beginning, or a table version. "
        "By default the one before the present.",
        show_default=False,
        autocompletion=version_names,
    ),
]


def versions(config: ConfigOption = None, *, as_json: JsonOption = False) -> None:
    """List the last good versions of the routing files, newest first.

    Examples:
        ccproxy routes versions
        ccproxy routes versions --json

    Read on: docs/reload.md
    """
    from ccproxy.config.rollback import present_version

    files, store = _files_and_store(config)
    present = present_version(files)
    listed = store.versions()
    if as_json:
        print_json(
            [
                {
                    "version": each.version,
                    "table_version": each.table_version,
                    "saved_at": each.saved_at.isoformat(timespec="seconds"),
                    "present": each.version == present,
                    "routing_file": str(each.routing_file),
                }
                for each in listed
            ]
        )
        return
    if listed:
        print_table(
            ("version", "table", "in force from", ""),
            [
                (
                    each.version,
                    each.table_version,
                    each.saved_at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
                    "now in the files" if each.version == present else "",
                )
                for each in listed
            ],
        )
    remark(f"{len(listed)} versions in {store.folder}")


def rollback(
    version: VersionArgument = None, config: ConfigOption = None, *, yes: YesOption = False
) -> None:
    """Put an earlier version of the routing file back; a running proxy takes it up by itself.

    The change is shown first. What would be lost by it is kept beside the file.

    Examples:
        ccproxy routes rollback
        ccproxy routes rollback e42e3249af23 --yes

    Read on: docs/reload.md
    """
    from ccproxy.cli.auditing import note
    from ccproxy.config.rollback import carry_out, plan_rollback

    files, store = _files_and_store(config)
    plan = plan_rollback(files, store, version)
    difference = plan.diff(files.routing_file)
    if not difference:
        remark(f"{files.routing_file} is that of version {plan.target.version} already.")
        return
    print(difference)
    remark(*(f"warning: {warning}" for warning in plan.warnings))
    if not yes:
        typer.confirm(f"Write version {plan.target.version} to its place?", abort=True, err=True)
    aside = carry_out(files, store, plan)
    note(store.folder, f"routes rollback {plan.target.version}")
    if aside is not None:
        remark(f"What lay there was no good version; it is kept in {aside}")
    remark(f"{files.routing_file} is version {plan.target.version} again.")


def _files_and_store(config: "Path | None") -> "tuple[RoutingFiles, VersionStore]":
    from ccproxy.config.loading import routing_files
    from ccproxy.config.settings import load_settings
    from ccproxy.config.versions import version_store

    settings = load_settings(config_path(config), os.environ)
    return routing_files(settings), version_store(settings)
