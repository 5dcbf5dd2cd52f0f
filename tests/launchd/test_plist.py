"""The shipped launchd file: what launchd reads, with nothing misspelt and no secret inside."""

import plistlib
import re
from pathlib import Path

LAUNCHD = Path(__file__).parents[2] / "launchd"
FILES = sorted(LAUNCHD.glob("*.plist"))
KEYS = {
    "Label": str,
    "ProgramArguments": list,
    "RunAtLoad": bool,
    "KeepAlive": bool,
    "ThrottleInterval": int,
    "ProcessType": str,
    "Umask": int,
    "SoftResourceLimits": dict,
}
"""Keys and types of launchd.plist(5) that we use; launchd ignores a misspelt key silently."""


def test_every_key_is_one_that_launchd_knows():
    """The file parses, and each of its keys has the type that launchd.plist(5) gives it."""
    assert ["com.visiquate.ccproxy.plist"] == [path.name for path in FILES]
    for path in FILES:
        document = plistlib.loads(path.read_bytes())

        assert {key: type(value) for key, value in document.items()} == KEYS
        assert path.stem == document["Label"]
        assert 0o077 == document["Umask"]


def test_it_starts_the_command_of_this_project():
    """The shell line ends in `ccproxy serve` with a config, run by `exec` so signals arrive."""
    (document,) = [plistlib.loads(path.read_bytes()) for path in FILES]
    shell, flag, line = document["ProgramArguments"]

    assert ("/bin/sh", "-c") == (shell, flag)
    assert re.fullmatch(
        r'exec "\$HOME/ccproxy/\.venv/bin/ccproxy" serve --config "\$HOME/\S+" 2>>"\$HOME/\S+"',
        line,
    )


def test_no_secret_is_in_it():
    """Keys and tokens are never written into a property list, which any user can read."""
    for path in FILES:
        assert not re.search(r"sk-|ccp_|API_KEY|TOKEN", path.read_text())
