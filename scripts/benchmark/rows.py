"""What was measured, as data and as a table."""

import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from rich.table import Table


class Timing(Struct, frozen=True):
    """One round of a workload.

    Attributes:
        seconds: how long it took.
        latencies_ms: of each call that ended in it.
        calls: how many there were, with those that were under way when it was over.
    """

    seconds: float
    latencies_ms: list[float]
    calls: int


class Row(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One measurement.

    Attributes:
        workload: its name.
        in_flight: how many calls were under way at a time.
        rate_per_s: how many operations ended per second: calls, steps or children.
        p50_ms: half of the calls took no longer, from the call to its result.
        p99_ms: of a hundred calls, 99 took no longer.
        cpu_us_per_op: CPU time used by each process, per operation.
        peak_mb: the most memory that each process has had so far, in MiB.
        stolen: the share of the machine's time that its host gave to others meanwhile; rates and
            latencies suffer from it by more than this share.
        makespan_s: from the first start to the last end.
        ideal_s: what it would be if nothing but the functions took time.
        times_empty: what an operation takes, compared with the row above: the median of the pairs
            of rounds that followed each other.
        cpu_times_empty: the same of the CPU time, of all processes in the row.
        peer: the name of the system that was measured, if it is not ours.
        system: what it is, and which version.
        ours: what ours did in the same run, in turns with it.
    """

    workload: str
    in_flight: int
    rate_per_s: float
    p50_ms: float
    p99_ms: float
    cpu_us_per_op: Mapping[str, float]
    peak_mb: Mapping[str, float] = {}
    stolen: float = 0.0
    makespan_s: float | None = None
    ideal_s: float | None = None
    times_empty: float | None = None
    cpu_times_empty: float | None = None
    peer: str | None = None
    system: str | None = None
    ours: "Row | None" = None


def sum_up(
    workload: str,
    in_flight: int,
    timings: Sequence[Timing],
    *,
    operations: int = 1,
    cpu_s: Mapping[str, float],
    peak_mb: Mapping[str, float] | None = None,
) -> Row:
    """Sum up the rounds of a measurement: the median of their rates, all their latencies.

    Args:
        workload: its name.
        in_flight: how many calls were under way at a time.
        timings: the rounds.
        operations: what a call counts for.
        cpu_s: CPU seconds that each process has used for all rounds.
        peak_mb: as in the row.
    """
    latencies_ms = sorted(itertools.chain.from_iterable(t.latencies_ms for t in timings))
    rates = [operations * len(timing.latencies_ms) / timing.seconds for timing in timings]
    total = operations * sum(timing.calls for timing in timings)
    return Row(
        workload=workload,
        in_flight=in_flight,
        rate_per_s=round(statistics.median(rates), 1),
        p50_ms=round(_quantile(latencies_ms, 0.50), 2),
        p99_ms=round(_quantile(latencies_ms, 0.99), 2),
        cpu_us_per_op={name: round(used * 1e6 / total, 1) for name, used in cpu_s.items()},
        peak_mb=peak_mb or {},
    )


def table(rows: Iterable[Row]) -> Table:
    """Show rows to people."""
    shown = Table(title="Durable invocations, end to end")
    shown.add_column("workload")
    for column in ("in flight", "per second", "p50 ms", "p99 ms", "stolen"):
        shown.add_column(column, justify="right", no_wrap=True)
    shown.add_column("CPU µs per operation")
    shown.add_column("peak MiB")
    for row in (row for row in rows if row.ours is None):
        shown.add_row(
            row.workload,
            f"{row.in_flight:,}",
            f"{row.rate_per_s:,.0f}",
            f"{row.p50_ms:,.1f}",
            f"{row.p99_ms:,.1f}",
            f"{row.stolen:.1%}",
            _by_process(row.cpu_us_per_op),
            _besides(row),
        )
    return shown


def _besides(row: Row) -> str:
    if row.makespan_s is not None:
        return f"makespan {row.makespan_s:.2f} s, ideal {row.ideal_s:.2f} s"
    if row.times_empty is not None:
        cpu = "" if row.cpu_times_empty is None else f", CPU {row.cpu_times_empty:.2f} times"
        return f"{row.times_empty:.2f} times as long as empty{cpu}"
    return _by_process(row.peak_mb)


def ratios(rows: Iterable[Row]) -> Table:
    """Show to people how rows of peers compare with ours of the same run."""
    shown = Table(title="Compared with others, each in turns with ours: ours / theirs")
    for column in ("other system", "workload"):
        shown.add_column(column)
    for column in ("in flight", "per second", "times", "p50 ms", "times", "CPU µs", "times"):
        shown.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        if row.ours is not None:
            ours_us, theirs_us = (sum(r.cpu_us_per_op.values()) for r in (row.ours, row))
            shown.add_row(
                row.system,
                row.workload,
                f"{row.in_flight:,}",
                f"{row.ours.rate_per_s:,.0f} / {row.rate_per_s:,.0f}",
                _times(row.ours.rate_per_s, row.rate_per_s),
                f"{row.ours.p50_ms:,.1f} / {row.p50_ms:,.1f}",
                _times(row.p50_ms, row.ours.p50_ms),
                f"{ours_us:,.0f} / {theirs_us:,.0f}",
                _times(theirs_us, ours_us),
            )
    return shown


def _times(better: float, worse: float) -> str:
    """How many times one figure is the other."""
    return f"{better / worse:.2f}" if worse else "-"


def _by_process(figures: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {figure:,.0f}" for name, figure in figures.items())


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
