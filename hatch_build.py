"""What hatchling asks while it builds a wheel: the commit is written into it.

`ccproxy version` tells it (`ccproxy/setup/build_facts.py`).
"""

from __future__ import annotations

import runpy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CommitHook(BuildHookInterface[Any]):
    """Adds `ccproxy/shipped/commit.txt`; not to an editable installation, which asks git itself."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the file, and say where in the wheel it belongs."""
        self._folder = TemporaryDirectory()
        if version == "editable":
            return
        # By its path: in an isolated build the checkout is no place to import from.
        commit = runpy.run_path(str(Path(self.root, "ccproxy/setup/build_facts.py")))["commit"]
        file = Path(self._folder.name, "commit.txt")
        file.write_text(commit() or "", encoding="ascii")
        build_data["force_include"][str(file)] = "ccproxy/shipped/commit.txt"

    def finalize(self, *_: object) -> None:
        """Take the file away."""
        self._folder.cleanup()
