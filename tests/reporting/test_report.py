"""The report, its tables, and the commands that bring files in and give a report out."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner, Result

from dashboard.performance import files
from ichscope.access import operator
from ichscope.commands.cli import app
from ichscope.evaluation.selection import EvaluationSet, ModelColumn, Selection, load, truth_sources
from ichscope.labels import LABELS
from ichscope.reporting.report import About, EvaluationReport, in_words
from ichscope.reporting.report_figures import drawings
from ichscope.store import Filter, Store, TrailFilter
from ichscope.tabular.importing import import_predictions, import_truth
from tests.support.people import review, set_threshold
from tests.support.store_cases import add, many

ABOUT = About("22 November 2026", "QA", selection={"Truth": "Reviews"})
CURVES = ("ROC", "precision and recall")
SUBGROUP = ["A"] * 20 + ["B"] * 12 + [""] * 8


def evaluation_set(
    rows: int = 40, truth: Any = None, labels: tuple[str, ...] = LABELS, **changes: Any
) -> EvaluationSet:
    rng = np.random.default_rng(3)
    values = {label: (rng.random(rows) < 0.4).astype(float) for label in labels}
    if truth is not None:
        values = dict.fromkeys(labels, np.full(rows, float(truth)))
    p = {label: np.round(np.clip(0.4 * one + 0.6 * rng.random(rows), 0, 1), 3) for label, one in values.items()}
    model = ModelColumn("tool", "1.0", p, dict.fromkeys(labels, 0.5), "sensitivity 0.95", "ab" * 32)
    given: dict[str, Any] = {
        "level": "study",
        "keys": [f"{i:016x}" for i in range(rows)],
        "study": np.full(rows, -1),
        "slice": np.full(rows, -1),
        "truth": values,
        "models": {"import:1:tool": model},
        "group": np.arange(rows),
        "grouped_by": "",
        "columns": {"scanner": (SUBGROUP * rows)[:rows], "sex": [""] * rows},
        "notes": ["a note of the truth"],
        "missing": {"import:1:tool": 0},
    }
    return EvaluationSet(**given | changes)


def cells(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def downloads(page: str) -> dict[str, str]:
    found = re.findall(r"download='([^']+)' href='data:[^;]+;base64,([^']*)'", page)
    return {name: base64.b64decode(data).decode() for name, data in found}


@pytest.fixture(scope="module")
def report() -> EvaluationReport:
    return EvaluationReport(evaluation_set(), ABOUT)


@pytest.fixture(scope="module")
def page(report: EvaluationReport) -> str:
    return report.html()


def test_the_same_input_gives_the_same_bytes_but_for_the_date_that_is_given(page: str) -> None:
    assert EvaluationReport(evaluation_set(), ABOUT).html() == page
    other = EvaluationReport(evaluation_set(), About("another day", "QA", selection={"Truth": "Reviews"})).html()
    shown, first, second = re.compile(r"(?s)href='data:[^']*'"), page, other
    assert first != second
    assert shown.sub("", first).replace("22 November 2026", "") == shown.sub("", second).replace("another day", "")


def test_the_page_needs_and_may_reach_no_network(page: str) -> None:
    assert "default-src 'none'" in page
    without_library = re.sub(r"(?s)<script>/\*\*.*?</script>", "", page, count=1)
    assert len(without_library) < len(page) - 3_000_000, "Plotly is in the page, once"
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:|#)""", without_library)
    assert page.count("plotly.js v") == 1


