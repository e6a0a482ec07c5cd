"""Folders of pictures, as the Kaggle sets of brain CT have them: `Training|Testing/<class>/**/*.jpg|png`.

The folder is called `pictures` (or links to one). `Training` is the source `pictures`; `Testing` is another source,
`pictures-testing`, which is only ever measured on. A class says whether there is a bleed, never which: subtypes of
bleeds are unknown. Each picture is a study. Its patient is the folder below the class, where there is one
(`Hemorrhagic/12/3.jpg`), or the number after the word patient, case or subject in its name
(`patient12_slice3.png`); else the picture counts as a patient of its own. Where such a set holds neighbouring slices
of unnamed patients, metrics on it are too good.

The same picture twice is used once, never to train if it is also in `Testing`, and not at all if its classes differ.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ichscope.imaging.images import ImageError, read_pictures
from ichscope.imaging.intake import natural_order
from ichscope.imaging.source import Source, digest
from ichscope.labels import LABELS
from training.data.study import Problem, training_study
from training.data.work import CollectionPart, Work

_PARTS = {"training": ("training", "train"), "testing": ("testing", "test")}
_BLEEDS = ("hemorrhage", "hemorrhagic", "intracranial hemorrhage", "brain hemorrhage", "bleeding", "bleed", "ich")
_NORMAL = ("normal", "healthy", *(f"{no} {bleed}" for no in ("no", "non", "without") for bleed in _BLEEDS))
_SUFFIXES = (".jpg", ".jpeg", ".png")
_NAMED_PATIENT = re.compile(r"(?:patient|case|subject)[ _-]*0*(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class _Picture:
    """A file, its name within the collection, and what its place says."""

    path: Path
    name: str
    part: str
    bleeds: bool
    patient: str


def training(root: Path, work: Work) -> Iterator[CollectionPart]:
    """Pictures to train on."""
    return _readings(root, "training", work)


def testing(root: Path, work: Work) -> Iterator[CollectionPart]:
    """Pictures to measure on, and never to train on."""
    return _readings(root, "testing", work)


def _readings(root: Path, part: str, work: Work) -> Iterator[CollectionPart]:
    pictures = [picture for name in _PARTS for picture in _listed(root, name)]
    problems: list[Problem] = []
    kept = [picture for picture in _without_copies(pictures, part, problems) if picture.part == part]
    if not kept:
        raise FileNotFoundError(f"{root}: found no pictures in {' or '.join(_PARTS[part])}/<class>, expected some")
    yield CollectionPart("copies", [], problems)
    left = [picture for picture in kept if picture.name not in work.done]
    yield from work.map(_read, left, f"pictures of {part}", len(left))


def _listed(root: Path, part: str) -> Iterator[_Picture]:
    for top in sorted(path for path in root.iterdir() if path.is_dir() and path.name.lower() in _PARTS[part]):
        classes = {folder: _class(folder.name) for folder in sorted(top.iterdir()) if folder.is_dir()}
        if None in classes.values():
            names = ", ".join(folder.name for folder in classes)
            expected = f"{', '.join(_BLEEDS)} or {', '.join(_NORMAL)}"
            raise ValueError(f"{top}: found the classes {names}, expected of each that it is one of {expected}")
        for folder, bleeds in classes.items():
            files = [file for file in folder.rglob("*") if file.suffix.lower() in _SUFFIXES and file.is_file()]
            for file in sorted(files, key=lambda file: natural_order(str(file))):
                yield _Picture(file, file.relative_to(root).as_posix(), part, bool(bleeds), _patient(folder, file))


def _class(name: str) -> bool | None:
    """Whether pictures of this class bleed; None if the name does not say."""
    words = re.sub(r"[\s_-]+", " ", name.lower().replace("ae", "e")).strip()
    return True if words in _BLEEDS else False if words in _NORMAL else None


def _patient(folder: Path, file: Path) -> str:
    inside = file.parent.relative_to(folder)
    if inside != Path():
        return f"pictures/{folder.name.lower()}/{inside.as_posix()}"
    named = _NAMED_PATIENT.search(file.stem)
    return f"pictures/{named[1]}" if named else f"pictures/{folder.parent.name}/{folder.name}/{file.name}"


def _without_copies(pictures: list[_Picture], part: str, problems: list[Problem]) -> list[_Picture]:
    groups: dict[str, list[_Picture]] = {}
    for picture in sorted(pictures, key=lambda picture: picture.part != "testing"):
        groups.setdefault(digest([Source(picture.name, path=picture.path)]), []).append(picture)
    kept = []
    for first, *others in groups.values():
        if all(other.bleeds == first.bleeds for other in others):
            kept.append(first)
            reason = f"the same picture as {first.name}"
        else:
            others = [first, *others]
            reason = "stands in both classes"
        problems += [Problem(other.name, f"{reason}: left out") for other in others if other.part == part]
    return kept


def _read(picture: _Picture) -> CollectionPart:
    try:
        series = read_pictures([Source(picture.name, path=picture.path)])
    except ImageError as error:
        reason = str(error).removeprefix(f"{picture.name}: ")
        return CollectionPart(picture.name, [], [Problem(picture.name, reason)])
    labels = np.full((1, len(LABELS)), np.nan if picture.bleeds else 0, np.float32)
    labels[0, 0] = picture.bleeds
    study = training_study(
        "pictures" if picture.part == "training" else "pictures-testing",
        picture.patient,
        f"pictures/{picture.name}",
        series.hu,
        labels,
        [picture.name],
        pictures=True,
    )
    return CollectionPart(picture.name, [study], [Problem(picture.name, finding.text) for finding in series.findings])
