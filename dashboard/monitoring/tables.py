"""Tables of the Monitoring page as HTML. Pure functions, no Streamlit."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.text import table
from ichscope.batch.throughput import duration
from ichscope.imaging.findings import FindingLevel
from ichscope.metrics import Estimate
from ichscope.monitor import AgreementClass, Drift, ExpectedPerformance, MonitoringReport, PeriodTimes
from ichscope.monitor.rules import counts
from ichscope.reporting.figures.cohort_tables import reason_name
from ichscope.reporting.figures.formatting import NO_VALUE, in_full, interval
from ichscope.store import Reason

# Beside the name of what has changed.
CHANGED = "\u00b7 CHANGED"


def drifts(report: MonitoringReport) -> str:
    """Every comparison of the two periods, and which of them count as a change."""
    rows = [_drift(drift, report) for drift in report.drifts]
    columns: Sequence[str] = ("", "Before", "Now", "n", "PSI (by chance)", "p, Holm", "")
    if not any(drift.reason for drift in report.drifts):
        # Reasons take much room: without any, the numbers need not be apart from their names.
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    below = (
        "Before and now: median, or share. n: patients in each period, each counted once. PSI: population stability "
        "index over tenths of the reference period, or over categories. p: Kolmogorov-Smirnov, chi-squared "
        f"or Fisher's exact test, by Holm for all {sum(drift.p is not None for drift in report.drifts)} tests together."
    )
    return table(columns, rows, below)


def _drift(drift: Drift, report: MonitoringReport) -> Sequence[str]:
    n = _one_line(f"{drift.studies[0]:,} / {drift.studies[1]:,}")
    if drift.adjusted is None:
        return (drift.title, "", "", n, "", "", drift.reason)
    return (
        f"{drift.title} {CHANGED}" if counts(drift, report.limits) else drift.title,
        *map(_one_line, drift.written or (NO_VALUE, NO_VALUE)),
        n,
        NO_VALUE if drift.psi is None else f"{drift.psi:.3f} ({drift.psi_chance:.3f})",
        "<0.001" if drift.adjusted < 0.001 else f"{drift.adjusted:.3f}",
        "",
    )


def _one_line(text: str) -> str:
    """A text that is not broken in a narrow column."""
    return text.replace(" ", "\u00a0")


def agreement(now: Sequence[AgreementClass], before: Sequence[AgreementClass], pair: tuple[str, str]) -> str:
    """What two models say together, and what readers then find."""
    rows = [
        (
            new.name.capitalize(),
            _percent(old.share),
            _percent(new.share),
            f"{new.studies:,}",
            _percent(new.positive),
            f"{new.reviewed:,}",
        )
        for new, old in zip(now, before, strict=True)
    ]
    below = (
        f"{pair[0]} and {pair[1]}. Bleeds: share with a haemorrhage by the newest review, among the reviewed ones "
        "alone; readers do not choose studies at random. 95 % intervals by Wilson, by patient."
    )
    return table(("Models", "Share before", "Share now", "n", "Bleeds", "Reviewed"), rows, below)


def _percent(share: Estimate) -> str:
    limits = share.limits()
    if limits is None:
        return share.reason or NO_VALUE
    value, low, high = (100 * part for part in limits)
    return f"{value:.1f} % ({low:.1f}-{high:.1f})"


def expected(now: Sequence[ExpectedPerformance], before: Sequence[ExpectedPerformance]) -> str:
    """What calibrated probabilities promise, in both periods."""
    rows: list[tuple[str, ...]] = []
    for period, of_period in (("now", now), ("before", before)):
        for performance in of_period:
            values = (performance.sensitivity, performance.specificity, performance.auc)
            cells = tuple(interval(value) if value.value is not None else in_full(value) for value in values)
            if values[0].value is None and values[0].reason:
                cells = (values[0].reason, "", "")
            rows.append((f"{performance.model}, {period}", f"{performance.studies:,}", *cells, _checked(performance)))
    columns = ("", "n", "Sensitivity", "Specificity", "AUC", "Observed / expected")
    return table(
        columns,
        rows,
        "Observed / expected: haemorrhages by readers, and by probabilities, among the reviewed studies (n).",
    )


def _checked(performance: ExpectedPerformance) -> str:
    return (
        f"{performance.observed:,} / {performance.expected:.1f} ({performance.reviewed:,})"
        if performance.reviewed
        else "none reviewed"
    )


def times(report: MonitoringReport) -> str:
    """How long it took and what failed, in both periods."""
    periods = (report.reference_times, report.current_times)
    models = sorted({model for times_of in periods for model in times_of.compute_s})
    rows = [
        ("Arrival to result", *(_two(times_of.result_median_s, times_of.result_p95_s) for times_of in periods)),
        *(
            (f"Computing, {model}", *(_two(*times_of.compute_s.get(model, (None, None))) for times_of in periods))
            for model in models
        ),
        ("Studies with a result", *(f"{times_of.studies:,}" for times_of in periods)),
        *(
            (f"Analysed without a result of {model}", _percent(report.missing_output_before[model]), _percent(now))
            for model, now in report.missing_output.items()
        ),
        ("Failed items of jobs", *(f"{times_of.failed:,} of {times_of.ended:,}" for times_of in periods)),
        ("Why not analysed", *(_reasons(times_of) for times_of in periods)),
    ]
    return table(("", "Before", "Now"), rows, "Times: median and 95th percentile.")


def _two(middle: float | None, slow: float | None) -> str:
    return NO_VALUE if middle is None or slow is None else f"{_time(middle)}, {_time(slow)}"


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else duration(seconds)


def _reasons(times_of: PeriodTimes) -> str:
    words = [f"{reason_name(Reason(code, FindingLevel.NOT_ANALYSABLE, n))}: {n:,}" for code, n in times_of.reasons[:3]]
    return "; ".join(words) or "none"