def test_the_page_says_what_it_stands_on(page: str, report: EvaluationReport) -> None:
    text = unescape(page)
    for words in (
        *("Research use only - not for diagnosis", "22 November 2026, QA", "a note of the truth", "ab" * 32),
        *(
            report.evaluation_set.sha256,
            "sensitivity 0.95",
            "any 0.5, epidural 0.5",
            "numpy " + np.__version__,
            "Reviews",
        ),
    ):
        assert words in text
    auc = report.evaluation.models["tool 1.0"].labels["any"].auc
    assert f"AUC {auc.value:.3f} ({auc.low:.3f}-{auc.high:.3f})" in text
    figures = re.findall(r"aria-label='([^']*)'><figcaption>([^<]*)<", page)
    captions = [caption for _, caption in figures]
    assert captions[:4] == [f"{name}: {what}" for name in ("All labels", "Any haemorrhage") for what in CURVES]
    assert captions[4:6] == ["Any haemorrhage at its own threshold, 0.5", "Any haemorrhage: calibration"]
    assert captions[-2:] == ["Any haemorrhage: net benefit", "Any haemorrhage: subgroups"]
    assert len(captions) == 2 + 4 * len(LABELS) + 3
    assert all(said for said, _ in figures)


def test_who_set_the_threshold_in_force_and_why_stand_in_the_report(tmp_path: Path) -> None:
    store = Store.open(home=tmp_path)
    set_threshold(store, "cranioscan", "1.0", "any", 0.3, who="Ann", why="the first of two")
    second = set_threshold(store, "cranioscan", "1.0", "any", 0.7, who="Ann", why="fewer alarms at night")
    review(store, add(store, "a", 0.9), "Bob", labels={"any": True})
    set_threshold(store, "cranioscan", "1.0", "any", 0.8, who="Ann", why="not in force in these results")
    made = EvaluationReport(load(store, Selection("reviews", ("model:cranioscan@1.0",))), ABOUT)
    store.close()
    (row,) = cells(downloads(made.html())["set_thresholds.csv"])
    assert (row["No."], row["Threshold"], row["Who"], row["Why"]) == (
        str(second.id),
        "0.7",
        "Ann",
        "fewer alarms at night",
    )
    (model,) = cells(downloads(made.html())["models.csv"])
    assert model["Operating point"].endswith(f"(no. {second.id})")


def test_every_table_comes_along_and_its_figures_can_be_computed_again(page: str, report: EvaluationReport) -> None:
    files = downloads(page)
    names = ["population", "truth", "models", "figures", "log_loss", "operating_points", "elsewhere", "subgroups"]
    names += ["calibration_bins", "joint_confusion", "decision_curve"]
    assert list(files) == [*(f"{name}.csv" for name in names), "figures.json"]
    rows = report.evaluation_set
    said = rows.models["import:1:tool"].probability
    for row, label in zip(cells(files["figures.csv"]), LABELS, strict=True):
        assert float(row["AUC"]) == pytest.approx(roc_auc_score(rows.truth[label], said[label]), abs=1e-12)
        assert float(row["Brier score"]) == pytest.approx(np.mean((rows.truth[label] - said[label]) ** 2))
        assert int(row["n+"]) == rows.truth[label].sum()
    own = next(row for row in cells(files["operating_points.csv"]) if row["Chosen on"] == "the model's own")
    called, bleeds = said["any"] >= 0.5, rows.truth["any"] == 1
    counts = [
        int(np.count_nonzero(one)) for one in (called & bleeds, ~called & bleeds, called & ~bleeds, ~called & ~bleeds)
    ]
    assert [int(own[name]) for name in ("TP", "FN", "FP", "TN")] == counts
    assert float(own["Sensitivity"]) == pytest.approx(counts[0] / bleeds.sum())
    assert float(own["Flagged"]) == pytest.approx(called.mean())
    rare = cells(files["elsewhere.csv"])[0]
    alarms = counts[2] / np.count_nonzero(~bleeds)
    found = 0.1 * counts[0] / bleeds.sum()
    assert float(rare["Flagged"]) == pytest.approx(found + 0.9 * alarms)
    assert float(rare["PPV"]) == pytest.approx(found / (found + 0.9 * alarms))
    population = {(row["By"], row["Group"]): row for row in cells(files["population.csv"])}
    assert set(population) == {("all", "all"), ("scanner", "A"), ("scanner", "B"), ("scanner", "unknown")}
    positives = [population["scanner", name]["Positive: Any haemorrhage"] for name in "AB"]
    assert int(population["scanner", "B"]["Rows"]) == 12
    assert positives == [str(int(bleeds[:20].sum())), ""], "of small groups only the size is told"
    groups = {row["Group"]: row for row in cells(files["subgroups.csv"])}
    assert groups["Scanner: B"]["n+"] == ""
    assert groups["Scanner: B"]["AUC note"].startswith("withheld")
    everything = json.loads(files["figures.json"])
    assert everything["models"]["tool 1.0"]["labels"]["any"]["auc"]["value"] == float(
        cells(files["figures.csv"])[0]["AUC"]
    )
    assert everything["data_sha256"] == rows.sha256
    assert list(everything["tables"]) == names
    assert everything["tables"]["models"]["rows"][0][2:4] == ["ab" * 32, "sensitivity 0.95"]
    assert everything["tables"]["population"]["rows"][0][:3] == ["all", "all", 40]


