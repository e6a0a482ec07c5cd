"""Everything that is monitored, from the store: a reference period against the current one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichscope.errors import IchscopeError
from ichscope.metrics import Estimate
from ichscope.metrics.estimate import proportion, wilson
from ichscope.monitor import drift
from ichscope.monitor.chart import flag_rate
from ichscope.monitor.data import ControlChart, Drift, MonitoringPeriod, MonitoringReport
from ichscope.monitor.drift import Floats
from ichscope.monitor.period_data import PeriodData
from ichscope.monitor.periods import default_periods
from ichscope.monitor.rules import alerts, limits
from ichscope.store import ArrivalColumns, ArrivalDay, ReviewWeek, Store
from ichscope.store.arrivals import MONDAY


class MonitorError(IchscopeError):
    """There is nothing to compare; the message says why."""


def arrival_days(store: Store) -> list[ArrivalDay]:
    """Days with the studies that are looked at: synthetic ones only where there are no others."""
    days = store.arrivals.days()
    return [row for row in days if not row.synthetic] or days


def monitor(
    store: Store,
    periods: tuple[MonitoringPeriod, MonitoringPeriod] | None = None,
    since: date | None = None,
    now: datetime | None = None,
) -> MonitoringReport:
    """Compare two periods of the store.

    Parameters
    ----------
    periods : reference and current; default_periods if not given, the current one beginning at `since`. Where that
        leaves nothing to compare with, the reference is a day without studies, and a note says why

    Raises
    ------
    MonitorError
        if there is no study
    StoreError
        if the database fails
    """
    days = arrival_days(store)
    synthetic = bool(days) and days[0].synthetic
    if not days:
        raise MonitorError("The store holds no study yet.")
    two = periods or default_periods(days, since)
    chosen = two or _alone(days, since)
    now = now or datetime.now(UTC)
    before, now_there = (PeriodData(store, period, synthetic) for period in chosen)
    set_by_users = store.adjustments.history("threshold")
    reviews = tuple(store.arrivals.review_weeks(synthetic))
    chart = flag_rate(days, chosen[0])
    pair = _pair(before, now_there)
    newest = store.arrivals.newest(synthetic)
    # Where every item fails no study arrives: what has failed since the last one counts, too.
    current_times = now_there.times(store, chosen[1].until if periods else max(now, chosen[1].until))
    speaking = [name for name in before.models if before.judged(name) >= drift.ENOUGH]
    report = MonitoringReport(
        reference=chosen[0],
        current=chosen[1],
        synthetic=synthetic,
        studies=(len(before.studies.id), len(now_there.studies.id)),
        drifts=drift.holm(_drifts(before, now_there, pair, chart)),
        chart=chart,
        pair=pair,
        agreement=now_there.agreement(pair),
        agreement_before=before.agreement(pair),
        expected=now_there.expected(),
        expected_before=before.expected(),
        reviews=reviews,
        not_analysed=_of_studies(1 - now_there.studies.analysed, now_there.patient, "studies"),
        missing_output={name: _missing_output(now_there, name) for name in speaking},
        missing_output_before={name: _missing_output(before, name) for name in speaking},
        failures=_share(current_times.failed, current_times.ended, "items of jobs"),
        overrides=_overrides(reviews, chosen[1]),
        reference_times=before.times(store, chosen[0].until),
        current_times=current_times,
        silent_days=(now - newest).total_seconds() / 86_400 if newest else None,
        settings=tuple(set_by_users),
        limits=limits(store.adjustments.history("alert")),
        notes=_versions(before, now_there) if two else (_nothing(days, since),),
    )
    return replace(report, alerts=alerts(report, report.limits))


def _alone(days: Sequence[ArrivalDay], since: date | None) -> tuple[MonitoringPeriod, MonitoringPeriod]:
    """The day before the current period, which has no study, and that period."""
    first = since or days[0].day
    before = first - timedelta(days=1)
    return MonitoringPeriod(before, before), MonitoringPeriod(first, max(first, days[-1].day))


def _nothing(days: Sequence[ArrivalDay], since: date | None) -> str:
    if since:
        return f"No study arrived before {since}: there is nothing to compare with."
    return f"All studies arrived on one day, {days[0].day}: there is no second period to compare it with."


def _drifts(before: PeriodData, now: PeriodData, pair: tuple[str, str] | None, chart: ControlChart) -> list[Drift]:
    """Every comparison; each patient counts once a period."""
    return [*_inputs(before, now), *_scores(before, now), *_shares(before, now, pair, chart)]


def _inputs(before: PeriodData, now: PeriodData) -> list[Drift]:
    parts = (before, now)
    numbers = {title: [getattr(part.studies, name)[part.first] for part in parts] for title, name in _NUMBERS.items()}
    counts = {title: [_counts(part, name) for part in parts] for title, name in _CATEGORIES.items()}
    return [
        *(drift.numbers(title, "input", *values) for title, values in numbers.items()),
        *(drift.categories(title, *values) for title, values in counts.items()),
    ]


_NUMBERS = {"age": "age_years", "slices a study": "slices"}
_CATEGORIES = {"sex": "sex", "scanner": "scanner", "kVp": "kvp", "slice thickness (mm)": "slice_thickness_mm"}


def _counts(part: PeriodData, name: str) -> dict[str, int]:
    """How many patients' first studies have each value."""
    values = getattr(part.studies, name)
    if not isinstance(values, np.ndarray):
        return Counter(map(values.__getitem__, part.first.tolist()))
    counts: Counter[str] = Counter()
    for value, count in zip(*np.unique(values[part.first], return_counts=True), strict=True):
        counts["" if np.isnan(value) else f"{value:.3g}"] += int(count)
    return counts


