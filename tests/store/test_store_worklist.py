from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from ichscope.imaging.elements import short_hash
from ichscope.store import PRIORITIES, Filter, NotFoundError, Store, StoreError, WorklistRow
from ichscope.store.tables import Study
from tests.support import results_builder as build
from tests.support.people import review
from tests.support.postgresql import Server
from tests.support.store_cases import MORNING, add, many

# Of Saint Elsewhere, with the key below.
KEY, SITE = "11" * 32, "site 93f391"
FILTERS: dict[str, tuple[Filter, Callable[[WorklistRow], bool]]] = {
    "everything": (Filter(), lambda row: True),
    "status": (Filter(status=("limited", "not analysed")), lambda row: row.status != "analysed"),
    "priority": (Filter(priority=("likely",)), lambda row: row.priority == "likely"),
    "label of models": (Filter(label="subdural"), lambda row: row.model_labels["subdural"] is True),
    "label of readers": (Filter(label="epidural", by="reader"), lambda row: row.reader_labels["epidural"] is True),
    "arrival": (
        Filter(since=MORNING + timedelta(minutes=47), until=MORNING + timedelta(hours=60)),
        lambda row: timedelta(minutes=47) <= row.arrived_at - MORNING < timedelta(hours=60),
    ),
    "scanner": (Filter(scanner="Maker Aquilion"), lambda row: row.scanner == "Maker Aquilion"),
    "unknown scanner": (Filter(scanner=""), lambda row: row.scanner == ""),
    "institution": (Filter(institution=SITE), lambda row: row.institution == SITE),
    "unknown institution": (Filter(institution=""), lambda row: row.institution == ""),
    "model": (Filter(model="cerebroscan"), lambda row: bool(row.models)),
    "version": (Filter(model="cerebroscan", version="2.0"), lambda row: False),
    "unreviewed": (Filter(agreement="unreviewed"), lambda row: row.reviews == 0),
    "reviewed": (Filter(agreement="reviewed"), lambda row: row.reviews > 0),
    "disagree": (Filter(agreement="disagree"), lambda row: row.agreement == "disagree"),
    "synthetic": (Filter(synthetic=True), lambda row: row.synthetic),
    "several": (
        Filter(status=("analysed",), label="any", agreement="unreviewed"),
        lambda row: row.status == "analysed" and row.model_labels["any"] is True and row.reviews == 0,
    ),
}
SORTED: dict[Any, Callable[[WorklistRow], Any]] = {
    "priority": lambda row: (PRIORITIES.index(row.priority), -(row.score or 0), row.id),
    "newest": lambda row: (-row.arrived_at.timestamp(), -row.id),
    "oldest": lambda row: (row.arrived_at, row.id),
    "score": lambda row: (-(-1 if row.score is None else row.score), -row.id),
}


@pytest.fixture
def filled(url: str, open_store: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch) -> Store:
    with monkeypatch.context() as patched:
        patched.setattr("ichscope.home.secrets.token_hex", lambda count: KEY[: 2 * count])
        store = open_store(url)
    many(store, 30)
    return store


def test_every_filter_and_order_is_what_it_says(filled: Store) -> None:
    everything = filled.worklist.page(limit=100)
    assert len(everything) == 30
    for name, (wanted, fits) in FILTERS.items():
        for order, key in SORTED.items():
            expected = sorted((row for row in everything if fits(row)), key=key)
            assert filled.worklist.page(wanted, order, limit=100) == expected, (name, order)
        assert expected or name in ("version", "synthetic"), f"{name} fits no study: this would prove nothing"
        counts = filled.worklist.counts(wanted)
        assert counts.total == len(expected), name
        for state in ("status", "priority", "agreement"):
            found = [getattr(row, state) for row in expected]
            assert getattr(counts, state) == {value: found.count(value) for value in set(found)}


def test_pages_are_parts_of_the_whole(filled: Store) -> None:
    whole = filled.worklist.page(order="newest", limit=100)
    pages = [filled.worklist.page(order="newest", offset=at, limit=7) for at in range(0, 49, 7)]
    assert [row for page in pages for row in page] == whole
    assert pages[-1] == []
    assert list(filled.worklist.export(order="newest")) == whole


def test_studies_follow_one_another_as_they_came_into_the_store(filled: Store) -> None:
    whole = sorted(filled.worklist.page(limit=100), key=lambda row: row.id)
    found: list[WorklistRow] = []
    while some := filled.worklist.after(found[-1].id if found else 0, limit=7):
        found += some
    assert found == whole
    late = sorted(row.arrived_at for row in whole)[15]
    assert filled.worklist.after(0, late, limit=100) == [row for row in whole if row.arrived_at >= late] != whole


def test_a_study_is_found_by_its_whole_key(filled: Store) -> None:
    row = filled.worklist.page(limit=1)[0]
    assert filled.worklist.keyed(row.study_key) == row
    for key in (row.study_key[:-1], "f" * 16):
        with pytest.raises(NotFoundError, match="no study of this key"):
            filled.worklist.keyed(key)