def test_what_is_drawn_is_a_table_too(page: str, report: EvaluationReport) -> None:
    files, rows = downloads(page), report.evaluation_set
    said = rows.models["import:1:tool"].probability
    bins = [row for row in cells(files["calibration_bins.csv"]) if row["Label"] == "Any haemorrhage"]
    assert sum(int(row["Rows"]) for row in bins) == 40
    positives = sum(int(row["Rows"]) * float(row["Share positive"]) for row in bins)
    assert positives == pytest.approx(rows.truth["any"].sum())
    both = cells(files["joint_confusion.csv"])
    assert sum(int(row["Rows"]) for row in both) == 40
    called = np.any([said[label] >= 0.5 for label in LABELS[1:]], axis=0)
    assert sum(int(row["Rows"]) for row in both if row["As called"] != "none") == called.sum()
    assert {row["Each at"] for row in both} == {"its own threshold"}
    for row in cells(files["decision_curve.csv"])[::20]:
        at = float(row["Threshold"])
        flagged, bleeds = said["any"] >= at, rows.truth["any"] == 1
        benefit = (flagged & bleeds).mean() - (flagged & ~bleeds).mean() * at / (1 - at)
        assert float(row["Net benefit"]) == pytest.approx(benefit)


def test_a_report_says_which_thresholds_it_stands_on() -> None:
    without = evaluation_set().models["import:1:tool"]
    some = replace(without, thresholds={"any": 0.5, "subdural": 0.4}), replace(without, thresholds={})
    kinds = [without, *some]
    captions = ["its own threshold", "the Youden point of these data or its own threshold"]
    captions.append("the Youden point of these data")
    facts = [
        "tool 1.0: its own threshold;",
        "tool 1.0: its own threshold (any, subdural), the Youden point of these data (epidural,",
        "tool 1.0: the Youden point of these data;",
    ]
    for model, caption, fact in zip(kinds, captions, facts, strict=True):
        page = unescape(EvaluationReport(evaluation_set(models={"import:1:tool": model}), ABOUT).html())
        assert f"<figcaption>Subtypes, by truth and as called, each at {caption}<" in page
        assert f"<dt>Thresholds</dt><dd>{fact}" in page
        assert "specificity 0.9" in page


@pytest.mark.parametrize(("truth", "reason"), [(0, "no positives"), (1, "no negatives")])
def test_what_is_not_estimable_says_why(truth: int, reason: str) -> None:
    page = unescape(EvaluationReport(evaluation_set(12, truth), ABOUT).html())
    assert f"AUC not estimable: {reason}" in page
    assert ">nan<" not in page.lower()


@pytest.mark.parametrize("rows", [0, 1, 5, 5_000])
def test_few_and_many_rows_make_a_report_too(rows: int) -> None:
    made = EvaluationReport(evaluation_set(rows), ABOUT)
    assert "tool 1.0" in made.html()
    assert json.loads(made.json())["rows"] == rows


