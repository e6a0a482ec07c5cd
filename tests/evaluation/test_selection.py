"""Truth and models' words from the store: the same figures as `ichscope evaluate`, and nothing lost on the way."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ichscope.evaluation.evaluate import evaluate, evaluate_pairing
from ichscope.evaluation.pairing import Reading
from ichscope.evaluation.selection import EvaluationError, EvaluationSet, Selection, load, model_sources, truth_sources
from ichscope.imaging.elements import short_hash
from ichscope.imaging.series import Header
from ichscope.labels import LABELS
from ichscope.store import Filter, Store
from ichscope.tabular.importing import Imported, import_predictions, import_truth
from ichscope.tabular.table import TableError
from tests.support import results_builder as build
from tests.support.people import choose, review
from tests.support.store_cases import MORNING, add, content, many, study

OWN = "model:cranioscan@1.0"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(f"sqlite:///{tmp_path}/home/ichscope.db", tmp_path / "home")
    yield opened
    opened.close()


@pytest.fixture
def truth(store: Store, tmp_path: Path) -> Callable[..., Imported]:
    def call(text: str, **options: Any) -> Imported:
        path = tmp_path / "truth.csv"
        path.write_text(text, encoding="utf-8")
        return import_truth(store, path, **options)

    return call


@pytest.fixture
def predictions(store: Store, tmp_path: Path) -> Callable[..., Imported]:
    def call(text: str, **options: Any) -> Imported:
        path = tmp_path / "predictions.csv"
        path.write_text(text, encoding="utf-8")
        return import_predictions(store, path, **options)

    return call


def table(header: str, *columns: Any) -> str:
    return "\n".join([header, *(",".join(map(str, row)) for row in zip(*columns, strict=True))]) + "\n"


def listed(values: Any) -> list[float | None]:
    return [None if np.isnan(value) else value for value in values.tolist()]


def by_key(store: Store, evaluation_set: EvaluationSet, values: Any) -> dict[str, float | None]:
    return dict(zip(evaluation_set.keys, listed(values), strict=True))


# --- a published reader study: readers as columns, a vendor's probabilities by study

FINDINGS = ("ICH", "IPH", "IVH", "SDH", "EDH", "SAH", "Fracture", "MidlineShift", "MassEffect")


def reader_study(scans: int = 150) -> tuple[str, str]:
    rng = np.random.default_rng(5)
    names = [f"SCAN-{i}" for i in range(scans)]
    sick = rng.random((scans, len(FINDINGS))) < 0.3
    reads = {
        f"R{r}:{name}": (sick[:, i] ^ (rng.random(scans) < 0.1)).astype(int)
        for r in (1, 2, 3)
        for i, name in enumerate(FINDINGS)
    }
    category = [rng.choice(["A", "B1"]) for _ in names]
    p = np.round(np.clip(0.3 * sick + rng.random((scans, len(FINDINGS))) * 0.7, 0, 1), 3)
    truth = table("name,Category," + ",".join(reads), names, category, *reads.values())
    order = rng.permutation(scans)
    shuffled = table("name," + ",".join(FINDINGS), [names[i] for i in order], *p[order].T)
    return truth, shuffled


def test_a_reader_study_as_published_gives_the_same_figures_as_its_files(
    store: Store, truth: Callable[..., Imported], predictions: Callable[..., Imported], tmp_path: Path
) -> None:
    done = truth(reader_study()[0])
    assert (done.rows, done.matched, done.raters, done.level) == (150, 0, ("R1", "R2", "R3"), "study")
    assert done.labels == (*LABELS, "Fracture", "MidlineShift", "MassEffect")
    assert done.notes == ("not read as labels: Category",)
    vendor = predictions(reader_study()[1], name="Vendor's product")
    evaluation_set = load(store, Selection("import:1", ("import:2:model",)))
    assert (evaluation_set.grouped_by, evaluation_set.missing, set(evaluation_set.study.tolist())) == (
        "",
        {"import:2:model": 0},
        {-1},
    )
    found = evaluate_pairing(evaluation_set.pairing(), {}).models["Vendor's product"].labels
    files = evaluate(tmp_path / "truth.csv", tmp_path / "predictions.csv").models["model"].labels
    assert list(found) == list(files) == list(vendor.labels)
    for label, figures in files.items():
        assert found[label].auc == figures.auc
        assert found[label].operating_points == figures.operating_points
        known = ~np.isnan(evaluation_set.truth[label])
        said = evaluation_set.models["import:2:model"].probability[label]
        assert found[label].auc.value == pytest.approx(
            roc_auc_score(evaluation_set.truth[label][known], said[known]), abs=1e-12
        )


@pytest.mark.parametrize("readers", ["majority", "any", "R2"])
def test_whose_truth_counts_is_chosen_when_it_is_loaded(
    store: Store, truth: Callable[..., Imported], readers: str
) -> None:
    truth("study,R1:SDH,R2:SDH,R3:SDH,R1:any\nA,1,0,1,1\nB,1,0,0,\nC,,1,0,0\nD,,,,\n")
    evaluation_set = load(store, Selection("import:1", (), readers=readers))
    expected = {"majority": [1, 0, None, None], "any": [1, 1, 1, None], "R2": [0, 0, 1, None]}[readers]
    found = by_key(store, evaluation_set, evaluation_set.truth["subdural"])
    assert [found[store.keys.study(name)] for name in "abcd"] == expected
    assert any("split evenly in 1 row;" in note for note in evaluation_set.notes) == (readers == "majority")


def test_rows_of_one_study_without_a_reader_contradict_each_other_unless_it_is_said(
    truth: Callable[..., Imported], store: Store
) -> None:
    rows = "study,any\nA,1\nB,0\nA,0\nA,1\n"
    with pytest.raises(TableError, match=r"line 4: any: found '0', expected what an earlier row says of the same"):
        truth(rows)
    assert store.imported.tables() == []
    assert truth(rows, nameless_readers=True).raters == ("row 1", "row 2", "row 3")
    assert sorted(listed(load(store, Selection("import:1", ())).truth["any"])) == [0, 1]


# --- files of every form


def test_the_long_form_finds_its_slices_in_the_store(store: Store, truth: Callable[..., Imported]) -> None:
    slices = build.series(slices=3).slices
    number = add(store, "a", build.model(along=(0.1, 0.9, 0.2)), slices=slices)
    text = "ID,Label\n" + "".join(f"{sop}_any,{label}\n" for sop, label in (("1.2", 1), ("1.0", 0), ("9.9", 1)))
    done = truth(text)
    assert (done.level, done.rows, done.matched) == ("slice", 3, 2)
    evaluation_set = load(store, Selection("import:1", (OWN,), level="slice"))
    assert evaluation_set.keys == [store.keys.slice(sop) for sop in ("1.2", "1.0", "9.9")]
    assert (evaluation_set.study.tolist(), evaluation_set.slice.tolist()) == ([number, number, -1], [2, 0, -1])
    assert listed(evaluation_set.truth["any"]) == [1, 0, 1]
    assert listed(np.round(evaluation_set.models[OWN].probability["any"], 6)) == [0.2, 0.1, None]
    assert (evaluation_set.missing[OWN], evaluation_set.grouped_by) == (1, "study")
    assert evaluation_set.group[0] == evaluation_set.group[1] != evaluation_set.group[2]
    assert evaluation_set.models[OWN].thresholds == {}, "thresholds are on the probability of a study"


def test_slices_become_studies_and_what_the_truth_does_not_say_of_one_is_unknown(
    store: Store, truth: Callable[..., Imported]
) -> None:
    names = {}
    for i, name in enumerate("abcd"):
        slices = tuple(replace(one, sop=f"{name}.{j}") for j, one in enumerate(build.series(slices=2).slices))
        names[name] = add(store, name, build.model(along=(0.1, i / 10)), slices=slices)
    rows = [("a.0", 0), ("a.1", 1), ("b.0", 0), ("b.1", 0), ("c.0", 0), ("stranger", 1)]
    truth("ID,Label\n" + "".join(f"{sop}_any,{label}\n" for sop, label in rows))
    evaluation_set = load(store, Selection("import:1", (OWN,)))
    found = dict(zip(evaluation_set.study.tolist(), listed(evaluation_set.truth["any"]), strict=True))
    assert found == {names["a"]: 1, names["b"]: 0, names["c"]: None}
    assert "1 slice of the truth without a known study" in evaluation_set.notes


@pytest.mark.parametrize("rule", ["max", "top-k", "noisy-or"])
def test_probabilities_of_slices_become_studies_by_the_rule(
    store: Store, truth: Callable[..., Imported], predictions: Callable[..., Imported], tmp_path: Path, rule: Any
) -> None:
    rng = np.random.default_rng(1)
    whose = [f"S{i // 5}" for i in range(100)]
    sops = [f"1.{i}" for i in range(100)]
    truth(table("study,any", [f"S{i}" for i in range(20)], rng.integers(0, 2, 20)))
    predictions(table("sop,study,any", sops, whose, rng.random(100)))
    evaluation_set = load(store, Selection("import:1", ("import:2:model",), rule=rule))
    files = evaluate(tmp_path / "truth.csv", tmp_path / "predictions.csv", Reading("study", rule=rule))
    found, expected = (
        next(iter(one.models.values())).labels["any"] for one in (evaluate_pairing(evaluation_set.pairing(), {}), files)
    )
    assert (found.positives, found.negatives) == (expected.positives, expected.negatives)
    for name in ("auc", "average_precision", "brier"):
        assert getattr(found, name).limits() == pytest.approx(getattr(expected, name).limits(), rel=1e-9)
    with pytest.raises(EvaluationError, match="found rows by slice, expected studies"):
        load(store, Selection("import:1", ("import:2:model",)))


def test_a_rule_is_made_of_the_models_own_slices(store: Store, truth: Callable[..., Imported]) -> None:
    add(store, "a", build.model(along=(0.1, 0.4), probability={"any": 0.9}))
    truth(f"study,any\n{content('study a')[:16]},1\n")
    own, by_rule = (load(store, Selection("import:1", (OWN,), rule=rule)).models[OWN] for rule in (None, "max"))
    assert own.probability["any"].tolist() == [0.9]
    assert own.thresholds["any"] == 0.5
    assert by_rule.probability["any"].tolist() == pytest.approx([0.4])
    assert by_rule.thresholds == {}


def test_slices_known_by_study_and_number_are_found_by_uid_and_by_hash(
    store: Store, truth: Callable[..., Imported], predictions: Callable[..., Imported]
) -> None:
    truth("study,slice,any\n1.2.3,1,0\n1.2.3,2,1\n1.2.4,1,0\n")
    predictions(f"study,slice,patient,any\n{short_hash('1.2.3')},2,P,0.7\n{short_hash('1.2.4')},1,P,0.2\n")
    evaluation_set = load(store, Selection("import:1", ("import:2:model",), level="slice"))
    assert listed(evaluation_set.models["import:2:model"].probability["any"]) == [None, 0.7, 0.2]
    assert evaluation_set.grouped_by == "patient"
    assert evaluation_set.group[1] == evaluation_set.group[2]


def test_several_models_of_a_file_are_told_apart_with_their_versions_and_thresholds(
    store: Store, truth: Callable[..., Imported], predictions: Callable[..., Imported]
) -> None:
    truth("study,any,Midline shift\nA,1,0\nB,0,1\n")
    head = "study,model,version,any,midline_shift,threshold_any,seconds\n"
    done = predictions(f"{head}A,x,1,0.9,0.2,0.4,0.1\nB,x,1,0.1,0.3,0.4,0.2\nB,y,7,0.3,,,0.3\n")
    assert (done.raters, done.labels, done.notes) == (("x", "y"), ("any", "midline_shift"), ())
    keys = ("import:2:x", "import:2:y")
    assert [(one.key, one.version, one.studies) for one in model_sources(store)] == [
        (keys[0], "1", 2),
        (keys[1], "7", 1),
    ]
    evaluation_set = load(store, Selection("import:1", keys))
    first, second = (evaluation_set.models[key] for key in keys)
    assert (first.thresholds, second.thresholds) == ({"any": 0.4}, {})
    assert listed(first.probability["Midline shift"]) == [0.2, 0.3]
    assert (listed(second.probability["any"]), evaluation_set.missing) == ([None, 0.3], {keys[0]: 0, keys[1]: 1})
    assert evaluation_set.names() == {keys[0]: "x 1", keys[1]: "y 7"}
    assert len(first.sha256) == 64


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name of scan,any\nA,1\n", "expected one named 'study' or 'sop'"),
        ("series,any\nA,1\n", "found rows by series, expected a column 'study' or 'sop'"),
        ("study,age\nA,70\n", "found no label, expected columns such as any"),
        ("study,any\nA,2\n", "line 2: any: found '2', expected 0, 1 or nothing"),
        ("study,any\n,1\n", "line 2: study: found '', expected a name"),
        ("study,any\nA,1\nB\n", "line 3: found 1 cells, expected 2"),
        ("study,any,ICH\nA,1,1\n", "found the columns 'any' and 'ICH' of the label 'any'"),
        ("study,R1:SDH,R1:subdural\nA,1,0\n", "found 'R1:subdural' beside another column"),
    ],
)
def test_a_truth_file_that_cannot_be_used_says_why_and_leaves_nothing(
    store: Store, truth: Callable[..., Imported], text: str, said: str
) -> None:
    with pytest.raises(TableError) as caught:
        truth(text)
    assert said in str(caught.value)
    assert store.imported.tables() == []


def test_columns_may_have_other_names(store: Store, truth: Callable[..., Imported]) -> None:
    done = truth("Fall,Blut\nA,1\n", columns={"Fall": "study", "Blut": "any"})
    assert done.labels == ("any",)
    assert not truth("Fall,Blut\nA,1\n", columns={"Blut": "any", "Fall": "study"}).new
    with pytest.raises(TableError, match="found no column to be read as 'any'"):
        truth("study,subdural\nA,1\n", columns={"Blut": "any"})


def test_results_of_another_installation_come_in_as_json(store: Store, tmp_path: Path) -> None:
    from ichscope import results

    path = tmp_path / "results.json"
    path.write_text(results.json_text([study("a", build.model(along=(0.2, 0.8))).to_json()]))
    add(store, "a")
    assert [import_predictions(store, path, level=level).level for level in ("study", "slice")] == ["study", "slice"]
    by_study, by_slice = reversed(model_sources(store))
    assert (by_study.key, by_study.version, by_study.has_slices) == ("import:1:cranioscan", "1.0", False)
    assert (by_slice.key, by_slice.studies, by_slice.has_slices) == ("import:2:cranioscan", 1, True)


# --- reviews


def reviewed(store: Store) -> list[int]:
    ids = [add(store, name, 0.9) for name in range(4)]
    review(store, ids[0], "Ann", labels={"any": True})
    review(store, ids[0], "Bob", labels={"any": False})
    review(store, ids[1], "Ann", labels={"any": True})
    review(store, ids[1], "Ann", labels={"any": False, "subdural": True})
    review(store, ids[2], "Bob", comment="nothing to say")
    return ids


@pytest.mark.parametrize(
    ("readers", "expected"),
    [("majority", [None, 0]), ("any", [1, 0]), ("newest", [0, 0]), ("Ann", [1, 0]), ("Bob", [0])],
)
def test_of_each_reader_the_last_review_counts(store: Store, readers: str, expected: list[float | None]) -> None:
    ids = reviewed(store)
    assert [(one.key, one.rows, one.readers) for one in truth_sources(store)] == [("reviews", 2, ("Ann", "Bob"))]
    evaluation_set = load(store, Selection("reviews", (OWN,), readers=readers))
    found = dict(zip(evaluation_set.study.tolist(), listed(evaluation_set.truth["any"]), strict=True))
    # Where readers are split, whether there is a haemorrhage is not known.
    known = {number: value for number, value in found.items() if value is not None}
    assert known == {number: value for number, value in zip(ids, expected, strict=False) if value is not None}
    assert any("readers saw the models' results" in note for note in evaluation_set.notes)


# --- what belongs to a study


def test_of_several_series_of_a_study_the_one_that_speaks_counts(store: Store, truth: Callable[..., Imported]) -> None:
    first = study("a", 0.2)
    number = store.results.record(first, content("low"))
    same = store.results.record(replace(study("a", 0.7), series="f" * 16), content("high"))
    assert same == number, "one examination, one study"
    truth(f"study,any\n{first.study},1\n")
    evaluation_set = load(store, Selection("import:1", (OWN,)))
    assert (evaluation_set.study.tolist(), evaluation_set.models[OWN].probability["any"].tolist()) == ([number], [0.2])
    review(store, number, "Ann", labels={"any": True})
    choose(store, number, store.series.of(number)[1].id, "Ann")
    evaluation_set = load(store, Selection("reviews", (OWN,)))
    assert (evaluation_set.study.tolist(), evaluation_set.models[OWN].probability["any"].tolist()) == ([number], [0.7])


def test_rows_go_by_the_patient_that_the_store_or_a_file_knows(
    store: Store, truth: Callable[..., Imported], predictions: Callable[..., Imported]
) -> None:
    for name in "ab":
        store.results.record(study(name, 0.5), content(name), patient_id="P1")
    keys = [content(f"study {name}")[:16] for name in "ab"]
    truth(table("study,any", [*keys, "C", "D"], [1, 0, 1, 0]))
    assert load(store, Selection("import:1", ())).grouped_by == "patient"
    predictions(table("study,patient,any", [*keys, "C", "D"], ["", "", "P1", "P2"], [0.1] * 4))
    evaluation_set = load(store, Selection("import:1", ("import:2:model",)))
    groups = dict(zip(evaluation_set.keys, evaluation_set.group.tolist(), strict=True))
    a, b, c, d = (groups[store.keys.study(name)] for name in (*keys, "c", "d"))
    assert a == b == c != d


def test_subgroups_are_banded(store: Store, truth: Callable[..., Imported]) -> None:
    headers = {
        "a": Header(
            scanner="S",
            manufacturer="M",
            institution="County",
            kvp=120.0,
            slice_thickness_mm=1.25,
            age_years=47.0,
            sex="F",
        ),
        "b": Header(age_years=95.0, slice_thickness_mm=5.0),
    }
    for name, header in headers.items():
        store.results.record(study(name, 0.5, header=header), content(name))
    truth(table("study,any", [*(content(f"study {name}")[:16] for name in "ab"), "C"], [1, 0, 1]))
    evaluation_set = load(store, Selection("import:1", (OWN,)))
    assert evaluation_set.columns == {
        "scanner": ["M S", "", ""],
        "institution": [store.keys.site("county"), "", ""],
        "kvp": ["120 kV", "", ""],
        "slice thickness": ["1-1.5 mm", "5-5.5 mm", ""],
        "age": ["40-49", "90+", ""],
        "sex": ["F", "", ""],
    }


def test_a_filter_leaves_only_studies_of_the_store(store: Store, truth: Callable[..., Imported]) -> None:
    ids = [store.results.record(study(name, 0.5), content(name), synthetic=name == "b") for name in "ab"]
    truth(table("study,any", [*(content(f"study {name}")[:16] for name in "ab"), "C"], [1, 0, 1]))
    everything = load(store, Selection("import:1", (OWN,)))
    assert everything.study.tolist() == [*ids, -1]
    assert "1 of 3 rows are of synthetic studies" in everything.notes
    real = load(store, Selection("import:1", (OWN,), filter=Filter(synthetic=False)))
    assert real.study.tolist() == ids[:1]
    assert any(note.startswith("2 rows of truth are left out") for note in real.notes)
    nothing = load(store, Selection("import:1", (OWN,), filter=Filter(scanner="nobody's")))
    assert (nothing.keys, nothing.truth, list(nothing.csv_rows())) == ([], {}, [])
    assert evaluate_pairing(nothing.pairing(), {}).models["cranioscan 1.0"].labels == {}


def test_results_made_with_other_thresholds_are_said(store: Store) -> None:
    for name, threshold in (("a", 0.3), ("b", 0.5)):
        review(store, add(store, name, build.model(along=(0.4,), threshold=threshold)), "Ann", labels={"any": True})
    evaluation_set = load(store, Selection("reviews", (OWN,)))
    assert evaluation_set.models[OWN].thresholds["any"] == 0.5
    assert "cranioscan 1.0: 1 results were made with other thresholds; the newest ones count" in evaluation_set.notes


def test_the_thresholds_in_force_are_those_of_the_audited_studies(store: Store) -> None:
    for hours, (name, threshold) in enumerate((("a", 0.3), ("b", 0.6), ("c", 0.5))):
        made = build.model(along=(0.4,), threshold=threshold)
        review(store, add(store, name, made, hours=24 * hours), "Ann", labels={"any": True})
    for days, threshold, others in ((1, 0.3, 0), (2, 0.6, 1), (3, 0.5, 2)):
        early = Filter(until=MORNING + timedelta(days=days, hours=-1))
        evaluation_set = load(store, Selection("reviews", (OWN,), filter=early))
        assert evaluation_set.models[OWN].thresholds["any"] == threshold
        said = [note.split(": ")[1] for note in evaluation_set.notes if "other thresholds" in note]
        assert said == ([f"{others} results were made with other thresholds; the newest ones count"] if others else [])


def test_which_studies_readers_chose_is_said(store: Store) -> None:
    """Truth of mostly the flagged ones flatters sensitivity: verification bias."""
    ids = [add(store, name, 0.9 if name < 4 else 0.1, hours=24 * (name % 2)) for name in range(10)]
    add(store, "not analysed")
    for study_id in (*ids[:3], ids[4]):
        review(store, study_id, "Ann", labels={"any": True})
    said = (
        "4 of 10 studies that a model judged are reviewed, 75.0 % of the 4 that a model flags and 16.7 % of the 6 oth"
    )
    (note,) = (one for one in load(store, Selection("reviews", (OWN,))).notes if "are reviewed" in one)
    assert note.startswith(said)
    assert "sensitivity comes out too high and specificity too low" in note
    early = load(store, Selection("reviews", (OWN,), filter=Filter(until=MORNING + timedelta(hours=1))))
    assert any(
        one.startswith("3 of 5 studies that a model judged are reviewed, 100.0 % of the 2") for one in early.notes
    )
    for study_id in ids:
        review(store, study_id, "Ann", labels={"any": True})
    assert not any("are reviewed" in one for one in load(store, Selection("reviews", (OWN,))).notes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"truth": "import:9"}, "no imported file number 9"),
        ({"truth": "import:2"}, "found predictions, expected truth"),
        ({"truth": "nonsense"}, "found 'nonsense', expected the key of a source"),
        ({"models": ("import:2:nobody",)}, "found no predictions of 'nobody'"),
        ({"models": ("import:1:model",)}, "found no predictions of 'model'"),
        ({"models": ("model:nobody@1",)}, "found no result of nobody 1"),
        ({"models": ("cranioscan",)}, "expected the key of a source"),
        ({"level": "slice"}, "found rows by study, expected slices"),
        ({"truth": "reviews", "level": "slice"}, "found rows by study, expected slices"),
        ({"rule": "max"}, "found rows by study, expected slices"),
        ({"readers": "nobody"}, "found no reader 'nobody', expected majority, any, newest or a reader's name"),
        ({"readers": "newest"}, "found several readers and not who came last"),
    ],
)
def test_what_cannot_be_loaded_says_why(
    store: Store,
    truth: Callable[..., Imported],
    predictions: Callable[..., Imported],
    changes: dict[str, Any],
    said: str,
) -> None:
    truth("study,R1:any,R2:any\nA,1,1\n")
    predictions("study,any\nA,0.5\n")
    with pytest.raises(EvaluationError, match=said):
        load(store, replace(Selection("import:1", ("import:2:model",)), **changes))


def test_every_figure_can_be_computed_again_from_the_rows(store: Store) -> None:
    many(store, 80)
    evaluation_set = load(store, Selection("reviews", tuple(one.key for one in model_sources(store))))
    text = io.StringIO()
    rows = list(evaluation_set.csv_rows())
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    read = list(csv.DictReader(io.StringIO(text.getvalue())))
    figures = evaluate_pairing(evaluation_set.pairing(), {}).models
    for source, name in evaluation_set.names().items():
        for label, found in figures[name].labels.items():
            pairs = [
                (row[f"truth_{label}"], row[f"{source}:{label}"], row[f"{source}:threshold_{label}"]) for row in read
            ]
            known = [(float(t), float(p), float(threshold)) for t, p, threshold in pairs if t and p]
            truth, said, thresholds = zip(*known, strict=True)
            assert found.auc.value == pytest.approx(roc_auc_score(truth, said), abs=1e-12)
            own = next(point.metrics for point in found.operating_points if point.chosen_on == "the model's own")
            assert own is not None
            assert own.confusion.tp == sum(t == 1 and p >= at for t, p, at in known)
            assert set(thresholds) == {own.threshold}


def test_the_hash_of_the_data_is_of_all_that_figures_are_computed_from(store: Store) -> None:
    many(store, 40)
    selection = Selection("reviews", (OWN,))
    evaluation_set = load(store, selection)
    model = evaluation_set.models[OWN]
    others = [
        load(store, replace(selection, readers="Ann")),
        replace(evaluation_set, models={OWN: replace(model, thresholds={"any": 0.25})}),
        replace(evaluation_set, models={OWN: replace(model, probability={"any": model.probability["any"] + 1e-9})}),
        replace(evaluation_set, columns=evaluation_set.columns | {"sex": ["F"] * len(evaluation_set.keys)}),
        replace(evaluation_set, group=evaluation_set.group + 1),
    ]
    assert load(store, selection).sha256 == evaluation_set.sha256
    assert len({evaluation_set.sha256, *(one.sha256 for one in others)}) == len(others) + 1
