from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import inspect, text

from ichscope.imaging.preprocess import Box
from ichscope.imaging.series import Finding, Header, Slice
from ichscope.imaging.source import Source
from ichscope.labels import LABELS
from ichscope.results import SeriesResult
from ichscope.store import Filter, Store, StoreError, chain, clock, content_hash, results, volumes
from ichscope.store.pseudonymiser import without_names
from tests.support import results_builder as build
from tests.support.people import review
from tests.support.store_cases import MORNING, add, content, study

HEADER = Header(
    manufacturer="Maker", scanner="MAKER One", kernel="H31", kvp=120.0, slice_thickness_mm=5.0, age_years=93.4, sex="F",
    institution="Saint Elsewhere",
)  # fmt: skip


def test_a_study_is_recorded_with_all_that_pages_need(store: Store) -> None:
    models = build.model(probability={"subdural": 0.7}), build.model("cerebroscan", labels=("any",), threshold=0.95)
    id = add(store, "a", *models, header=HEADER)
    row = store.worklist.row(id)
    assert (row.status, row.slices, row.scanner, row.kvp, row.kernel) == ("analysed", 2, "MAKER One", 120.0, "H31")
    assert (row.age_years, row.sex, row.arrived_at) == (90, "F", MORNING)
    assert re.fullmatch("site [0-9a-f]{6}", row.institution)
    assert row.model_labels == dict.fromkeys(LABELS, False) | {"any": True, "subdural": True}
    by_name = {model.name: model for model in row.models}
    assert by_name["cranioscan"].probability["subdural"] == pytest.approx(0.7)
    assert by_name["cerebroscan"].probability == {"any": pytest.approx(0.9)}
    assert not by_name["cerebroscan"].flagged
    assert row.score == pytest.approx(0.9)


def test_the_same_content_is_one_study(store: Store) -> None:
    ids = {add(store, "a", 0.9, hours=hours) for hours in (0, 5)}
    assert len(ids) == 1
    assert store.worklist.counts().total == 1
    row = store.worklist.row(ids.pop())
    assert row.arrived_at == MORNING
    assert len(row.models) == 1


def test_a_synthetic_study_can_have_come_at_another_time_and_no_other(store: Store) -> None:
    id = store.results.record(study("a", 0.9), content("a"), arrived_at=MORNING, synthetic=True)
    took = store.worklist.row(id).analysed_at - MORNING
    store.results.move(id, MORNING - timedelta(days=9))
    row = store.worklist.row(id)
    assert (row.arrived_at, row.analysed_at - row.arrived_at) == (MORNING - timedelta(days=9), took)
    (found,) = store.arrivals.results(row.arrived_at, MORNING, synthetic=True)
    assert found.created_ms[0] == pytest.approx(1000 * row.analysed_at.timestamp())
    store.results.move(id, row.arrived_at)
    assert store.worklist.row(id) == row
    patient = add(store, "b", 0.9)
    with pytest.raises(StoreError, match="no synthetic study number"):
        store.results.move(patient, MORNING)
    assert store.worklist.row(patient).arrived_at == MORNING


def test_an_institution_has_one_code_however_it_is_spelled(store: Store) -> None:
    names = ("Saint Elsewhere", " SAINT  elsewhere", "County", "", "  ")
    codes = [store.keys.site(name) for name in names]
    assert codes[0] == codes[1] != codes[2]
    assert codes[3] == codes[4] == ""


def test_a_new_version_adds_a_result_and_counts_from_then_on(store: Store) -> None:
    id = add(store, "a", build.model())
    review(store, id, "Ann", agree=True)
    newer = replace(build.model(along=(0.1, 0.2)), version="2.0")
    assert add(store, "a", newer) == id
    assert store.results.seen(content("a")).models == {"cranioscan": {"1.0", "2.0"}}
    row = store.worklist.row(id)
    assert [model.version for model in row.models] == ["2.0"]
    assert (row.priority, row.reviews) == ("negative", 1)
    assert store.worklist.choices().models == (("cranioscan", "2.0"),)


def test_what_failed_later_does_not_take_results_away(store: Store) -> None:
    id = add(store, "a", 0.9)
    failed = study("a", status="not analysed", findings=(Finding("not analysable", "unreadable", "No."),))
    assert store.results.record(failed, content("a")) == id
    assert store.worklist.row(id).status == "analysed"


