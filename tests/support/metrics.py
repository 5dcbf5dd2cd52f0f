"""What a registry would show."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


def samples_of(registry: CollectorRegistry) -> dict[tuple[str, ...], float]:
    """Return every sample's value by its name and the values of its labels, as they were named."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
    }