def _scores(before: PeriodData, now: PeriodData) -> list[Drift]:
    drifts = []
    for model in sorted({*before.models, *now.models}):
        scores = (part.of(model, "probability")[part.first] for part in (before, now))
        drifts.append(drift.numbers(f"score of {model}", "score", *(score[~np.isnan(score)] for score in scores)))
    return drifts


def _shares(before: PeriodData, now: PeriodData, pair: tuple[str, str] | None, chart: ControlChart) -> list[Drift]:
    parts = (before, now)
    flagged = [part.studies.model_any[part.first] for part in parts]
    missed = [1 - part.studies.analysed[part.first] for part in parts]
    when = now.studies.day[now.first]
    if chart.unit == "week":
        when = (when + MONDAY) // 7
    drifts = [
        drift.share("flagged", flagged[0], flagged[1]),
        drift.worst(f"flagged, the oddest {chart.unit}", flagged[0], flagged[1], when),
        drift.share("not analysed", missed[0], missed[1]),
    ]
    if pair:
        differ = (np.abs(part.of(pair[0], "flagged") - part.of(pair[1], "flagged"))[part.first] for part in parts)
        drifts.append(drift.share("models differ", *differ))
    overridden = (_overridden(part.studies)[part.first] for part in parts)
    return [*drifts, drift.share("reader differs", *overridden)]


def _overridden(studies: ArrivalColumns) -> Floats:
    """Whether the newest review and the models contradict each other, (studies,); nan where one says nothing."""
    return np.abs(studies.model_any - studies.reader_any)


def _pair(*parts: PeriodData) -> tuple[str, str] | None:
    """The two models with the most results."""
    counts = {name: sum(part.count(name) for part in parts) for part in parts for name in part.models}
    names = sorted(sorted(counts), key=lambda name: -counts[name])[:2]
    return (names[0], names[1]) if len(names) == 2 else None


def _versions(before: PeriodData, now: PeriodData) -> tuple[str, ...]:
    changed = []
    for model in sorted({*before.models, *now.models}):
        old, new = (", ".join(part.versions(model)) or "none" for part in (before, now))
        if old != new:
            changed.append(f"{model} is not the same in both periods: version {old} before, {new} now.")
    return tuple(changed)


def _missing_output(part: PeriodData, model: str) -> Estimate:
    """Share of the analysed studies without a result of a model."""
    there = part.studies.analysed == 1
    return _of_studies(np.isnan(part.of(model, "probability"))[there], part.patient[there], "analysed studies")


def _of_studies(hit: NDArray[Any], patient: NDArray[np.intp], what: str) -> Estimate:
    """A share of studies, with its interval by patient."""
    if len(hit) < drift.ENOUGH:
        return Estimate.none(f"{len(hit)} of {drift.ENOUGH} {what} needed")
    return proportion(hit.astype(np.float64), patient)


def _share(part: int, whole: int, what: str) -> Estimate:
    """A share with its interval, where there is enough of what it is of."""
    return (
        wilson(part / whole, whole)
        if whole >= drift.ENOUGH
        else Estimate.none(f"{whole} of {drift.ENOUGH} {what} needed")
    )


def _overrides(weeks: Sequence[ReviewWeek], period: MonitoringPeriod) -> Estimate:
    """Share of reviews of the weeks that began in a period that reject the models."""
    there = [row for row in weeks if period.first <= row.week <= period.last]
    disagree = sum(row.disagree for row in there)
    return _share(disagree, disagree + sum(row.agree for row in there), "reviews")
