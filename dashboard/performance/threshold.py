"""The threshold that can be moved, and all that moves with it."""

from __future__ import annotations

import streamlit as st

from dashboard import cached
from dashboard.performance import metric_tables
from dashboard.performance.choose import KEY
from dashboard.performance.rows import Audit, threshold_in_force
from dashboard.text import plain
from ichscope import metrics
from ichscope.evaluation.label_metrics import OWN, LabelMetrics
from ichscope.reporting.figures import counts, performance, theme
from ichscope.reporting.figures.performance import Traced
from ichscope.reporting.report_tables import USUAL_PREVALENCE

_SLIDER, _NUMBER, _PREVALENCE = (f"{KEY}-{name}" for name in ("slider", "number", "prevalence"))


def in_force(audit: Audit, label: str) -> float:
    """The threshold that is set for a label: the model's own until it is moved."""
    kept = st.session_state.setdefault(f"{KEY}-thresholds", {})
    return float(kept.get(_place(audit, label), _beginning(audit, label)))


def moved(audit: Audit) -> dict[str, dict[str, float]]:
    """Thresholds that were moved away from where they begin: key of the model -> label -> threshold."""
    kept: dict[tuple[str, ...], float] = st.session_state.get(f"{KEY}-thresholds", {})
    thresholds: dict[str, dict[str, float]] = {}
    for key in filter(None, (audit.first, audit.second)):
        for label in audit.labels_of(key):
            value = kept.get(_place(audit, label, key))
            if value is not None and value != _beginning(audit, label, key):
                thresholds.setdefault(key, {})[label] = float(value)
    return thresholds


def _place(audit: Audit, label: str, key: str | None = None) -> tuple[str, ...]:
    return key or audit.first, label, audit.unit, *audit.chosen


def _beginning(audit: Audit, label: str, key: str | None = None) -> float:
    """Where the threshold of a label begins."""
    own = audit.own_threshold(label, key)
    return threshold_in_force(cached.label_metrics(audit.rows(label, key), own), own)[0]


def _keep(place: tuple[str, ...], value: float) -> None:
    st.session_state.setdefault(f"{KEY}-thresholds", {})[place] = value


def _moved(place: tuple[str, ...], widget: str) -> None:
    value = st.session_state[widget]
    if value is not None:
        _keep(place, value)


@st.fragment
def panel(audit: Audit, label: str) -> None:
    """Place the threshold with curves, confusion matrix and figures. Only this runs again when it moves."""
    rows = audit.rows(label)
    label_metrics = cached.label_metrics(rows, audit.own_threshold(label))
    threshold = in_force(audit, label)
    _control(audit, label, label_metrics, threshold)
    at = metrics.at_threshold(rows.truth, rows.probability, threshold, rows.group)
    left, middle, right = st.columns(3, gap="medium")
    curves = cached.curves(rows)
    traced = [Traced(audit.name(), label, curves.roc, curves.pr, at)]
    with left:
        if curves.roc is None:
            st.info(f"No ROC curve: {label_metrics.auc.reason}.")
        else:
            draw(performance.roc(traced), f"roc-{label}")
    with middle:
        if curves.pr is None:
            st.info(f"No precision-recall curve: {label_metrics.average_precision.reason}.")
        else:
            prevalence = label_metrics.positives / (label_metrics.positives + label_metrics.negatives)
            draw(performance.precision_recall(traced, prevalence), f"precision-recall-{label}")
    with right:
        draw(counts.confusion(at.confusion, label), f"confusion-{label}")
        prevalence = _prevalence()
    elsewhere = metrics.at_prevalence(at, prevalence)
    st.html(metric_tables.at_threshold(at, elsewhere))
    with st.expander("Operating points of these data"):
        st.html(metric_tables.operating_points(label_metrics.operating_points))


def draw(figure: object, name: str) -> None:
    """Place a figure with its text for screen readers and its download."""
    st.plotly_chart(
        figure, theme=None, config=theme.config(f"ichscope-{name}"), key=name, alt=performance.description(figure)
    )


def _control(audit: Audit, label: str, label_metrics: LabelMetrics, threshold: float) -> None:
    """Slider, number and buttons, all of one threshold."""
    place = _place(audit, label)
    # A widget shows what its place in the session holds, so the three of them cannot differ.
    st.session_state[_SLIDER] = min(max(threshold, 0.0), 1.0)
    st.session_state[_NUMBER] = threshold
    left, right = st.columns([5, 1], gap="medium", vertical_alignment="bottom")
    with left:
        st.slider(
            f"Threshold of {plain(audit.name())}: probabilities from here on count as positive",
            0.0,
            1.0,
            step=0.001,
            format="%.3f",
            key=_SLIDER,
            on_change=_moved,
            args=(place, _SLIDER),
        )
    with right:
        st.number_input(
            "Exact threshold",
            min_value=0.0,
            step=0.001,
            format="%.6g",
            key=_NUMBER,
            on_change=_moved,
            args=(place, _NUMBER),
        )
    with st.container(horizontal=True):
        own = audit.own_threshold(label)
        st.button("The model's own", disabled=own is None, on_click=_keep, args=(place, own), key=f"{KEY}-own")
        for point in label_metrics.operating_points:
            if point.chosen_on != OWN:
                value = point.metrics.threshold if point.metrics else None
                name = point.name[0].upper() + point.name[1:]
                st.button(name, disabled=value is None, on_click=_keep, args=(place, value), help=point.reason or None)


def _prevalence() -> float:
    """A share of patients who bleed, for PPV, NPV and workload elsewhere."""
    percent = st.number_input(
        "Prevalence for PPV, NPV and workload (%)",
        min_value=0.1,
        max_value=99.9,
        value=100 * USUAL_PREVALENCE,
        step=1.0,
        format="%.1f",
        key=_PREVALENCE,
        persist_state="session",
    )
    return float(percent) / 100
