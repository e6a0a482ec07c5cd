"""From folders of collections to studies, by way of the cache."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from ichscope.imaging.preprocess import INPUT_SIZE
from training.data import pictures
from training.data.cache import CacheFolder, only_writer, read_index, restore
from training.data.cq500 import cq500
from training.data.ct_ich import ct_ich
from training.data.own import own
from training.data.phe_sich import phe_sich
from training.data.rsna_2019 import rsna_2019
from training.data.rsna_more import bhsd, cpaisd, rsna_more
from training.data.rsna_samples import rsna_sample, rsna_sdh
from training.data.study import Problem, TrainingStudy
from training.data.work import CollectionPart, Work

ADAPTER_VERSION = 3
# What `load` reads unless told otherwise: the collections that models are trained and measured with.
SOURCES = ("ct-ich", "phe-sich", "rsna-more", "bhsd", "cpaisd", "rsna-sdh", "rsna-sample")
# Where a collection lies, if not in a folder of its own name.
_FOLDERS = {"bhsd": "rsna-more/outlines", "cpaisd": "rsna-more/ischaemic", "pictures-testing": "pictures"}
DEFAULT_CACHE = Path(".cache/training")

Adapter = Callable[[Path, Work], Iterator[CollectionPart]]


def _in_one_go(adapter: Callable[[Path, list[Problem]], Iterator[TrainingStudy]]) -> Adapter:
    """An adapter of a small collection, which starts from the beginning in every run."""

    def read(root: Path, work: Work) -> Iterator[CollectionPart]:
        left_out: list[Problem] = []
        for number, study in enumerate(adapter(root, left_out)):
            yield CollectionPart(str(number), [study], left_out.copy())
            left_out.clear()
        yield CollectionPart("end", [], left_out)

    return read


ADAPTERS: dict[str, Adapter] = {
    "ct-ich": _in_one_go(ct_ich),
    "phe-sich": _in_one_go(phe_sich),
    "rsna-more": _in_one_go(rsna_more),
    "bhsd": _in_one_go(bhsd),
    "cpaisd": _in_one_go(cpaisd),
    "rsna-sdh": _in_one_go(rsna_sdh),
    "rsna-sample": _in_one_go(rsna_sample),
    "rsna-2019": rsna_2019,
    "cq500": cq500,
    "own": own,
    "pictures": pictures.training,
    "pictures-testing": pictures.testing,
}


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def load(
    root: Path,
    sources: Sequence[str] = SOURCES,
    cache: Path = DEFAULT_CACHE,
    limit: int | None = None,
    executor: Executor | None = None,
    report: Callable[[str], None] = _to_stderr,
) -> list[TrainingStudy]:
    """Read collections below ``root``; files that cannot be read are left out and listed by ``problems``.

    Parameters
    ----------
    limit : read this many studies of each collection, not all; a later call goes on from there
    executor : reads a large collection for the first time with these helpers
    report : told now and then how far reading is

    Raises
    ------
    FileNotFoundError
        if a collection is not there
    """
    studies = []
    for source in sources:
        folder = _cache_folder(Path(root), source, Path(cache))
        index = read_index(folder)
        if index is None or not _enough(index, limit):
            index = _build(Path(root), source, folder, limit, executor, report)
        studies += restore(folder, index["studies"][:limit])
    return studies


def folder_of(root: Path, source: str) -> Path:
    """Where a collection lies below ``root``.

    >>> folder_of(Path("data"), "bhsd").as_posix(), folder_of(Path("data"), "ct-ich").as_posix()
    ('data/rsna-more/outlines', 'data/ct-ich')
    """
    return root / _FOLDERS.get(source, source)


def problems(root: Path, sources: Sequence[str] = SOURCES, cache: Path = DEFAULT_CACHE) -> list[Problem]:
    """List the files that ``load`` left out or could read only in part."""
    listed = []
    for source in sources:
        index = read_index(_cache_folder(Path(root), source, Path(cache)))
        if index is None:
            raise FileNotFoundError(f"{source}: not read yet, so its problems are not known")
        listed += [Problem(**entry) for entry in index["problems"]]
    return listed


def _cache_folder(root: Path, source: str, cache: Path) -> Path:
    key = hashlib.sha256(f"{root.resolve()} {ADAPTER_VERSION} {INPUT_SIZE}".encode()).hexdigest()[:8]
    return cache / f"{source}-v{ADAPTER_VERSION}-{key}"


def _enough(index: dict[str, Any], limit: int | None) -> bool:
    return index.get("complete", True) or (limit is not None and len(index["studies"]) >= limit)


def _build(
    root: Path,
    source: str,
    folder: Path,
    limit: int | None,
    executor: Executor | None,
    report: Callable[[str], None],
) -> dict[str, Any]:
    home = folder_of(root, source)
    if not home.is_dir():
        raise FileNotFoundError(f"{home}: expected the collection {source} here, found no folder")
    folder.mkdir(parents=True, exist_ok=True)
    with only_writer(folder):
        index = read_index(folder)
        if index is None or not _enough(index, limit):
            with CacheFolder(folder) as store:
                readings = ADAPTERS[source](home, Work(folder, store.done, executor, report))
                store.finish(complete=_fill(store, readings, limit))
            index = read_index(folder)
    assert index is not None
    return index


def _fill(store: CacheFolder, readings: Iterator[CollectionPart], limit: int | None) -> bool:
    """Read until there is nothing left (True) or enough (False)."""
    while limit is None or store.studies < limit:
        reading = next(readings, None)
        if reading is None:
            return True
        if reading.key not in store.done:
            store.add(reading)
    return False