def test_lines_of_other_labels_are_told_apart() -> None:
    labels = ("any", "CalvarialFracture", "MassEffect")
    rows = evaluation_set(labels=labels)
    (key,) = rows.models
    made = EvaluationReport(rows, ABOUT)
    caption, figure = next(drawings(rows, key, made.evaluation.models["tool 1.0"]))
    assert caption == "All labels: ROC"
    looks = {(one.line.color, one.line.dash) for one in figure.data if one.name in labels or one.name == "Any"}
    assert len(looks) == len(labels)


def test_names_from_outside_are_no_markup_and_no_formulas() -> None:
    bad = "<script>alert(1)</script>"
    labels = ("any", bad)
    model = evaluation_set(labels=labels).models["import:1:tool"]
    evil = ModelColumn(bad, "'\"", model.probability, {}, bad, "=1+1")
    made = EvaluationReport(
        evaluation_set(
            labels=labels, models={"x": evil}, missing={"x": 0}, columns={"scanner": [bad] * 40}, notes=[bad]
        ),
        About(bad, bad, bad, {bad: bad}),
    )
    page = made.html()
    assert bad not in page
    assert "alert(1)" in page
    assert next(row["SHA-256"] for row in cells(downloads(page)["models.csv"])) == "'=1+1"


def test_two_models_are_compared(report: EvaluationReport) -> None:
    one = evaluation_set()
    first = one.models["import:1:tool"]
    worse = ModelColumn("tool", "0.9", {"any": 1 - first.probability["any"]}, {}, "", "")
    made = EvaluationReport(evaluation_set(models={"a": first, "b": worse}, missing={"a": 0, "b": 3}), ABOUT)
    (row,) = cells(next(table.csv() for table in made.tables if table.key == "comparisons"))
    assert (row["First"], row["Second"], row["Label"]) == ("tool 1.0", "tool 0.9", "Any haemorrhage")
    assert float(row["Difference"]) == pytest.approx(2 * float(row["AUC of the first"]) - 1)
    page = unescape(made.html())
    assert "Any haemorrhage at the Youden point of these data" in page
    assert "tool 0.9: figures" in page


# --- the commands


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ICHSCOPE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ICHSCOPE_DATABASE_URL", raising=False)
    return tmp_path


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    opened = Store.open()
    yield opened
    opened.close()


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_files_are_imported_listed_and_removed(home: Path) -> None:
    truth = write(home / "readers.csv", "Fall,R1:SDH,R2:SDH,Kommentar\nA,1,0,x\nB,0,0,y\n")
    done = run("import-truth", truth, "--column", "Fall=study", "--name", "Two readers")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines() == [
        "Number 1: Two readers, 2 studies, 0 of them in the store",
        "Readers: R1, R2",
        "Labels: subdural",
        "Note: not read as labels: Kommentar",
    ]
    assert "(was there already)" in run("import-truth", truth, "--column", "Fall=study").stdout
    vendor = write(home / "vendor.csv", "study,model,any\nA,product,0.5\n")
    assert "Models: product" in run("import-predictions", vendor).stdout
    listed = run("imports").stdout
    by = f", imported by {re.escape(operator().name)}$"
    assert re.search(rf"^2 +predictions .* vendor\.csv: 1 rows by study; product{by}", listed, re.MULTILINE)
    assert re.search(rf"^1 +truth .* Two readers: 2 rows by study; R1, R2{by}", listed, re.MULTILINE)
    assert run("imports", "--remove", 1).exit_code == 0
    assert run("imports", "--remove", 1).exit_code == 2
    assert "Two readers" not in run("imports").stdout


def test_a_bad_file_is_refused_with_its_line(home: Path) -> None:
    done = run("import-predictions", write(home / "x.csv", "study,any\nA,0.5\nB,1.5\n"))
    assert done.exit_code == 2
    assert "x.csv: line 3: any: found '1.5', expected a probability" in done.stderr
    assert "Nothing was imported." in run("imports").stdout
    assert run("import-truth", home / "none.csv").exit_code == 2
    assert run("import-truth", home / "x.csv", "--column", "nonsense").exit_code == 2


