"""The shipped comparisons of routes are reports of this version, and add up."""

import json
from pathlib import Path

import pytest

from ccproxy.bench.page import page
from ccproxy.bench.report import figures, grouped, ratios, samples_in

RESULTS = sorted(Path(__file__).parents[2].glob("benchmarks/results/routes_*.json"))


@pytest.mark.parametrize("file", RESULTS, ids=lambda file: file.stem)
def test_its_figures_are_those_of_its_samples(file):
    """Every figure and interval comes out of the samples again, and a page can be made of it."""
    document = json.loads(file.read_text())
    groups = grouped(samples_in(document))
    first, second = (route["label"] for route in document["routes"])

    assert document["figures"] == [figures(*key, samples) for key, samples in groups.items()]
    assert document["ratios"] == ratios(groups, groups, [(second, first)])
    assert document["simulated"]
    assert "say nothing of real models" in page(document)


def test_there_are_some():
    """So that the test above is not empty."""
    assert len(RESULTS) == 2
