"""`ccproxy demo`: the proxy in front of simulated upstreams."""

from ccproxy.cli.options import ConfigOption, PortOption, TrafficOption
from ccproxy.cli.run import start


def demo(
    config: ConfigOption = None, port: PortOption = None, *, traffic: TrafficOption = False
) -> None:
    """Start the proxy in front of a simulated Ollama and a simulated Claude, always.

    Answers are canned and say so; nothing is spent, and nothing leaves this machine.

    Examples:
        ccproxy demo
        ccproxy demo --port 8082 --demo-traffic

    Read on: README.md, docs/dashboard.md
    """
    start(config, port, simulate=True, traffic=traffic)
