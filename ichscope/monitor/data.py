"""What monitoring gives: periods, comparisons, charts, alerts, and the report that holds them all. Data alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from ichscope.metrics import Estimate
from ichscope.store import Adjustment, ReviewWeek

DriftOf = Literal["input", "score", "share"]
Together = Literal["both flag", "they differ", "both clear"]
ChartUnit = Literal["day", "week"]


@dataclass(frozen=True)
class MonitoringPeriod:
    """Days from `first` to `last`, both of them in it."""

    first: date
    last: date

    @property
    def since(self) -> datetime:
        """The first moment."""
        return datetime.combine(self.first, time(), UTC)

    @property
    def until(self) -> datetime:
        """The first moment after it."""
        return datetime.combine(self.last, time(), UTC) + timedelta(days=1)

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"


@dataclass(frozen=True)
class DriftBin:
    """How many studies of each period lie in a bin."""

    name: str
    reference: int
    current: int


@dataclass(frozen=True)
class Drift:
    """One comparison of the two periods.

    studies : of the reference and of the current period, each patient once
    middle : median of a number, or the share itself, in both; None for categories
    psi : population stability index over `bins`
    psi_chance : what it is on average where nothing has changed
    p, adjusted : of no change, and after Holm's correction for all comparisons made together
    reason : why it is not estimable, or ""
    """

    name: str
    of: DriftOf
    method: str
    studies: tuple[int, int]
    middle: tuple[float, float] | None = None
    bins: tuple[DriftBin, ...] = ()
    psi: float | None = None
    psi_chance: float | None = None
    p: float | None = None
    adjusted: float | None = None
    reason: str = ""

    @property
    def title(self) -> str:
        """The name as it stands alone; "kVp" stays as it is."""
        return self.name if self.name[1:2].isupper() else f"{self.name[0].upper()}{self.name[1:]}"

    @property
    def written(self) -> tuple[str, str] | None:
        """The middle of both periods in words."""
        if self.middle is None:
            return None
        before, now = (
            f"{100 * value:.1f} %" if self.of == "share" else f"{value:.3f}" if self.of == "score" else f"{value:.3g}"
            for value in self.middle
        )
        return before, now


@dataclass(frozen=True)
class AgreementClass:
    """Studies on which two models say this together.

    share : among all studies that both judged
    reviewed : of how many a reader says whether they bleed; `positive` is the share of those that do
    """

    name: Together
    studies: int
    share: Estimate
    reviewed: int
    positive: Estimate


@dataclass(frozen=True)
class ChartPoint:
    """One day, or the week from this Monday on: how many studies, and between which shares chance leaves them."""

    start: date
    studies: int
    hits: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """Share of hits."""
        return self.hits / self.studies

    @property
    def outside(self) -> bool:
        """Whether it lies beyond the limits."""
        return not self.low <= self.share <= self.high


@dataclass(frozen=True)
class ControlChart:
    """Points in time beside the share in the reference period; None, and why, where nothing is known of that."""

    unit: ChartUnit
    centre: float | None
    points: tuple[ChartPoint, ...]
    reason: str = ""


@dataclass(frozen=True)
class ExpectedPerformance:
    """What calibrated probabilities promise, and what readers found where they looked.

    prevalence, sensitivity, specificity, auc : without labels
    reviewed : studies that a reader reviewed; of them, `observed` bleed, and probabilities let one expect `expected`
    """

    model: str
    studies: int
    prevalence: Estimate
    sensitivity: Estimate
    specificity: Estimate
    auc: Estimate
    reviewed: int
    observed: int
    expected: float


@dataclass(frozen=True)
class PeriodTimes:
    """How long it took in a period, in seconds: arrival to the first result, and computing, a model each.

    compute_s : model -> median and 95th percentile
    failed, ended : items of jobs
    reasons : why studies were not analysed, with the number of studies
    """

    studies: int
    result_median_s: float | None
    result_p95_s: float | None
    compute_s: dict[str, tuple[float, float]]
    failed: int
    ended: int
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class AlertRule:
    """One limit: what it says, in which unit, and what it is unless somebody sets it; `low` and `high` bound it."""

    title: str
    unit: str
    default: float
    low: float
    high: float


@dataclass(frozen=True)
class Alert:
    """A rule that is broken, by what, and how far."""

    rule: str
    about: str
    text: str


@dataclass(frozen=True)
class MonitoringReport:
    """What monitoring found.

    synthetic : whether the studies are synthetic ones, there being no others
    studies : of the reference and of the current period
    drifts : comparisons of the two periods, their p adjusted together
    pair : the two models whose agreement is looked at; `agreement` is of the current period
    not_analysed : share of the current period's studies; `overrides`, of reviews of the current period's weeks
    missing_output : share of the analysed studies without a result, by model that gave results in the reference period
    failures : share of the items of jobs that failed
    silent_days : since the newest study
    settings : thresholds that users set, the newest first
    limits : of the alerts, by rule
    """

    reference: MonitoringPeriod
    current: MonitoringPeriod
    synthetic: bool
    studies: tuple[int, int]
    drifts: tuple[Drift, ...]
    chart: ControlChart
    pair: tuple[str, str] | None
    agreement: tuple[AgreementClass, ...]
    agreement_before: tuple[AgreementClass, ...]
    expected: tuple[ExpectedPerformance, ...]
    expected_before: tuple[ExpectedPerformance, ...]
    reviews: tuple[ReviewWeek, ...]
    not_analysed: Estimate
    missing_output: dict[str, Estimate]
    missing_output_before: dict[str, Estimate]
    failures: Estimate
    overrides: Estimate
    reference_times: PeriodTimes
    current_times: PeriodTimes
    silent_days: float | None
    settings: tuple[Adjustment, ...]
    limits: dict[str, float]
    notes: tuple[str, ...] = ()
    alerts: tuple[Alert, ...] = ()