def test_a_report_comes_with_its_tables(store: Store, home: Path) -> None:
    many(store, 60)
    import_predictions(store, write(home / "stranger.csv", "study,any\nA,0.5\n"))
    output = home / "report.html"
    options = ("--output", output, "--tables", home / "tables", "--date", "today")
    done = run("report", *options)
    assert done.exit_code == 0, done.output
    page = output.read_text(encoding="utf-8")
    assert f"<p>today, {operator().name}</p>" in page, "whoever runs the command has made it"
    (line,) = store.trail.events(TrailFilter(action="exported"))
    assert (line.who, line.key, line.details) == (operator().name, "report", {"format": "html", "tables": True})
    assert run("report", *options, "--by", "Somebody else").exit_code == 2
    assert "stranger" not in page, "who says nothing of these studies is left out"
    evaluation_set = load(store, Selection("reviews", ("model:cerebroscan@1.0", "model:cranioscan@1.0")))
    assert evaluation_set.sha256 in page
    assert {path.name for path in (home / "tables").iterdir()} >= {"figures.csv", "figures.json", "population.csv"}
    found = json.loads((home / "tables" / "figures.json").read_text(encoding="utf-8"))
    assert found["selection"]["Truth"] == "Reviews"
    assert list(found["models"]) == ["cerebroscan 1.0", "cranioscan 1.0"]
    assert run("report", *options, "--model", "cranioscan", "--scanner", "Maker Revolution").exit_code == 0
    found = json.loads((home / "tables" / "figures.json").read_text(encoding="utf-8"))
    assert list(found["models"]) == ["cranioscan 1.0"]
    assert found["selection"]["Studies"] == "scanner Maker Revolution"


def test_page_and_command_give_the_same_report_on_the_same_input(store: Store, home: Path) -> None:
    many(store, 60)
    selection = Selection("reviews", ("model:cerebroscan@1.0", "model:cranioscan@1.0"))
    made = files.report(load(store, selection), in_words(selection, truth_sources(store)[0]), operator().name)
    options = ("--output", home / "report.html", "--date", made.about.date)
    assert run("report", *options).exit_code == 0
    assert (home / "report.html").read_text(encoding="utf-8") == made.html()


def test_a_report_without_truth_or_models_says_so(store: Store, home: Path) -> None:
    output = home / "report.html"
    done = run("report", "--output", output)
    assert (done.exit_code, "no truth" in done.stderr) == (1, True)
    for name in ("one", "two"):
        import_truth(store, write(home / f"{name}.csv", f"study,any\n{name},1\n"))
    done = run("report", "--output", output)
    assert (done.exit_code, "2 (two.csv), 1 (one.csv)" in done.stderr) == (2, True)
    done = run("report", "--output", output, "--truth", "one.csv")
    assert (done.exit_code, "no model says anything" in done.stderr) == (1, True)
    add(store, "a", 0.5)
    for wrong in (("--model", "x"), ("--readers", "x"), ("--level", "slice")):
        assert run("report", "--output", output, "--truth", 1, *wrong).exit_code == 2
    assert run("report", "--output", home / "none" / "report.html").exit_code == 2
    assert not output.exists()


def test_a_store_that_cannot_be_opened_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICHSCOPE_DATABASE_URL", "postgresql://nobody@/none?host=/nowhere")
    done = run("imports")
    assert (done.exit_code, "connection" in done.stderr) == (4, True)


def test_a_selection_is_said_in_words(store: Store) -> None:
    review(store, add(store, "a", 0.5), "Ann", labels={"any": True})
    filter = Filter(scanner="S", status=("analysed", "limited"), label="subdural", by="reader")
    found = in_words(Selection("reviews", (), readers="any", rule="max", filter=filter), truth_sources(store)[0])
    assert found == {
        "Truth": "Reviews",
        "Readers": "any, of Ann",
        "Level": "study",
        "Slices to study": "max",
        "Studies": "status analysed or limited, label subdural by reader, scanner S",
    }
