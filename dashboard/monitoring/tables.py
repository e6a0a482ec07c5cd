"""Tables of the Monitoring page as HTML. Pure functions, no Streamlit."""

from __future__ import annotations

from collections.abc import Sequence

from dashboard.text import table
from ichscope.batch.throughput import duration
from ichscope.metrics import Estimate
from ichscope.monitor import Class, Drift, Expected, Monitored, Times
from ichscope.monitor.rules import counts
from ichscope.reporting.figures.cohort_tables import reason_name
from ichscope.reporting.figures.formatting import NO_VALUE, in_full, interval
from ichscope.store import Reason


def drifts(found: Monitored) -> str:
    """Every comparison of the two periods, and which of them count as a change."""
    rows = [_drift(one, found) for one in found.drifts]
    columns = ("", "Before", "Now", "n", "PSI (by chance)", "p, Holm", "")
    below = (
        "Before and now: median, or share. n: patients in each period, the first study of each. PSI: population "
        "stability index over tenths of the reference period or over categories. p: Kolmogorov-Smirnov, chi-squared "
        f"or Fisher's exact test, by Holm for all {sum(one.p is not None for one in found.drifts)} tests together."
    )
    return table(columns, rows, below)


def _drift(one: Drift, found: Monitored) -> Sequence[str]:
    n = _one_line(f"{one.studies[0]:,} / {one.studies[1]:,}")
    if one.adjusted is None:
        return (one.title, "", "", n, "", "", one.reason)
    return (
        one.title,
        *map(_one_line, one.written or (NO_VALUE, NO_VALUE)),
        n,
        NO_VALUE if one.psi is None else f"{one.psi:.3f} ({one.psi_chance:.3f})",
        "<0.001" if one.adjusted < 0.001 else f"{one.adjusted:.3f}",
        "CHANGED" if counts(one, found.limits) else "",
    )


def _one_line(text: str) -> str:
    """A text that is not broken in a narrow column."""
    return text.replace(" ", "\u00a0")


def agreement(now: Sequence[Class], before: Sequence[Class], pair: tuple[str, str]) -> str:
    """What two models say together, and what readers then found."""
    rows = [
        (
            one.name.capitalize(),
            _percent(old.share),
            _percent(one.share),
            f"{one.studies:,}",
            _percent(one.positive),
            f"{one.reviewed:,}",
        )
        for one, old in zip(now, before, strict=True)
    ]
    below = (
        f"{pair[0]} and {pair[1]}. Bleeds: share with a haemorrhage by the newest review, among the reviewed ones "
        "alone; readers do not choose studies at random. 95 % intervals by Wilson, by patient."
    )
    return table(("Models", "Share before", "Share now", "n", "Bleeds", "Reviewed"), rows, below)


def _percent(one: Estimate) -> str:
    limits = one.limits()
    if limits is None:
        return one.reason or NO_VALUE
    value, low, high = (100 * part for part in limits)
    return f"{value:.1f} % ({low:.1f}-{high:.1f})"


def expected(found: Sequence[Expected], before: Sequence[Expected]) -> str:
    """What calibrated probabilities promise, in both periods."""
    rows: list[tuple[str, ...]] = []
    for period, of_period in (("now", found), ("before", before)):
        for one in of_period:
            values = (one.sensitivity, one.specificity, one.auc)
            cells = tuple(interval(value) if value.value is not None else in_full(value) for value in values)
            if values[0].value is None and values[0].reason:
                cells = (values[0].reason, "", "")
            rows.append((f"{one.model}, {period}", f"{one.studies:,}", *cells, _checked(one)))
    columns = ("", "n", "Sensitivity", "Specificity", "AUC", "Found / expected")
    return table(columns, rows, "Found / expected: haemorrhages by readers and by probabilities, where reviewed (n).")


def _checked(one: Expected) -> str:
    return f"{one.found:,} / {one.foretold:.1f} ({one.reviewed:,})" if one.reviewed else "none reviewed"


def times(found: Monitored) -> str:
    """How long it took and what failed, in both periods."""
    periods = (found.reference_times, found.current_times)
    models = sorted({model for one in periods for model in one.compute_s})
    rows = [
        ("Arrival to result", *(_two(one.result_median_s, one.result_p95_s) for one in periods)),
        *(
            (f"Computing, {model}", *(_two(*one.compute_s.get(model, (None, None))) for one in periods))
            for model in models
        ),
        ("Studies with a result", *(f"{one.studies:,}" for one in periods)),
        *(
            (f"Analysed, no result of {model}", _percent(found.unheard_before[model]), _percent(now))
            for model, now in found.unheard.items()
        ),
        ("Items of jobs that failed", *(f"{one.failed:,} of {one.ended:,}" for one in periods)),
        ("Why not analysed", *(_reasons(one) for one in periods)),
    ]
    return table(("", "Before", "Now"), rows, "Times: median, and what 95 % stay below.")


def _two(middle: float | None, slow: float | None) -> str:
    return NO_VALUE if middle is None or slow is None else f"{_time(middle)}, {_time(slow)}"


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else duration(seconds)


def _reasons(one: Times) -> str:
    words = [f"{reason_name(Reason(code, 'not analysable', n))}: {n:,}" for code, n in one.reasons[:3]]
    return "; ".join(words) or "none"