def test_what_failed_first_is_replaced_by_results(store: Store) -> None:
    findings = (Finding("not analysable", "unreadable", "No."),)
    id = add(store, "a", findings=findings)
    row = store.worklist.row(id)
    assert (row.status, row.priority, row.reasons, row.score) == ("not analysed", "not analysed", ("No.",), None)
    assert add(store, "a", 0.9) == id
    assert store.worklist.row(id).priority == "likely"


def test_seen_knows_versions(store: Store) -> None:
    assert store.results.seen(content("a")) is None
    id = add(store, "a", 0.9)
    seen = store.results.seen(content("a"))
    assert (seen.study, seen.status, seen.models) == (id, "analysed", {"cranioscan": {"1.0"}})


def test_nothing_in_the_database_names_a_patient(store: Store) -> None:
    # Longer than keys and times, which may hold a short number by chance.
    born, number = "770123-1234-770123", "471108" * 3
    files = ["DOE_JANE/IM 0001.dcm", f"DOE_JANE/{born}"]
    findings = (
        Finding("warning", "unreadable-file", f"Left out: {files[0]}: no pixels; {born}: no pixels (1.2.840.1.2.3)"),
    )
    made = study("a", 0.9, header=HEADER, findings=findings)
    made = replace(
        made, name="DOE_JANE/", slices=(Slice("DOE_JANE/IM3", "1.2.840.1.2.3", 1.0), Slice("DOE_JANE/IM4", "", None))
    )
    job = store.jobs.start("folder", "night")
    store.jobs.add_items(job, ["/in/DOE_JANE"])
    [item] = store.jobs.claim(job)
    id = store.results.record(made, content("a"), files=files, patient_id=f"PAT-{number}", item=item.id)
    written = dump(store)
    for secret in (
        "DOE",
        "JANE",
        number,
        born,
        "770123-",
        "1.2.840",
        "IM3",
        "IM 0001",
        "Elsewhere",
        "93.4",
        made.study,
    ):
        assert secret not in written, secret
    assert store.worklist.row(id).reasons == ("Left out: file 1: no pixels; file 2: no pixels (a UID)",)
    assert "H31" in written, "the dump shows nothing: this would prove nothing"


def dump(store: Store) -> str:
    with store.database.engine.connect() as connection:
        tables = inspect(connection).get_table_names()
        return "\n".join(str(row) for table in tables for row in connection.execute(text(f"SELECT * FROM {table}")))


def test_an_unreadable_file_is_not_named(store: Store) -> None:
    findings = (Finding("not analysable", "unreadable", "in/DOE.dcm: holds text"),)
    made = SeriesResult(
        study="", series="", name="in/DOE.dcm", status="not analysed", reasons=(findings[0].text,), findings=findings
    )
    id = store.results.record(made, content("a"))
    assert store.worklist.row(id).reasons == ("file 1: holds text",)
    assert "DOE" not in dump(store)


@pytest.mark.parametrize(
    ("said", "files", "written"),
    [
        ("IM1.dcm: bad", ["IM1.dcm"], "file 1: bad"),
        ("IM1.dcm: bad; IM11.dcm: bad", ["IM11.dcm", "IM1.dcm"], "file 2: bad; file 1: bad"),
        ("a/b/SMITH: bad", ["a/b/SMITH"], "file 1: bad"),
        ("SMITH: bad", ["a/b/SMITH"], "file 1: bad"),
        ("There are 12 slices of 5 mm.", ["x/12", "x/5"], "There are 12 slices of 5 mm."),
        ("00012345: bad", ["x/00012345"], "file 1: bad"),
        ("(x) [y].dcm: bad", ["(x) [y].dcm"], "file 1: bad"),
        ("Slices are 2.5 mm apart; version 3.0.2.", ["2"], "Slices are 2.5 mm apart; version 3.0.2."),
        ("Series 1.3.12.2.1107.5 is mixed.", [], "Series a UID is mixed."),
    ],
)
def test_texts_lose_names_and_uids_only(said: str, files: list[str], written: str) -> None:
    assert without_names(said, files) == written


def test_content_is_that_of_the_files_in_any_order_under_any_name() -> None:
    one, two = Source("a", data=b"1"), Source("b", data=b"2")
    renamed = Source("c", data=b"1")
    assert content_hash([one, two]) == content_hash([two, renamed])
    assert content_hash([one, one]) != content_hash([one])
    assert content_hash([one]) != content_hash([two])


