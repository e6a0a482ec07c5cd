"""The parts of the Performance page that lie behind its tabs, each placed by one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import streamlit as st

from dashboard import acting, cached, downloads
from dashboard.performance import metric_tables
from dashboard.performance.files import csv_bytes, report, tables_zip
from dashboard.performance.rows import Audit
from dashboard.performance.threshold import draw, in_force, moved
from dashboard.text import plain, sentence
from ichscope import metrics
from ichscope.access import Right, current_actor
from ichscope.evaluation.label_metrics import LabelMetrics
from ichscope.labels import LABELS
from ichscope.metrics import CalibrationLine, Subgroup
from ichscope.metrics.groups import MINIMUM_PATIENTS
from ichscope.reporting.figures import counts, performance
from ichscope.reporting.figures.formatting import label_name
from ichscope.reporting.figures.performance import Traced
from ichscope.reporting.figures.theme import lines
from ichscope.reporting.in_force import subtype_points


def all_labels(audit: Audit) -> None:
    """Every label of the model: figures, ROC curves, what the own thresholds give, and subtypes taken for others."""
    by_label = metrics_of_labels(audit)
    st.html(metric_tables.ranking(by_label))
    left, right = st.columns(2, gap="medium")
    with left:
        _roc_of_all(audit, by_label)
    with right:
        _joint(audit, by_label)
    if _any_own(by_label):
        st.markdown("**At the model's own thresholds**")
        st.html(metric_tables.own_points(by_label))
    else:
        st.caption(f"{plain(audit.name())} has no thresholds of its own.")


def _any_own(by_label: dict[str, LabelMetrics]) -> bool:
    return any(metric_tables.own_point(of_label) is not None for of_label in by_label.values())


def _roc_of_all(audit: Audit, by_label: dict[str, LabelMetrics]) -> None:
    # Six bands on top of each other would hide what they should show; each label alone has its own.
    rows = {label: audit.rows(label) for label in by_label}
    curves = {label: metrics.roc_curve(of_label.truth, of_label.probability) for label, of_label in rows.items()}
    if any(curve is not None for curve in curves.values()):
        points_at = ", points at the model's own thresholds" if _any_own(by_label) else ""
        st.markdown(f"**ROC by label**{points_at}")
        points = {label: metric_tables.own_point(by_label[label]) for label in by_label}
        traces = [
            Traced(label_name(label), label, curves[label], at=points[label], dash=dash, tint=colour)
            for label, (colour, dash) in lines(by_label).items()
        ]
        draw(performance.roc(traces), "roc-all")


def metrics_of_labels(audit: Audit) -> dict[str, LabelMetrics]:
    """All figures of the first model, by label."""
    return {label: cached.label_metrics(audit.rows(label), audit.own_threshold(label)) for label in audit.labels}


def _joint(audit: Audit, of_labels: dict[str, LabelMetrics]) -> None:
    thresholds, whence = subtype_points(of_labels)
    if len(thresholds) < 2:
        st.caption("No matrix of subtypes: it needs thresholds of at least two.")
        return
    rows = {label: audit.rows(label) for label in thresholds}
    matrix = cached.joint(rows, tuple(thresholds.values()))
    if not matrix.counts.sum():
        st.caption("No matrix of subtypes: no row has a known truth of all of them.")
        return
    st.markdown(f"**Subtypes by truth and as called**, each at {whence}")
    draw(counts.joint(matrix), "subtypes")


def calibration(audit: Audit, label: str) -> None:
    """Whether the probabilities of a label mean what they say, and whether acting on them helps."""
    rows = audit.rows(label)
    label_metrics = cached.label_metrics(rows, audit.own_threshold(label))
    bins, benefit = cached.calibration(rows)
    if benefit is None:
        st.info(f"No calibration: {label_metrics.brier.reason}.")
        return
    left, right = st.columns(2, gap="medium")
    with left:
        line = CalibrationLine(label_metrics.calibration_slope, label_metrics.calibration_intercept)
        draw(performance.reliability(bins, label, line), f"calibration-{label}")
    with right:
        draw(performance.net_benefit(benefit, label, audit.name(), in_force(audit, label)), f"benefit-{label}")
    with left:
        st.html(metric_tables.calibration(label_metrics))
    with right:
        if set(audit.labels) >= set(LABELS):
            st.html(metric_tables.log_loss(*cached.log_loss([audit.rows(label_) for label_ in LABELS])))


def subgroups(audit: Audit, label: str) -> None:
    """Where the model does worse, at the threshold in force."""
    threshold = in_force(audit, label)
    groups = groups_of(audit, label, threshold)
    if not groups:
        st.info("No subgroups: scanner, institution, kVp, slice thickness, age and sex of these rows are unknown.")
        return
    st.markdown(
        f"**{label_name(label)}** at threshold {threshold:.4g}. Groups of fewer than {MINIMUM_PATIENTS} patients "
        "are withheld. Of several groups, one may differ by chance alone."
    )
    (overall,) = cached.subgroups(audit.rows(label), audit.everyone, threshold)
    draw(counts.forest(groups, overall), f"subgroups-{label}")
    st.html(metric_tables.subgroups(overall, groups))


def groups_of(audit: Audit, label: str, threshold: float) -> dict[str, tuple[Subgroup, ...]]:
    """Figures of every subgroup, by what the rows are divided by."""
    rows = audit.rows(label)
    return {name: cached.subgroups(rows, by, threshold) for name, by in audit.by.items()}


def two_models(audit: Audit, label: str) -> None:
    """Both models on the same rows, with the paired test."""
    second = audit.second
    if second is None:
        st.info("Choose a second model above.")
        return
    shared = audit.labels_of(audit.first, second)
    comparisons = {
        shared_label: cached.comparison(audit.rows(shared_label), audit.rows(shared_label, second))
        for shared_label in shared
    }
    st.html(metric_tables.comparisons(audit.name(), audit.name(second), comparisons))
    if label not in shared:
        st.info(f"{plain(audit.name(second))} has no probability of {label_name(label)}.")
        return
    left, right = st.columns(2, gap="medium")
    both = audit.shared_rows(label, second)
    rows = int(np.count_nonzero(both[second].known))
    if any(of_model is not audit.rows(label, key) for key, of_model in both.items()):
        st.caption(f"Both models are compared on the {rows:,} rows that both cover; elsewhere each has all its rows.")
    traces = []
    for (key, of_model), dash in zip(both.items(), ("solid", "dash"), strict=True):
        curves = cached.curves(of_model)
        own = audit.own_threshold(label, key)
        at = None if own is None else metrics.at_threshold(of_model.truth, of_model.probability, own, of_model.group)
        traces.append(Traced(audit.name(key), label, curves.roc, curves.pr, at, dash))
    with left:
        draw(performance.roc(traces), f"two-roc-{label}")
    with right:
        draw(performance.precision_recall(traces), f"two-precision-recall-{label}")
    for column, key, trace in ((left, audit.first, traces[0]), (right, second, traces[1])):
        with column:
            if trace.at is None:
                st.caption(f"{plain(trace.name)} has no threshold of its own.")
                continue
            st.markdown(f"**{plain(trace.name)}** at its own threshold {trace.at.threshold:.4g}")
            draw(counts.confusion(trace.at.confusion, label), f"two-confusion-{key}")


def data(audit: Audit, selection: Mapping[str, str]) -> None:
    """Downloads of what all this is computed from, and what to know of it."""
    evaluation_set = audit.evaluation_set
    moved_thresholds = moved(audit)
    if current_actor().may(Right.REPORT):
        acting.name_field("Your name, for the report", width=330)
        _downloads(audit, selection, moved_thresholds)
    else:
        st.caption("Your role may look at figures, not make reports or export tables.")
    st.caption(
        f"The report opens without a network. {_thresholds_of_files(audit, moved_thresholds)} "
        f"Every number on this page can be recomputed from the rows. SHA-256 of the data: {evaluation_set.sha256}"
    )
    for key, model in evaluation_set.models.items():
        point = f" Operating point: {plain(model.operating_point)}." if model.operating_point else ""
        point += "".join(
            f" No. {adjustment.id}: {plain(sentence(adjustment.why))}" for adjustment in model.set_by_users
        )
        files = f" SHA-256: {plain(model.sha256)}." if model.sha256 else ""
        silent = evaluation_set.missing.get(key, 0)
        st.markdown(f"**{plain(audit.name(key))}**:{point}{files} Rows without a probability: {silent:,}.")


def _thresholds_of_files(audit: Audit, moved_thresholds: Mapping[str, Mapping[str, float]]) -> str:
    """Which thresholds the report and the tables are made at."""
    usual = "each model's own thresholds or, where it has none, the Youden point of these data"
    if not moved_thresholds:
        return f"Report and tables use {usual}."
    values = "; ".join(
        f"{plain(audit.name(key))}: "
        + ", ".join(f"{plain(label_name(label))} {value:.4g}" for label, value in of_labels.items())
        for key, of_labels in moved_thresholds.items()
    )
    return f"Report and tables use the thresholds that you moved ({values}), elsewhere {usual}."


def _downloads(audit: Audit, selection: Mapping[str, str], moved_thresholds: Mapping[str, Mapping[str, float]]) -> None:
    made = partial(report, audit.evaluation_set, selection, acting.author(), moved_thresholds)
    files: Sequence[tuple[str, downloads.Make, str, str, str, Right]] = (
        ("Report as HTML", lambda: made().html(), "report.html", "text/html", "report", Right.REPORT),
        ("Rows as CSV", partial(csv_bytes, audit.evaluation_set), "rows.csv", "text/csv", "rows", Right.EXPORT),
        ("Metrics as JSON", lambda: made().json(), "metrics.json", "application/json", "metrics", Right.EXPORT),
        ("Tables as CSV", lambda: tables_zip(made()), "tables.zip", "application/zip", "tables", Right.EXPORT),
    )
    with st.container(horizontal=True):
        for label, make, file, mime, what, right in files:
            downloads.button(label, make, f"ichscope-{file}", mime, what=f"performance: {what}", right=right)
