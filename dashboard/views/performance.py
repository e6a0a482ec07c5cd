"""Performance: how good a model is, and where it fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape

import streamlit as st

from dashboard import cached
from dashboard.performance import tables
from dashboard.performance import tabs as tabs
from dashboard.performance.choose import KEY, Sources, choose
from dashboard.performance.errors import browser, open_study
from dashboard.performance.importing import imports
from dashboard.performance.rows import Audit, threshold_in_force
from dashboard.performance.threshold import panel
from dashboard.text import NOT_FOR_DIAGNOSIS, plain, sentence
from ichscope import metrics
from ichscope.evaluation import selection
from ichscope.evaluation.evaluate import LabelFigures
from ichscope.evaluation.selection import EvaluationError
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
    truths = {one.key: one for one in selection.truth_sources(store) if one.rows}
    models = {one.key: one for one in selection.model_sources(store) if one.studies}
    if not truths:
        st.info(
            "**No truth is here yet.** How good a model is can only be said beside what was really there. Review "
            "studies in the Worklist: what readers say is truth. Or import a sheet with a row a study or slice: "
            "below, or with `ichscope import-truth FILE`."
        )
    elif not models:
        st.info(
            "**No probabilities are here yet.** `ichscope batch FOLDER` analyses a folder of studies; "
            "those of another tool can be imported below, or with `ichscope import-predictions FILE`."
        )
    return Sources(truths, models) if truths and models else None


def _look(store: Store, sources: Sources) -> None:
    selection, second = choose(store, sources)
    try:
        audit = cached.audit(store, selection, second)
    except EvaluationError as error:
        st.warning(plain(str(error)))
        return
    if not audit.labels or not len(audit.audited.keys):
        filtered = " Filters leave some out: clear them to see all." if selection.filter != Filter() else ""
        st.info(f"**No {audit.unit} has both a truth and a probability of this model.**{filtered}")
        return
    if audit.audited.missing[audit.first] == len(audit.audited.keys):
        name, rows = (
            plain(audit.name()),
            f"{len(audit.audited.keys):,} {'slices' if audit.unit == 'slice' else 'studies'}",
        )
        st.info(f"**{name} says nothing of the {rows} of this truth.** Choose another model, or another truth.")
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
        format_func=lambda one: SHORT_NAMES.get(one, one),
        default=audit.labels[0],
        required=True,
        key=key,
        label_visibility="collapsed",
        persist_state="session",
    )
    _answer(audit, label)
    if audit.audited.notes:
        st.caption(plain(" ".join(map(sentence, audit.audited.notes))))
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
    found = cached.figures(audit.rows(label), audit.own_threshold(label))
    lines = [_population(audit, label, found), _at_own(audit, label, found)]
    second = audit.second
    if second is not None and label in audit.labels_of(second):
        other = cached.figures(audit.rows(label, second), audit.own_threshold(label, second))
        lines.append(f"{audit.name(second)}: AUC {_auc(other)}. {_at_own(audit, label, other, second)}")
    title = f"AUC {in_full(found.auc)}" if found.auc.value is not None else f"AUC {found.auc.reason}"
    body = "".join(f"<div>{escape(line)}</div>" for line in lines if line)
    # Everything here is escaped; Streamlit sanitises the rest.
    st.html(
        f'<div class="verdict" role="status"><span class="notice">{NOT_FOR_DIAGNOSIS}</span>'
        f'<div class="title">{escape(title)}</div>{body}</div>'
    )


def _auc(found: LabelFigures) -> str:
    return in_full(found.auc)


def _population(audit: Audit, label: str, found: LabelFigures) -> str:
    rows = found.positives + found.negatives
    share = f" ({100 * found.positives / rows:.1f} %)" if rows else ""
    by = audit.audited.grouped_by or audit.unit
    method = f" 95 % interval by {by}, {found.auc.method}." if found.auc.method else ""
    beware = (
        f" {found.auc.reason[0].upper()}{found.auc.reason[1:]}."
        if found.auc.value is not None and found.auc.reason
        else ""
    )
    unknown = f", {found.unknown:,} more unknown" if found.unknown else ""
    counts = f"n {rows:,}, {found.positives:,} positive{share}{unknown}"
    return f"{label_name(label)}, {audit.name()}, by {audit.unit}: {counts}.{method}{beware}"


def _at_own(audit: Audit, label: str, found: LabelFigures, key: str | None = None) -> str:
    """Sensitivity and specificity at the model's own threshold, or at the one that stands in for it."""
    own = audit.own_threshold(label, key)
    threshold, whence = threshold_in_force(found, own)
    at = tables.own_point(found)
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
