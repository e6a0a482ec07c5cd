"""The Performance page over a store: what it says can be recomputed from the CSV that it gives away."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterator
from functools import partial
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard import cached
from dashboard.performance.files import csv_bytes, report, tables_zip
from dashboard.performance.misclassified import ROWS, content
from dashboard.performance.rows import Audit
from ichscope import metrics
from ichscope.evaluation.misclassified import misclassified
from ichscope.evaluation.selection import Selection, load, model_sources, truth_sources
from ichscope.imaging.series import Header
from ichscope.labels import LABELS, SUBTYPES
from ichscope.reporting.figures.formatting import interval, label_name
from ichscope.store import Store
from ichscope.tabular.importing import import_predictions, import_truth
from tests.support import results_builder as build
from tests.support import store_cases as cases
from tests.support.people import review

VIEW = str(Path(__file__).parents[2] / "dashboard/views/performance.py")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ICHSCOPE_DATABASE_URL", raising=False)
    cached.store.clear()
    yield cached.store()
    cached.store().close()
    cached.store.clear()


def page(**state: object) -> AppTest:
    app = AppTest.from_file(VIEW, default_timeout=60)
    for name, value in state.items():
        app.session_state[f"performance-{name}"] = value
    return shown(app.run())


def shown(app: AppTest) -> AppTest:
    assert not app.exception, app.exception
    return app


def words(app: AppTest) -> str:
    """Everything that the page says, one string, without tags."""
    kinds = ("title", "markdown", "caption", "info", "success", "warning", "error")
    texts = [one.value for kind in kinds for one in app.get(kind)]
    texts += [re.sub(r"<[^>]+>", " ", one.proto.body) for one in app.get("html")]
    said = re.sub(r"\s+", " ", unescape(" ".join(texts))).replace("\\", "")
    assert not re.search(r"\bnan\b|\binf\b", said.lower())
    return said


def expect_all_tabs(**state: object) -> None:
    """Every tab has something to say, and no number that is none."""
    for tab in ("Threshold", "All labels", "Calibration", "Subgroups", "Two models", "Errors", "Data"):
        assert words(page(tabs=tab, **state))


def button(app: AppTest, label: str) -> AppTest:
    next(one for one in app.button if one.label == label).click()
    return shown(app.run())


def sheets(store: Store, folder: Path, rows: int, *, models: tuple[str, ...] = ("vendor",), seed: int = 0) -> None:
    """Import truth and predictions of studies that are not in the store."""
    rng = np.random.default_rng(seed)
    real = {label: (rng.random(rows) < 0.15).astype(int) for label in SUBTYPES}
    real = {"any": np.max(list(real.values()), axis=0), **real}
    write(folder / "truth.csv", [{"study": f"s{i}", **{k: v[i] for k, v in real.items()}} for i in range(rows)])
    said = []
    for place, model in enumerate(models):
        p = {k: 1 / (1 + np.exp(-(rng.normal(size=rows) + (2 - place) * v - 1))) for k, v in real.items()}
        own = {f"threshold_{label}": 0.4 for label in LABELS}
        said += [{"study": f"s{i}", "model": model, **{k: v[i] for k, v in p.items()}, **own} for i in range(rows)]
    write(folder / "said.csv", said)
    import_truth(store, folder / "truth.csv")
    import_predictions(store, folder / "said.csv")


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def reviewed(store: Store, truths: list[bool], kvps: tuple[float, ...] = ()) -> None:
    """Studies with results of both models and a review each."""
    for i, bleeds in enumerate(truths):
        p = (0.9 - 0.15 * i if bleeds else 0.05 * i) % 1
        both = [build.model(along=(0.0, p)), build.model("cerebroscan", along=(0.0, p / 2), labels=("any",))]
        header = Header(kvp=kvps[i]) if kvps else None
        study = cases.add(store, i, *both, header=header)
        review(store, study, "Ann", labels={"any": bleeds}, at=cases.MORNING)


def loaded(store: Store) -> Audit:
    """What the page shows, loaded as the page does it."""
    keys = tuple(one.key for one in sorted(model_sources(store), key=lambda one: -len(one.labels)))
    evaluation_set = load(store, Selection(truth_sources(store)[0].key, keys))
    return Audit(evaluation_set, keys[0], keys[1] if len(keys) > 1 else None)


def test_subtypes_of_a_model_without_thresholds_are_called_at_youden_points_and_it_is_said(
    store: Store, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    real = {label: (rng.random(60) < 0.4).astype(int) for label in SUBTYPES}
    rows = [{"study": f"s{i}", **{label: values[i] for label, values in real.items()}} for i in range(60)]
    said = [row | {label: 0.5 * row[label] + 0.5 * rng.random() for label in SUBTYPES} for row in rows]
    import_truth(store, write(tmp_path / "truth.csv", rows))
    import_predictions(store, write(tmp_path / "vendor.csv", said))
    app = page(tabs="All labels")
    text = words(app)
    assert "**Subtypes by truth and as called**, each at the Youden point of these data" in text
    assert "has no thresholds of its own" in text
    assert len(app.get("plotly_chart")) == 2


def test_every_table_comes_as_csv(store: Store, tmp_path: Path) -> None:
    sheets(store, tmp_path, 60)
    made = report(loaded(store).evaluation_set, {}, "")
    with zipfile.ZipFile(io.BytesIO(tables_zip(made))) as archive:
        files = {name: archive.read(name).decode() for name in archive.namelist()}
    assert files == {f"{table.key}.csv": table.csv() for table in made.tables}
    assert {"joint_confusion.csv", "calibration_bins.csv", "decision_curve.csv"} <= files.keys()


def test_tables_of_a_moved_threshold_are_of_that_threshold(store: Store, tmp_path: Path) -> None:
    sheets(store, tmp_path, 60)
    audit = loaded(store)
    name, rows = audit.name(), {label: audit.rows(label) for label in ("any", "subdural")}
    moved = {"any": 0.71, "subdural": 0.22}
    made = report(audit.evaluation_set, {}, "", {audit.first: moved})
    tables = {table.key: table for table in made.tables}
    usual = {table.key: table for table in report(audit.evaluation_set, {}, "").tables}
    assert tables.keys() - usual.keys() == {"moved_thresholds", "subgroups_1"}
    assert tables["moved_thresholds"].rows == [(name, "Any haemorrhage", 0.71), (name, "Subdural (SDH)", 0.22)]
    for label, key in (("any", "subgroups"), ("subdural", "subgroups_1")):
        of = rows[label]
        at = metrics.at_threshold(of.truth, of.probability, moved[label], of.group)
        assert tables[key].rows[0][-2:] == (at.sensitivity, at.specificity)
        (point,) = [row for row in tables["operating_points"].rows if row[1:3] == (label_name(label), "moved")]
        assert point[4:9] == (
            0.71 if label == "any" else 0.22,
            *(getattr(at.confusion, n) for n in ("tp", "fn", "fp", "tn")),
        )
        (elsewhere,) = [row for row in tables["elsewhere"].rows if row[1] == label_name(label)]
        assert elsewhere[2:4] == ("the threshold moved on the page", moved[label])
    same = [row for row in tables["operating_points"].rows if row[2] != "moved"]
    assert same == usual["operating_points"].rows
    for key in ("population", "figures", "joint_confusion", "calibration_bins", "decision_curve"):
        assert tables[key].csv() == usual[key].csv()
    assert json.loads(made.json())["moved_thresholds"] == {name: moved}
    assert "0.71" in made.html()


def test_the_page_exports_at_the_threshold_that_was_moved_on_it(store: Store) -> None:
    reviewed(store, [True, False] * 4)
    assert "Report and tables use each model's own thresholds" in words(page(tabs="Data"))
    app = page(tabs="Threshold")
    field = next(one for one in app.number_input if one.label == "Exact threshold")
    app = shown(field.set_value(0.77).run())
    app.session_state["performance-tabs"] = "Data"
    text = words(shown(app.run()))
    assert "Report and tables use the thresholds that you moved (cranioscan 1.0: Any haemorrhage 0.77)" in text


# ---- nothing to show -----------------------------------------------------------------------------------------


def test_without_truth_the_page_says_how_to_get_it(store: Store) -> None:
    said = words(page())
    for expected in ("No truth yet", "Worklist", "import-truth"):
        assert expected.lower() in said.lower()


def test_without_probabilities_the_page_says_how_to_get_them(store: Store, tmp_path: Path) -> None:
    import_truth(store, write(tmp_path / "truth.csv", [{"study": "a", "any": 1}, {"study": "b", "any": 0}]))
    assert "No probabilities yet" in words(page())


def test_one_class_alone_gives_reasons_and_no_number_that_is_none(store: Store) -> None:
    reviewed(store, [True] * 4)
    app = page()
    said = words(app)
    assert "AUC not estimable: no negatives" in said
    assert "No ROC curve" in said
    expect_all_tabs(second="model:cerebroscan@1.0")


def test_five_studies_have_figures_that_say_how_little_they_are(store: Store) -> None:
    reviewed(store, [True, True, False, False, False])
    said = words(page())
    assert "n 5, 2 positive (40.0 %)" in said
    assert "nly 2 positive patients" in said
    assert "No subgroups: scanner" in words(page(tabs="Subgroups"))
    expect_all_tabs(second="model:cerebroscan@1.0")


def test_readers_who_saw_the_model_are_named_as_a_limit(store: Store) -> None:
    reviewed(store, [True, True, False, False, False])
    assert "Readers saw the models" in words(page())


# ---- figures that can be recomputed --------------------------------------------------------------------------


def test_every_figure_follows_from_the_exported_rows(store: Store, tmp_path: Path) -> None:
    sheets(store, tmp_path, 200, models=("vendor", "other"))
    audit = loaded(store)
    rows = list(csv.DictReader(io.StringIO(csv_bytes(audit.evaluation_set).decode())))
    column = partial(_column, rows)
    first, second = audit.first, audit.second
    group = column("group").astype(int)
    truth, said = column("truth_any"), column(f"{first}:any")
    own = float(rows[0][f"{first}:threshold_any"])

    answer = words(page())
    auc = metrics.roc_auc(truth, said, group)
    at = metrics.at_threshold(truth, said, own, group)
    for found in (auc, at.sensitivity, at.specificity, at.ppv, at.npv, *_elsewhere(at)):
        assert interval(found) in answer
    assert f"{at.confusion.tp:,} of {at.confusion.tp + at.confusion.fn:,}" in answer

    every = words(page(tabs="All labels"))
    for label in LABELS:
        real, p = column(f"truth_{label}"), column(f"{first}:{label}")
        for figure in (metrics.roc_auc, metrics.average_precision, metrics.brier):
            assert interval(figure(real, p, group)) in every
        matrix = metrics.at_threshold(real, p, own, group).confusion
        assert f"{matrix.tp} {matrix.fn} {matrix.fp} {matrix.tn}" in every

    calibrated = words(page(tabs="Calibration"))
    line = metrics.calibration_line(truth, said, group)
    for found in (line.slope, line.intercept, metrics.expected_calibration_error(truth, said, patients=group)):
        assert interval(found) in calibrated

    test = metrics.compare_auc(truth, said, column(f"{second}:any"), group)
    beside = words(page(tabs="Two models", second=second))
    assert interval(test.difference) in beside
    assert f"{test.p:.3g}" in beside or "<0.0001" in beside


def test_no_name_from_outside_is_a_formula_in_the_csv(store: Store) -> None:
    study = cases.add(store, 0, build.model(), header=Header(scanner="=1+1"))
    review(store, study, "Ann", labels={"any": True}, at=cases.MORNING)
    (row,) = csv.DictReader(io.StringIO(csv_bytes(loaded(store).evaluation_set).decode()))
    assert row["scanner"] == "'=1+1"


def _column(rows: list[dict[str, str]], name: str) -> np.ndarray:
    return np.array([float(row[name] or "nan") for row in rows])


def _elsewhere(at: metrics.AtThreshold) -> tuple[metrics.Estimate, metrics.Estimate]:
    found = metrics.at_prevalence(at, 0.1)
    return found.ppv, found.npv


def test_figures_of_subgroups_follow_from_the_exported_rows(store: Store) -> None:
    reviewed(store, [i % 3 == 0 for i in range(48)], (100.0,) * 40 + (120.0,) * 8)
    audit = loaded(store)
    rows = list(csv.DictReader(io.StringIO(csv_bytes(audit.evaluation_set).decode())))
    truth, said = _column(rows, "truth_any"), _column(rows, f"{audit.first}:any")
    own = float(rows[0][f"{audit.first}:threshold_any"])
    shown_words = words(page(tabs="Subgroups"))
    groups = metrics.subgroups(truth, said, [row["kvp"] for row in rows], own)
    assert [one.withheld for one in groups] == [False, True]
    for one in groups:
        assert f"kVp: {one.name} {one.rows}" in shown_words
        if not one.withheld:
            assert interval(one.auc) in shown_words


def test_the_json_has_the_figures_of_the_page(store: Store, tmp_path: Path) -> None:
    sheets(store, tmp_path, 60, models=("vendor",))
    audit = loaded(store)
    made = report(audit.evaluation_set, {"Truth": "truth.csv"}, "Ann")
    found = json.loads(made.json())["models"]["vendor"]["labels"]
    auc = metrics.roc_auc(audit.rows("any").truth, audit.rows("any").probability)
    assert found["any"]["auc"]["value"] == auc.value
    points = [one["name"] for one in found["any"]["operating_points"]]
    assert points == [one.name for one in cached.label_metrics(audit.rows("any"), 0.4).operating_points]
    assert interval(auc) in words(page())


def test_five_thousand_studies_are_shown(store: Store, tmp_path: Path) -> None:
    sheets(store, tmp_path, 5000, models=("vendor", "other"))
    app = page()
    assert "n 5,000" in words(app)
    assert len(app.get("plotly_chart")) == 3
    expect_all_tabs(second="import:2:other")


# ---- the threshold -------------------------------------------------------------------------------------------


@pytest.fixture
def app(store: Store, tmp_path: Path) -> AppTest:
    sheets(store, tmp_path, 300)
    return page()


def expect_threshold(app: AppTest, store: Store, threshold: float) -> None:
    """Slider, number, figures, matrix and points all stand at one threshold."""
    assert app.number_input(key="performance-number").value == pytest.approx(threshold)
    assert app.slider(key="performance-slider").value == pytest.approx(threshold)
    rows = loaded(store).rows("any")
    at = metrics.at_threshold(rows.truth, rows.probability, threshold, rows.group)
    assert f"Sensitivity {interval(at.sensitivity)} {at.confusion.tp} of" in words(app)
    roc, pr, matrix = (json.loads(one.proto.spec) for one in app.get("plotly_chart"))
    points = [next(one for one in figure["data"] if one.get("mode") == "markers") for figure in (roc, pr)]
    assert points[0]["x"] == [pytest.approx(1 - at.specificity.value)]
    assert points[0]["y"] == points[1]["x"] == [pytest.approx(at.sensitivity.value)]
    assert points[1]["y"] == [pytest.approx(at.ppv.value)]
    cells = [note["text"].split("</b>")[0] for note in matrix["layout"]["annotations"]]
    c = at.confusion
    assert cells == [f"<b>{count}" for count in (c.tp, c.fn, c.fp, c.tn)]


def test_the_threshold_begins_at_the_models_own_and_moves_everything(app: AppTest, store: Store) -> None:
    expect_threshold(app, store, 0.4)
    app.slider(key="performance-slider").set_value(0.7)
    expect_threshold(shown(app.run()), store, 0.7)
    app.number_input(key="performance-number").set_value(0.123456)
    expect_threshold(shown(app.run()), store, 0.123456)


@pytest.mark.parametrize("name", ["Sensitivity 0.90", "Sensitivity 0.95", "Specificity 0.90", "Youden"])
def test_buttons_set_the_threshold_to_what_is_wanted(app: AppTest, store: Store, name: str) -> None:
    rows = loaded(store).rows("any")
    points = metrics.operating_points(rows.truth, rows.probability, (0.9, 0.95), (0.9,))
    wanted = next(point.threshold for point in points if point.name.lower() == name.lower())
    expect_threshold(button(app, name), store, wanted)
    expect_threshold(button(app, "The model's own"), store, 0.4)


def test_each_label_keeps_its_own_threshold(app: AppTest, store: Store) -> None:
    app.slider(key="performance-slider").set_value(0.7)
    app.run()
    app.segmented_control(key="performance-label").set_value("subdural")
    assert shown(app.run()).slider(key="performance-slider").value == 0.4
    app.segmented_control(key="performance-label").set_value("any")
    assert shown(app.run()).slider(key="performance-slider").value == 0.7


def test_predictive_values_follow_the_prevalence_that_is_set(app: AppTest, store: Store) -> None:
    app.number_input(key="performance-prevalence").set_value(2.0)
    rows = loaded(store).rows("any")
    at = metrics.at_threshold(rows.truth, rows.probability, 0.4, rows.group)
    assert f"PPV at prevalence 2 % {interval(metrics.at_prevalence(at, 0.02).ppv)}" in words(shown(app.run()))


def test_a_model_without_thresholds_begins_at_youden_and_says_so(store: Store, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 80)
    write(tmp_path / "truth.csv", [{"study": i, "any": value} for i, value in enumerate(truth)])
    write(tmp_path / "said.csv", [{"study": i, "any": (v + rng.random()) / 2} for i, v in enumerate(truth)])
    import_truth(store, tmp_path / "truth.csv")
    import_predictions(store, tmp_path / "said.csv")
    app = page()
    assert "Youden point of these data, as the model has no threshold" in words(app)
    assert next(one for one in app.button if one.label == "The model's own").disabled
    every = words(page(tabs="All labels"))
    assert "has no thresholds of its own" in every
    assert "the model's own thresholds" not in every.lower()


# ---- errors --------------------------------------------------------------------------------------------------


def test_errors_are_listed_the_worst_first_at_the_threshold_in_force(app: AppTest, store: Store) -> None:
    app.slider(key="performance-slider").set_value(0.7)
    app.run()
    app.session_state["performance-tabs"] = "Errors"
    shown(app.run())
    rows = loaded(store).rows("any")
    found = misclassified(rows.truth, rows.probability, 0.7)
    assert app.segmented_control(key="performance-errors").options == [
        f"False negatives: {len(found.missed)}",
        f"False positives: {len(found.false_alarms)}",
    ]
    assert f"1 to {min(ROWS, len(found.missed))} of {len(found.missed)}" in words(app)
    missed = np.flatnonzero((rows.truth == 1) & (rows.probability < 0.7))
    assert probabilities(app) == [f"{p:.3f}" for p in sorted(rows.probability[missed])[:ROWS]]
    app.segmented_control(key="performance-errors").set_value("false alarms")
    alarms = np.flatnonzero((rows.truth == 0) & (rows.probability >= 0.7))
    assert probabilities(shown(app.run())) == [f"{p:.3f}" for p in sorted(rows.probability[alarms])[::-1][:ROWS]]


def probabilities(app: AppTest) -> list[str]:
    """The cells of that column in the error browser, from top to bottom."""
    (table,) = (json.loads(one.proto.json) for one in app.get("bidi_component"))
    place = table["head"].index("Probability")
    return [row["cells"][place]["text"] for row in table["rows"]]


def test_a_line_of_the_error_browser_says_how_wrong_and_what_it_is(store: Store) -> None:
    reviewed(store, [True, False, False, False, True], (120.0,) * 5)
    audit = loaded(store)
    rows = audit.rows("any")
    found = misclassified(rows.truth, rows.probability, 0.5)
    table = content(audit, "any", 0.5, found.missed)
    (line,) = table["rows"]
    row = int(np.flatnonzero((rows.truth == 1) & (rows.probability < 0.5))[0])
    assert line["id"] == audit.evaluation_set.study[row] > 0
    cells = dict(zip(table["head"], (cell["text"] for cell in line["cells"]), strict=True))
    assert cells["Study"] == audit.evaluation_set.keys[row] == store.worklist.row(line["id"]).study_key
    assert (cells["Probability"], cells["From threshold"]) == ("0.300", "-0.200")
    assert (cells["cerebroscan 1.0"], cells["kVp"]) == ("0.150", "120 kV")


# ---- choices and imports -------------------------------------------------------------------------------------


def test_the_model_that_tells_most_kinds_apart_comes_first_and_filters_limit_the_rows(store: Store) -> None:
    reviewed(store, [True, True, False, False, False])
    app = page()
    assert app.selectbox(key="performance-first").value == "model:cranioscan@1.0"
    app.text_input(key="performance-filter-key").set_value(cases.study(0).study[:3])
    app.run()
    assert "No study has both" in words(app) or "n 1" in words(app)


def test_what_fits_the_truth_comes_first_and_what_says_nothing_of_it_is_told(store: Store, tmp_path: Path) -> None:
    reviewed(store, [True, True, False, False, False])
    sheets(store, tmp_path, 60)
    app = page()
    assert app.selectbox(key="performance-truth").value == "reviews"
    assert app.selectbox(key="performance-first").value == "model:cranioscan@1.0"
    app = page(truth="import:1")
    assert app.selectbox(key="performance-first").value == "import:2:vendor"
    assert "n 60" in words(app)
    app.selectbox(key="performance-first").set_value("model:cranioscan@1.0")
    said = words(shown(app.run())).replace("**", "")
    assert "cranioscan 1.0 has no probability for the 60 studies with this truth. Choose another model" in said
    assert not app.get("plotly_chart")


def test_whose_truth_counts_and_how_slices_become_studies_are_chosen_on_the_page(store: Store) -> None:
    for i in range(30):
        bleeds, slices = i % 3 == 0, tuple((i * step % 11) / 11 for step in (7, 3, 5, 2, 4))
        study = cases.add(store, i, build.model(along=slices, probability={"any": (i % 10) / 10}))
        # Bob calls more than Ann does, and Cid none.
        for reader, said in (("Ann", bleeds), ("Bob", bleeds or i % 4 == 0), ("Cid", False)):
            review(store, study, reader, labels={"any": said}, at=cases.MORNING)
    app = page()
    positives = {
        "majority": sum(i % 3 == 0 for i in range(30)),
        "any": sum(i % 3 == 0 or i % 4 == 0 for i in range(30)),
        "Bob": sum(i % 3 == 0 or i % 4 == 0 for i in range(30)),
    }
    found = set()
    for readers, count in positives.items():
        app.selectbox(key="performance-readers").set_value(readers)
        app = shown(app.run())
        assert f"n 30, {count} positive" in words(app)
    for rule in ("max", "top-k", "noisy-or", None):
        app.selectbox(key="performance-rule").set_value(rule)
        app = shown(app.run())
        (key,) = (one.key for one in model_sources(store))
        evaluation_set = load(store, Selection("reviews", (key,), readers="Bob", rule=rule))
        auc = interval(metrics.roc_auc(evaluation_set.truth["any"], evaluation_set.models[key].probability["any"]))
        assert f"AUC {auc}" in words(app)
        found.add(auc)
    assert len(found) == 4


def upload(app: AppTest, name: str, text: str) -> AppTest:
    app.file_uploader(key="performance-file").set_value((name, text.encode(), "text/csv"))
    return shown(app.run())


def test_a_bad_row_is_named_with_its_line_and_nothing_is_imported(store: Store) -> None:
    app = upload(page(), "truth.csv", "study,any\na,1\nb,maybe\n")
    said = words(button(app, "Import"))
    assert "Nothing was imported" in said
    assert "line 3" in said
    assert not store.imported.tables()


def test_columns_that_are_called_otherwise_are_mapped(store: Store) -> None:
    app = upload(page(), "truth.csv", "accession,bleeding\na,1\nb,0\n")
    for name, theirs in (("study", "accession"), ("any", "bleeding")):
        box = next(one for one in app.selectbox if one.key and one.key.endswith(f"-{name}") and "-column-" in one.key)
        assert box.value == ""
        box.set_value(theirs)
    said = words(button(shown(app.run()), "Import"))
    assert "Imported: truth" in said
    (sheet,) = store.imported.tables("truth")
    assert (sheet.rows, sheet.raters[0].labels) == (2, ("any",))
    button(app, "Remove")
    assert not store.imported.tables()


def choose_columns(app: AppTest, **columns: str) -> AppTest:
    for name, theirs in columns.items():
        box = next(one for one in app.selectbox if one.key and one.key.endswith(f"-{name}") and "-column-" in one.key)
        box.set_value(theirs)
        app = shown(app.run())
    return app


@pytest.mark.parametrize(
    ("text", "columns", "plain"),
    [
        ("study,ICH,consensus\na,1,0\nb,0,1\n", {"any": "consensus"}, "study,any\na,0\nb,1\n"),
        ("study,ICH,any\na,1,0\nb,0,1\n", {"any": "any"}, "study,any\na,0\nb,1\n"),
        ("study,accession,any\na,c,0\nb,d,1\n", {"study": "accession"}, "study,any\nc,0\nd,1\n"),
        (
            "study,patient,person,any\na,1,3,0\nb,2,3,1\n",
            {"patient": "person"},
            "study,patient,any\na,3,0\nb,3,1\n",
        ),
        ("study,patient,patient_id,any\na,1,1,0\nb,2,2,1\n", {"patient": ""}, "study,any\na,0\nb,1\n"),
        ("study,any,SDH\na,0,0\nb,1,1\n", {"subdural": ""}, "study,any\na,0\nb,1\n"),
        ("study,R1:any,R2:any\na,0,1\nb,1,1\n", {"any": "R1:any"}, "study,any\na,0\nb,1\n"),
        ("study,R1:any,R2:any,SDH\na,0,1,1\nb,1,1,0\n", {"any": ""}, "study,SDH\na,1\nb,0\n"),
        ("study,img_no,any\na,1,0\na,2,1\n", {"slice": "img_no"}, "study,slice,any\na,1,0\na,2,1\n"),
        ("ID,Label\nx_any,1\nx_subdural,0\ny_any,0\n", {"subdural": ""}, "sop,any\nx,1\ny,0\n"),
    ],
)
def test_columns_are_what_they_are_said_to_be(
    store: Store, tmp_path: Path, text: str, columns: dict[str, str], plain: str
) -> None:
    said = words(button(choose_columns(upload(page(), "theirs.csv", text), **columns), "Import"))
    assert "Imported: theirs" in said
    (tmp_path / "plain.csv").write_text(plain)
    import_truth(store, tmp_path / "plain.csv")
    found, expected = (
        {one.name: one for one in store.imported.tables()}[name].id for name in ("theirs.csv", "plain.csv")
    )
    for rows in ("study", "slice", "patient"):
        mine, theirs = (getattr(store.imported.rows(id), rows).tolist() for id in (expected, found))
        assert mine == theirs
    (mine,), (theirs,) = store.imported.raters(expected), store.imported.raters(found)
    assert {k: v.tolist() for k, v in theirs.labels.items()} == {k: v.tolist() for k, v in mine.labels.items()}


def test_a_column_that_is_two_things_and_one_of_two_that_is_not_chosen_are_refused(store: Store) -> None:
    app = choose_columns(upload(page(), "truth.csv", "study,any,x\na,1,0\nb,0,1\n"), subdural="any")
    assert "the column 'any' chosen for Any haemorrhage and Subdural" in words(app)
    app = upload(page(), "truth.csv", "study,any,ICH\na,1,0\nb,0,1\n")
    assert any("any or ICH: choose one" in box.options for box in app.selectbox)
    assert "found the columns 'any' and 'ICH'" in words(button(app, "Import"))
    assert not store.imported.tables()


def test_rows_that_name_no_reader_may_be_several_readers(store: Store) -> None:
    app = upload(page(), "truth.csv", "study,any\na,1\na,0\na,1\nb,0\n")
    assert "Nothing was imported" in words(button(app, "Import"))
    next(one for one in app.checkbox if "name no reader" in one.label).check()
    assert "Imported: truth" in words(button(shown(app.run()), "Import"))
    assert len(store.imported.tables()[0].raters) == 3


def test_a_moved_threshold_is_of_the_rule_that_it_was_moved_for(store: Store) -> None:
    reviewed(store, [True, False] * 4)
    app = page(tabs="Threshold")
    field = next(one for one in app.number_input if one.label == "Exact threshold")
    app = shown(field.set_value(0.77).run())
    assert app.session_state["performance-number"] == 0.77
    rule = next(one for one in app.selectbox if one.label == "From slices to the study")
    app = shown(rule.select("noisy-or").run())
    assert app.session_state["performance-number"] != 0.77
    rule = next(one for one in app.selectbox if one.label == "From slices to the study")
    app = shown(rule.select(None).run())
    assert app.session_state["performance-number"] == 0.77


def test_slices_of_results_are_imported_where_they_are_wanted(store: Store) -> None:
    results = [build.result(build.model(along=(0.1, 0.7, 0.2)), data=build.series()).to_json()]
    app = page()
    app.segmented_control(key="performance-kind").set_value("predictions")
    app = upload(shown(app.run()), "said.json", json.dumps(results))
    next(one for one in app.segmented_control if one.label == "What to take").set_value("slice")
    assert "Imported: said.json, 3 slices" in words(button(shown(app.run()), "Import"))
