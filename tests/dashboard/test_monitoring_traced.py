"""The figures of the Monitoring page, computed again with NumPy and SciPy from the CSV of the worklist."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from scipy import stats
from streamlit.testing.v1 import AppTest

from dashboard.monitoring.tables import CHANGED
from dashboard.worklist.export import worklist_csv
from ichscope.metrics.estimate import wilson
from ichscope.store import Filter, Store
from tests.dashboard.test_monitoring_page import drifted, home_of
from tests.dashboard.test_performance_traced import array, figures, tables

VIEW = str(Path(__file__).parents[2] / "dashboard/views/monitoring.py")
STUDIES = 3_000
MODELS = ("cerebroscan", "cranioscan")
Columns = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AppTest, Columns]]:
    """The page, and the columns of the worklist's CSV; each study of these is another patient's."""
    with pytest.MonkeyPatch.context() as patch:
        home = home_of(tmp_path_factory.mktemp("home"), STUDIES, drifted)
        patch.setenv("ICHSCOPE_HOME", str(home))
        patch.delenv("ICHSCOPE_DATABASE_URL", raising=False)
        st.cache_resource.clear()
        st.cache_data.clear()
        store = Store.open(home=home)
        rows = list(csv.DictReader(io.StringIO(worklist_csv(store, Filter(), "oldest"))))
        store.close()
        app = AppTest.from_file(VIEW, default_timeout=90).run()
        assert not app.exception
        yield app, {name: np.array([row[name] for row in rows]) for name in rows[0]}
        st.cache_resource.clear()


@pytest.fixture(scope="module")
def periods(shown: tuple[AppTest, Columns]) -> tuple[Columns, Columns]:
    """The rows of the reference and of the current period, which the page names."""
    app, columns = shown
    text = " ".join(one.proto.body for one in app.get("html"))
    day = r"(\d{4}-\d\d-\d\d)"
    found = re.search(rf"{day} to {day} \(([\d,]+) studies\) against {day} to {day} \(([\d,]+) studies\)", text)
    assert found
    arrived = np.array([datetime.fromisoformat(one).date() for one in columns["arrived_at"]])
    made = []
    for first, last, count in (found.group(4, 5, 6), found.group(1, 2, 3)):
        there = (arrived >= date.fromisoformat(first)) & (arrived <= date.fromisoformat(last))
        assert there.sum() == int(count.replace(",", ""))
        made.append({name: values[there] for name, values in columns.items()} | {"day": arrived[there]})
    return made[0], made[1]


def numbers(rows: Columns, name: str) -> np.ndarray:
    return np.array([float(one or "nan") for one in rows[name]])


def yes(rows: Columns, name: str) -> np.ndarray:
    """1, 0, or nan where nothing is said."""
    return np.array([{"yes": 1.0, "no": 0.0, "": np.nan}[one] for one in rows[name]])


def known(values: np.ndarray) -> np.ndarray:
    return values[~np.isnan(values)]


def fisher(before: np.ndarray, now: np.ndarray) -> float:
    return float(stats.fisher_exact([[one.sum(), len(one) - one.sum()] for one in (before, now)]).pvalue)


def distribution(before: np.ndarray, now: np.ndarray) -> tuple[float, float]:
    """PSI over tenths of the reference, and p by Kolmogorov-Smirnov."""
    edges = np.unique(np.quantile(before, np.arange(1, 10) / 10))
    counts = [np.bincount(np.searchsorted(edges, one, side="right"), minlength=len(edges) + 1) for one in (before, now)]
    return psi(*counts), float(stats.ks_2samp(before, now, method="asymp").pvalue)


def psi(before: np.ndarray, now: np.ndarray) -> float:
    a, b = ((one + 0.5) / (one + 0.5).sum() for one in (before, now))
    return float(((b - a) * np.log(b / a)).sum())


def weeks_of(rows: Columns) -> np.ndarray:
    return np.array([day - timedelta(days=day.weekday()) for day in rows["day"]])


def test_what_has_changed(shown: tuple[AppTest, Columns], periods: tuple[Columns, Columns]) -> None:
    table = next(one for one in tables(shown[0]) if one[0][1:3] == ["Before", "Now"] and "n" in one[0])
    rows = {row[0].removesuffix(f" {CHANGED}"): row[1:] for row in table[1:]}
    now = periods[1]
    p: dict[str, float] = {}
    for title, name in (
        ("Age", "age_years"),
        ("Slices a study", "slices"),
        *((f"Score of {model}", f"{model}_any") for model in MODELS),
    ):
        both = [known(numbers(part, name)) for part in periods]
        index, p[title] = distribution(*both)
        digits = ".3f" if title.startswith("Score") else ".3g"
        assert rows[title][:2] == [f"{np.median(one):{digits}}" for one in both]
        assert rows[title][2] == f"{len(both[0]):,} / {len(both[1]):,}"
        # The CSV has four digits of a probability: one study may lie on the other side of an edge.
        assert float(rows[title][3].split(" (")[0]) == pytest.approx(index, abs=0.006), title
    for title, name in (
        *(("Sex", "sex"), ("Scanner", "scanner"), ("kVp", "kvp"), ("Slice thickness (mm)", "slice_thickness_mm")),
    ):
        counts = [Counter(part[name]) for part in periods]
        table_of = np.array([[one[kind] for kind in sorted({*counts[0], *counts[1]})] for one in counts])
        p[title] = float(stats.chi2_contingency(table_of, correction=False).pvalue)
        assert rows[title][3].split(" (")[0] == f"{psi(*table_of):.3f}"
    chart = numbers_of_flag_rate(shown[0])
    flagged = [known(yes(part, "models_any")) for part in periods]
    missed = [(part["status"] == "not analysed").astype(float) for part in periods]
    differ = [known(np.abs(np.subtract(*(yes(part, f"{model}_flagged") for model in MODELS)))) for part in periods]
    rejected = [known(np.abs(yes(part, "models_any") - yes(part, "reader_any"))) for part in periods]
    for title, both in (
        *(("Flagged", flagged), ("Not analysed", missed), ("Models differ", differ), ("Reader differs", rejected)),
    ):
        p[title] = fisher(*both)
        assert rows[title][:3] == [
            *(f"{100 * one.mean():.1f} %" for one in both),
            f"{len(both[0]):,} / {len(both[1]):,}",
        ]
    odd = next(title for title in rows if title.startswith("Flagged, the oddest"))
    assert odd.endswith("day")
    judged = ~np.isnan(yes(now, "models_any"))
    parts = [yes(now, "models_any")[judged & (now["day"] == day)] for day in sorted(set(now["day"][judged]))]
    p[odd] = min(1.0, min(fisher(flagged[0], one) for one in parts) * len(parts))
    assert set(p) == set(rows)
    highest = 0.0
    for place, title in enumerate(sorted(p, key=p.__getitem__)):
        highest = max(highest, min(1.0, p[title] * (len(p) - place)))
        said = rows[title][4]
        assert said == "<0.001" if highest < 0.001 else float(said) == pytest.approx(highest, abs=0.02), title
    assert len(chart) == len(set(shown[1]["arrived_at"].astype("<U10")))


def numbers_of_flag_rate(app: AppTest) -> dict[str, float]:
    """Share by day, as it is drawn."""
    drawn = figures(app)[1]["data"][-1]
    return dict(zip(drawn["x"], array(drawn["y"]).tolist(), strict=True))


def test_the_flag_rate(shown: tuple[AppTest, Columns]) -> None:
    app, columns = shown
    flagged = yes(columns, "models_any")
    for day, share in numbers_of_flag_rate(app).items():
        there = flagged[(columns["arrived_at"].astype("<U10") == day[:10]) & ~np.isnan(flagged)]
        assert share == pytest.approx(100 * there.mean())


def test_two_models_as_a_measure_of_confidence(
    shown: tuple[AppTest, Columns], periods: tuple[Columns, Columns]
) -> None:
    table = next(one for one in tables(shown[0]) if one[0][0] == "Models")
    rows = {row[0]: row[1:] for row in table[1:]}
    sums = [sum(yes(part, f"{model}_flagged") for model in MODELS) for part in periods]
    for title, count in (("Both flag", 2), ("They differ", 1), ("Both clear", 0)):
        share_of = [wilson(float((known(one) == count).mean()), len(known(one))) for one in sums]
        percent = [f"{100 * one.value:.1f} % ({100 * one.low:.1f}-{100 * one.high:.1f})" for one in share_of]
        there = sums[1] == count
        read = known(yes(periods[1], "reader_any")[there])
        found = wilson(float(read.mean()), len(read))
        bleeds = f"{100 * found.value:.1f} % ({100 * found.low:.1f}-{100 * found.high:.1f})"
        assert rows[title] == [*percent, f"{int(there.sum()):,}", bleeds, f"{len(read):,}"]


def test_expected_performance(shown: tuple[AppTest, Columns], periods: tuple[Columns, Columns]) -> None:
    table = next(one for one in tables(shown[0]) if one[0][-1] == "Observed / expected")
    rows = {row[0]: row[1:] for row in table[1:]}
    for period, part in zip(("before", "now"), periods, strict=True):
        for model in MODELS:
            p, flagged = numbers(part, f"{model}_any"), yes(part, f"{model}_flagged")
            there = ~np.isnan(p)
            read = there & ~np.isnan(yes(part, "reader_any"))
            sensitivity = p[there & (flagged == 1)].sum() / p[there].sum()
            specificity = (1 - p[there & (flagged == 0)]).sum() / (1 - p[there]).sum()
            cells = rows[f"{model}, {period}"]
            assert cells[0] == f"{int(there.sum()):,}"
            for cell, value in zip(cells[1:3], (sensitivity, specificity), strict=True):
                assert float(cell.split(" (")[0]) == pytest.approx(value, abs=0.002)
            found = int(np.nansum(yes(part, "reader_any")[read]))
            assert cells[4] == f"{found:,} / {p[read].sum():.1f} ({int(read.sum()):,})"


def test_readers_who_reject_what_the_models_say(shown: tuple[AppTest, Columns]) -> None:
    app, columns = shown
    drawn = figures(app)[2]["data"][0]
    reviewed = columns["reviewed_at"] != ""
    part = {name: values[reviewed] for name, values in columns.items()}
    part["day"] = np.array([datetime.fromisoformat(one).date() for one in part["reviewed_at"]])
    week, rejects = weeks_of(part), part["agreement"] == "disagree"
    expected = {str(one): 100 * rejects[week == one].mean() for one in sorted(set(week))}
    assert [one[:10] for one in drawn["x"]] == list(expected)
    np.testing.assert_allclose(array(drawn["y"]), list(expected.values()))
