"""Some sixty synthetic studies through the real pipeline, with what readers say of them: something true to show.

Only their arrival is made up: they would all come in one minute, and weeks could not be compared.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Executor, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from ichscope import home, phantom
from ichscope.atomic import write_text
from ichscope.batch.driver import Progress
from ichscope.batch.ingest import take_up, work
from ichscope.batch.work_items import Place, to_text
from ichscope.batch.workers import WorkerConfig
from ichscope.imaging.source import Source
from ichscope.labels import LABELS, SUBTYPES
from ichscope.models.providers import cores
from ichscope.store import Job, Store, content_hash

STUDIES = 64
# Studies arrive in so many days before the demonstration, in the last third from another scanner: a change to find.
DAYS = 56
SCANNERS = ("synthetic", "synthetic B")
_CHANGE = 2 / 3
_INSTITUTIONS = ("Synthetic North", "Synthetic South")
READERS = ("Reader A (synthetic)", "Reader B (synthetic)")
# Every third head is normal, which is more blood than a hospital sees, so that each kind has its studies.
_KINDS = (None, SUBTYPES[0], SUBTYPES[1], None, SUBTYPES[2], SUBTYPES[3], None, SUBTYPES[4])
_SIZE = 256
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


@dataclass(frozen=True)
class PaintedStudy:
    """A synthetic study on disk: the hash of what is in its files, and the truth about it, by label."""

    number: int
    folder: Path
    content: str
    truth: dict[str, bool]


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
        as batch.work
    OSError
        if there is no room for the files
    StoreError
        if the store cannot be written
    """
    folder = home.make(_folder(store))
    job = _job(store, folder)
    began = _began(store)
    painters = ThreadPoolExecutor(cores(), "ichscope-painter")
    try:
        waiting = {painters.submit(_paint, number, folder) for number in range(studies)}
        while waiting:
            ready, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            fresh = sorted((future.result() for future in ready), key=attrgetter("number"))
            store.jobs.add_items(job, [to_text(Place(study.folder)) for study in fresh])
            painted(studies - len(waiting), studies)
            # Meanwhile the painters go on: whatever they finish is analysed in the next round.
            work(store, job, executor, setup, progress=progress)
            for study in fresh:
                _enter(store, study, began)
    finally:
        painters.shutdown(wait=True, cancel_futures=True)
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


def _paint(number: int, folder: Path) -> PaintedStudy:
    """Paint a study into a folder of its own, unless a demonstration that was killed has left it whole."""
    record, target = folder / f"study-{number:03}.json", folder / f"study-{number:03}"
    if record.is_file():
        return PaintedStudy(number, target, **json.loads(record.read_text(encoding="utf-8")))
    part = Path(mkdtemp(prefix=f"{target.name}-", dir=folder))
    made = _phantom(number)
    files = phantom.write(made, part, **_tags(number))
    content = content_hash([Source(file.name, path=file) for file in files])
    truth = {label: bool(made.labels[:, i].any()) for i, label in enumerate(LABELS)}
    try:
        part.rename(target)
    except OSError:  # a demonstration that was killed had just come so far, or another program was quicker
        if not target.is_dir():
            raise
        shutil.rmtree(part)
    write_text(record, json.dumps({"content": content, "truth": truth}))
    return PaintedStudy(number, target, content, truth)


def _tags(number: int) -> dict[str, Any]:
    return {
        "ManufacturerModelName": SCANNERS[_place(number) > _CHANGE],
        "InstitutionName": _INSTITUTIONS[number % 3 == 0],
        "KVP": _KVP[number // 3 % len(_KVP)],
        "ContrastBolusAgent": "SYNTHETIC" if number % _CONTRAST_EVERY == _CONTRAST_EVERY - 1 else None,
    }


def _phantom(seed: int) -> phantom.Phantom:
    slices = _SLICES[seed % len(_SLICES)]
    if seed % _CHEST_EVERY == _CHEST_EVERY - 1:
        return phantom.make_chest(seed, slices, _SIZE)
    return phantom.make(_KINDS[seed % len(_KINDS)], seed, slices, _SIZE)


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
        newest = store.reviews.add(seen.study, reader, agree=agree, labels=labels, based_on=newest, at=at).review.id


def read(truth: dict[str, bool], chance: random.Random) -> dict[str, bool]:
    """What a reader sees: the truth, or now and then nothing, another kind of bleed, or one that is not there."""
    if chance.random() >= _ERROR:
        return dict(truth)
    labels = dict.fromkeys(LABELS, False)
    if not truth["any"] or chance.random() < 0.5:
        kind = chance.choice([label for label in SUBTYPES if not truth[label]])
        labels["any"] = labels[kind] = True
    return labels
