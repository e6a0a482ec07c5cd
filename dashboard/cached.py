"""Every cache of the pages. Caches are shared by all users, so no patient's data enters one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from sqlalchemy import make_url

from dashboard.background import Background
from dashboard.performance.rows import Audit, LabelRows, Texts
from dashboard.shared_store import store as store
from ichscope import metrics, phantom
from ichscope.evaluation.confidence_bands import Curves, curves_with_bands
from ichscope.evaluation.label_metrics import SHOWN, LabelMetrics
from ichscope.evaluation.label_metrics import label_metrics as measure
from ichscope.evaluation.selection import Selection, load
from ichscope.home import database_url
from ichscope.metrics import AucComparison, CalibrationBin, DecisionCurve, Estimate, JointConfusion, Subgroup
from ichscope.metrics.sample import Floats
from ichscope.models.detector import Detector
from ichscope.models.registry import REGISTRY
from ichscope.monitor import MonitoringPeriod, MonitoringReport, monitor
from ichscope.reporting.figures.cohort import figures as cohort_figures
from ichscope.store import Choices, Cohort, Filter, Store, Thresholds, in_force

Upload = tuple[str, bytes]


def detectors() -> Mapping[str, Detector]:
    """One session a model for the whole process, the background's, too; a changed card loads anew.

    Raises
    ------
    ichscope.models.card.ModelError
        if a model is not what its card says
    """
    with st.spinner("Loading the models"):  # shown only where it takes a while
        return REGISTRY.get().detectors


@st.cache_data(max_entries=3, show_spinner="Making a synthetic study")
def sample(bleed: str | None) -> list[Upload]:
    """A synthetic study as DICOM files, by the subtype of its bleed."""
    made = phantom.make(bleed, seed=1)
    folder = f"synthetic-{bleed or 'normal'}"
    return [
        (f"{folder}/IM{i:04d}.dcm", phantom.to_bytes(dataset)) for i, dataset in enumerate(phantom.datasets(made), 1)
    ]


def choices(store: Store) -> tuple[Choices, dict[int, str]]:
    """What studies can be filtered by, and the jobs they came with in words; some seconds old at most.

    Raises
    ------
    ichscope.store.StoreError
        if the database fails
    """
    return _choices(str(store.volumes), store)


@st.cache_data(ttl=10, max_entries=4, show_spinner=False)
def _choices(place: str, _store: Store) -> tuple[Choices, dict[int, str]]:
    # Titles of jobs stay out: they may name a folder.
    jobs = {job.id: f"{job.kind.capitalize()} of {job.created_at:%Y-%m-%d %H:%M} UTC" for job in _store.jobs.recent()}
    return _store.worklist.choices(), jobs


def audit(store: Store, selection: Selection, second: str | None) -> Audit:
    """Truth and models' outputs for the Performance page, brought together again only where the store has changed.

    Raises
    ------
    ichscope.store.StoreError
        if the database fails
    ichscope.evaluation.selection.EvaluationError
        if the selection cannot be loaded
    """
    tables = tuple((table.id, table.sha256, table.imported_at) for table in store.imported.tables())
    return _audit(str(store.volumes), selection, second, (store.cohorts.state(selection.filter), tables), store)


@st.cache_resource(max_entries=4, show_spinner="Bringing truth and probabilities together")
def _audit(place: str, selection: Selection, second: str | None, state: tuple[object, ...], _store: Store) -> Audit:
    chosen = (selection.truth, selection.rule or "")
    return Audit(load(_store, selection), selection.models[0], second, chosen)


# ---- what a threshold on the Performance page does not change, by the content of the arrays ----------------

_BY_CONTENT: dict[str | type[Any], Callable[[Any], Any]] = {
    LabelRows: attrgetter("sha256"),
    Texts: attrgetter("sha256"),
}


@st.cache_data(max_entries=64, show_spinner="Computing", hash_funcs=_BY_CONTENT)
def label_metrics(rows: LabelRows, own_threshold: float | None) -> LabelMetrics:
    """All metrics of one label of one model."""
    return measure(rows.truth, rows.probability, rows.group, SHOWN, own_threshold)


@st.cache_data(max_entries=32, show_spinner="Drawing the curves", hash_funcs=_BY_CONTENT)
def curves(rows: LabelRows) -> Curves:
    """ROC and precision-recall curve with their bands."""
    return curves_with_bands(rows.truth, rows.probability, rows.group)


@st.cache_data(max_entries=32, show_spinner=False, hash_funcs=_BY_CONTENT)
def calibration(rows: LabelRows) -> tuple[tuple[CalibrationBin, ...], DecisionCurve | None]:
    """Share of positives by probability, and net benefit."""
    bins = metrics.calibration_curve(rows.truth, rows.probability, patients=rows.group)
    return bins, metrics.decision_curve(rows.truth, rows.probability)


@st.cache_data(max_entries=64, show_spinner=False, hash_funcs=_BY_CONTENT)
def comparison(first: LabelRows, second: LabelRows) -> AucComparison:
    """Paired test of two models on the same rows."""
    return metrics.compare_auc(first.truth, first.probability, second.probability, first.group)


@st.cache_data(max_entries=32, show_spinner="Computing the subgroups", hash_funcs=_BY_CONTENT)
def subgroups(rows: LabelRows, by: Texts, threshold: float) -> tuple[Subgroup, ...]:
    """Figures of each group of rows at a threshold."""
    return metrics.subgroups(rows.truth, rows.probability, by.values, threshold, rows.group)


@st.cache_data(max_entries=8, show_spinner="Counting the combinations", hash_funcs=_BY_CONTENT)
def joint(rows: Mapping[str, LabelRows], thresholds: Sequence[float]) -> JointConfusion:
    """Which combination of labels is taken for which."""
    truth = np.stack([label.truth for label in rows.values()], axis=1)
    probability = np.stack([label.probability for label in rows.values()], axis=1)
    return metrics.joint_confusion(truth, probability, thresholds, tuple(rows))


@st.cache_data(max_entries=8, show_spinner=False, hash_funcs=_BY_CONTENT)
def log_loss(rows: Sequence[LabelRows]) -> tuple[Estimate, Estimate]:
    """Weighted log loss of the six labels, in their usual order, and its floor."""
    truth = np.stack([label.truth for label in rows], axis=1)
    probability = np.stack([label.probability for label in rows], axis=1)
    floor = metrics.log_loss_floor(np.where(np.isnan(probability), np.nan, truth))
    return metrics.weighted_log_loss(truth, probability, patients=rows[0].group), floor


@st.cache_resource(max_entries=1, show_spinner=False, on_release=Background.close)
def background() -> Background:
    """The one that does the jobs of this process, and looks for those that an ended one left; errors as of `store`."""
    made = Background(store())
    made.start()
    return made


def cohort(store: Store, filter: Filter) -> tuple[Cohort, dict[str, go.Figure]]:
    """What is counted over the studies that fit, with its figures; made again only where the store has changed.

    Raises
    ------
    ichscope.store.StoreError
        if the database fails
    """
    return _cohort(str(store.volumes), filter, store.cohorts.state(filter), store)


@st.cache_resource(max_entries=16, show_spinner="Counting")
def _cohort(place: str, filter: Filter, state: tuple[int, ...], _store: Store) -> tuple[Cohort, dict[str, go.Figure]]:
    cohort = _store.cohorts.read(filter)
    return cohort, cohort_figures(cohort)


# ---- monitoring, and thresholds that users set -------------------------------------------------------------


def monitored(store: Store, periods: tuple[MonitoringPeriod, MonitoringPeriod] | None) -> MonitoringReport:
    """All that is monitored; made again where the store has changed, and every hour.

    Raises
    ------
    ichscope.store.StoreError
        if the database fails
    ichscope.monitor.MonitorError
        if there is nothing to compare
    """
    newest = (store.adjustments.history(kind)[:1] for kind in ("alert", "threshold"))
    state = (*store.cohorts.state(), *(adjustments[0].id if adjustments else 0 for adjustments in newest))
    return _monitored(str(store.volumes), periods, state, store)


@st.cache_resource(ttl=3600, max_entries=8, show_spinner="Comparing the periods")
def _monitored(
    place: str, periods: tuple[MonitoringPeriod, MonitoringPeriod] | None, state: tuple[int, ...], _store: Store
) -> MonitoringReport:
    return monitor(_store, periods)


def thresholds() -> Thresholds:
    """What users have set, where there is a store; for a page that needs none.

    Raises
    ------
    ichscope.store.StoreError
        if the database fails
    """
    url = make_url(database_url())
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        return {}
    return in_force(store().adjustments.history("threshold"))


@st.cache_data(max_entries=8, show_spinner=False)
def scores(place: str, model: str, version: str, label: str, state: tuple[int, ...], _store: Store) -> Floats:
    """Probabilities of a label by one version of a model, (studies,), sorted; errors as of `thresholds`."""
    probability = _store.columns.results(model, version).probability[label]
    return np.sort(probability[~np.isnan(probability)])