def test_a_study_comes_back_for_the_viewer(store: Store) -> None:
    box = Box(1.5, -2.0, 8.0, 8.0)
    made = replace(study("a", build.model(along=(0.1, 0.9)), header=HEADER), box=box)
    path = volumes.save(store.volumes, content("a"), made)
    id = store.results.record(made, content("a"), volume=path)
    back = store.results.load(id)
    np.testing.assert_array_equal(back.volume.hu, made.volume.hu)
    assert back.volume.spacing_mm == made.volume.spacing_mm
    assert (back.box, back.status, back.findings) == (box, made.status, made.findings)
    assert [one.position_mm for one in back.slices] == [0.0, 5.0]
    assert not any(one.sop or one.file.startswith("IM") for one in back.slices)
    assert back.volume.header == replace(HEADER, age_years=90, institution="")
    mine, theirs = back.models["cranioscan"], made.models["cranioscan"]
    assert mine.slice_probability.keys() == theirs.slice_probability.keys()
    for label in LABELS:
        np.testing.assert_array_equal(mine.slice_probability[label], theirs.slice_probability[label])
    np.testing.assert_allclose(mine.evidence, theirs.evidence, atol=0.003)
    assert (mine.thresholds, mine.probability) == (theirs.thresholds, pytest.approx(theirs.probability))
    assert store.worklist.row(id).has_volume


class Ahead:
    """A clock that is so many days ahead."""

    def __init__(self, days: int) -> None:
        self._days = timedelta(days=days)

    def now(self, zone: Any) -> datetime:
        return datetime.now(zone) + self._days


def keep(store: Store, name: str) -> int:
    made = study(name, 0.9)
    return store.results.record(made, content(name), volume=volumes.save(store.volumes, content(name), made))