def test_neighbours_walk_through_the_list(filled: Store) -> None:
    for order in SORTED:
        wanted = Filter(status=("analysed", "not analysed"))
        ids = [row.id for row in filled.worklist.page(wanted, order, limit=100)]
        for place, id in enumerate(ids):
            found = filled.worklist.neighbours(id, wanted, order)
            before = ids[place - 1] if place else None
            after = ids[place + 1] if place + 1 < len(ids) else None
            assert (found.previous, found.next, found.position, found.total) == (before, after, place + 1, len(ids))


def test_neighbours_of_a_study_that_dropped_out(store: Store) -> None:
    first, second, third = (add(store, name, p) for name, p in (("a", 0.99), ("b", 0.95), ("c", 0.9)))
    wanted = Filter(agreement="unreviewed")
    review(store, second, "Ann", agree=True)
    found = store.worklist.neighbours(second, wanted)
    assert (found.previous, found.next, found.total) == (first, third, 2)


def test_search_takes_the_start_of_a_key_a_uid_or_a_key_of_study_check(store: Store) -> None:
    uid = "1.2.840.99999.7"
    found = add(store, "a", 0.9, study=short_hash(uid))
    other = add(store, "b", 0.9)
    key = store.worklist.row(found).study_key
    for text in (key, key[:5], f" {key[:7].upper()} ", uid, short_hash(uid)):
        assert [row.id for row in store.worklist.page(Filter(key=text))] == [found], text
    assert key != short_hash(uid)
    with store.database.writing() as session:
        # In Danish this comes after all others.
        session.execute(update(Study).where(Study.id == found).values(study_key="aa00000000000000"))
        session.execute(update(Study).where(Study.id == other).values(study_key="b000000000000000"))
    assert [row.id for row in store.worklist.page(Filter(key="a"))] == [found]
    assert store.worklist.page(Filter(key="%")) == []
    assert store.worklist.page(Filter(key="'; DROP TABLE studies; --")) == []


def test_filter_by_reader_model_and_job(store: Store) -> None:
    a = add(store, "a", build.model("cranioscan"))
    b = add(store, "b", build.model("cerebroscan", labels=("any",)))
    review(store, b, "Ann", agree=True)
    job = store.jobs.start("folder", "night")
    store.jobs.add_items(job, ["x"])
    [item] = store.jobs.claim(job)
    store.jobs.done(item.id, a)
    for wanted, expected in (
        (Filter(reader="Ann"), [b]),
        (Filter(reader="Bob"), []),
        (Filter(model="cranioscan"), [a]),
        (Filter(version="1.0"), [a, b]),
        (Filter(job=job), [a]),
    ):
        assert sorted(row.id for row in store.worklist.page(wanted)) == expected, wanted


def test_filter_by_poor_quality(store: Store) -> None:
    good, poor, unreviewed = (add(store, name, build.model("cranioscan")) for name in ("good", "poor", "unreviewed"))
    review(store, good, "Ann", agree=True)
    review(store, poor, "Ann", agree=True, poor_quality=True)
    # One reader is enough, and stays so when another finds it good.
    review(store, poor, "Bob", agree=True)
    for wanted, expected in ((True, [poor]), (False, [good, unreviewed]), (None, [good, poor, unreviewed])):
        found = store.worklist.page(Filter(poor_quality=wanted))
        assert sorted(row.id for row in found) == expected, wanted
    assert store.worklist.counts(Filter(poor_quality=True)).agreement == {"agree": 1}


def test_choices_are_what_there_is(filled: Store) -> None:
    choices = filled.worklist.choices()
    assert choices.scanners == ("Aquilion", "Maker", "Maker Aquilion", "Maker Revolution", "Revolution")
    assert len(choices.institutions) == 2
    assert SITE in choices.institutions
    assert choices.models == (("cerebroscan", "1.0"), ("cranioscan", "1.0"))
    assert choices.readers == ("Ann", "Bob")


def test_an_empty_store_has_empty_pages(store: Store) -> None:
    assert store.worklist.page() == []
    assert list(store.worklist.export()) == []
    assert store.worklist.counts().total == 0
    assert store.worklist.choices().models == ()
    for ask in (store.worklist.row, store.worklist.neighbours, store.results.load):
        with pytest.raises(StoreError, match="no study number 1"):
            ask(1)


@pytest.mark.parametrize("label", ["bleed", "any; --", ""])
def test_unknown_labels_are_refused(store: Store, label: str) -> None:
    if not label:
        assert store.worklist.page(Filter(label=label)) == []
        return
    with pytest.raises(ValueError, match="expected a label among any"):
        store.worklist.page(Filter(label=label))


def test_both_databases_give_the_same_pages(
    tmp_path: Path, server: Server, open_store: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = [open_store(f"sqlite:///{tmp_path}/a.db"), open_store(server.database())]
    for one in stores:
        many(one, 30, seed=3)

    def still(row: WorklistRow) -> WorklistRow:
        return replace(row, analysed_at=MORNING)

    for wanted, _ in FILTERS.values():
        for order in SORTED:
            pages = [list(map(still, one.worklist.page(wanted, order, 5, 10))) for one in stores]
            assert pages[0] == pages[1]
        assert stores[0].worklist.counts(wanted) == stores[1].worklist.counts(wanted)
        cohorts = [replace(one.cohorts.read(wanted), waits=(), medians={}) for one in stores]
        assert cohorts[0] == cohorts[1]
    assert stores[0].worklist.choices() == stores[1].worklist.choices()
