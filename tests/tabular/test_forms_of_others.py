"""Names, numbers and headers as others' programs leave them in a table: read where they can be, refused where lost."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from ichscope import phantom
from ichscope.analyse import analyse
from ichscope.evaluation.evaluate import Evaluation, evaluate, to_json_text
from ichscope.evaluation.pairing import Reading
from ichscope.imaging.elements import short_hash
from ichscope.models.registry import REGISTRY
from ichscope.store import Store
from ichscope.tabular.importing import import_predictions, import_truth
from ichscope.tabular.naming import label_key
from ichscope.tabular.table import TableError, read_csv, truth
from ichscope.texts import writable
from tests.support import tiny_model

COUNT = 12
TRUTH = [int(number % 4 == 0) for number in range(COUNT)]
SCORE = [0.2 + 0.5 * positive + 0.01 * number for number, positive in enumerate(TRUTH)]
NAMES = [f"S{number}" for number in range(COUNT)]


def table(folder: Path, name: str, header: str, *columns: Any, sep: str = ",", above: str = "") -> Path:
    rows = [sep.join(map(str, row)) for row in zip(*columns, strict=True)]
    (folder / name).write_text(above + "\n".join([header, *rows]) + "\n", encoding="utf-8")
    return folder / name


def truth_of(folder: Path, names: list[str] = NAMES, values: list[Any] = TRUTH) -> Path:
    return table(folder, "truth.csv", "study,any", names, values)


def predictions_of(folder: Path, names: list[str] = NAMES) -> Path:
    return table(folder, "predictions.csv", "study,any", names, SCORE)


def matched(evaluation: Evaluation) -> int:
    (model,) = evaluation.models.values()
    return int(model.rows["matched"])


def results_of(folder: Path, names: list[str]) -> Path:
    """What `ichscope analyse --json` writes of studies that lie in these folders."""
    entries = []
    for name, score in zip(names, SCORE, strict=True):
        key = short_hash(f"1.2.{writable(name)}")
        place = {"file": f"{name}/1.dcm", "sop": f"1.2.{name}.1", "position_mm": 0.0, "probability": {"any": score}}
        model = {"version": "1", "threshold": 0.5, "probability": {"any": score}, "per_slice": [place]}
        entries.append({"study": key, "series": key, "name": name, "status": "analysed", "models": {"m": model}})
    (folder / "predictions.json").write_text(json.dumps(entries), encoding="utf-8")
    return folder / "predictions.json"


@pytest.mark.parametrize(
    "folder",
    [
        "scans/CQ500CT{}",
        "CQ500CT{}",
        "scans/cq500_ct {}",
        "CQ500CT{}/Unknown Study/CT Plain",
        "CQ500CT{0} CQ500CT{0}/Unknown Study/CT Plain",
        "CQ500CT{}.zip",
        "in/2020/CQ500-CT-{}.dcm",
        "a/CQ500CT{}/plain",
    ],
)
@pytest.mark.parametrize("rule", [None, "max"])
def test_studies_are_known_by_the_folder_they_lay_in(tmp_path: Path, folder: str, rule: Any) -> None:
    names = [f"CQ500-CT-{number}" for number in range(COUNT)]
    predictions = results_of(tmp_path, [folder.format(number) for number in range(COUNT)])
    found = evaluate(truth_of(tmp_path, names), predictions, Reading(rule=rule))
    assert matched(found) == COUNT
    assert found.models["m"].labels["any"].auc.value == 1


def test_a_path_with_two_studies_in_it_is_neither(tmp_path: Path) -> None:
    predictions = results_of(tmp_path, ["S0/S1", *(f"in/{name}" for name in NAMES[1:])])
    assert matched(evaluate(truth_of(tmp_path), predictions)) == COUNT - 1


@pytest.mark.parametrize("given", ["scans", "scans/*"])
def test_what_analyse_says_of_folders_is_found(tmp_path: Path, given: str) -> None:
    for number in range(3):
        head = phantom.make("subdural" if number else None, seed=number, slices=4, size=64)
        phantom.write(head, tmp_path / "scans" / f"CQ500CT{number}")
    models = tiny_model.build(tmp_path / "models").parent
    detectors = REGISTRY.get(models, None, "cpu").detectors
    entries = [entry for study in analyse(sorted(tmp_path.glob(given)), detectors) for entry in study.to_json()]
    (tmp_path / "predictions.json").write_text(json.dumps(entries))
    said = truth_of(tmp_path, [f"CQ500-CT-{number}" for number in range(3)], [0, 1, 1])
    assert matched(evaluate(said, tmp_path / "predictions.json")) == sum(bool(entry["models"]) for entry in entries) > 0


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("Prüfung-{}", unicodedata.normalize("NFD", "Prüfung-{}")),
        ("강남-{}", unicodedata.normalize("NFD", "강남-{}")),
        ("CT\u2011{}", "CT-{}"),
        ("Kopf\xa0{}", "Kopf {}"),
        ("\u200bS{}", "S{}"),
        ("S{}", "\ufeffS{}"),
        ("ＣＱ５００-{}", "cq500-{}"),
        ("Straße {}", "STRASSE_{}"),
        ("{}", "{}.0"),
    ],
)
def test_names_that_look_alike_are_found(tmp_path: Path, typed: str, stored: str) -> None:
    ours, theirs = ([form.format(number + 100) for number in range(COUNT)] for form in (typed, stored))
    assert matched(evaluate(truth_of(tmp_path, ours), predictions_of(tmp_path, theirs))) == COUNT
    assert matched(evaluate(truth_of(tmp_path, ours), results_of(tmp_path, [f"in/{name}" for name in theirs]))) == COUNT


def test_names_of_labels_and_columns_in_two_forms_are_one(tmp_path: Path) -> None:
    names = ["Überlebt", unicodedata.normalize("NFD", "Überlebt")]
    said = table(tmp_path, "truth.csv", f"study,{names[0]}", NAMES, TRUTH)
    model = table(tmp_path, "predictions.csv", f"study,{names[1]}", NAMES, SCORE)
    (of_model,) = evaluate(said, model).models.values()
    assert list(of_model.labels) == ["Überlebt"]


@pytest.mark.parametrize(
    "name",
    ["1.23457E+19", "1,23457E+19", "1.2345678901234567e+19", "1E+05", "########", "#N/A", "#NV", "#REF!", "#NAME?"],
)
@pytest.mark.parametrize("readers", [None, "majority"])
def test_identifiers_that_a_spreadsheet_lost_are_refused(tmp_path: Path, name: str, readers: Any) -> None:
    said = truth_of(tmp_path, [f'"{name}"'] * (COUNT - 2) + ["ABC-1", "ABC-2"])
    model = table(tmp_path, "predictions.csv", "study,any", [f'"{name}"', "ABC-1", "ABC-2"], [0.3, 0.9, 0.1])
    with pytest.raises(TableError, match=r"truth.csv: line 2: study: found .*, expected an identifier") as refused:
        evaluate(said, model, Reading(readers=readers))
    assert repr(name) in str(refused.value)
    store = Store.open(home=tmp_path / "store")
    with pytest.raises(TableError, match="line 2: study"):
        import_truth(store, said, nameless_readers=True)
    store.close()


@pytest.mark.parametrize(
    "names",
    [
        [f"1234567890123{number:02}00000" for number in range(COUNT)],  # 15 digits are left
        [f"{float(12345678901234567000 + 10000 * number):.0f}" for number in range(COUNT)],  # what a float can say
    ],
)
def test_long_numbers_that_were_rounded_are_refused(tmp_path: Path, names: list[str]) -> None:
    with pytest.raises(TableError, match=r"line 2: study: found .*, expected an identifier"):
        evaluate(truth_of(tmp_path, names), predictions_of(tmp_path))
    with pytest.raises(TableError, match=r"predictions.csv: line 2: study"):
        evaluate(truth_of(tmp_path), predictions_of(tmp_path, names))


@pytest.mark.parametrize("name", ["nan", "NaN", "NULL", "None", "N/A", "<NA>"])
def test_a_study_without_a_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(TableError, match=f"line 4: study: found '{name}', expected a name"):
        evaluate(truth_of(tmp_path, [*NAMES[:2], name, *NAMES[3:]]), predictions_of(tmp_path))


@pytest.mark.parametrize(
    "form",
    ["1234567890123456789{:02}", "1.2.840.{}00000000000000000000", "1E{}", "12E{}-A", "E+{}", "ID_{:09x}", "#{}", "{}"],
)
def test_identifiers_that_only_look_odd_are_read(tmp_path: Path, form: str) -> None:
    names = [form.format(number + 10) for number in range(COUNT)]
    assert matched(evaluate(truth_of(tmp_path, names), predictions_of(tmp_path, names))) == COUNT


def test_patients_that_a_spreadsheet_lost_are_refused_and_empty_ones_are_nobody(tmp_path: Path) -> None:
    lost = table(tmp_path, "truth.csv", "study,patient,any", NAMES, ["1.2E+12"] * COUNT, TRUTH)
    with pytest.raises(TableError, match=r"line 2: patient: found '1.2E\+12'"):
        evaluate(lost, predictions_of(tmp_path))
    empty = table(tmp_path, "truth.csv", "study,patient,any", NAMES, ["nan"] * COUNT, TRUTH)
    (model,) = evaluate(empty, predictions_of(tmp_path)).models.values()
    assert not model.rows["grouped_by"]


def test_rows_of_readers_without_names_are_counted(tmp_path: Path) -> None:
    said = truth_of(tmp_path, [*NAMES, *NAMES[:3]], [*TRUTH, *TRUTH[:3]])
    found = evaluate(said, predictions_of(tmp_path), Reading(readers="majority"))
    assert "truth.csv: 15 rows name no reader; taken as 12 studies of up to 2 readers" in found.header["notes"]


@pytest.mark.parametrize(
    "forms",
    [("0,0", "1,0"), ("0.00", "1.00"), ("0,000", "1,000"), ("0.", "1."), ("0.0e+00", "1.000000e+00"), (".0", "+1"),
     ("FALSCH", "WAHR"), ("False", "True"), ("-0.0", "01")],
)  # fmt: skip
@pytest.mark.parametrize("gap", ["", "NA", "NULL", "<NA>"])
def test_truth_is_read_in_every_decimal_form_beside_a_gap(tmp_path: Path, forms: tuple[str, str], gap: str) -> None:
    cells = [gap if number == 3 else forms[positive] for number, positive in enumerate(TRUTH)]
    said = table(tmp_path, "truth.csv", "study;any", NAMES, cells, sep=";")
    model = table(
        *(tmp_path, "predictions.csv", "study;any", NAMES, [str(p).replace(".", ",") for p in SCORE]), sep=";"
    )
    (of_model,) = evaluate(said, model).models.values()
    figures = of_model.labels["any"]
    assert (figures.positives, figures.negatives, figures.unknown, figures.auc.value) == (3, 8, 1, 1)


@pytest.mark.parametrize(
    "cell", ["0,5", "2,0", "1.0.0", "1,0,0", "10", "-1", "-1,0", "0.01", "1 0", ".", "1e", "0x1", "1_0", "inf"]
)
def test_a_number_that_is_no_truth_is_none(cell: str) -> None:
    assert truth(cell) is None


@pytest.mark.parametrize(
    ("above", "sep"),
    [("sep=;\n", ";"), ("\ufeffsep=;\r\n", ";"), ('"sep=;"\n', ";"), ("SEP=|\n", "|"), ("sep=\t\n", "\t"),
     ("sep=,\n", ",")],
)  # fmt: skip
def test_a_first_line_may_say_what_separates(tmp_path: Path, above: str, sep: str) -> None:
    file = table(tmp_path, "truth.csv", f"study{sep}any", NAMES, TRUTH, sep=sep, above=above)
    assert read_csv(file).columns["any"] == list(map(str, TRUTH))
    assert matched(evaluate(file, predictions_of(tmp_path))) == COUNT
    bad = table(tmp_path, "bad.csv", f"study{sep}any", NAMES, [*TRUTH[:-1], "x"], sep=sep, above=above)
    with pytest.raises(TableError, match=f"bad.csv: line {COUNT + 2}: any: found 'x'"):
        evaluate(bad, predictions_of(tmp_path))
    doubled = table(tmp_path, "bad.csv", f"any{sep}any", NAMES, TRUTH, sep=sep, above=above)
    with pytest.raises(TableError, match=r"bad.csv: line 2: found the column 'any' twice"):
        read_csv(doubled)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("ICH score", range(COUNT)),
        ("ICH_Score", range(COUNT)),
        ("modified ICH score (0-6)", range(COUNT)),
        ("Intracerebral Hemorrhage Score", range(COUNT)),
        ("haemorrhage volume", [1, *range(2, COUNT + 1)]),
        ("ASPECTS score", [0, 1, *range(2, COUNT)]),
        ("GCS", [1, *range(4, COUNT + 3)]),
        ("age", range(COUNT)),
        ("SDH thickness mm", range(COUNT)),
    ],
)
def test_what_is_graded_or_measured_is_no_label(tmp_path: Path, name: str, values: Any) -> None:
    said = table(tmp_path, "truth.csv", f"study,any,{name}", NAMES, TRUTH, values)
    model = table(tmp_path, "predictions.csv", f"study,any,{name}", NAMES, SCORE, values)
    (of_model,) = evaluate(said, model).models.values()
    assert list(of_model.labels) == ["any"]


@pytest.mark.parametrize(
    ("name", "label"),
    [("any_score", "any"), ("subdural score", "subdural"), ("ICH probability score", "any"), ("p_ICH", "any"),
     ("Mass effect score", "masseffect"), ("Intracranial haemorrhage", "any")],
)  # fmt: skip
def test_scores_of_models_are_still_labels(name: str, label: str) -> None:
    assert label_key(name) == label


def test_a_measure_that_is_said_to_be_yes_or_no_is_a_label(tmp_path: Path) -> None:
    said = table(tmp_path, "truth.csv", "study,Shift over 5 mm", NAMES, TRUTH)
    (of_model,) = evaluate(said, table(tmp_path, "p.csv", "study,Shift over 5 mm", NAMES, SCORE)).models.values()
    assert list(of_model.labels) == ["Shift over 5 mm"]


@pytest.mark.parametrize("name", [b"Pr\xfcfung.csv", b"\xff.csv", "Prüfung.csv".encode()])
def test_a_file_with_any_name_comes_into_the_store(tmp_path: Path, name: bytes) -> None:
    said = truth_of(tmp_path).rename(tmp_path / os.fsdecode(name))
    store = Store.open(home=tmp_path / "store")
    made = import_truth(store, said)
    (kept,) = store.imported.tables()
    store.close()
    assert made.name == kept.name == writable(os.fsdecode(name))
    assert to_json_text(evaluate(said, predictions_of(tmp_path))).encode()


def test_half_a_character_in_json_is_read(tmp_path: Path) -> None:
    predictions = results_of(tmp_path, [f"in/{name} \ud83d" for name in NAMES])
    store = Store.open(home=tmp_path / "store")
    made = import_predictions(store, predictions)
    store.close()
    assert made.rows == COUNT
    names = [f"{name} \\ud83d" for name in NAMES]
    assert to_json_text(evaluate(truth_of(tmp_path, names), predictions)).encode()


def test_rows_that_repeat_are_counted(tmp_path: Path) -> None:
    found = evaluate(truth_of(tmp_path, [*NAMES, *NAMES[:3]], [*TRUTH, *TRUTH[:3]]), predictions_of(tmp_path))
    assert found.header["notes"] == ["truth.csv: 3 rows repeat an earlier one"]


def test_what_nobody_foresaw_in_a_file_is_an_error_about_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def surprise(*_: Any) -> Any:
        raise ZeroDivisionError("Mueller^Anna")

    monkeypatch.setattr("ichscope.evaluation.evaluate.pair", surprise)
    with pytest.raises(TableError) as error:
        evaluate(truth_of(tmp_path), tmp_path / "tool.csv")
    assert str(error.value) == "truth.csv, tool.csv: not read: unexpected ZeroDivisionError; expected a table"
