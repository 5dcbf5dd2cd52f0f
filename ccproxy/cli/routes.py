"""`ccproxy routes`: the routing table, checked, shown, compared, and taken back."""

from typing import Final

import typer

from ccproxy.cli.routes_check import check
from ccproxy.cli.routes_diff import diff
from ccproxy.cli.routes_import import import_roster
from ccproxy.cli.routes_show import show
from ccproxy.cli.routes_versions import rollback, versions

app: Final = typer.Typer(no_args_is_help=True)


@app.callback()
def root() -> None:
    """Check, show and compare routing tables, and take edits back.

    A running proxy takes up an edit of routing.yaml by itself. Check and compare it before, and
    take it back if it was a mistake.

    Examples:
        ccproxy routes check edited.yaml
        ccproxy routes diff routing.yaml edited.yaml --since 7d
        ccproxy routes rollback

    Read on: docs/routing.md, docs/reload.md
    """


app.command()(check)
app.command()(show)
app.command()(diff)
app.command("import-roster")(import_roster)
app.command()(versions)
app.command()(rollback)
