"""Imported files as arrays, and whole columns for audits, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ichscope.evaluation.selection import Selection, load, model_sources, truth_sources
from ichscope.labels import LABELS
from ichscope.store import Filter, ImportedRows, Rater, Store, StoreError
from ichscope.store import imported_tables as truth
from ichscope.store.imported_tables import as_numbers, as_texts
from ichscope.tabular.importing import import_predictions, import_truth
from tests.support import results_builder as build
from tests.support.store_cases import add, many, study

KEYS = ["00000000000000a1", "ffffffffffffff02", "0123456789abcdef"]
ROWS = ImportedRows.of(as_numbers(KEYS), np.zeros(3, np.uint64), as_numbers(["", KEYS[0], ""]))
RATERS = [
    Rater("Ann", np.array([0, 2]), {"any": np.array([1.0, np.nan]), "Midline shift": np.array([0.0, 1.0])}),
    Rater("Bob", np.array([1]), {"any": np.array([0.0])}, "2.0", {"any": 0.25}),
]


def put(store: Store, **changes: Any) -> tuple[int, bool]:
    given: dict[str, Any] = {"kind": "truth", "name": "readers.csv", "file_sha256": "ab" * 32, "level": "study"}
    return store.imported.add(**given | {"rows": ROWS, "raters": RATERS, "notes": ["a note"]} | changes)


def test_keys_become_numbers_and_come_back() -> None:
    assert as_texts(as_numbers(KEYS)) == KEYS
    assert as_numbers(["", None]).tolist() == [0, 0]


def test_a_file_comes_back_as_it_went_in(store: Store) -> None:
    number, new = put(store)
    assert new
    (info,) = store.imported.tables("truth")
    assert (info.id, info.name, info.sha256, info.level, info.rows) == (number, "readers.csv", "ab" * 32, "study", 3)
    assert (datetime.now(UTC) - info.imported_at).total_seconds() < 60
    assert info.notes == ("a note",)
    assert [(one.name, one.version, one.studies) for one in info.raters] == [("Ann", "", 2), ("Bob", "2.0", 1)]
    assert info.raters[0].labels == ("any", "Midline shift")
    rows = store.imported.rows(number)
    assert as_texts(rows.study) == KEYS
    assert (rows.slice.tolist(), rows.patient.tolist()) == ([0, 0, 0], ROWS.patient.tolist())
    ann, bob = store.imported.raters(number)
    assert ann.rows.tolist() == [0, 2]
    np.testing.assert_array_equal(ann.labels["any"], [1.0, np.nan])
    np.testing.assert_array_equal(ann.labels["Midline shift"], [0.0, 1.0])
    assert (bob.version, bob.thresholds) == ("2.0", {"any": 0.25})
    assert [one.name for one in store.imported.raters(number, ["Bob"])] == ["Bob"]
    assert store.imported.tables("predictions") == []


def test_probabilities_keep_all_their_digits(store: Store) -> None:
    p = np.array([0.1, 1 / 3, np.nextafter(0.5, 1)])
    number, _ = put(store, kind="predictions", raters=[Rater("m", np.arange(3), {"any": p})])
    np.testing.assert_array_equal(store.imported.raters(number)[0].labels["any"], p)


def test_the_same_file_comes_in_once_unless_it_is_read_in_another_way(store: Store) -> None:
    first, _ = put(store)
    assert put(store, name="again.csv") == (first, False)
    other, new = put(store, reading={"column Blut": "any"})
    assert new
    assert other != first
    assert [info.id for info in store.imported.tables()] == [other, first]
    assert len(store.imported.raters(first)) == 2


def test_a_removed_file_is_gone_and_may_come_again(store: Store) -> None:
    number, _ = put(store)
    store.imported.remove(number)
    assert store.imported.tables() == []
    assert store.imported.raters(number) == []
    for call in (store.imported.rows, store.imported.remove):
        with pytest.raises(StoreError, match=f"no imported file number {number}"):
            call(number)
    assert put(store)[1]


def test_nothing_is_half_imported(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    written = truth._rater_row

    def fail_at_bob(sheet: int, voice: Rater, rows: ImportedRows) -> Any:
        if voice.name == "Bob":
            raise RuntimeError
        return written(sheet, voice, rows)

    with monkeypatch.context() as patch:
        patch.setattr(truth, "_rater_row", fail_at_bob)
        with pytest.raises(RuntimeError):
            put(store)
    assert store.imported.tables() == []
    assert put(store)[1]


def test_a_file_with_a_bad_row_leaves_nothing(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "truth.csv"
    path.write_text("study,any,subdural\nA,1,0\nB,0,maybe\n")
    with pytest.raises(Exception, match=r"truth\.csv: line 3: subdural: found 'maybe', expected 0, 1 or nothing"):
        import_truth(store, path)
    assert store.imported.tables() == []


def test_no_identifier_reaches_the_database(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/ichscope.db", tmp_path)
    path = tmp_path / "sheet.csv"
    # Longer than keys and times, which may hold a short number by chance.
    study, sop, patient = ("999990" * 3, "777770" * 3, "471108" * 3)
    path.write_text(f"study,sop,patient,model,any\n1.2.840.{study}.1,1.2.840.{sop}.1,DOE-{patient},tool,0.5\n")
    import_predictions(store, path)
    store.close()
    data = b"".join(path.read_bytes() for path in tmp_path.glob("ichscope.db*"))
    assert b"sheet.csv" in data
    assert not any(text.encode() in data for text in (study, sop, patient, "DOE"))


def test_columns_say_what_the_rows_of_the_worklist_say(store: Store) -> None:
    many(store, 40)
    for filter in (Filter(), Filter(scanner="Maker Revolution")):
        rows = sorted(store.worklist.page(filter, limit=100), key=lambda row: row.id)
        columns = store.columns.studies(filter)
        assert columns.id.tolist() == [row.id for row in rows]
        assert as_texts(columns.key) == [row.study_key for row in rows]
        for name in ("scanner", "institution", "kvp", "slice_thickness_mm", "age_years", "sex"):
            assert list(getattr(columns, name)) == [getattr(row, name) for row in rows]
        np.testing.assert_array_equal(columns.score, [np.nan if row.score is None else row.score for row in rows])
    results = store.columns.results("cranioscan", "1.0")
    made, others = results.in_force(results.study > 0)
    assert (made.thresholds["subdural"], others) == (0.5, 0)
    for i, number in enumerate(results.study.tolist()):
        found = next(model for model in store.worklist.row(number).models if model.name == "cranioscan")
        assert {label: values[i] for label, values in results.probability.items()} == found.probability
    reviews = store.columns.reviews()
    expected = [review for number in sorted(set(reviews.study.tolist())) for review in store.reviews.of(number)]
    assert sorted(zip(reviews.study.tolist(), reviews.reader, strict=True)) == [
        (one.study, one.reader) for one in expected
    ]
    assert store.columns.reviewed() == (len({one.study for one in expected if one.labels}), ("Ann", "Bob"))


def test_slices_are_those_of_each_study(store: Store) -> None:
    short = build.model(along=(0.1, 0.9))
    long = build.model(along=(0.2, 0.3, 0.4))
    first = add(store, "a", short, build.model("cerebroscan", along=(0.5, 0.6), labels=("any",)))
    second = add(store, "b", long, volume=build.series(slices=3), slices=build.series(slices=3).slices)
    add(store, "c")
    found = store.columns.slice_probabilities("cranioscan", "1.0")
    assert found.study.tolist() == [first] * 2 + [second] * 3
    assert found.index.tolist() == [0, 1, 0, 1, 2]
    np.testing.assert_allclose(found.probability["any"], [0.1, 0.9, 0.2, 0.3, 0.4], atol=1e-7)
    assert list(store.columns.slice_probabilities("cerebroscan", "1.0").probability) == ["any"]
    assert store.columns.slice_probabilities("nobody", "1.0").probability == {}
    keys = store.columns.slice_keys()
    assert keys.study.tolist() == [3, 3, second, second, second, first, first]
    assert as_texts(keys.key)[2:5] == [store.keys.slice(f"1.{i}") for i in range(3)]


def test_slices_without_a_name_have_no_key(store: Store) -> None:
    made = build.series(slices=3)
    slices = (made.slices[0], replace(made.slices[1], sop=""), made.slices[2])
    store.results.record(replace(study("a"), slices=slices), "a" * 64)
    assert store.columns.slice_keys().index.tolist() == [0, 2]


def test_versions_of_models_and_what_they_know(store: Store) -> None:
    model = build.model(labels=("any", "subdural"))
    add(store, "a", model)
    add(store, "a", replace(model, version="2.0", thresholds={"any": 0.25}))
    add(store, "b", replace(model, version="2.0"))
    found = [(one.name, one.version, one.studies, one.labels) for one in store.columns.model_versions()]
    assert found == [
        ("cranioscan", "1.0", 1, ("any", "subdural")),
        ("cranioscan", "2.0", 2, ("any", "subdural")),
    ]
    assert all(one.has_slices for one in store.columns.model_versions())
    second = store.columns.results("cranioscan", "2.0")
    made, others = second.in_force(second.study > 0)
    assert (others, made.thresholds) == (1, {"any": 0.5, "subdural": 0.5})
    assert second.in_force(second.study < 0)[1] == 0
    assert np.isnan(second.probability["epidural"]).all()


def test_an_empty_store_has_columns_too(store: Store) -> None:
    assert (
        len(store.columns.studies().id)
        == len(store.columns.reviews().study)
        == len(store.columns.slice_keys().key)
        == 0
    )
    assert len(store.columns.results("x", "1").study) == 0
    assert (truth_sources(store), model_sources(store), store.columns.reviewed()) == ([], [], (0, ()))


def test_both_databases_give_an_audit_the_same(store: Store, tmp_path: Path) -> None:
    many(store, 60)
    rows = store.worklist.page(limit=100)
    path = tmp_path / "vendor.csv"
    path.write_text("study,any\n" + "".join(f"S{i},{i / 10}\n" for i in range(5)))
    done = import_predictions(store, path)
    assert (done.rows, done.matched, done.new) == (5, 0, True)
    evaluation_set = load(store, Selection("reviews", tuple(one.key for one in model_sources(store))))
    by_id = {row.id: row for row in rows}
    assert set(evaluation_set.study.tolist()) == {
        row.id for row in rows if any(v is not None for v in row.reader_labels.values())
    }
    for i, number in enumerate(evaluation_set.study.tolist()):
        assert evaluation_set.keys[i] == by_id[number].study_key
        for label in LABELS:
            said = by_id[number].reader_labels[label]
            assert (said is None) == np.isnan(evaluation_set.truth[label][i])
            assert said is None or evaluation_set.truth[label][i] == said
    assert evaluation_set.missing["import:1:model"] == len(evaluation_set.keys)
