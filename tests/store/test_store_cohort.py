from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import func, select

from ichscope.imaging.series import Header
from ichscope.labels import LABELS, SUBTYPES
from ichscope.store import Filter, Store, WorklistRow, results
from ichscope.store.tables import Study
from tests.support import results_builder as build
from tests.support.people import review
from tests.support.store_cases import MORNING, add, content, many, study

EDGES: dict[str, tuple[str, float | None]] = {
    "age": ("age_years", 10),
    "sex": ("sex", None),
    "scanner": ("scanner", None),
    "kvp": ("kvp", None),
    "slice thickness": ("slice_thickness_mm", 0.5),
    "slices": ("slices", 5),
}


def step(value: object, size: float | None) -> object:
    return value if value is None or size is None else value // size * size


def test_every_table_is_what_its_rows_say(store: Store) -> None:
    many(store, 30)
    for wanted in (Filter(), Filter(status=("analysed", "limited")), Filter(label="any")):
        rows = store.worklist.page(wanted, limit=100)
        found = store.cohorts.read(wanted)
        assert found.total == len(rows)
        days = Counter((row.arrived_at.date(), row.status) for row in rows)
        assert {(day.day, day.status): day.studies for day in found.days} == days
        assert [day.day for day in found.days] == sorted(day.day for day in found.days)
        for name, (field, size) in EDGES.items():
            expected = Counter(step(getattr(row, field), size) for row in rows)
            assert {share.value: share.studies for share in found.breakdowns[name]} == expected, name
        assert sum(share.flagged for share in found.breakdowns["sex"]) == sum(
            row.model_labels["any"] is True for row in rows
        )
        assert sum(share.analysed for share in found.breakdowns["age"]) == sum(bool(row.models) for row in rows)
        check_labels(rows, found)
        scores = Counter((one.name, int(one.probability["any"] * 20) / 20) for row in rows for one in row.models)
        assert {(one.model, one.low): one.studies for one in found.scores} == scores
        reviewed = [row for row in rows if row.reviews]
        assert sum(wait.studies for wait in found.waits if wait.of == "review") == len(reviewed)
        waits = sorted((row.reviewed_at - row.arrived_at).total_seconds() for row in reviewed)
        assert found.medians["review"] == waits[(len(waits) - 1) // 2]


def check_labels(rows: list[WorklistRow], found: object) -> None:
    for by, of in (("model", "model_labels"), ("reader", "reader_labels")):
        said = [getattr(row, of) for row in rows]
        expected = {
            label: (sum(s[label] is True for s in said), sum(s[label] is not None for s in said)) for label in LABELS
        }
        assert {one.label: (one.positives, one.studies) for one in found.prevalence if one.by == by} == expected
        together = {(one.a, one.b): one.studies for one in found.together if one.by == by}
        assert together == {
            (a, b): sum(s[a] is True and s[b] is True for s in said)
            for i, a in enumerate(SUBTYPES)
            for b in SUBTYPES[i:]
        }


def test_reasons_are_counted_once_a_study(store: Store) -> None:
    many(store, 20)
    rows = store.worklist.page(limit=100)
    with_reason = sum(bool(row.reasons) for row in rows)
    found = store.cohorts.read().reasons
    assert sum(reason.studies for reason in found) == with_reason > 0
    assert {reason.code for reason in found} == {"kvp", "age"}
    assert {reason.level for reason in found} == {"warning"}


@pytest.mark.parametrize(
    ("probability", "low", "high"), [(0.0, 0.0, 0.05), (0.0499, 0.0, 0.05), (0.5, 0.5, 0.55), (1.0, 0.95, 1.0)]
)
def test_edges_of_score_bins(store: Store, probability: float, low: float, high: float) -> None:
    add(store, "a", build.model(along=(0.0,), probability={"any": probability}))
    [found] = store.cohorts.read().scores
    assert (found.low, found.high, found.studies) == (low, high, 1)


def test_waits_fall_between_their_edges(store: Store) -> None:
    id = add(store, "a", 0.9)
    review(store, id, "Ann", agree=True, at=MORNING + timedelta(minutes=5))
    review(store, id, "Bob", agree=True, at=MORNING + timedelta(days=3))
    found = store.cohorts.read()
    [wait] = [one for one in found.waits if one.of == "review" and one.studies]
    assert (wait.low_s, wait.high_s) == (300, 900), "the first review counts"
    assert found.medians["review"] == 300


def test_superseded_results_do_not_count(store: Store) -> None:
    add(store, "a", build.model(along=(0.9,)), header=Header(age_years=40.0))
    add(store, "a", replace(build.model(along=(0.1,)), version="2.0"), header=Header(age_years=40.0))
    found = store.cohorts.read()
    assert [(one.low, one.studies) for one in found.scores] == [(0.1, 1)]
    assert next(one for one in found.prevalence if one.label == "any").positives == 0


def test_an_empty_cohort(store: Store) -> None:
    found = store.cohorts.read()
    assert (found.total, found.days, found.reasons, found.scores) == (0, (), (), ())
    assert found.medians == {"result": None, "review": None}
    assert {one.studies for one in found.prevalence} == {0}
    assert all(shares == () for shares in found.breakdowns.values())


def test_synthetic_studies_are_counted(store: Store) -> None:
    add(store, "a", 0.9)
    store.results.record(study("b", 0.9), content("b"), synthetic=True)
    assert (store.cohorts.read().total, store.cohorts.read().synthetic) == (2, 1)
    assert store.cohorts.read(Filter(synthetic=False)).synthetic == 0


def test_the_state_changes_with_every_change_of_the_tables(store: Store) -> None:
    seen = [store.cohorts.state()]
    id = add(store, "a", 0.9)
    seen.append(store.cohorts.state())
    review(store, id, "Ann", agree=True, at=MORNING)
    seen.append(store.cohorts.state())
    add(store, "a", replace(build.model(along=(0.1,)), version="2.0"))
    seen.append(store.cohorts.state())
    job = store.jobs.start("folder", "")
    store.jobs.add_items(job, ["one"])
    before = store.cohorts.state(Filter(job=job))
    store.jobs.done(store.jobs.claim(job)[0].id, id)
    assert store.cohorts.state(Filter(job=job)) != before
    assert len(set(seen)) == len(seen)
    assert store.cohorts.state() == seen[-1], "looking changes nothing"


def test_a_new_version_does_not_make_the_wait_for_a_result_longer(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([MORNING + timedelta(seconds=20), MORNING + timedelta(days=60)])
    monkeypatch.setattr(results, "datetime", SimpleNamespace(now=lambda zone: next(clock)))
    id = add(store, "a", 0.9)
    assert store.cohorts.read().medians["result"] == 20
    store.results.rescore(id, study("a", replace(build.model(), version="2")))
    assert store.worklist.row(id).analysed_at == MORNING + timedelta(days=60)
    assert store.cohorts.read().medians["result"] == 20


def test_what_is_read_together_is_of_one_moment(store: Store) -> None:
    add(store, "a", 0.9)
    count = select(func.count()).select_from(Study)
    with store.database.reading() as session:
        assert session.scalar(count) == 1
        add(store, "b", 0.9)
        assert session.scalar(count) == 1
    assert store.worklist.counts().total == 2
