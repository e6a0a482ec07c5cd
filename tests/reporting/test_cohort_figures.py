from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from pathlib import Path

import plotly.graph_objects as go
import pytest
from scipy.stats import binomtest

import ichscope
from ichscope.labels import DISPLAY_NAMES, LABELS, SUBTYPES
from ichscope.reporting.figures import arrivals, cohort_tables
from ichscope.reporting.figures import cohort as figures
from ichscope.reporting.figures.performance import description
from ichscope.reporting.figures.theme import LABEL_COLOURS
from ichscope.store import Cohort, Day, Prevalence, Reason, ScoreBin, Share, Together, Wait

FIRST = date(2026, 3, 2)  # a Monday


def cohort(**fields: object) -> Cohort:
    """Forty studies, ten of them not analysed, of one kind of bleed."""
    known: dict[str, object] = {
        "total": 40,
        "synthetic": 0,
        "days": (Day(FIRST, "analysed", 25), Day(FIRST, "not analysed", 10), Day(FIRST, "limited", 5)),
        "reasons": (Reason("not-head", "not analysable", 10), Reason("kvp", "warning", 5)),
        "prevalence": tuple(
            Prevalence(label, by, positives, studies)
            for by, positives, studies in (("model", 6, 30), ("reader", 0, 0))
            for label in LABELS
        ),
        "together": (Together("epidural", "epidural", "model", 4), Together("epidural", "subdural", "model", 1)),
        "scores": (ScoreBin("cranioscan", 0.0, 0.05, 24), ScoreBin("cranioscan", 0.95, 1.0, 6)),
        "breakdowns": {name: (Share(None, 40, 30, 6),) for name in cohort_tables.BREAKDOWNS},
        "waits": (Wait("result", 0, 60, 30), Wait("result", 60, 300, 10)),
        "medians": {"result": 12.0, "review": None},
    }
    return Cohort(**(known | fields))


def empty() -> Cohort:
    nothing = dict.fromkeys(("days", "reasons", "prevalence", "together", "scores", "waits"), ())
    return cohort(total=0, breakdowns=dict.fromkeys(cohort_tables.BREAKDOWNS, ()), **nothing)


@pytest.mark.parametrize("made", [cohort(), empty()])
def test_every_figure_has_axes_a_description_and_a_table(made: Cohort) -> None:
    drawn = figures.figures(made)
    assert set(drawn) < set(cohort_tables.tables(made))
    for name, figure in drawn.items():
        assert description(figure), name
        axes = {axis: getattr(figure.layout, axis) for axis in figure.layout if axis[1:5] == "axis"}
        assert all(axis.title.text or axis.matches for key, axis in axes.items() if key.startswith("x")), name
        first = axes["yaxis"]
        assert first.title.text or first.ticktext or first.categoryorder == "array", name


def bars(figure: go.Figure) -> dict[str, dict[object, int]]:
    return {str(bar.name): dict(zip(bar.x, bar.y, strict=True)) for bar in figure.data}


@pytest.mark.parametrize(
    ("days", "starts"),
    [
        (3, [FIRST, FIRST + timedelta(days=3)]),
        (200, [FIRST, date(2026, 9, 14)]),
        (2000, [date(2026, 3, 1), date(2031, 8, 1)]),
    ],
)
def test_long_times_are_counted_by_week_or_month(days: int, starts: list[date]) -> None:
    last = FIRST + timedelta(days=days)
    found = bars(arrivals.over_time([Day(FIRST, "analysed", 2), Day(last, "analysed", 3), Day(last, "limited", 1)]))
    assert found["analysed"] == dict(zip(starts, (2, 3), strict=True))
    assert found["limited"] == {starts[1]: 1}


def test_a_single_day_is_a_day_wide() -> None:
    figure = arrivals.over_time([Day(date(2026, 3, 4), "analysed", 60)])
    start, end = figure.layout.xaxis.range
    assert end - start == timedelta(days=1)
    assert start < datetime(2026, 3, 4) < end
    assert figure.data[0].width == pytest.approx(0.9 * 86_400_000)


def test_no_reason_is_said_in_words() -> None:
    figure = arrivals.reasons([], 60)
    assert [one.text for one in figure.layout.annotations] == ["Nothing did."]


def test_reasons_are_in_words_the_commonest_on_top() -> None:
    figure = arrivals.reasons([Reason("kvp", "warning", 5), Reason("new-check", "not analysable", 7)], 40)
    assert figure.layout.yaxis.categoryarray[::-1] == ("New check (prevents)", "Unusual tube voltage (limits)")
    assert "5 of 40 studies, 12.5 %" in figure.data[1].hovertext[0]


def test_every_reason_that_the_checks_may_give_has_words() -> None:
    text = "".join(path.read_text() for path in Path(ichscope.__file__).parent.rglob("*.py"))
    codes = set(re.findall(r'Finding\(\s*FindingLevel\.(?:WARNING|NOT_ANALYSABLE),\s*"([a-z-]+)"', text))
    assert len(codes) > 15
    assert codes <= set(cohort_tables._REASONS)


