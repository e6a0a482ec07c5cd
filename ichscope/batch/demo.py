"""Some sixty synthetic studies through the real pipeline, with what readers say of them: something true to show.

Only their arrival is made up: they would all come in one minute, and weeks could not be compared.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ichscope import home
from ichscope.access import Actor, Role, Via, acting_as
from ichscope.batch import painting
from ichscope.batch.driver import Progress
from ichscope.batch.ingest import take_up, work
from ichscope.batch.painting import Order, PaintedStudy
from ichscope.batch.work_items import Place, to_text
from ichscope.batch.workers import WorkerConfig
from ichscope.labels import LABELS, SUBTYPES
from ichscope.store import Job, Store

STUDIES = 64
# Studies arrive in so many days before the demonstration, in the last third from another scanner: a change to find.
DAYS = 56
SCANNERS = ("synthetic", "synthetic B")
_CHANGE = 2 / 3
_INSTITUTIONS = ("Synthetic North", "Synthetic South")
READERS = ("Reader A (synthetic)", "Reader B (synthetic)")
# Every third head is normal, which is more blood than a hospital sees, so that each kind has its studies.
_KINDS = (None, SUBTYPES[0], SUBTYPES[1], None, SUBTYPES[2], SUBTYPES[3], None, SUBTYPES[4])
# As many rows and columns as the models look at: a demonstration has to be there soon.
_SIZE = 224
_SLICES = (20, 24, 28, 32)
_KVP = (100, 120, 120, 140)
# Every so many studies one is a chest, which no model may judge, and one a head with a contrast agent.
_CHEST_EVERY, _CONTRAST_EVERY = 24, 16
# So many readings differ from the truth: enough to see what disagreement looks like.
_ERROR = 0.08
_SECOND_READING = 0.4
_UNREAD = 0.15
# After so many hours at most a reader has read a study, a second one in as many again.
_READ_WITHIN_H = 20
# The fractional parts of its multiples lie evenly, however many there are.
_GOLDEN = (5**0.5 - 1) / 2

Painted = Callable[[int, int], object]


def make(
    store: Store,
    executor: Executor,
    setup: WorkerConfig | None = None,
    studies: int = STUDIES,
    *,
    painted: Painted = lambda done, total: None,
    progress: Progress | None = None,
) -> Job:
    """Paint the first so many phantoms, analyse each as soon as it is there, and enter what readers say of it.

    A second call adds nothing; one that was killed is taken up by the next one.

    Parameters
    ----------
    painted : called with (painted, studies)
    progress : as for `batch.work`

    Raises
    ------
    BatchError
        as batch.work, and if the studies cannot be painted
    OSError
        if there is no place for the files
    StoreError
        if the store cannot be written
    """
    folder = home.make(_folder(store))
    job = _job(store, folder)
    began = _began(store)
    there = 0
    for fresh in painting.painted(folder, [_order(number) for number in range(studies)]):
        there += len(fresh)
        store.jobs.add_items(job, [to_text(Place(study.folder)) for study in fresh])
        painted(there, studies)
        # Meanwhile the painters go on: whatever they finish is analysed in the next round.
        work(store, job, executor, setup, progress=progress)
        for study in fresh:
            _enter(store, study, began)
    store.jobs.mark_listed(job)
    shutil.rmtree(folder)
    return store.jobs.get(job)


def _job(store: Store, folder: Path) -> int:
    """Begin a job, or take up the one of a demonstration that was killed."""
    mark = store.keys.study(f"demo\0{folder.resolve()}")
    if (job := take_up(store, mark)) is not None:
        return job
    return store.jobs.start("demo", "Demonstration, synthetic", {"synthetic": True, "inputs": mark})


def _enter(store: Store, study: PaintedStudy, began: datetime) -> None:
    """Let a study have come when the demonstration wants it, and have been read."""
    spread(store, study, began - timedelta(days=DAYS * (1 - _place(study.number))))
    review(store, study, random.Random(study.number), began)


def _began(store: Store) -> datetime:
    """When the first demonstration began: one that is made again or goes on leaves its studies in their places."""
    return min(job.created_at for job in store.jobs.recent(limit=1000) if job.kind == "demo")


def _place(number: int) -> float:
    """Where in the demonstration's time a study came, from 0 to 1."""
    return (number + 1) * _GOLDEN % 1


def _folder(store: Store) -> Path:
    return store.volumes.parent / "demo"


def _tags(number: int) -> dict[str, Any]:
    return {
        "ManufacturerModelName": SCANNERS[_place(number) > _CHANGE],
        "InstitutionName": _INSTITUTIONS[number % 3 == 0],
        "KVP": _KVP[number // 3 % len(_KVP)],
        "ContrastBolusAgent": "SYNTHETIC" if number % _CONTRAST_EVERY == _CONTRAST_EVERY - 1 else None,
    }


def _order(number: int) -> Order:
    chest = number % _CHEST_EVERY == _CHEST_EVERY - 1
    kind = _KINDS[number % len(_KINDS)]
    return Order(number, _SLICES[number % len(_SLICES)], _SIZE, kind, chest, _tags(number))


def spread(store: Store, study: PaintedStudy, arrived_at: datetime) -> None:
    """Let a study have come when the demonstration wants it."""
    if (seen := store.results.seen(study.content)) is not None:
        store.results.move(seen.study, arrived_at)


def review(store: Store, study: PaintedStudy, chance: random.Random, before: datetime) -> None:
    """Enter what one or two readers say, who err at times; some studies nobody has read yet.

    Parameters
    ----------
    before : nobody reads later than that
    """
    seen = store.results.seen(study.content)
    readers = READERS[: 1 + (chance.random() < _SECOND_READING)] if chance.random() >= _UNREAD else ()
    if seen is None or not seen.models or store.reviews.of(seen.study):
        return
    row = store.worklist.row(seen.study)
    newest, at = None, row.analysed_at
    for reader in readers:
        at += timedelta(hours=chance.uniform(0, _READ_WITHIN_H))
        if at > before:
            return
        labels = read(study.truth, chance)
        # As on the page: whoever sets a label that the models do not find disagrees.
        agree = all(labels[label] == flag for label, flag in row.model_labels.items() if flag is not None)
        with acting_as(Actor(reader, Role.READER, Via.NOBODY)):
            saved = store.reviews.add(seen.study, agree=agree, labels=labels, based_on=newest, at=at)
        newest = saved.review.id


def read(truth: dict[str, bool], chance: random.Random) -> dict[str, bool]:
    """What a reader sees: the truth, or now and then nothing, another kind of bleed, or one that is not there."""
    if chance.random() >= _ERROR:
        return dict(truth)
    labels = dict.fromkeys(LABELS, False)
    if not truth["any"] or chance.random() < 0.5:
        kind = chance.choice([label for label in SUBTYPES if not truth[label]])
        labels["any"] = labels[kind] = True
    return labels
