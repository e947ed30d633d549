"""Counts in the form that Prometheus reads; all names begin with `resonate_`."""

from collections.abc import Mapping, Sequence
from importlib import metadata

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

DISTRIBUTION = "resonate-amqp"

Series = Mapping[tuple[str, ...], float]


def version() -> str:
    """Of this package."""
    return metadata.version(DISTRIBUTION)


def counter(name: str, text: str, value: float) -> Metric:
    """One number that only grows."""
    return CounterMetricFamily(f"resonate_{name}", text, value=value)


def counters(name: str, text: str, labels: Sequence[str], series: Series) -> Metric:
    """Such numbers, by their labels."""
    family = CounterMetricFamily(f"resonate_{name}", text, labels=labels)
    for values, value in series.items():
        family.add_metric(values, value)
    return family


def gauge(name: str, text: str, value: float) -> Metric:
    """One number as it is now."""
    return GaugeMetricFamily(f"resonate_{name}", text, value=value)


def gauges(name: str, text: str, labels: Sequence[str], series: Series) -> Metric:
    """Such numbers, by their labels."""
    family = GaugeMetricFamily(f"resonate_{name}", text, labels=labels)
    for values, value in series.items():
        family.add_metric(values, value)
    return family
