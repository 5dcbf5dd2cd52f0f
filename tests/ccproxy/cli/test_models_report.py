"""The page about local models: made from what `models list` and `bench` have said."""

import copy
import json

import pytest

from ccproxy.cli.main import main
from ccproxy.cli.models_report import model_report
from tests.support.tools import ROOT

BENCH = json.loads((ROOT / "benchmarks/results/routes_simulated_c1.json").read_text())
ENTRY = {
    "deployment": "qwen-fast",
    "model": "qwen-fast:latest",
    "weights_gib": 4.36,
    "memory_gib": None,
    "num_ctx": 32768,
    "capabilities": ["tools", "thinking"],
}


def test_a_row_for_each_model():
    """What is not known is marked, not left out."""
    page = model_report([ENTRY, {**ENTRY, "deployment": "other"}], None)

    assert "| qwen-fast | qwen-fast:latest | 4.4 GiB | 32,768 | ? | tools, thinking |" in page
    assert "| other |" in page
    assert "How they did" not in page


@pytest.mark.parametrize("simulated", [True, False])
def test_a_row_for_each_route(simulated):
    """Over all profiles; simulated speeds are called so, and unknown costs are counted."""
    bench = copy.deepcopy(BENCH) | {"simulated": simulated}
    bench["figures"][0]["cost_unknown"] = 3
    bench["figures"][0]["ttft_s"]["value"] = None

    page = model_report([ENTRY], bench)
    rows = [line for line in page.splitlines() if line.startswith("| qwen-coder |")]

    assert simulated is ("Simulated" in page)
    assert ["38", "0%", "?", "0.77 s", "220", "$0.0000 and 3 unknown"] == [
        cell.strip() for cell in rows[0].split("|")[2:-1]
    ]
    assert 1 == len(rows)


def test_another_file_is_refused(tmp_path, capsys):
    """With what is wrong with it; exit code 2."""
    (tmp_path / "no.json").write_text('{"kind": "soup"}')

    with pytest.raises(SystemExit) as caught:
        main(["models", "report", str(tmp_path / "no.json")])

    assert (2, True) == (caught.value.code, "is no report of" in capsys.readouterr().err)
