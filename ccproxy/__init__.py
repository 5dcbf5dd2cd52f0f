"""ccproxy: one base URL for a fleet of Claude agents, served by local models or by Claude."""

from typing import Final

__version__: Final = "0.1.0"
