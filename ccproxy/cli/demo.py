"""`ccproxy demo`: the proxy in front of simulated upstreams."""

from ccproxy.cli.options import ConfigOption, PortOption, TrafficOption
from ccproxy.cli.run import start


def demo(
    config: ConfigOption = None, port: PortOption = None, *, traffic: TrafficOption = False
) -> None:
    """Start the proxy in front of a simulated Ollama and a simulated Claude, always."""
    start(config, port, simulate=True, traffic=traffic)
