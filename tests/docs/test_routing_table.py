"""docs/ROUTING_TABLE.md is what the shipped files come to."""

from pathlib import Path

from ccproxy.cli.offline import read_offline
from ccproxy.cli.routes_show import routing_page

ROOT = Path(__file__).parents[2]


def test_the_page_is_generated_from_the_shipped_files(tmp_path):
    """An edit of the shipped table or roster needs `make docs`."""
    routing = read_offline(ROOT / "config/ccproxy.yaml", {"HOME": str(tmp_path)})

    page = routing_page(routing.table, routing.loaded.roster)

    assert page == (ROOT / "docs/ROUTING_TABLE.md").read_text()
    assert 4 * (115 + 4) == sum(line.startswith("| ") for line in page.splitlines()) - 4
