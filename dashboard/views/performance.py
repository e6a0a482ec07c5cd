"""Performance: how good a model is, and where it fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape

import streamlit as st

from dashboard import cached
from dashboard.performance import metric_tables
from dashboard.performance import tabs as tabs
from dashboard.performance.choose import KEY, Sources, choose
from dashboard.performance.importing import imports
from dashboard.performance.misclassified import browser, open_study
from dashboard.performance.rows import Audit, threshold_in_force
from dashboard.performance.threshold import panel
from dashboard.text import NOT_FOR_DIAGNOSIS, plain, sentence
from ichscope import metrics
from ichscope.evaluation import selection
from ichscope.evaluation.label_metrics import LabelMetrics
from ichscope.evaluation.selection import EvaluationError
from ichscope.levels import rows_of
from ichscope.reporting.figures.formatting import in_full, label_name
from ichscope.reporting.figures.theme import SHORT_NAMES
from ichscope.reporting.report import in_words
from ichscope.store import Filter, Store, StoreError

_TABS = ("Threshold", "All labels", "Calibration", "Subgroups", "Two models", "Errors", "Data")


def page() -> None:
    if (study := st.query_params.get("study", "")).isdecimal():  # a link of the error browser, in a tab of its own
        slice = st.query_params.get("slice", "")
        open_study(int(study), int(slice) if slice.isdecimal() else None)
    st.title("Performance")
    try:
        store = cached.store()
        sources = _sources(store)
        if sources is not None:
            _look(store, sources)
        with st.expander("Import truth or predictions", expanded=sources is None):
            imports(store)
    except StoreError as error:
        st.error(f"**Nothing can be shown.** {plain(str(error))}")
        st.button("Try again")


def _sources(store: Store) -> Sources | None:
    """What there is to look at; says how to get it, where there is nothing."""
    truths = {source.key: source for source in selection.truth_sources(store) if source.rows}
    models = {source.key: source for source in selection.model_sources(store) if source.studies}
    if not truths:
        st.info(
            "**No truth yet.** A model can only be judged against what was really there. Review studies in the "
            "Worklist: what readers find is the truth. Or import a table with one row per study or slice, below or "
            "with `ichscope import-truth FILE`."
        )
    elif not models:
        st.info(
            "**No probabilities yet.** `ichscope batch FOLDER` analyses a folder of studies; "
            "those of another tool can be imported below or with `ichscope import-predictions FILE`."
        )
    return Sources(truths, models) if truths and models else None


def _look(store: Store, sources: Sources) -> None:
    selection, second = choose(store, sources)
    try:
        audit = cached.audit(store, selection, second)
    except EvaluationError as error:
        st.warning(plain(str(error)))
        return
    if not audit.labels or not len(audit.evaluation_set.keys):
        filtered = " Filters leave some out: clear them to see all." if selection.filter != Filter() else ""
        st.info(f"**No {audit.unit} has both a truth and a probability of this model.**{filtered}")
        return
    if audit.evaluation_set.missing[audit.first] == len(audit.evaluation_set.keys):
        name, rows = plain(audit.name()), rows_of(len(audit.evaluation_set.keys), audit.unit)
        st.info(
            f"**{name} has no probability for the {rows} with this truth.** Choose another model, or another truth."
        )
        return
    _explore(audit, in_words(selection, sources.truths[selection.truth]))


@st.fragment
def _explore(audit: Audit, selection: Mapping[str, str]) -> None:
    """Everything below the choices; what is loaded stays while one looks around."""
    key = f"{KEY}-label"
    if st.session_state.get(key) not in audit.labels:
        st.session_state.pop(key, None)
    label = st.segmented_control(
        "Finding",
        audit.labels,
        format_func=lambda name: SHORT_NAMES.get(name, name),
        default=audit.labels[0],
        required=True,
        key=key,
        label_visibility="collapsed",
        persist_state="session",
    )
    _answer(audit, label)
    if audit.evaluation_set.notes:
        st.caption(plain(" ".join(map(sentence, audit.evaluation_set.notes))))
    contents: tuple[Callable[[], None], ...] = (
        lambda: panel(audit, label),
        lambda: tabs.all_labels(audit),
        lambda: tabs.calibration(audit, label),
        lambda: tabs.subgroups(audit, label),
        lambda: tabs.two_models(audit, label),
        lambda: browser(audit, label),
        lambda: tabs.data(audit, selection),
    )
    for tab, show in zip(st.tabs(_TABS, key=f"{KEY}-tabs", on_change="rerun"), contents, strict=True):
        if tab.open:
            with tab:
                show()


def _answer(audit: Audit, label: str) -> None:
    """The figures that one comes for, of each model, in words."""
    label_metrics = cached.label_metrics(audit.rows(label), audit.own_threshold(label))
    lines = [_population(audit, label, label_metrics), _at_own(audit, label, label_metrics)]
    second = audit.second
    if second is not None and label in audit.labels_of(second):
        other = cached.label_metrics(audit.rows(label, second), audit.own_threshold(label, second))
        lines.append(f"{audit.name(second)}: AUC {_auc(other)}. {_at_own(audit, label, other, second)}")
    title = (
        f"AUC {in_full(label_metrics.auc)}"
        if label_metrics.auc.value is not None
        else f"AUC {label_metrics.auc.reason}"
    )
    body = "".join(f"<div>{escape(line)}</div>" for line in lines if line)
    # Everything here is escaped; Streamlit sanitises the rest.
    st.html(
        f'<div class="verdict" role="status"><span class="notice">{NOT_FOR_DIAGNOSIS}</span>'
        f'<div class="title">{escape(title)}</div>{body}</div>'
    )


def _auc(label_metrics: LabelMetrics) -> str:
    return in_full(label_metrics.auc)


def _population(audit: Audit, label: str, label_metrics: LabelMetrics) -> str:
    rows = label_metrics.positives + label_metrics.negatives
    share = f" ({100 * label_metrics.positives / rows:.1f} %)" if rows else ""
    by = audit.evaluation_set.grouped_by or audit.unit
    method = f" 95 % interval by {by}, {label_metrics.auc.method}." if label_metrics.auc.method else ""
    beware = (
        f" {label_metrics.auc.reason[0].upper()}{label_metrics.auc.reason[1:]}."
        if label_metrics.auc.value is not None and label_metrics.auc.reason
        else ""
    )
    unknown = f", {label_metrics.unknown:,} more unknown" if label_metrics.unknown else ""
    counts = f"n {rows:,}, {label_metrics.positives:,} positive{share}{unknown}"
    return f"{label_name(label)}, {audit.name()}, by {audit.unit}: {counts}.{method}{beware}"


def _at_own(audit: Audit, label: str, label_metrics: LabelMetrics, key: str | None = None) -> str:
    """Sensitivity and specificity at the model's own threshold, or at the one that stands in for it."""
    own = audit.own_threshold(label, key)
    threshold, whence = threshold_in_force(label_metrics, own)
    at = metric_tables.own_point(label_metrics)
    if at is None:
        rows = audit.rows(label, key)
        at = metrics.at_threshold(rows.truth, rows.probability, threshold, rows.group)
    point = audit.model(key).operating_point if own is not None else ""
    named = f"{whence}, {point}" if point else whence
    return (
        f"At threshold {threshold:.4g} ({named}): sensitivity {in_full(at.sensitivity)}, "
        f"specificity {in_full(at.specificity)}."
    )


page()
