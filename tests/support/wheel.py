"""The built wheel in an environment that knows nothing of the checkout.

The environment has what the lock has: a line in a `.pth` file adds this environment's packages to
its path, and `site` does not read the `.pth` files in there, so that the editable installation of
the checkout is none of them. A hook of the interpreter notes every file of the checkout that is
opened all the same.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.tools import ROOT

_DEPENDENCIES: Final = Path(sysconfig.get_paths()["purelib"])
_WATCH: Final = """\
import os, sys

def _note(event, arguments):
    if event != "open" or not isinstance(arguments[0], str):
        return
    path = os.path.abspath(arguments[0])
    if path.startswith({checkout!r}) and not path.startswith({dependencies!r}):
        os.write({descriptor}, (path + "\\n").encode())

{opened}
sys.addaudithook(_note)
"""


@dataclass(frozen=True)
class Installed:
    """A folder with the environment, an empty one to work in, and a home."""

    folder: Path

    @property
    def python(self) -> Path:
        """The interpreter of the environment."""
        return self.folder / "environment/bin/python"

    @property
    def command(self) -> Path:
        """The installed command."""
        return self.python.with_name("ccproxy")

    @property
    def home(self) -> Path:
        """The home folder of who runs it."""
        return self.folder / "home"

    @property
    def working_folder(self) -> Path:
        """Where it is run."""
        return self.folder / "work"

    @property
    def environ(self) -> dict[str, str]:
        """Environment variables, none of them of this process."""
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "LANG": "C.UTF-8"}

    def opened_in_the_checkout(self) -> set[str]:
        """Return the files of the checkout that were opened so far."""
        return set(_notes(self.folder).read_text().split())


def install_wheel(folder: Path) -> Installed:
    """Build the wheel, and install it in a new environment."""
    installed = Installed(folder)
    installed.home.mkdir()
    installed.working_folder.mkdir()
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist"))
    uv = str(Path(sys.executable).with_name("uv"))
    environment = folder / "environment"
    _run(uv, "venv", "--quiet", "--offline", "--no-project", "--python", sys.executable, str(environment))  # fmt: skip
    (wheel,) = (folder / "dist").glob("*.whl")
    python = str(installed.python)
    _run(uv, "pip", "install", "--quiet", "--offline", "--no-deps", "--python", python, str(wheel))
    (packages,) = environment.glob("lib/python*/site-packages")
    _notes(folder).touch()
    opened = f"_notes = os.open({str(_notes(folder))!r}, os.O_WRONLY | os.O_APPEND)"
    watch = _WATCH.format(
        checkout=f"{ROOT}/", dependencies=f"{_DEPENDENCIES}/", descriptor="_notes", opened=opened
    )
    (packages / "watch_the_checkout.py").write_text(watch)
    (packages / "watch_the_checkout.pth").write_text(
        f"{_DEPENDENCIES}\nimport watch_the_checkout\n"
    )
    return installed


def _notes(folder: Path) -> Path:
    return folder / "opened"


def _run(*command: str) -> None:
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    if done.returncode:
        raise RuntimeError(f"{command[:4]} exited {done.returncode}: {done.stderr}")
