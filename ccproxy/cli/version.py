"""`ccproxy version`: what is installed, for reports of faults."""

# ruff: noqa: PLC0415 -- a command imports what it needs when it runs

from typing import Final

from ccproxy.cli.options import JsonOption
from ccproxy.cli.output import print_json

LIBRARIES: Final = (
    *("litellm", "ollama", "anthropic", "uvicorn", "uvloop", "fastapi", "httpx", "aiohttp"),
    *("pydantic", "sqlalchemy", "typer", "rich"),
)
"""Those whose version a report of a fault should name."""


def version(*, as_json: JsonOption = False) -> None:
    """Say what is installed: ccproxy, Python and the libraries that matter.

    Put it into a report of a fault. Nothing is imported for it: versions are those of the
    installation's records. `ccproxy --version` prints the same.

    Examples:
        ccproxy version
        ccproxy version --json

    Read on: CHANGELOG.md
    """
    tell(as_json=as_json)


def tell(*, as_json: bool = False) -> None:
    """Print versions and where they are from."""
    from ccproxy import __version__

    facts, libraries = _facts(), _libraries()
    if as_json:
        print_json({"version": __version__, **facts, "libraries": libraries})
        return
    print(f"ccproxy {__version__}")
    for name, value in (facts | libraries).items():
        print(f"  {name.replace('_', ' '):14}{value or 'unknown'}")


def _facts() -> dict[str, str | None]:
    import platform
    import sys
    from pathlib import Path

    from ccproxy.setup.build_facts import commit

    return {
        "commit": commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "installed_in": str(Path(__file__).parents[2]),
        "interpreter": sys.executable,
    }


def _libraries() -> dict[str, str | None]:
    from importlib import metadata

    found: dict[str, str | None] = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found
