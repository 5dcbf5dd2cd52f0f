"""`ccproxy top`: what a running proxy does right now."""

from ccproxy.cli.options import ConfigOption


def top(config: ConfigOption = None) -> None:
    """Show what a running proxy does right now."""
