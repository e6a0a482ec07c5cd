"""The parts of a result, each placed by one call."""

from __future__ import annotations

from html import escape

import streamlit as st

from dashboard import downloads as files_given
from dashboard import viewer
from dashboard.text import NOT_FOR_DIAGNOSIS, count, plain, sentence
from dashboard.verdict import agreement, in_reading_order, ordered, reasons, verdict
from ichscope import results as files
from ichscope.imaging.findings import FindingLevel, Status
from ichscope.reporting.figures import study, theme
from ichscope.reporting.figures.theme import number
from ichscope.results import ModelResult, SeriesResult, StudyResult

_SHORT = {"flagged": "FLAGGED", "clear": "Not flagged", "none": "NOT ANALYSED"}
_LEVEL_WORDS: dict[str, str] = {
    FindingLevel.OK: "OK",
    FindingLevel.WARNING: "Limits the result",
    FindingLevel.NOT_ANALYSABLE: "Prevents analysis",
}
_LIST_HEIGHT = 210


def warm_up() -> None:
    """Let the browser load its chart library while the user still looks for files, not under the first result."""
    with st.container(key="warm-up"):
        st.plotly_chart(study.probability_bars({}, {}), theme=None, key="warm-up-chart")


def choose(studies: list[StudyResult]) -> StudyResult:
    """A list with the headline of every study and every rejected file; the one that the reader picks."""
    results = [study.speaks for study in studies]
    levels = [verdict(result).level for result in results]
    summary = ", ".join(f"{levels.count(level)} {word}" for level, word in _SHORT.items() if level in levels)
    with st.container(height=_LIST_HEIGHT if len(results) > 2 else "content", border=True):
        index = st.radio(
            f"{count(len(results), 'result')}: {summary}",
            range(len(results)),
            format_func=lambda i: f"**{_SHORT[levels[i]]}**  {plain(results[i].name)}",
            captions=[_caption(result) for result in results],
            key="chosen",
            width="stretch",
        )
    return studies[index or 0]


def _caption(result: SeriesResult) -> str:
    if verdict(result).level == "none":
        return plain(" ".join(verdict(result).lines))
    scores = [f"{model.name} {number(model.probability['any'])}" for model in ordered(result)]
    return ", ".join([count(len(result.slices), "slice"), *scores])


def identity(result: SeriesResult, synthetic: bool) -> None:
    """Which series this is."""
    what = f", {count(len(result.slices), 'slice')}" if result.slices else ""
    origin = "**Synthetic study, no patient.** " if synthetic else ""
    st.markdown(f"{origin}{plain(result.name)}{what}")


def headline(result: SeriesResult) -> None:
    """The answer, in words that do not need their colour."""
    answer = verdict(result)
    limited = result.status == Status.LIMITED
    badge = '<span class="limited">LIMITED</span>' if limited else ""
    why = (f"Limited: {reasons(result)}",) if limited else ()
    lines = "".join(f"<div>{escape(line)}</div>" for line in (*answer.lines, *why))
    # Everything here is ICHScope's own or escaped; Streamlit sanitises the rest.
    st.html(
        f'<div class="verdict {answer.level}" role="status"><span class="notice">{NOT_FOR_DIAGNOSIS}</span>'
        f'<div class="title">{escape(answer.title)}{badge}</div>{lines}</div>'
    )


def pictures(result: SeriesResult) -> None:
    """The viewer, wherever there is a picture to see."""
    if result.volume is not None:
        viewer.show(result)
    else:
        st.text(f"{result.name}: there are no images to show. The rest of the upload is not affected.")


def models(result: SeriesResult) -> None:
    """Both models side by side, whether they agree, and the six probabilities of the first that has them."""
    models = ordered(result)
    if not models:
        return
    st.html(_model_table(models))
    level, text = agreement(models)
    if level == "warning":
        st.warning(text)
    else:
        st.markdown(f"**{text}**")
    st.plotly_chart(
        study.probability_bars(models[0].probability, models[0].thresholds),
        theme=None,
        config=theme.config("study-probabilities"),
        key="bars",
        alt=_in_words(models[0]),
    )


def _model_table(models: list[ModelResult]) -> str:
    head = "<tr><th>Model</th><th>Probability</th><th>Threshold</th><th>Result</th></tr>"
    points = escape("; ".join(dict.fromkeys(model.operating_point for model in models)))
    caption = f"<caption>Any haemorrhage in the series. Operating point: {points}.</caption>"
    return f"<table class='models'>{caption}{head}{''.join(map(_model_cells, models))}</table>"


def _model_cells(model: ModelResult) -> str:
    cells = (number(model.probability["any"]), number(model.threshold))
    numbers = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
    result = "<td class='yes'>FLAGGED</td>" if model.flagged else "<td>Not flagged</td>"
    name = f"{escape(model.name)} <small>{escape(model.version)}</small>"
    return f"<tr><td>{name}</td>{numbers}{result}</tr>"


def _in_words(model: ModelResult) -> str:
    values = ", ".join(f"{label} {number(value)}" for label, value in model.probability.items())
    return f"Probabilities of {model.name} for the whole series: {values}"


def quality(result: SeriesResult) -> None:
    """The findings of the quality checks, the grave ones first."""
    if not result.findings:
        return
    order = list(_LEVEL_WORDS)[::-1]
    st.subheader("Quality checks")
    graded = sorted(result.findings, key=lambda finding: order.index(finding.level))
    lines = (f"- **{_LEVEL_WORDS[finding.level]}:** {plain(sentence(finding.text))}" for finding in graded)
    st.markdown("\n".join(lines))


def downloads(studies: list[StudyResult]) -> None:
    """All results of this upload as files; made by the browser's click, without a new run of the page."""
    entries = [result for study in in_reading_order(studies) for result in study.series]
    kinds: dict[str, tuple[files_given.Make, str]] = {
        "JSON": (lambda: files.json_text(result.to_json() for result in entries), "application/json"),
        "CSV": (lambda: files.csv_text(row for result in entries for row in files.csv_rows(result)), "text/csv"),
    }
    for name, (make, mime) in kinds.items():
        files_given.button(name, make, f"ichscope-results.{name.lower()}", mime, what="results of an upload")
