"""The shipped dashboard and alert rules ask for what a proxy shows, and docs/metrics.md lists it."""

import json
from pathlib import Path

import pytest
import yaml

from tests.support.exposed import PROCESS, exposed_metrics
from tests.support.metrics_page import PAGE, with_table
from tests.support.promql import Used, names_in

CONFIG = Path(__file__).parents[3] / "config"
DASHBOARD = CONFIG / "grafana/ccproxy.json"
RULES = CONFIG / "prometheus/ccproxy-alerts.yml"
OF_PROMETHEUS = {"up": frozenset({"job", "instance"})}
OF_EVERY_SERIES = {"job", "instance"}


def dashboard_expressions():
    """Return every query of the dashboard's panels, as it stands there."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def rule_expressions():
    """Return the condition of every alert."""
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


@pytest.fixture(scope="module")
def exposed():
    return exposed_metrics()


@pytest.fixture(scope="module")
def series(exposed):
    """Every name that a query may use, with its labels."""
    return {name: labels for each in exposed for name, labels in each.series()} | OF_PROMETHEUS


def strangers(expression, series):
    """Return what an expression names that no series has."""
    used = names_in(expression)
    unknown = {name for name in used.metrics if name not in series}
    known = used.metrics - unknown
    unknown |= {
        f"{metric}{{{label}}}"
        for metric, label in used.selected
        if metric in known and label not in series[metric] | OF_EVERY_SERIES
    }
    # What `label_replace` makes stands in the metric that it is joined with.
    labels = OF_EVERY_SERIES.union(*(series[name] for name in known))
    return unknown | {f"by ({label})" for label in used.grouped - labels}


@pytest.mark.parametrize("expressions", [dashboard_expressions, rule_expressions])
def test_every_query_is_of_metrics_and_labels_that_there_are(expressions, series):
    """A renamed metric must not leave a panel empty or an alarm silent."""
    found = {expression: strangers(expression, series) for expression in expressions()}

    assert found
    assert {} == {expression: names for expression, names in found.items() if names}


def test_the_dashboard_shows_every_metric(exposed):
    """What nobody looks at need not be counted; the process's own are Prometheus's business."""
    shown = {name for each in dashboard_expressions() for name in names_in(each).metrics}

    assert [] == [
        each.name
        for each in exposed
        if not each.name.startswith(PROCESS) and not shown & {name for name, _ in each.series()}
    ]


def test_the_dashboard_is_one_that_grafana_imports():
    """Panels have ids of their own and lie on a grid of 24 columns without covering each other."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    cells = [
        (x, y)
        for panel in panels
        for at in [panel["gridPos"]]
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_labels_are_few(exposed):
    """A new label is a decision: each of its values is a series for ever."""
    assert LABELS.split() == sorted({label for each in exposed for label in each.labels})


LABELS = """
agent backend budget category channel deployment end ending endpoint estimate event folder
from_deployment kind percent python result route source state status to_deployment use version
"""


def test_names_are_by_convention(exposed):
    """Prometheus, *Metric and label naming*: base units, `_total` for counters and only for them."""
    assert all(each.name.startswith(("ccproxy_", PROCESS)) for each in exposed)
    assert {each.kind for each in exposed} == {"counter", "gauge", "histogram"}
    assert [] == [
        each.name for each in exposed if each.name.endswith("_total") != (each.kind == "counter")
    ]
    assert [] == [
        each.name
        for each in exposed
        if each.kind == "histogram" and not each.name.endswith("_seconds")
    ]


def test_the_table_of_metrics_is_generated(exposed):
    """A changed metric needs `make docs`."""
    page = PAGE.read_text(encoding="utf-8")

    assert with_table(page, exposed) == page


def test_a_page_without_markers_is_refused():
    """Rather than losing the table without a word."""
    with pytest.raises(ValueError, match="markers"):
        with_table("# Metrics\n", [])


@pytest.mark.parametrize(
    ("expression", "used"),
    [
        ("up == 0", Used(frozenset({"up"}), frozenset(), frozenset())),
        (
            'sum by (le, a) (rate(x_bucket{a=~"b|c", d!="{e}"}[5m])) / on (a) y',
            Used(
                frozenset({"x_bucket", "y"}),
                frozenset({("x_bucket", "a"), ("x_bucket", "d")}),
                frozenset({"le", "a"}),
            ),
        ),
        (
            '60 * sum(rate(x{job=~"$job"}[$__rate_interval])) by (job) or vector(0) unless x > 1e9',
            Used(frozenset({"x"}), frozenset({("x", "job")}), frozenset({"job"})),
        ),
    ],
)
def test_names_are_read_out_of_an_expression(expression, used):
    """Functions, words of the language, strings and ranges are none."""
    assert names_in(expression) == used
