"""Studies with several series: one speaks, and everything that counts studies counts it alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ichscope.evaluation.selection import EvaluationError, Selection, load
from ichscope.imaging.findings import Finding
from ichscope.imaging.series import SeriesFacts
from ichscope.results import OTHER_SERIES
from ichscope.store import Filter, Store, StoreError
from tests.support import results_builder as build
from tests.support.people import choose, review
from tests.support.store_cases import MORNING, content, study

THICK = SeriesFacts(original=True, axial=True, soft_tissue=True, slice_thickness_mm=5.0, extent_mm=150.0, slices=3)
BONE = replace(THICK, soft_tissue=False)
THIN = replace(THICK, slice_thickness_mm=0.6)


def add(store: Store, uid: str, name: str, facts: SeriesFacts, *models: object, **fields: object) -> int:
    """Record one series of an examination."""
    made = study(uid, *models, **{"series": content(name)[:16]} | fields)
    assert made.volume is not None
    made = replace(made, volume=replace(made.volume, facts=facts))
    return store.results.record(made, content(name), arrived_at=MORNING)


@pytest.fixture
def examination(store: Store) -> int:
    """A study whose thick series bleeds, whose bone series does not, and whose thin one was not analysed."""
    left = (Finding("ok", OTHER_SERIES, "Not analysed: another series speaks."),)
    numbers = {
        add(store, "A", "bone", BONE, 0.1),
        add(store, "A", "thick", THICK, 0.9),
        add(store, "A", "thin", THIN, status="not analysed", findings=left),
    }
    (number,) = numbers
    return number


def test_one_study_is_one_row_and_says_what_its_speaking_series_says(store: Store, examination: int) -> None:
    (row,) = store.worklist.page()
    assert (row.id, row.series_count, row.priority, row.status) == (examination, 3, "likely", "analysed")
    assert row.series_reason.startswith("original axial soft-tissue series, 5 mm, whole head; chosen before 2 others")
    assert row.score == pytest.approx(0.9)
    assert [model.probability["any"] for model in row.models] == [pytest.approx(0.9)]
    assert store.worklist.counts().total == 1
    assert store.results.load(examination).series == store.results.load_series(row.series_id).series


def test_series_are_listed_with_what_became_of_each(store: Store, examination: int) -> None:
    thick, bone, thin = store.series.of(examination)
    assert (thick.speaks, bone.speaks, thin.speaks) == (True, False, False)
    assert (thick.analysed, bone.analysed, thin.analysed) == (True, True, False)
    assert (bone.soft_tissue, thin.slice_thickness_mm) == (False, None)
    assert thin.reasons == ("Not analysed: another series speaks.",)
    assert store.results.load_series(thin.id).left_to_another


def test_figures_count_a_study_once(store: Store, examination: int) -> None:
    add(store, "B", "other", THICK, 0.2)
    cohort = store.cohorts.read()
    assert (cohort.total, sum(bin.studies for bin in cohort.scores)) == (2, 2)
    columns = store.columns.results("cranioscan", "1.0")
    assert sorted(columns.probability["any"].tolist()) == [pytest.approx(0.2), pytest.approx(0.9)]
    slices = store.columns.slice_probabilities("cranioscan", "1.0")
    assert len(slices.study) == 4, "two slices a speaking series"
    (version,) = store.columns.model_versions()
    assert version.studies == 2
    (result,) = store.arrivals.results(MORNING, MORNING.replace(day=2), synthetic=False)
    assert np.sort(result.probability).tolist() == [pytest.approx(0.2), pytest.approx(0.9)]


def test_a_user_may_let_another_series_speak_and_take_it_back(store: Store, examination: int) -> None:
    bone = store.series.of(examination)[1]
    choice = choose(store, examination, bone.id, "Ann")
    row = store.worklist.row(examination)
    assert (row.series_id, row.priority) == (bone.id, "negative")
    assert row.series_reason == f"chosen by Ann on {choice.created_at:%Y-%m-%d}"
    add(store, "A", "late", THICK, 0.8)
    assert store.worklist.row(examination).series_id == bone.id, "the choice stays when another series comes"
    choose(store, examination, None, "Bob")
    assert store.worklist.row(examination).priority == "likely"
    assert [(choice.who, choice.series) for choice in store.series.choices(examination)] == [
        ("Ann", bone.id),
        ("Bob", None),
    ]


def test_a_series_that_is_not_analysed_speaks_only_when_it_is(store: Store, examination: int) -> None:
    thin = store.series.of(examination)[2]
    choose(store, examination, thin.id, "Ann")
    assert store.worklist.row(examination).series_id != thin.id
    loaded = store.results.load_series(thin.id)
    store.results.rescore(
        thin.id, replace(loaded, status="limited", models={"cranioscan": build.model(along=(0.7, 0.1))})
    )
    row = store.worklist.row(examination)
    assert (row.series_id, row.status, row.score) == (thin.id, "limited", pytest.approx(0.7))


def test_only_series_of_the_study_can_be_chosen(store: Store, examination: int) -> None:
    other = store.results.record(study("B", 0.2), content("B"))
    with pytest.raises(StoreError, match="no study number"):
        choose(store, examination, store.worklist.row(other).series_id, "Ann")


def test_reviews_are_of_the_study_and_marks_of_the_series_that_was_seen(store: Store, examination: int) -> None:
    thick, bone, _ = store.series.of(examination)
    first = review(store, examination, "Ann", agree=True, marks={1: ["any"]}).review
    second = review(store, examination, "Bob", labels={"any": True}, series=bone.id).review
    assert (first.series, second.series) == (thick.id, bone.id)
    assert store.worklist.row(examination).agreement == "agree"
    choose(store, examination, bone.id, "Ann")
    assert store.worklist.row(examination).agreement == "disagree", "readers say it bleeds, this series does not"
    assert store.worklist.counts(Filter(agreement="reviewed")).total == 1


def test_a_series_with_contrast_agent_speaks_only_where_no_other_was_analysed(store: Store) -> None:
    enhanced = replace(THICK, contrast=True, series_number=1)
    number = add(store, "A", "enhanced", enhanced, 0.9)
    add(store, "A", "plain", replace(THICK, series_number=2), status="not analysed")
    row = store.worklist.row(number)
    assert (row.priority, row.series_reason[:53]) == ("likely", "original axial soft-tissue series with contrast agent")
    add(store, "A", "thin", replace(THIN, series_number=3), 0.2)
    row = store.worklist.row(number)
    assert row.priority == "negative"
    assert "would come first but could not be analysed" in row.series_reason


def test_a_series_that_fails_speaks_only_where_no_other_can(store: Store) -> None:
    unfit = (Finding("not analysable", "contrast", "A contrast agent was given."),)
    number = add(store, "A", "contrast", THICK, status="not analysed", findings=unfit)
    assert store.worklist.row(number).reasons == ("A contrast agent was given.",)
    add(store, "A", "bone", BONE, 0.2)
    row = store.worklist.row(number)
    assert (row.status, row.reasons) == ("analysed", ())
    assert "would come first but could not be analysed" in row.series_reason


def test_an_audit_by_series_has_a_row_for_each_that_was_judged(store: Store, examination: int) -> None:
    other = add(store, "B", "other", THICK, 0.2)
    review(store, examination, "Ann", labels={"any": True})
    review(store, other, "Ann", labels={"any": False})
    models = ("model:cranioscan@1.0",)
    by_study = load(store, Selection("reviews", models, "study"))
    by_series = load(store, Selection("reviews", models, "series"))
    # By hand: the thick series of the bleed, and the only one of the other study; then also the bone series.
    assert sorted(zip(by_study.truth["any"], by_study.models[models[0]].probability["any"], strict=True)) == [
        (0.0, pytest.approx(0.2)),
        (1.0, pytest.approx(0.9)),
    ]
    assert sorted(zip(by_series.truth["any"], by_series.models[models[0]].probability["any"], strict=True)) == [
        (0.0, pytest.approx(0.2)),
        (1.0, pytest.approx(0.1)),
        (1.0, pytest.approx(0.9)),
    ]
    assert (len(set(by_series.keys)), by_series.level, by_series.grouped_by) == (3, "series", "study")
    assert by_series.models[models[0]].thresholds["any"] == 0.5
    with pytest.raises(EvaluationError, match="expected none at the level of series"):
        load(store, Selection("reviews", models, "series", rule="max"))
