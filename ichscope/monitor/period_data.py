"""Studies and results of one period as arrays beside each other."""

from __future__ import annotations

from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from ichscope.monitor.agreement import classes
from ichscope.monitor.data import AgreementClass, ExpectedPerformance, MonitoringPeriod, PeriodTimes
from ichscope.monitor.drift import Floats
from ichscope.monitor.expected import expected
from ichscope.store import ArrivalColumns, Store


class PeriodData:
    """Studies and results of one period, the latter beside their studies."""

    def __init__(self, store: Store, period: MonitoringPeriod, synthetic: bool) -> None:
        self._where = (period.since, period.until, synthetic)
        # Studies go on coming in: read after their results, none of these is without its study.
        self.results = [result for result in store.arrivals.results(*self._where) if len(result.study)]
        self.studies: ArrivalColumns = store.arrivals.studies(*self._where)
        self.patient = _patients(self.studies)
        # What is tested wants independent studies: the first one of each patient.
        self.first = np.sort(np.unique(self.patient, return_index=True)[1])
        order = np.argsort(self.studies.id)
        of = (result.study for result in self.results)
        self._places = [order[np.searchsorted(self.studies.id, study, sorter=order)] for study in of]

    @property
    def models(self) -> list[str]:
        """Names of the models that have results."""
        return sorted({result.model for result in self.results if result.current.any()})

    def versions(self, model: str) -> list[str]:
        """Versions of a model's current results."""
        return [result.version for result in self.results if result.model == model and result.current.any()]

    def count(self, model: str) -> int:
        """How many results a model has."""
        return sum(len(result.study) for result in self.results if result.model == model)

    def of(self, model: str, what: str) -> Floats:
        """A column of a model's current results, (studies,); nan where there is none."""
        column = np.full(len(self.studies.id), np.nan)
        for result, place in zip(self.results, self._places, strict=True):
            if result.model == model:
                current = result.current == 1
                column[place[current]] = getattr(result, what)[current]
        return column

    def agreement(self, pair: tuple[str, str] | None) -> tuple[AgreementClass, ...]:
        """What two models say together; nothing without two."""
        if pair is None:
            return ()
        first, second = (self.of(name, "flagged") for name in pair)
        return classes(first, second, self.studies.reader_any, self.patient)

    def expected(self) -> tuple[ExpectedPerformance, ...]:
        """What each model's probabilities promise."""
        of_models = []
        for model in self.models:
            probability = self.of(model, "probability")
            there = ~np.isnan(probability)
            columns = [probability, self.of(model, "flagged"), self.studies.reader_any]
            judged, flagged, truth = (column[there] for column in columns)
            of_models.append(expected(model, judged, flagged, truth, self.patient[there]))
        return tuple(of_models)

    def judged(self, model: str) -> int:
        """How many studies have a current result of a model."""
        return int(np.count_nonzero(~np.isnan(self.of(model, "probability"))))

    def times(self, store: Store, until: datetime) -> PeriodTimes:
        """How long it took, and what failed up to a moment."""
        first = np.full(len(self.studies.id), np.inf)
        for result, place in zip(self.results, self._places, strict=True):
            first[place] = np.minimum(first[place], result.created_ms)
        there = np.isfinite(first)
        waited = np.maximum(0.0, (first - self.studies.arrived_ms)[there]) / 1000
        middle, slow = _quantiles(waited) or (None, None)
        failed, ended = store.arrivals.ended_items(self._where[0], until)
        seconds = {model: _quantiles(_known(self.of(model, "seconds"))) for model in self.models}
        return PeriodTimes(
            studies=len(waited),
            result_median_s=middle,
            result_p95_s=slow,
            compute_s={model: quantiles for model, quantiles in seconds.items() if quantiles},
            failed=failed,
            ended=ended,
            reasons=tuple(store.arrivals.reasons(*self._where)),
        )


def _patients(studies: ArrivalColumns) -> NDArray[np.intp]:
    """Numbers of patients (studies,); a study of nobody known is a patient of its own."""
    _, number = np.unique(studies.patient, return_inverse=True)
    alone = studies.patient == 0
    number[alone] = len(number) + np.arange(int(alone.sum()))
    return np.asarray(np.unique(number, return_inverse=True)[1], np.intp)


def _known(values: Floats) -> Floats:
    return values[~np.isnan(values)]


def _quantiles(values: Floats) -> tuple[float, float] | None:
    return (float(np.median(values)), float(np.quantile(values, 0.95))) if len(values) else None