def test_prevalence_by_label_with_wilson_intervals() -> None:
    models, readers = figures.prevalence(cohort().prevalence).data
    assert list(models.x) == pytest.approx([20.0] * 6)
    assert list(models.marker.color) == [LABEL_COLOURS[label] for label in LABELS]
    low, high = binomtest(6, 30).proportion_ci(method="wilson")
    assert models.x[0] - models.error_x.arrayminus[0] == pytest.approx(100 * low)
    assert models.x[0] + models.error_x.array[0] == pytest.approx(100 * high)
    assert "20 % (95 % CI 9.51 % to 37.3 %), 6 of 30 studies" in models.hovertext[0]
    assert len(readers.x) == 0, "what nobody has read has no point"


def test_subtypes_together_as_a_share_of_the_rows() -> None:
    heat, numbers = figures.together(cohort().together).data
    cells = dict(zip(zip(heat.y, heat.x, strict=True), zip(heat.z, numbers.text, strict=True), strict=True))
    assert len(cells) == len(SUBTYPES) ** 2
    assert cells["EDH", "SDH"] == (0.25, "1")
    assert cells["SDH", "EDH"] == (None, "1"), "of no study with SDH alone known, no share"
    assert cells["EDH", "EDH"] == (None, "4")


def test_scores_have_a_panel_a_model() -> None:
    figure = figures.scores([ScoreBin("a", 0.0, 0.05, 3), ScoreBin("b", 0.95, 1.0, 1)])
    assert [title.text for title in figure.layout.annotations] == ["a", "b"]
    assert figure.data[1].hovertext[0] == "0.95 to 1.00<br>1 of 1 studies, 100 %"


def panel(figure: go.Figure, place: int) -> dict[str, dict[object, int]]:
    axis = "x" if place == 0 else f"x{place + 1}"
    return {bar.name: dict(zip(bar.x, bar.y, strict=True)) for bar in figure.data if bar.xaxis == axis}


def test_steps_that_nobody_is_in_are_shown_as_empty() -> None:
    found = {"age": (Share(10, 3, 2, 1), Share(40, 5, 5, 0), Share(90, 1, 1, 0), Share(None, 2, 2, 0))}
    shown = panel(arrivals.breakdowns(found), 0)
    assert list(shown["flagged"]) == [
        *("10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "70-79", "80-89", "90+", "unknown")
    ]
    assert [shown[part]["10-19"] for part in ("flagged", "not flagged", "not analysed")] == [1, 1, 1]
    assert shown["not flagged"]["30-39"] == 0


def test_rare_scanners_are_summed_and_their_names_are_no_markup() -> None:
    many = [Share(f"<b>Scanner</b> {i}", 100 - i, 100 - i, 1) for i in range(12)]
    figure = arrivals.breakdowns({"scanner": many})
    shown = panel(figure, 0)["not flagged"]
    assert len(shown) == 8
    assert shown["others"] == sum(100 - i - 1 for i in range(7, 12))
    assert not any("<b>" in text for bar in figure.data for text in (*bar.x, *bar.hovertext))
    assert not any("<b>" in text for text in figure.layout.xaxis.ticktext)


@pytest.mark.parametrize(
    ("of", "value", "name"),
    [
        ("age", None, "unknown"),
        ("age", 30, "30-39"),
        ("age", 90, "90+"),
        ("sex", "F", "female"),
        ("sex", "", "unknown"),
        ("scanner", "Maker One", "Maker One"),
        ("kvp", 120.0, "120"),
        ("slice thickness", 0.5, "0.5-1"),
        ("slices", 30, "30-34"),
    ],
)
def test_names_of_steps(of: str, value: str | float | None, name: str) -> None:
    assert cohort_tables.step_name(of, Share(value, 1, 1, 0)) == name


def test_waits_by_step() -> None:
    result = arrivals.waits(cohort().waits).data[0]
    assert dict(zip(result.y, result.x, strict=True)) == {"< 1 min": 30, "1-5 min": 10}


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0 %"), (0.00012, "0.012 %"), (0.5, "50 %"), (0.9996, ">99.9 %"), (1.0, "100 %")]
)
def test_percent(share: float, text: str) -> None:
    assert cohort_tables.percent(share) == text


def test_tables_hold_what_the_figures_show() -> None:
    found = cohort_tables.tables(cohort())
    assert {"day": FIRST, "status": "analysed", "studies": 25} in found["days"]
    row = next(row for row in found["prevalence"] if (row["label"], row["by"]) == ("any", "model"))
    assert (row["name"], row["positives"], row["studies"], row["share"]) == (DISPLAY_NAMES["any"], 6, 30, 0.2)
    assert round(row["low"], 5) == 0.09505
    assert next(row for row in found["prevalence"] if row["by"] == "reader")["share"] is None
    assert len(found["breakdowns"]) == len(cohort_tables.BREAKDOWNS)
    assert cohort_tables.analysed(cohort()) == 30
    assert cohort_tables.flagged(cohort()).positives == 6
