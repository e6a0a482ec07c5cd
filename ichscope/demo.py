"""Some sixty synthetic studies through the real pipeline, with what readers say of them: something true to show."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from ichscope import home, phantom
from ichscope.batch import Setup, begin, work
from ichscope.batch.driver import Progress
from ichscope.labels import LABELS, SUBTYPES
from ichscope.source import Source
from ichscope.store import Job, Store, content_hash

STUDIES = 60
SCANNER = "synthetic"
READERS = ("Reader A (synthetic)", "Reader B (synthetic)")
# Every third head is normal, which is more blood than a hospital sees, so that each kind has its studies.
_KINDS = (None, SUBTYPES[0], SUBTYPES[1], None, SUBTYPES[2], SUBTYPES[3], None, SUBTYPES[4])
_SIZE = 256
_SLICES = (20, 24, 28, 32)
_KVP = (100, 120, 120, 140)
# So many readings differ from the truth: enough to see what disagreement looks like.
_ERROR = 0.08
_SECOND_READING = 0.4
_UNREAD = 0.15

Making = Callable[[int, int], object]


@dataclass(frozen=True)
class Made:
    """A study on disk and the truth about it, by label."""

    content: str
    truth: dict[str, bool]


def demo(store: Store, executor: Executor, setup: Setup | None = None, studies: int = STUDIES) -> Job:
    """Make phantoms, analyse them as any other study, and enter readers' labels. A second call adds nothing.

    Raises
    ------
    BatchError
        as batch.work
    StoreError
        if the store cannot be written
    OSError
        if there is no room for the phantoms
    """
    return analyse(store, make(store, studies), executor, setup)


def make(store: Store, studies: int = STUDIES, progress: Making = lambda done, total: None) -> list[Made]:
    """Write the first so many phantoms, each into a folder of its own; progress is called with (made, studies)."""
    # Always the same place: a demonstration that was killed is taken up by the next one.
    folder, made = home.make(_folder(store)), []
    for seed in range(studies):
        made.append(_make_one(seed, folder / f"{seed:03}"))
        progress(len(made), studies)
    return made


def analyse(
    store: Store, made: Sequence[Made], executor: Executor, setup: Setup | None = None, progress: Progress | None = None
) -> Job:
    """Analyse the phantoms that were made, enter what readers say of them, and remove their files."""
    job = begin(store, [_folder(store)], "demo", "Demonstration, synthetic", options={"synthetic": True})
    done = work(store, job, executor, setup, progress=progress)
    for number, one in enumerate(made):
        review(store, one, random.Random(number))
    shutil.rmtree(_folder(store))
    return done


def _folder(store: Store) -> Path:
    return store.volumes.parent / "demo"


def _make_one(seed: int, folder: Path) -> Made:
    made = phantom.make(_KINDS[seed % len(_KINDS)], seed, _SLICES[seed % len(_SLICES)], _SIZE)
    files = phantom.write(made, folder, ManufacturerModelName=SCANNER, KVP=_KVP[seed // 3 % len(_KVP)])
    truth = {label: bool(made.labels[:, i].any()) for i, label in enumerate(LABELS)}
    return Made(content_hash([Source(file.name, path=file) for file in files]), truth)


def review(store: Store, made: Made, chance: random.Random) -> None:
    """Enter what one or two readers say, who err at times; some studies nobody has read yet."""
    seen = store.seen(made.content)
    readers = READERS[: 1 + (chance.random() < _SECOND_READING)] if chance.random() >= _UNREAD else ()
    if seen is None or not seen.models or store.reviews(seen.study):
        return
    flagged = any(model.flagged for model in store.study(seen.study).models)
    newest = None
    for reader in readers:
        labels = read(made.truth, chance)
        saved = store.review(seen.study, reader, agree=labels["any"] == flagged, labels=labels, based_on=newest)
        newest = saved.review.id


def read(truth: dict[str, bool], chance: random.Random) -> dict[str, bool]:
    """What a reader sees: the truth, or now and then nothing, another kind of bleed, or one that is not there."""
    if chance.random() >= _ERROR:
        return dict(truth)
    said = dict.fromkeys(LABELS, False)
    if not truth["any"] or chance.random() < 0.5:
        kind = chance.choice([label for label in SUBTYPES if not truth[label]])
        said["any"] = said[kind] = True
    return said
