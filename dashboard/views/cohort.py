"""Cohort: what came in and what was found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from dashboard import cached, downloads, filters, ingest, panels
from dashboard.cohort_files import TITLES, csv_of, file_name, html_of, zip_of
from dashboard.text import NOT_FOR_DIAGNOSIS, plain
from ichscope.imaging.findings import Status
from ichscope.reporting.figures.cohort_tables import analysed, flagged, limits, percent, share, time_name
from ichscope.reporting.figures.performance import description
from ichscope.reporting.figures.theme import config
from ichscope.store import Cohort, StoreError

KEY = "cohort"
_FORMATS = ("png", "svg")
_NOTES = {
    "reasons": "A study may have several reasons.",
    "prevalence": "Intervals assume that studies are independent.",
    "co-occurrence": "Numbers are studies; the shade is their share of the row.",
}


def page() -> None:
    st.title("Cohort")
    st.write(f"What came in, and what was found. **{NOT_FOR_DIAGNOSIS}.**")
    try:
        if ingest.panel():
            left, right = st.columns([5, 1], vertical_alignment="center")
            with left:
                chosen = filters.choose(cached.store(), KEY)
            _show(*cached.cohort(cached.store(), chosen), right)
        else:
            panels.warm_up()
    except StoreError as error:
        st.error(f"**The cohort cannot be shown.** {plain(str(error))}")
        st.button("Try again")


def _show(cohort: Cohort, drawn: Mapping[str, go.Figure], corner: DeltaGenerator) -> None:
    if not cohort.total:
        st.info("No studies match these filters.")
        st.button("Clear all filters", on_click=filters.clear, args=(KEY,))
        return
    _origin(cohort)
    _answer(cohort)
    with corner, st.popover("Download", icon=":material/download:", width="stretch"):
        _downloads(cohort, drawn)
    left, right = st.columns(2, gap="medium")
    for place, names in ((left, ("days", "prevalence", "scores")), (right, ("reasons", "co-occurrence", "waits"))):
        with place:
            for name in names:
                _figure(name, cohort, drawn[name])
    _figure("breakdowns", cohort, drawn["breakdowns"])


# ---- the short answer ----------------------------------------------------------------------------------


def _origin(cohort: Cohort) -> None:
    if cohort.synthetic == cohort.total:
        st.warning(
            "**All of these studies are synthetic:** computer-generated, no patient data. "
            "They say nothing about a hospital."
        )
    elif cohort.synthetic:
        st.warning(
            f"**{cohort.synthetic:,} of these {cohort.total:,} studies are synthetic:** computer-generated, "
            "no patient data. Use the filter “Origin” to leave them out."
        )


def _answer(cohort: Cohort) -> None:
    done, flags = analysed(cohort), flagged(cohort)
    by_models = share(flags.positives, flags.studies)
    numbers = {
        "Studies": (f"{cohort.total:,}", f"{_limited(cohort):,} of them limited"),
        "Analysed": (percent(done / cohort.total), f"{done:,} of {cohort.total:,}"),
        "Flagged by a model": (
            "-" if by_models.value is None else percent(by_models.value),
            f"{flags.positives:,} of {flags.studies:,}; {limits(by_models)}",
        ),
        "From arrival to result": (_median(cohort, "result"), f"median; to first review {_median(cohort, 'review')}"),
    }
    for column, (name, (value, words)) in zip(st.columns(4), numbers.items(), strict=True):
        column.metric(name, value, words, delta_color="off", delta_arrow="off")


def _limited(cohort: Cohort) -> int:
    return sum(day.studies for day in cohort.days if day.status == Status.LIMITED)


def _median(cohort: Cohort, of: str) -> str:
    seconds = cohort.medians[of]
    return "-" if seconds is None else time_name(seconds)


# ---- figures and files ---------------------------------------------------------------------------------


def _figure(name: str, cohort: Cohort, drawn: go.Figure) -> None:
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.header(TITLES[name])
        downloads.button(
            "CSV",
            partial(csv_of, cohort, name),
            f"{file_name(cohort, name)}.csv",
            "text/csv",
            what=f"cohort: {name}",
            type="tertiary",
            key=f"{KEY}-csv-{name}",
            help=f"The numbers of “{TITLES[name]}”",
        )
    settings = config(file_name(cohort, name), st.session_state.get(f"{KEY}-format") or _FORMATS[0])
    st.plotly_chart(drawn, theme=None, config=settings, key=f"{KEY}-{name}", alt=description(drawn))
    if name in _NOTES:
        st.caption(_NOTES[name])


def _downloads(cohort: Cohort, drawn: Mapping[str, go.Figure]) -> None:
    st.segmented_control(
        "Image format of each figure's camera button",
        _FORMATS,
        default=_FORMATS[0],
        required=True,
        format_func=str.upper,
        key=f"{KEY}-format",
    )
    files: dict[str, tuple[Callable[[], str | bytes], str, str]] = {
        "All figures (HTML)": (partial(html_of, cohort, drawn), "figures.html", "text/html"),
        "All numbers (ZIP of CSV)": (partial(zip_of, cohort), "numbers.zip", "application/zip"),
    }
    for label, (make, ending, mime) in files.items():
        downloads.button(
            label,
            make,
            file_name(cohort, ending),
            mime,
            what=f"cohort: all {ending.partition('.')[0]}",
            icon=None,
            key=f"{KEY}-{ending}",
            width="stretch",
        )


page()
