"""Batches on both databases: what one file holds must not stop the others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from ichscope import batch, phantom
from ichscope.batch import WorkerConfig, workers
from ichscope.store import Filter, Store
from ichscope.store.tables import JobItem
from tests.support import tiny_model

# As a Latin-1 file system of old has it; no UTF-8.
LATIN = os.fsdecode(b"M\xfcller")


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> WorkerConfig:
    folder = tmp_path_factory.mktemp("models")
    tiny_model.build(folder, name="cranioscan")
    return WorkerConfig(folder, provider="cpu")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as threads:
        yield threads


def head(folder: Path, seed: int, **tags: Any) -> None:
    phantom.write(phantom.make(None, seed, slices=2, size=32), folder, **tags)


def test_a_nul_inside_a_header_text(
    store: Store, pool: ThreadPoolExecutor, setup: WorkerConfig, tmp_path: Path
) -> None:
    head(
        tmp_path / "in" / "0", 0, ManufacturerModelName="Opti\0ma", InstitutionName="Saint\0Elsewhere", PatientID="1\0"
    )
    head(tmp_path / "in" / "1", 1)
    job = batch.run([tmp_path / "in"], pool, store, setup)
    assert (job.done, job.failed) == (2, 0)
    assert any(row.scanner.endswith("Opti ma") for row in store.worklist.page())


def test_names_that_are_no_utf8(store: Store, pool: ThreadPoolExecutor, setup: WorkerConfig, tmp_path: Path) -> None:
    head(tmp_path / LATIN / LATIN, 0)
    (tmp_path / LATIN / f"{LATIN}.dcm").write_bytes(b"a text, not a scan")
    (tmp_path / LATIN / f"{LATIN}.zip").write_bytes(b"a text, no archive")
    head(tmp_path / LATIN / "other", 1)
    for _ in range(2):
        job = batch.run([tmp_path / LATIN], pool, store, setup)
        assert (job.done, job.failed, store.worklist.counts().total) == (4, 0, 4)
    refused = store.worklist.page(Filter(status=("not analysed",)))
    assert len(refused) == 2
    assert not any("ller" in reason for row in refused for reason in row.reasons)


def test_a_value_that_the_database_cannot_hold_fails_one_series(
    store: Store, pool: ThreadPoolExecutor, setup: WorkerConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # SQLite takes a NUL.
    unfit = "\0" if store.database.engine.dialect.name == "postgresql" else "\udcfc"
    real = workers.analyse

    def analyse(setup: WorkerConfig, group: Any, read_only: bool) -> Any:
        result = real(setup, group, read_only)
        if not group.sources[0].name.startswith("in/0/"):
            return result
        assert result.volume is not None
        header = replace(result.volume.header, kernel=unfit)
        return replace(result, volume=replace(result.volume, header=header))

    monkeypatch.setattr(workers, "analyse", analyse)
    for seed in range(2):
        head(tmp_path / "in" / str(seed), seed)
    job = batch.run([tmp_path / "in"], pool, store, setup)
    assert (job.done, job.failed, job.pending, job.running) == (1, 1, 0, 0)
    assert store.worklist.counts().total == 1


def test_what_a_process_of_another_host_took_on_is_done_when_its_lease_is_over(
    store: Store, pool: ThreadPoolExecutor, setup: WorkerConfig, tmp_path: Path
) -> None:
    head(tmp_path / "in", 0)
    job = batch.begin(store, [tmp_path / "in"])
    assert store.jobs.claim(job)
    with store.database.writing() as session:
        soon = datetime.now(UTC) + timedelta(seconds=2)
        session.execute(update(JobItem).values(owner="elsewhere/1/1", lease_until=soon))
    assert batch.work(store, job, pool, setup, wait_for_others=False).running == 1
    done = batch.work(store, job, pool, setup)
    assert (done.done, done.running, done.pending) == (1, 0, 0)
