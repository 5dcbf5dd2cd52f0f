"""A report as one HTML file that needs nothing else: no script, no network."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

from ccproxy.bench.plots import course, distribution, intervals
from ccproxy.bench.report import ALL, samples_in, values
from ccproxy.bench.tables import (
    FIGURE_HEADINGS,
    METRICS,
    OUTCOME_HEADINGS,
    RATIO_HEADINGS,
    figure_rows,
    outcome_rows,
    ratio_rows,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ccproxy.bench.samples import Sample
    from ccproxy.bench.tables import Metric

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE: Final = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 70rem; margin: 0 auto; padding: 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem .2rem 0; text-align: left; vertical-align: top; }
th { border-bottom: 1px solid; }
figure { margin: 1rem 0; padding: .5rem; background: #fff; border-radius: .4rem; }
figure svg { width: 100%; height: auto; display: block; }
.warning { padding: .5rem .8rem; border-left: .3rem solid #d55e00; }
"""
_PLOTTED: Final = ("ttft_s", "inter_token_s", "total_s", "cost_microusd")
_SPREAD: Final = ("ttft_s", "total_s")


def page(document: Mapping[str, Any]) -> str:
    """Return the page of a report.

    Raises:
        ReportError: It is no report.
    """
    samples = samples_in(document)
    by_name = {metric.name: metric for metric in METRICS}
    parts = [
        "<h1>ccproxy bench</h1>",
        *(f'<p class="warning">{escape(text)}</p>' for text in _warnings(document)),
        _table(("", ""), _about(document)),
        "<h2>What became of the requests</h2>",
        "<p>Rates with 95 % intervals.</p>",
        _table(OUTCOME_HEADINGS, outcome_rows(document)),
        "<h2>How fast and how dear</h2>",
        "<p>Medians of whole answers, with 95 % intervals.</p>",
        _table(FIGURE_HEADINGS, figure_rows(document)),
        "<h2>Against the first route</h2>",
        "<p>Ratios of medians; * marks those whose interval leaves no room for 1.</p>",
        _table(RATIO_HEADINGS, ratio_rows(document)),
        "<h2>Medians by profile</h2>",
        *(_figure(_bars(document, by_name[name])) for name in _PLOTTED),
        "<h2>Distributions</h2>",
        "<p>Which share of the answers took at most so long.</p>",
        *(_figure(_shares(samples, by_name[name])) for name in _SPREAD),
        "<h2>In the course of the run</h2>",
        _figure(_over_time(samples, by_name["total_s"])),
        "<h2>What failed</h2>",
        _table(("route", "profile", "outcome", "requests"), _failures(document)),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>ccproxy bench, {escape(str(document['at']))}</title><style>{_STYLE}</style>"
        "</head><body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _warnings(document: Mapping[str, Any]) -> list[str]:
    texts = []
    if document["simulated"]:
        texts.append(
            "Simulated upstreams, in one process with the client: these figures say nothing of "
            "real models, and the costs were not spent."
        )
    if document["stopped"]:
        texts.append(f"The run was stopped: {document['stopped']}.")
    return texts


def _about(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    spending = document["spending"]
    spent = f"${spending['measured_microusd'] / 1e6:.4f}"
    if spending["unknown"]:
        spent += f", and {spending['unknown']} answers of unknown cost"
    return [
        ("at", f"{document['at']}, for {document['took_s']:.0f} s"),
        ("machine", _listed(document["machine"])),
        ("versions", _listed(document["versions"])),
        ("settings", _listed(document["settings"])),
        ("prices", f"of {document['prices_as_of'] or 'no day: none are known'}"),
        ("spent", spent),
        *(("route", _listed(route)) for route in document["routes"]),
    ]


def _listed(said: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in said.items() if value is not None)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in headings)
    lines = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    head = f"<thead><tr>{head}</tr></thead>" if any(headings) else ""
    return f'<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>'


def _figure(drawn: str) -> str:
    return f"<figure>{drawn}</figure>"


def _bars(document: Mapping[str, Any], metric: Metric) -> str:
    figures = {(each["route"], each["profile"]): each for each in document["figures"]}
    profiles = list(dict.fromkeys(profile for _, profile in figures if profile != ALL))
    nothing = {"value": None, "low": None, "high": None}
    series = {
        route["label"]: [
            _scaled(figures.get((route["label"], each), {}).get(metric.name, nothing), metric)
            for each in profiles
        ]
        for route in document["routes"]
    }
    return intervals(metric.title, profiles, series)


def _scaled(figure: Mapping[str, Any], metric: Metric) -> dict[str, Any]:
    return {
        key: None if figure[key] is None else figure[key] / metric.unit_size
        for key in ("value", "low", "high")
    }


def _shares(samples: Sequence[Sample], metric: Metric) -> str:
    series = {
        route: [value / metric.unit_size for value in values(found, metric.name)]
        for route, found in _by_route(samples).items()
    }
    return distribution(metric.title, series)


def _over_time(samples: Sequence[Sample], metric: Metric) -> str:
    series = {
        route: [
            (sample.began_s, sample.total_s / metric.unit_size)
            for sample in found
            if sample.began_s is not None and sample.total_s is not None
        ]
        for route, found in _by_route(samples).items()
    }
    return course(f"{metric.title}, by seconds since the beginning", series)


def _by_route(samples: Sequence[Sample]) -> dict[str, list[Sample]]:
    routes: dict[str, list[Sample]] = {}
    for sample in samples:
        found = routes.setdefault(sample.route, [])
        if sample.is_ok:
            found.append(sample)
    return routes


def _failures(document: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [
        (found["route"], found["profile"], outcome, str(count))
        for found in document["figures"]
        if found["profile"] != ALL
        for outcome, count in found["failures"].items()
    ] or [("nothing", "", "", "")]
