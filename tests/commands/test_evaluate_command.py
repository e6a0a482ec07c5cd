"""`ichscope evaluate`: files of every form that truth and predictions come in, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from typer.testing import CliRunner, Result

from ichscope import metrics, results
from ichscope.commands.cli import app
from ichscope.imaging.elements import short_hash
from ichscope.imaging.series import Slice
from ichscope.labels import LABELS
from tests.support import results_builder

TRUTH = [1, 1, 1, 0, 0, 0, 0, 1]
SCORE = [0.9, 0.8, 0.4, 0.5, 0.3, 0.2, 0.1, 0.7]
STUDIES = [f"S{i}" for i in range(8)]

Run = Callable[..., Result]
Evaluate = Callable[..., dict[str, Any]]


def table(header: str, *columns: Any) -> str:
    return "\n".join([header, *(",".join(map(str, row)) for row in zip(*columns, strict=True))]) + "\n"


WIDE = table("study,any", STUDIES, TRUTH)
PREDICTIONS = table("study,any", STUDIES, SCORE)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def call(truth: str, predictions: str | list[dict[str, Any]], *options: object) -> Result:
        is_json = not isinstance(predictions, str)
        paths = tmp_path / "truth.csv", tmp_path / ("predictions.json" if is_json else "predictions.csv")
        paths[0].write_text(truth, encoding="utf-8")
        paths[1].write_text(json.dumps(predictions) if is_json else str(predictions), encoding="utf-8")
        arguments = ["--truth", *paths[:1], "--predictions", *paths[1:], "--json", tmp_path / "out.json", *options]
        return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])

    return call


@pytest.fixture
def evaluate(run: Run, tmp_path: Path) -> Evaluate:
    def call(*arguments: Any) -> dict[str, Any]:
        result = run(*arguments)
        assert result.exit_code == 0, result.output
        found = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
        assert isinstance(found, dict)
        return found

    return call


@pytest.fixture
def refused(run: Run) -> Callable[..., str]:
    def call(*arguments: Any) -> str:
        result = run(*arguments)
        assert result.exit_code == 2, result.output
        return " ".join(result.stderr.split())

    return call


def only_model(found: dict[str, Any]) -> dict[str, Any]:
    (model,) = found["models"].values()
    return model


def test_all_figures_of_a_label(evaluate: Evaluate) -> None:
    found = evaluate(WIDE, PREDICTIONS, "--threshold", 0.45)
    assert (found["level"], found["matched_by"], found["truth"]["rows"]) == ("study", "study", 8)
    assert len(found["truth"]["sha256"]) == 64
    figures = only_model(found)["labels"]["any"]
    assert (figures["positives"], figures["negatives"], figures["unknown"]) == (4, 4, 0)
    assert figures["auc"]["value"] == pytest.approx(roc_auc_score(TRUTH, SCORE))
    assert 0 < figures["auc"]["low"] < figures["auc"]["value"] < figures["auc"]["high"] <= 1
    assert "only 4 positive patients" in figures["auc"]["reason"]
    assert figures["auc_delong"]["method"] == "DeLong"
    assert figures["average_precision"]["value"] == pytest.approx(average_precision_score(TRUTH, SCORE))
    points = {point["name"]: point for point in figures["operating_points"]}
    assert list(points) == ["threshold 0.45", "sensitivity 0.90", "sensitivity 0.95", "Youden"]
    given = points["threshold 0.45"]
    assert given["confusion"] == {"tp": 3, "fp": 1, "tn": 3, "fn": 1}
    assert [given[name]["value"] for name in ("sensitivity", "specificity", "ppv", "npv")] == [0.75] * 4
    assert given["sensitivity"]["low"] < 0.75 < given["sensitivity"]["high"]
    assert (given["chosen_on"], points["Youden"]["chosen_on"]) == ("given", "these data")
    assert points["sensitivity 0.90"]["sensitivity"]["value"] == 1
    assert points["sensitivity 0.90"]["threshold"] == pytest.approx(0.35)


def test_the_terminal_shows_the_figures_and_what_to_beware_of(run: Run) -> None:
    result = run(WIDE, PREDICTIONS)
    for text in ("Any haemorrhage", "0.9375", "Youden (", "Sensitivity", "not for diagnosis"):
        assert text in result.stdout
    assert "(1) only 4 positive patients: the interval is approximate" in result.stdout


def test_json_to_stdout_leaves_the_table_to_stderr(run: Run) -> None:
    result = run(WIDE, PREDICTIONS, "--json", "-")
    assert json.loads(result.stdout)["level"] == "study"
    assert "Any haemorrhage" in result.stderr


def test_rows_without_a_partner_are_counted_and_listed(evaluate: Evaluate) -> None:
    truth = table("study,any", [*STUDIES, "T1", "T2"], [*TRUTH, 0, 1])
    found = only_model(evaluate(truth, table("study,any", [*STUDIES[1:], "P1"], [*SCORE[1:], 0.5])))
    assert found["matched"] == 7
    assert found["truth_without_prediction"] == {"count": 3, "first": ["S0", "T1", "T2"]}
    assert found["predictions_without_truth"] == {"count": 1, "first": ["P1"]}


def test_a_probability_that_is_empty_is_no_prediction(evaluate: Evaluate) -> None:
    found = only_model(evaluate(WIDE, table("study,any,subdural", STUDIES, ["", *SCORE[1:]], [""] + [0.5] * 7)))
    assert (found["matched"], found["truth_without_prediction"]["first"]) == (7, ["S0"])
    truth = table("study,any,subdural", STUDIES, [*TRUTH[:7], ""], TRUTH)
    found = only_model(evaluate(truth, table("study,any,subdural", STUDIES, ["", *SCORE[1:]], SCORE)))
    assert found["matched"] == 8
    assert [found["labels"][label]["unknown"] for label in ("any", "subdural")] == [2, 0]


def test_only_labels_of_both_files_are_evaluated_and_strangers_are_named(evaluate: Evaluate) -> None:
    truth = table("study,any,subdural,age", STUDIES, TRUTH, TRUTH, range(60, 68))
    found = evaluate(truth, table("study,any,epidural,age", STUDIES, SCORE, SCORE, range(60, 68)))
    assert list(only_model(found)["labels"]) == ["any"]
    assert found["notes"] == ["epidural: only predictions.csv has it", "subdural: only truth.csv has it"]


@pytest.mark.parametrize("name", ["any", "Any", "ICH", "probability_any", "Any haemorrhage", "any_hemorrhage"])
def test_a_label_is_known_by_its_names(evaluate: Evaluate, name: str) -> None:
    found = only_model(evaluate(table(f"study,{name}", STUDIES, TRUTH), PREDICTIONS))
    assert list(found["labels"]) == ["any"]


def test_a_reader_study_as_published_elsewhere(evaluate: Evaluate) -> None:
    """Three readers as columns, abbreviations, labels that are not ours, a category, and `name` for the scan."""
    columns = [STUDIES, ["B1", "B2"] * 4]
    header = "name,Category"
    for reader in range(3):
        for label in ("ICH", "MidlineShift"):
            header += f",R{reader + 1}:{label}"
            columns.append([value ^ (i % 3 == reader) for i, value in enumerate(TRUTH)])
    found = evaluate(
        table(header, *columns), table("name,Category,ICH,MidlineShift", STUDIES, ["B1"] * 8, SCORE, SCORE)
    )
    labels = only_model(found)["labels"]
    assert list(labels) == ["any", "MidlineShift"]
    assert labels["MidlineShift"]["auc"]["value"] == pytest.approx(roc_auc_score(TRUTH, SCORE))
    anyone = evaluate(table(header, *columns), PREDICTIONS, "--readers", "any")
    assert only_model(anyone)["labels"]["any"]["positives"] == 8


@pytest.mark.parametrize("header", ["reader1_any,reader2_any", "any_r1,any_r2", "A:any,B:any"])
def test_readers_as_columns_and_a_tie_is_unknown(evaluate: Evaluate, header: str) -> None:
    found = evaluate(table(f"study,{header}", STUDIES, TRUTH, [0, *TRUTH[1:]]), PREDICTIONS)
    figures = only_model(found)["labels"]["any"]
    assert (figures["positives"], figures["negatives"], figures["unknown"]) == (3, 4, 1)
    assert found["notes"] == ["any: readers are split evenly in 1 row; its truth is unknown"]


def test_readers_as_rows(evaluate: Evaluate) -> None:
    rows = [
        (study, reader, value ^ (reader == "C"))
        for study, value in zip(STUDIES, TRUTH, strict=True)
        for reader in "ABC"
    ]
    found = evaluate(table("study,reader,any", *zip(*rows, strict=True)), PREDICTIONS)
    assert only_model(found)["labels"]["any"]["auc"]["value"] == pytest.approx(roc_auc_score(TRUTH, SCORE))
    anyone = evaluate(table("study,reader,any", *zip(*rows, strict=True)), PREDICTIONS, "--readers", "any")
    assert only_model(anyone)["labels"]["any"]["negatives"] == 0


def test_rows_that_repeat_are_one_and_rows_that_differ_need_a_rule(
    evaluate: Evaluate, refused: Callable[..., str]
) -> None:
    twice = table("study,any", STUDIES * 2, TRUTH * 2)
    assert only_model(evaluate(twice, PREDICTIONS))["labels"]["any"]["positives"] == 4
    differing = table("study,any", [*STUDIES, "S0", "S0"], [*TRUTH, 0, 0])
    message = refused(differing, PREDICTIONS)
    assert "truth.csv: line 10: any: found '0', expected what an earlier row says of the same" in message
    for rule, positives in (("majority", 3), ("any", 4)):
        assert (
            only_model(evaluate(differing, PREDICTIONS, "--readers", rule))["labels"]["any"]["positives"] == positives
        )


def test_one_reader_must_not_contradict_himself(refused: Callable[..., str]) -> None:
    truth = table("study,reader,any", ["S0", "S0", "S1"], ["A", "A", "A"], [1, 0, 0])
    assert "line 3: any: found '0'" in refused(truth, PREDICTIONS, "--readers", "any")


def test_several_models_in_one_file_are_told_apart_and_compared(evaluate: Evaluate) -> None:
    other = SCORE[::-1]
    predictions = table("study,model,any", STUDIES * 2, ["A"] * 8 + ["B"] * 8, SCORE + other)
    found = evaluate(WIDE, predictions)
    for model, score in (("A", SCORE), ("B", other)):
        figures = found["models"][model]["labels"]["any"]
        assert figures["auc"]["value"] == pytest.approx(roc_auc_score(TRUTH, score))
    (comparison,) = found["comparisons"]
    assert comparison["models"] == ["A", "B"]
    assert comparison["labels"]["any"]["p"] == pytest.approx(metrics.compare_auc(TRUTH, SCORE, other).p)


def test_versions_of_a_model_are_told_apart(evaluate: Evaluate) -> None:
    predictions = table("study,model,version,any", STUDIES * 2, ["A"] * 16, [1] * 8 + [2] * 8, SCORE + SCORE)
    assert list(evaluate(WIDE, predictions)["models"]) == ["A 1", "A 2"]
    assert list(evaluate(WIDE, table("study,model,version,any", STUDIES, ["A"] * 8, [1] * 8, SCORE))["models"]) == ["A"]


def test_intervals_go_by_patient_where_a_file_names_them(evaluate: Evaluate) -> None:
    patients = ["P1", "P1", "P2", "P3", "P3", "P4", "", ""]
    in_predictions = table("study,patient,any", STUDIES, patients, SCORE)
    in_truth = table("study,PatientID,any", STUDIES, patients, TRUTH)
    expected = metrics.roc_auc(TRUTH, SCORE, [1, 1, 2, 3, 3, 4, 5, 6])
    for files in ((WIDE, in_predictions), (in_truth, PREDICTIONS)):
        found = only_model(evaluate(*files))
        assert found["grouped_by"] == "patient"
        assert found["labels"]["any"]["auc"]["low"] == pytest.approx(expected.low)


def test_slices_whose_patient_is_not_known_are_their_studys(evaluate: Evaluate) -> None:
    studies = [f"S{i // 3}" for i in range(24)]
    slices, truth = [i % 3 for i in range(24)], [i // 3 % 2 for i in range(24)]
    score = [value * 0.5 + i / 100 for i, value in enumerate(truth)]
    # Of the first study's slices alone the patient is named, and is called as another study is.
    some = ["S7"] * 3 + [""] * 21
    truth_file = table("study,slice,patient,any", studies, slices, some, truth)
    found = only_model(evaluate(truth_file, table("study,slice,any", studies, slices, score)))
    assert found["grouped_by"] == "patient"
    expected = metrics.roc_auc(np.array(truth), np.array(score), np.array(studies))
    assert (found["labels"]["any"]["auc"]["low"], found["labels"]["any"]["auc"]["high"]) == (
        expected.low,
        expected.high,
    )


def kaggle(values: dict[str, list[Any]], sops: list[str]) -> str:
    rows = [(f"{sop}_{label}", column[i]) for i, sop in enumerate(sops) for label, column in values.items()]
    return table("ID,Label", *zip(*rows, strict=True))


def test_kaggle_form(evaluate: Evaluate) -> None:
    sops = [f"ID_{i:04x}" for i in range(8)]
    truth = kaggle({"any": TRUTH, "subdural": TRUTH[::-1]}, sops)
    repeated = truth + truth.splitlines()[1] + "\n"
    wide = table("sop,study,any,subdural", sops, ["A", "A", "B", "B", "C", "C", "D", "D"], SCORE, SCORE)
    found = evaluate(repeated, wide)
    assert (found["level"], found["matched_by"], only_model(found)["grouped_by"]) == ("slice", "sop", "study")
    assert found["notes"] == ["truth.csv: 1 rows repeat an earlier one"]
    subdural = only_model(found)["labels"]["subdural"]["auc"]
    assert subdural["value"] == pytest.approx(roc_auc_score(TRUTH[::-1], SCORE))
    found = evaluate(truth, kaggle({"any": SCORE, "subdural": SCORE}, sops))
    assert only_model(found)["labels"]["any"]["auc"]["value"] == pytest.approx(roc_auc_score(TRUTH, SCORE))
    assert "intervals take them as independent" in only_model(found)["notes"][0]


def test_slices_by_study_and_number(evaluate: Evaluate) -> None:
    study, place = ["A"] * 4 + ["B"] * 4, [1, 2, 3, 4] * 2
    found = evaluate(table("study,slice,any", study, place, TRUTH), table("study,slice,any", study, place, SCORE))
    assert (found["level"], found["matched_by"], only_model(found)["matched"]) == ("slice", "study / slice", 8)


def test_slices_become_studies_by_rule(evaluate: Evaluate, refused: Callable[..., str]) -> None:
    study = ["A", "A", "B", "B", "C", "C", "D", "D"]
    predictions = table("study,slice,any", study, [1, 2] * 4, SCORE)
    truth = table("study,any", "ABCD", [1, 0, 0, 1])
    assert "found a row a slice, expected a row a study, or the rule" in refused(truth, predictions)
    found = only_model(evaluate(truth, predictions, "--slices-to-study", "max", "--threshold", 0.6))
    assert found["labels"]["any"]["operating_points"][0]["confusion"] == {"tp": 2, "fp": 0, "tn": 2, "fn": 0}
    of_slices = table("study,slice,any", study, [1, 2] * 4, [0, 1, 0, 0, 0, "", 1, ""])
    found = only_model(evaluate(of_slices, predictions, "--slices-to-study", "max", "--level", "study"))
    figures = found["labels"]["any"]
    assert (figures["positives"], figures["negatives"], figures["unknown"]) == (2, 1, 1)


def test_six_labels_give_the_weighted_log_loss_and_its_floor(evaluate: Evaluate) -> None:
    header = "study," + ",".join(LABELS)
    found = only_model(evaluate(table(header, STUDIES, *[TRUTH] * 6), table(header, STUDIES, *[SCORE] * 6)))
    expected = metrics.weighted_log_loss(np.tile(TRUTH, (6, 1)).T, np.tile(SCORE, (6, 1)).T)
    assert found["weighted_log_loss"]["model"]["value"] == pytest.approx(expected.value)
    assert found["weighted_log_loss"]["floor"]["value"] == pytest.approx(np.log(2))


def entry(study: str, probability: float, slices: list[float] | None = None, series: str = "") -> dict[str, Any]:
    """What `ichscope analyse --json` writes of one series."""
    per_slice = [
        {"file": f"{i}.dcm", "sop": f"1.2.{study}.{i}", "position_mm": 1.0, "probability": {"any": p}}
        for i, p in enumerate(slices or [probability])
    ]
    model = {"version": "1.0", "threshold": 0.6, "thresholds": {"any": 0.6}, "per_slice": per_slice}
    key, name = short_hash(study), f"folder/{study}"
    models = {"cranioscan": model | {"probability": {"any": probability}}}
    return {"study": key, "series": series or key, "name": name, "status": "analysed", "models": models}


ENTRIES = [entry(study, p) for study, p in zip(STUDIES, SCORE, strict=True)]
NOT_ANALYSED = {"study": short_hash("S9"), "series": "", "name": "x", "status": "not analysed", "models": {}}


@pytest.mark.parametrize(
    ("keys", "matched_by"),
    [
        ([short_hash(study) for study in STUDIES], "study"),
        (STUDIES, "hash of the study's UID"),
        ([f"folder/{study}" for study in STUDIES], "name"),
    ],
)
def test_results_of_ichscope_by_key_uid_or_folder(evaluate: Evaluate, keys: list[str], matched_by: str) -> None:
    found = evaluate(table("study,any", [*keys, "S9"], [*TRUTH, 1]), [*ENTRIES, NOT_ANALYSED])
    assert found["matched_by"] == matched_by
    model = found["models"]["cranioscan"]
    assert (model["matched"], model["truth_without_prediction"]["first"]) == (8, ["S9"])
    assert model["notes"] == ["1 of 9 results hold no probabilities (not analysed)"]
    assert model["labels"]["any"]["auc"]["value"] == pytest.approx(roc_auc_score(TRUTH, SCORE))
    own = model["labels"]["any"]["operating_points"][0]
    assert (own["name"], own["threshold"]) == ("the model's own", 0.6)
    assert own["confusion"] == {"tp": 3, "fp": 0, "tn": 4, "fn": 1}


def test_slices_of_ichscope(evaluate: Evaluate) -> None:
    entries = [entry("A", 0.9, [0.9, 0.1]), entry("B", 0.2, [0.2, 0.3])]
    sops = ["1.2.A.0", "1.2.A.1", "1.2.B.0", "1.2.B.1"]
    found = evaluate(kaggle({"any": [1, 0, 0, 0]}, sops), entries)
    model = found["models"]["cranioscan"]
    assert (found["level"], model["matched"], model["grouped_by"]) == ("slice", 4, "study")
    assert model["labels"]["any"]["auc"]["value"] == 1


def test_truth_of_slices_judges_the_studies_of_ichscope(evaluate: Evaluate) -> None:
    entries = [entry("A", 0.9, [0.9, 0.1]), entry("B", 0.2, [0.2, 0.3]), entry("C", 0.5, [0.5, 0.5])]
    truth = kaggle({"any": [1, 0, 0, 0, 0]}, ["1.2.A.0", "1.2.B.0", "1.2.B.1", "1.2.C.0", "1.2.X.0"])
    found = evaluate(truth, entries, "--level", "study")
    figures = found["models"]["cranioscan"]["labels"]["any"]
    # One slice of A bleeds; one of C is unknown, which leaves C unknown.
    assert (figures["positives"], figures["negatives"], figures["unknown"]) == (1, 1, 1)
    assert "1 slices of truth.csv belong to no study with predictions" in found["notes"]


def test_what_analyse_really_writes_is_read(evaluate: Evaluate) -> None:
    """The entries above are by hand; these are made by the code that writes them."""
    entries = []
    for i, score in enumerate(SCORE):
        along = (score, score / 2, score / 4)
        found = replace(results_builder.result(results_builder.model(along=along)), study=f"S{i}", series=f"K{i}")
        slices = tuple(Slice("", f"{i}.{k}", None) for k in range(3))
        entries.append(replace(found, slices=slices).to_json())
    model = evaluate(WIDE, entries)["models"]["cranioscan"]
    assert model["labels"]["any"]["auc"]["value"] == pytest.approx(roc_auc_score(TRUTH, SCORE))
    assert model["labels"]["any"]["operating_points"][0]["threshold"] == 0.5
    sops = [f"{i}.{k}" for i in range(8) for k in range(3)]
    of_slices = [value * (k == 0) for value in TRUTH for k in range(3)]
    found = evaluate(kaggle({"any": of_slices}, sops), entries)
    assert (found["level"], found["models"]["cranioscan"]["matched"]) == ("slice", 24)


def test_a_rule_can_replace_the_word_of_the_model(evaluate: Evaluate) -> None:
    entries = [entry("S0", 0.1, [0.9, 0.2]), entry("S3", 0.8, [0.3, 0.3])]
    for options, auc in (((), 0), (("--slices-to-study", "max"), 1)):
        found = evaluate(WIDE, entries, *options)
        assert found["matched_by"] == "hash of the study's UID"
        assert found["models"]["cranioscan"]["labels"]["any"]["auc"]["value"] == auc


def test_of_several_series_of_a_study_the_highest_probability_counts(evaluate: Evaluate) -> None:
    found = evaluate(WIDE, [*ENTRIES, entry("S2", 0.95, series="thin")], "--threshold", 0.9)
    model = found["models"]["cranioscan"]
    assert model["notes"] == ["1 study has several series; the highest probability counts"]
    assert model["labels"]["any"]["operating_points"][0]["confusion"]["tp"] == 2


def test_the_csv_of_ichscope_is_read_too(evaluate: Evaluate) -> None:
    rows = [
        {"name": f"folder/{study}", "study": short_hash(study), "series": study, "model": "cranioscan", "version": "1"}
        | {"status": "analysed", "threshold": 0.6, "probability_any": p}
        for study, p in zip(STUDIES, SCORE, strict=True)
    ]
    found = evaluate(WIDE, results.csv_text([*rows, {"name": "x", "status": "not analysed", "study": "y"}]))
    figures = found["models"]["cranioscan"]["labels"]["any"]
    assert figures["auc"]["value"] == pytest.approx(roc_auc_score(TRUTH, SCORE))
    assert figures["operating_points"][0]["threshold"] == 0.6


def test_columns_can_be_mapped(evaluate: Evaluate, refused: Callable[..., str]) -> None:
    truth, predictions = table("Fall,Blut", STUDIES, TRUTH), table("Fall,Blut", STUDIES, SCORE)
    assert "expected one named 'study' or 'sop'" in refused(truth, predictions)
    options = ("--column", "Fall=study", "--column", "Blut=any")
    found = only_model(evaluate(truth, predictions, *options))
    assert found["labels"]["any"]["positives"] == 4
    assert "no column to be read as 'patient'" in refused(truth, predictions, *options, "--column", "Nr=patient")
    assert "THEIRS=OURS" in refused(truth, predictions, "--column", "study")
    assert "two columns to be read as 'any'" in refused(truth, predictions, "--column", "Fall=any", *options[2:])


def test_a_column_that_is_said_to_be_a_label_goes_before_one_that_is_called_so(evaluate: Evaluate) -> None:
    truth = table("study,ICH,consensus", STUDIES, [1 - value for value in TRUTH], TRUTH)
    found = only_model(evaluate(truth, PREDICTIONS, "--column", "consensus=any"))
    assert found["labels"]["any"]["auc"]["value"] == pytest.approx(roc_auc_score(TRUTH, SCORE))


def test_semicolons_decimal_commas_and_a_byte_order_mark(evaluate: Evaluate) -> None:
    truth = "\ufeff" + table("study,any", STUDIES, TRUTH).replace(",", ";")
    predictions = table("study;any", [f"{s};{p}".replace(".", ",") for s, p in zip(STUDIES, SCORE, strict=True)])
    found = only_model(evaluate(truth, predictions))
    assert found["labels"]["any"]["auc"]["value"] == pytest.approx(roc_auc_score(TRUTH, SCORE))


def test_one_class_alone_is_said_and_is_no_failure(evaluate: Evaluate, run: Run) -> None:
    negative = table("study,any", STUDIES, [0] * 8)
    figures = only_model(evaluate(negative, PREDICTIONS, "--threshold", 0.5))["labels"]["any"]
    assert figures["auc"]["reason"] == "not estimable: no positives"
    assert figures["auc"]["value"] is None
    given, *chosen = figures["operating_points"]
    assert given["specificity"]["value"] == 0.5
    assert [point["threshold"] for point in chosen] == [None] * 3
    assert "not estimable: no positives" in run(negative, PREDICTIONS).stdout


def with_line(text: str, line: int, new: str) -> str:
    lines = text.splitlines()
    lines[line - 1] = new
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("truth", "predictions", "message"),
    [
        (with_line(WIDE, 5, "S3,2"), PREDICTIONS, "truth.csv: line 5: any: found '2', expected 0, 1 or nothing"),
        (
            WIDE,
            with_line(PREDICTIONS, 3, "S1,1.2"),
            "predictions.csv: line 3: any: found '1.2', expected a probability",
        ),
        (WIDE, with_line(PREDICTIONS, 3, "S1,high"), "predictions.csv: line 3: any: found 'high'"),
        (WIDE, with_line(PREDICTIONS, 3, "S1,inf"), "predictions.csv: line 3: any: found 'inf'"),
        (with_line(WIDE, 4, "S2"), PREDICTIONS, "truth.csv: line 4: found 1 cells, expected 2"),
        (with_line(WIDE, 4, ",1"), PREDICTIONS, "truth.csv: line 4: study: found '', expected a name"),
        (WIDE, PREDICTIONS + "S0,0.1\n", "predictions.csv: line 10: any: found '0.1', expected what an earlier row"),
        (WIDE.replace("any", "x"), PREDICTIONS, "found no label that both have"),
        (
            table("study,any,ICH", STUDIES, TRUTH, TRUTH),
            PREDICTIONS,
            "truth.csv: line 1: found the columns 'any' and 'ICH' of",
        ),
        (
            WIDE,
            table("study,R1:ICH,R2:ICH", STUDIES, SCORE, SCORE),
            "predictions.csv: line 1: found the columns 'R1:ICH' and",
        ),
        ("study,any\n", PREDICTIONS, "truth.csv: line 1: found a header without rows"),
        ("", PREDICTIONS, "truth.csv: line 1: found nothing"),
        ("study,any,any\nS0,1,1\n", PREDICTIONS, "truth.csv: line 1: found the column 'any' twice"),
        ('study,any\nS0,"1\n', PREDICTIONS, "truth.csv: line 2: found no CSV"),
        (
            "ID,Label\nID_1_any,1\nnothing,0\n",
            PREDICTIONS,
            "truth.csv: line 3: ID: found 'nothing', expected <sop>_<label>",
        ),
        ("ID,Label\nID_1_any,1\nID_1_any,0\n", PREDICTIONS, "truth.csv: line 3: Label: found '0'"),
        (table("study,any", ["X"], [1]), PREDICTIONS, "none of the same study"),
        (WIDE, [NOT_ANALYSED], "predictions.json: found no result with probabilities"),
        (WIDE, [{"study": "S0"}], "predictions.json: entry 1: found no 'models'"),
        (
            WIDE,
            [{"study": "S0", "series": "", "models": {"m": {"probability": {"any": 2}}}}],
            "entry 1: any: found '2'",
        ),
        (
            WIDE,
            [{"study": "S0", "series": "", "models": {"m": {"probability": {"any": ["x"]}}}}],
            "predictions.json: entry 1: found a list or an object as a value, expected a result of",
        ),
        (WIDE, [["S0"]], "predictions.json: entry 1: found something else (TypeError), expected a result of"),
    ],
)
def test_a_bad_row_is_named(refused: Callable[..., str], truth: str, predictions: Any, message: str) -> None:
    assert message in refused(truth, predictions)


def test_many_bad_rows_are_counted_and_nothing_is_written(run: Run, tmp_path: Path) -> None:
    result = run(table("study,any", STUDIES, ["x"] * 8), PREDICTIONS)
    assert result.exit_code == 2
    assert [f"line {line}:" in result.stderr for line in range(2, 8)] == [True] * 5 + [False]
    assert "and 3 more such rows" in result.stderr
    assert not (tmp_path / "out.json").exists()


def test_what_cannot_be_asked_of_the_files_is_refused(refused: Callable[..., str]) -> None:
    assert "expected a row a slice" in refused(WIDE, PREDICTIONS, "--level", "slice")
    assert "expected slices for the rule 'max'" in refused(WIDE, PREDICTIONS, "--slices-to-study", "max")
    assert "found no column of the label 'epidural'" in refused(WIDE, PREDICTIONS, "--label", "epidural")
    assert "slices whose study is not known" in refused(
        table("sop,any", STUDIES, TRUTH),
        table("sop,any", STUDIES, SCORE),
        "--slices-to-study",
        "max",
        "--level",
        "study",
    )
    assert "--sensitivity" in refused(WIDE, PREDICTIONS, "--sensitivity", "90")


def test_files_that_are_missing_or_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(WIDE)
    (tmp_path / "b.csv").write_bytes(b"study,any\n\xff,1\n")
    (tmp_path / "c.json").write_text("{")
    (tmp_path / "d.json").write_text("{}")
    for name, message in (
        ("none.csv", "found none"),
        ("none.json", "found none"),
        ("b.csv", "no UTF-8 text"),
        ("c.json", "found no JSON"),
        ("d.json", "found no list"),
    ):
        arguments = ["evaluate", "--truth", str(tmp_path / "a.csv"), "--predictions", str(tmp_path / name)]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 2
        assert message in result.stderr


SERIES_TRUTH = table(
    "study,series,any", ["S0", "S0", "S1", "S1", "S2", "S3"], ["a", "b", "c", "d", "e", "f"], TRUTH[2:]
)


def series_entries() -> list[dict[str, Any]]:
    """Two studies of two series, two of one; a role where asked for."""
    named = (("S0", "a", 0.4), ("S0", "b", 0.5), ("S1", "c", 0.3), ("S1", "d", 0.2), ("S2", "e", 0.1), ("S3", "f", 0.7))
    return [entry(study, probability, series=series) for study, series, probability in named]


def test_at_the_level_of_series_every_series_is_a_row(evaluate: Evaluate, run: Run) -> None:
    found = evaluate(SERIES_TRUTH, series_entries(), "--level", "series", "--threshold", 0.45)
    assert (found["level"], found["matched_by"], found["truth"]["rows"]) == ("series", "series", 6)
    model = only_model(found)
    assert (model["matched"], model["grouped_by"]) == (6, "study")
    measured = model["labels"]["any"]
    assert measured["auc"]["value"] == pytest.approx(roc_auc_score(TRUTH[2:], [0.4, 0.5, 0.3, 0.2, 0.1, 0.7]))
    assert measured["operating_points"][0]["confusion"] == {"tp": 1, "fn": 1, "fp": 1, "tn": 3}
    assert "6 rows by series, intervals by study" in run(SERIES_TRUTH, series_entries(), "--level", "series").stdout


def test_a_truth_of_series_alone_is_read_by_series(evaluate: Evaluate, refused: Callable[..., str]) -> None:
    truth = SERIES_TRUTH.replace("study,", "patient,")
    found = evaluate(truth, series_entries())
    assert (found["level"], only_model(found)["grouped_by"]) == ("series", "patient")
    alone = table("series,any", list("abcdef"), TRUTH[2:])
    assert evaluate(alone, table("series,any", list("abcdef"), SCORE[2:]))["models"]["model"]["notes"] == [
        "neither file says whose series these are: intervals take them as independent, and are too narrow"
    ]
    assert "found a row a series, expected a row a study" in refused(alone, series_entries(), "--level", "study")


def test_series_are_known_by_the_hash_of_their_uid_too(evaluate: Evaluate) -> None:
    entries = [{**one, "series": short_hash(one["series"])} for one in series_entries()]
    found = evaluate(SERIES_TRUTH, entries, "--level", "series")
    assert (found["matched_by"], only_model(found)["matched"]) == ("hash of the series' UID", 6)


def test_at_the_level_of_studies_only_the_series_that_speaks_for_a_study_counts(evaluate: Evaluate) -> None:
    """By hand: of S0 the first series with 0.4, of S1 the second with 0.2; the highest of all would be 0.5 and 0.3."""
    speakers = {"a", "d", "e", "f"}
    entries = [
        {**one, "role": "speaks for the study" if one["series"] in speakers else "other series"}
        for one in series_entries()
    ]
    truth = table("study,any", ["S0", "S1", "S2", "S3"], [1, 0, 0, 1])
    model = only_model(evaluate(truth, entries, "--threshold", 0.45, "--threshold", 0.25))
    assert model["notes"] == ["predictions.json: 2 rows are of other series than those that speak for their studies"]
    points = [point["confusion"] for point in model["labels"]["any"]["operating_points"][:2]]
    assert points == [{"tp": 1, "fn": 1, "fp": 0, "tn": 2}, {"tp": 2, "fn": 0, "fp": 0, "tn": 2}]
    joined = only_model(evaluate(truth, series_entries(), "--threshold", 0.45))
    assert joined["notes"] == ["2 studies have several series; the highest probability counts"]
    assert joined["labels"]["any"]["operating_points"][0]["confusion"] == {"tp": 2, "fn": 0, "fp": 0, "tn": 2}


def test_a_rule_takes_the_slices_of_the_series_that_speaks(evaluate: Evaluate) -> None:
    entries = [
        {**entry("S0", 0.5, [0.2, 0.3], "a"), "role": "speaks for the study"},
        {**entry("S0", 0.5, [0.9], "b"), "role": "other series"},
        {**entry("S1", 0.5, [0.4], "c"), "role": "speaks for the study"},
    ]
    truth = table("study,any", ["S0", "S1"], [0, 1])
    model = only_model(evaluate(truth, entries, "--slices-to-study", "max", "--threshold", 0.35))
    assert model["labels"]["any"]["operating_points"][0]["confusion"] == {"tp": 1, "fn": 0, "fp": 0, "tn": 1}


@pytest.mark.parametrize(
    ("truth", "predictions", "options", "message"),
    [
        (WIDE, table("study,series,any", STUDIES, STUDIES, SCORE), (), "truth.csv: line 1: found no column of series"),
        (SERIES_TRUTH, PREDICTIONS, (), "predictions.csv: line 1: found no column of series, expected one named"),
        (SERIES_TRUTH.replace("S1,c", "S1,"), "json", (), "truth.csv: line 4: series: found '', expected a name"),
        (SERIES_TRUTH.replace("S1,c,0", "S1,b,1"), "json", (), "truth.csv: line 4: any: found '1', expected what"),
        (SERIES_TRUTH, "json", ("--slices-to-study", "max"), "found the rule 'max' at the level 'series'"),
        (table("sop,series,any", "ab", "cd", [0, 1]), "json", (), "found a row a slice, expected a row a series"),
    ],
)
def test_what_names_no_series_is_refused_at_that_level(
    refused: Callable[..., str], truth: str, predictions: Any, options: tuple[str, ...], message: str
) -> None:
    entries = series_entries() if predictions == "json" else predictions
    assert message in refused(truth, entries, "--level", "series", *options)
