"""Some sixty synthetic studies through the real pipeline, with what readers say of them: something true to show.

Only their arrival is made up: they would all come in one minute, and weeks could not be compared.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from ichscope import home, phantom
from ichscope.batch import WorkerConfig, begin, work
from ichscope.batch.driver import Progress
from ichscope.imaging.source import Source
from ichscope.labels import LABELS, SUBTYPES
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

Making = Callable[[int, int], object]


@dataclass(frozen=True)
class Made:
    """A study on disk and the truth about it, by label."""

    content: str
    truth: dict[str, bool]


def make(store: Store, studies: int = STUDIES, progress: Making = lambda done, total: None) -> list[Made]:
    """Write the first so many phantoms, each into a folder of its own; progress is called with (made, studies)."""
    # Always the same place: a demonstration that was killed is taken up by the next one.
    folder, made = home.make(_folder(store)), []
    for seed in range(studies):
        made.append(_make_one(seed, folder / f"{seed:03}"))
        progress(len(made), studies)
    return made


def analyse(
    store: Store,
    made: Sequence[Made],
    executor: Executor,
    setup: WorkerConfig | None = None,
    progress: Progress | None = None,
) -> Job:
    """Analyse the phantoms that were made, enter what readers say of them, and remove their files.

    A second call adds nothing.

    Raises
    ------
    BatchError
        as batch.work
    StoreError
        if the store cannot be written
    """
    job = begin(store, [_folder(store)], "demo", "Demonstration, synthetic", options={"synthetic": True})
    done = work(store, job, executor, setup, progress=progress)
    began = _began(store)
    for number, one in enumerate(made):
        spread(store, one, began - timedelta(days=DAYS * (1 - _place(number))))
        review(store, one, random.Random(number), began)
    shutil.rmtree(_folder(store))
    return done


def _began(store: Store) -> datetime:
    """When the first demonstration began: one that is made again or goes on leaves its studies in their places."""
    return min(job.created_at for job in store.jobs.recent(limit=1000) if job.kind == "demo")


def _place(number: int) -> float:
    """Where in the demonstration's time a study came, from 0 to 1."""
    return (number + 1) * _GOLDEN % 1


def _folder(store: Store) -> Path:
    return store.volumes.parent / "demo"


def _make_one(seed: int, folder: Path) -> Made:
    made = _phantom(seed)
    tags = {
        "ManufacturerModelName": SCANNERS[_place(seed) > _CHANGE],
        "InstitutionName": _INSTITUTIONS[seed % 3 == 0],
        "KVP": _KVP[seed // 3 % len(_KVP)],
        "ContrastBolusAgent": "SYNTHETIC" if seed % _CONTRAST_EVERY == _CONTRAST_EVERY - 1 else None,
    }
    files = phantom.write(made, folder, **tags)
    truth = {label: bool(made.labels[:, i].any()) for i, label in enumerate(LABELS)}
    return Made(content_hash([Source(file.name, path=file) for file in files]), truth)


def _phantom(seed: int) -> phantom.Phantom:
    slices = _SLICES[seed % len(_SLICES)]
    if seed % _CHEST_EVERY == _CHEST_EVERY - 1:
        return phantom.make_chest(seed, slices, _SIZE)
    return phantom.make(_KINDS[seed % len(_KINDS)], seed, slices, _SIZE)


def spread(store: Store, made: Made, arrived_at: datetime) -> None:
    """Let a study have come when the demonstration wants it."""
    if (seen := store.results.seen(made.content)) is not None:
        store.results.move(seen.study, arrived_at)


def review(store: Store, made: Made, chance: random.Random, before: datetime) -> None:
    """Enter what one or two readers say, who err at times; some studies nobody has read yet.

    Parameters
    ----------
    before : nobody reads later than that
    """
    seen = store.results.seen(made.content)
    readers = READERS[: 1 + (chance.random() < _SECOND_READING)] if chance.random() >= _UNREAD else ()
    if seen is None or not seen.models or store.reviews.of(seen.study):
        return
    row = store.worklist.row(seen.study)
    newest, at = None, row.analysed_at
    for reader in readers:
        at += timedelta(hours=chance.uniform(0, _READ_WITHIN_H))
        if at > before:
            return
        labels = read(made.truth, chance)
        # As on the page: whoever sets a label that the models do not find disagrees.
        agree = all(labels[label] == found for label, found in row.found.items() if found is not None)
        newest = store.reviews.add(seen.study, reader, agree=agree, labels=labels, based_on=newest, at=at).review.id


def read(truth: dict[str, bool], chance: random.Random) -> dict[str, bool]:
    """What a reader sees: the truth, or now and then nothing, another kind of bleed, or one that is not there."""
    if chance.random() >= _ERROR:
        return dict(truth)
    said = dict.fromkeys(LABELS, False)
    if not truth["any"] or chance.random() < 0.5:
        kind = chance.choice([label for label in SUBTYPES if not truth[label]])
        said["any"] = said[kind] = True
    return said