def test_a_clock_that_is_set_ahead_removes_no_picture(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    id = keep(store, "a")
    for module in (results, chain, clock):
        monkeypatch.setattr(module, "datetime", Ahead(400))
    for name in "bc":
        with pytest.raises(
            StoreError, match=r"clock .* may be wrong, and no picture .* no line for [34]\d\d days.* --clock-is-right"
        ):
            store.results.prune(timedelta(days=30))
        keep(store, name)  # nor after work went on by it
    assert store.worklist.row(id).has_volume
    assert store.results.prune(timedelta(days=30), clock_is_right=True) == 3
    assert not store.worklist.row(id).has_volume


def test_where_no_picture_is_old_a_quiet_time_is_no_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    id = keep(store, "a")
    for module in (results, chain, clock):
        monkeypatch.setattr(module, "datetime", Ahead(60))
    assert store.results.prune(timedelta(days=90)) == 0
    assert store.worklist.row(id).has_volume


def test_a_clock_that_is_behind_removes_no_picture(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(store, "a")
    for path in store.volumes.rglob("*.nii"):
        os.utime(path, (0, 0))
    for module in (results, chain, clock):
        monkeypatch.setattr(module, "datetime", Ahead(-1))
    with pytest.raises(StoreError, match=r"A line of the audit trail is of .*, which is later"):
        store.results.prune(timedelta(days=30))


def test_prune_removes_volumes_and_keeps_rows(store: Store) -> None:
    made = study("a", 0.9)
    id = store.results.record(made, content("a"), volume=volumes.save(store.volumes, content("a"), made))
    assert store.results.prune(timedelta(days=1)) == 0
    assert store.results.prune(timedelta(days=-1)) == 1
    assert not store.worklist.row(id).has_volume
    assert store.results.load(id).volume is None


def test_a_prune_that_is_killed_leaves_no_study_without_its_volume(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volumes, "_AT_ONCE", 2)
    ids = []
    for name in "abc":
        made = study(name, 0.9)
        ids.append(store.results.record(made, content(name), volume=volumes.save(store.volumes, content(name), made)))

    def killed(path: Path, missing_ok: bool = False) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            store.results.prune(timedelta(days=-1))
    assert any(not store.worklist.row(id).has_volume for id in ids)
    assert store.results.prune(timedelta(days=-1)) == 3, "what was left is removed by the next one"
    assert not any(store.worklist.row(id).has_volume for id in ids)
    assert not list(store.volumes.rglob("*.nii"))


def test_a_damaged_volume_is_said(store: Store) -> None:
    made = study("a", 0.9)
    path = volumes.save(store.volumes, content("a"), made)
    id = store.results.record(made, content("a"), volume=path)
    (store.volumes / path).write_bytes(b"x")
    with pytest.raises(StoreError, match="cannot be shown: the volume is damaged"):
        store.results.load(id)


def test_rescoring_adds_results_and_changes_no_key(store: Store) -> None:
    made = study("a", 0.9, header=HEADER)
    path = volumes.save(store.volumes, content("a"), made)
    id = store.results.record(made, content("a"), volume=path)
    add(store, "b", 0.9)
    assert store.results.outdated({"cranioscan": "1.0"}) == []
    assert store.results.outdated({"cranioscan": "2.0"}) == [id], "what has no volume cannot be analysed again"
    before = store.worklist.row(id)
    newer = replace(build.model(along=(0.1, 0.2)), version="2.0", evidence=np.full((2, 3, 4), 0.2, np.float32))
    store.results.rescore(id, replace(store.results.load(id), models={"cranioscan": newer}))
    after = store.worklist.row(id)
    assert (after.study_key, after.series_id, after.age_years) == (before.study_key, before.series_id, 90)
    assert (before.priority, after.priority) == ("likely", "negative")
    np.testing.assert_allclose(store.results.load(id).models["cranioscan"].evidence, 0.2, atol=0.003)
    assert store.results.outdated({"cranioscan": "2.0"}) == []


def test_a_result_keeps_the_hashes_of_the_files_that_gave_it(store: Store) -> None:
    model = replace(build.model(), encoder_sha256="e" * 64, head_sha256="f" * 64)
    id = store.results.record(study("a", model), content("a"))
    loaded = store.results.load(id).models["cranioscan"]
    assert (loaded.encoder_sha256, loaded.head_sha256) == ("e" * 64, "f" * 64)
    store.results.rescore(id, replace(store.results.load(id), models={"cranioscan": replace(model, head_sha256="a")}))
    assert store.results.load(id).models["cranioscan"].head_sha256 == "a"


def test_study_and_done_item_are_written_together_or_not_at_all(store: Store) -> None:
    with pytest.raises(StoreError, match="no item number 99"):
        store.results.record(study("a", 0.9), content("a"), item=99)
    assert store.worklist.counts().total == 0
    assert store.results.seen(content("a")) is None


def test_many_threads_write_the_same_study_once(store: Store) -> None:
    made, ids, gate = study("a", build.model()), [], threading.Barrier(4)

    def write() -> None:
        gate.wait()
        ids.append(store.results.record(made, content("a")))

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 4
    assert len(set(ids)) == 1
    assert store.worklist.counts().total == 1


def test_a_full_disk_is_said_and_nothing_is_half_written(tmp_path: Path, open_store: Callable[[str], Store]) -> None:
    store = open_store(f"sqlite:///{tmp_path}/a.db")
    add(store, "a", 0.9)
    with store.database.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
    store.close()
    from sqlalchemy import event

    event.listen(store.database.engine, "connect", lambda one, _: one.execute(f"PRAGMA max_page_count = {pages + 1}"))
    big = (Finding("warning", "kvp", "x" * 1_000_000),)  # more than the pages that migrations have left free
    with pytest.raises(StoreError, match="no room left on the disk"):
        add(store, "b", 0.9, findings=big)
    assert [row.reasons for row in store.worklist.page()] == [()]
    assert store.results.seen(content("b")) is None


def test_a_store_that_another_program_keeps_locked_is_said(
    tmp_path: Path, open_store: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ichscope.store.database._BUSY_SECONDS", 0)
    store = open_store(f"sqlite:///{tmp_path}/a.db")
    with store.database.writing() as session:
        session.execute(text("SELECT 1"))
        with pytest.raises(StoreError, match="another program has kept it locked"):
            add(store, "a", 0.9)
    add(store, "a", 0.9)


def test_readers_do_not_wait_for_a_writer(tmp_path: Path, open_store: Callable[[str], Store]) -> None:
    store = open_store(f"sqlite:///{tmp_path}/a.db")
    with store.database.writing() as session:
        session.execute(text("DELETE FROM studies"))
        assert store.worklist.page(Filter()) == []
