"""From samples to a report: figures per route and profile, ratios to the first route.

A report is plain JSON and has every sample, so that whoever doubts a figure can reckon it again,
and two reports can be compared with intervals.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ccproxy.bench.figures import CONFIDENCE, RESAMPLES, median, rate, ratio
from ccproxy.bench.samples import sample_from

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ccproxy.bench.samples import Sample

KIND: Final = "ccproxy bench"
VERSION: Final = 1
ALL: Final = "all"
"""The profile of figures over all profiles."""
METRICS: Final = (
    "ttft_s", "inter_token_s", "total_s", "tokens_per_s", "cost_microusd", "output_tokens",
)  # fmt: skip
"""Measurements of which medians are told, and ratios."""


class ReportError(ValueError):
    """A file that is no report of this kind; the message says why."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a report says of a run besides its samples."""

    at: str
    """ISO 8601."""
    took_s: float
    settings: Mapping[str, object]
    routes: Sequence[Mapping[str, object]]
    machine: Mapping[str, object]
    versions: Mapping[str, str]
    prices_as_of: str
    simulated: bool
    stopped: str | None
    """Why it ended before its end, or None."""
    expected_microusd: int
    at_most_microusd: int


def report(around: Circumstances, samples: Sequence[Sample]) -> dict[str, Any]:
    """Return a whole report, JSON-ready."""
    labels = [str(route["label"]) for route in around.routes]
    measured = [sample for sample in samples if not sample.warm_up]
    groups = grouped(measured)
    return {
        "kind": KIND,
        "version": VERSION,
        "at": around.at,
        "took_s": round(around.took_s, 3),
        "simulated": around.simulated,
        "stopped": around.stopped,
        "settings": dict(around.settings),
        "machine": dict(around.machine),
        "versions": dict(around.versions),
        "prices_as_of": around.prices_as_of,
        "statistics": {"confidence": CONFIDENCE, "resamples": RESAMPLES},
        "spending": _spending(around, samples),
        "routes": [dict(route) for route in around.routes],
        "warm_up": _counts([sample for sample in samples if sample.warm_up]),
        "figures": [figures(route, profile, found) for (route, profile), found in groups.items()],
        "ratios": ratios(groups, groups, [(label, labels[0]) for label in labels[1:]]),
        "samples": [sample.told() for sample in samples],
    }


def grouped(samples: Sequence[Sample]) -> dict[tuple[str, str], list[Sample]]:
    """Return samples by route and profile, over all profiles first."""
    groups: dict[tuple[str, str], list[Sample]] = {}
    for sample in samples:
        groups.setdefault((sample.route, ALL), [])
    for sample in samples:
        groups[sample.route, ALL].append(sample)
        groups.setdefault((sample.route, sample.profile), []).append(sample)
    return groups


def figures(route: str, profile: str, samples: Sequence[Sample]) -> dict[str, Any]:
    """Return the figures of one route and profile; medians are those of whole answers."""
    sent = [sample for sample in samples if sample.was_sent]
    whole = [sample for sample in samples if sample.is_ok]
    costs = [sample.cost_microusd for sample in sent]
    return {
        "route": route,
        "profile": profile,
        **_counts(samples),
        "failure_rate": rate(len(sent) - len(whole), len(sent)).told(),
        "repair_rate": rate(sum(sample.was_repaired for sample in whole), len(whole)).told(),
        "fallback_rate": rate(sum(sample.fell_back for sample in whole), len(whole)).told(),
        **{
            metric: median(values(whole, metric), f"{route} {profile} {metric}").told()
            for metric in METRICS
        },
        "cost_total_microusd": sum(cost for cost in costs if cost is not None),
        "cost_unknown": sum(cost is None for cost in costs),
        "deployments": dict(Counter(each.deployment for each in whole if each.deployment)),
        "models": dict(Counter(each.response_model for each in whole if each.response_model)),
    }


def ratios(
    above: Mapping[tuple[str, str], Sequence[Sample]],
    below: Mapping[tuple[str, str], Sequence[Sample]],
    pairs: Sequence[tuple[str, str]],
) -> list[dict[str, Any]]:
    """Return, for each pair of routes and each profile of both, the ratios of their medians."""
    profiles = {
        (route, to): [p for r, p in above if r == route and (to, p) in below] for route, to in pairs
    }
    return [
        {
            "route": route,
            "to": to,
            "profile": profile,
            **{
                metric: ratio(
                    values([s for s in above[route, profile] if s.is_ok], metric),
                    values([s for s in below[to, profile] if s.is_ok], metric),
                    f"{route} {to} {profile} {metric}",
                ).told()
                for metric in METRICS
            },
        }
        for (route, to), found in profiles.items()
        for profile in found
    ]


def values(samples: Sequence[Sample], metric: str) -> list[float]:
    """Return what is known of one measurement."""
    found = (getattr(sample, metric) for sample in samples)
    return [value for value in found if value is not None]


def samples_in(document: Mapping[str, Any]) -> list[Sample]:
    """Return the samples of a report, without those of the warm-up.

    Raises:
        ReportError: It is no report that this version understands.
    """
    if document.get("kind") != KIND:
        raise ReportError("is no report of `ccproxy bench`")
    if document.get("version") != VERSION:
        raise ReportError(
            f"is of version {document.get('version')!r}; this ccproxy reads {VERSION}"
        )
    try:
        samples = [sample_from(told) for told in document["samples"]]
    except (KeyError, TypeError) as error:
        raise ReportError(f"has samples that cannot be read: {error}") from error
    return [sample for sample in samples if not sample.warm_up]


def compared(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Return the second report against the first: ratios where both have a route and a profile.

    Raises:
        ReportError: One of them is none.
    """
    before, after = grouped(samples_in(first)), grouped(samples_in(second))
    labels = list(dict.fromkeys(route for route, _ in after if (route, ALL) in before))
    known = {name: {str(route) for route, _ in groups} for name, groups in
             (("first", before), ("second", after))}  # fmt: skip
    return {
        "kind": f"{KIND} --compare",
        "version": VERSION,
        "first": _about(first),
        "second": _about(second),
        "only_in_first": sorted(known["first"] - known["second"]),
        "only_in_second": sorted(known["second"] - known["first"]),
        "ratios": ratios(after, before, [(label, label) for label in labels]),
        "rates": [
            {
                "route": route,
                "profile": profile,
                "first": figures(route, profile, before[route, profile])["failure_rate"],
                "second": figures(route, profile, after[route, profile])["failure_rate"],
            }
            for route, profile in after
            if (route, profile) in before
        ],
    }


def _about(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: document[key] for key in ("at", "machine", "versions", "settings", "simulated")}


def _counts(samples: Sequence[Sample]) -> dict[str, Any]:
    sent = [sample for sample in samples if sample.was_sent]
    return {
        "planned": len(samples),
        "sent": len(sent),
        "ok": sum(sample.is_ok for sample in sent),
        "failures": dict(Counter(sample.outcome for sample in sent if not sample.is_ok)),
    }


def _spending(around: Circumstances, samples: Sequence[Sample]) -> dict[str, object]:
    """Return what was thought to be spent, and what was; the warm-up is in it."""
    costs = [sample.cost_microusd for sample in samples if sample.was_sent]
    return {
        "expected_microusd": around.expected_microusd,
        "at_most_microusd": around.at_most_microusd,
        "measured_microusd": sum(cost for cost in costs if cost is not None),
        "unknown": sum(cost is None for cost in costs),
    }
