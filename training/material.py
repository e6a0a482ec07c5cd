"""What the collections at hand can teach: what of the recipe is left out for want of it, and what is too little."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from ichscope.labels import LABELS
from training.batches import IMPLANTED, has_outlines
from training.data import TrainingStudy
from training.splits import FOLDS, Split, is_host


class TooLittleDataError(ValueError):
    """Nothing can be learned from what is there; the message says what is needed."""


def learnable(data: Split, labels: Sequence[str]) -> tuple[str, ...]:
    """Those of a model's labels of which there are both slices (or studies) with and without; `any` is always one.

    Folds of the same collections have the same: who is held back counts, too. Without any data, all of them.
    """
    studies = [*data.training, *data.training_implants, *data.held_out, *data.held_out_implants]
    if not studies:
        return tuple(labels)
    there, absent = _sides(studies)
    known = there & absent
    return tuple(label for label in labels if label == "any" or known[LABELS.index(label)])


def _sides(studies: Sequence[TrainingStudy]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(6,) labels that are somewhere known to be there, and to be absent."""
    there, absent = np.zeros(len(LABELS), bool), np.zeros(len(LABELS), bool)
    for study in studies:
        there |= study.bleeds
        absent |= (study.labels == 0).any(axis=0)
        if study.study_labels is not None:
            absent |= study.study_labels == 0
    return there, absent


def has_parts(studies: Sequence[TrainingStudy]) -> bool:
    """Whether encoders can learn on parts of slices: it is known of some bleeds where they lie."""
    return any(map(has_outlines, studies))


def many_labelled_alone(studies: Sequence[TrainingStudy], least: int = 200) -> bool:
    """Whether so many slices are known to bleed, nobody outlined where, that whole slices are worth training on."""
    bare = (study for study in studies if study.source != IMPLANTED and not has_outlines(study))
    return sum(int((study.labels[:, 0] == 1).sum()) for study in bare) >= least


def check(data: Split, labels: Sequence[str], fold: int | None) -> None:
    """Refuse what nothing can be learned from.

    Raises
    ------
    TooLittleDataError
        if there is nothing with, or nothing without a bleed, or a fold has nobody to hold back
    """
    studies = [*data.training, *data.training_implants]
    columns = [LABELS.index(label) for label in labels]
    there, absent = _sides(studies)
    bleeds = there[columns].any() or has_parts(studies)
    # Around an outline there is no blood, whether or not the slice's labels say so.
    others = absent[columns].any() or has_parts(studies)
    if not bleeds or not others:
        missing = "with a bleed" if not bleeds else "without one"
        sources = ", ".join(sorted({study.source for study in studies})) or "none"
        raise TooLittleDataError(
            f"found no slice or study {missing} to train on (collections: {sources}). Needed are both, or normal heads "
            "of CT, into which bleeds are implanted: add such a collection with --sources"
        )
    if not (there | absent)[columns].any():
        raise TooLittleDataError(
            f"of {', '.join(labels)} nothing is known of any slice or study, so the head has nothing to learn from. "
            "Needed are slices or studies that are labelled with and without it: add a collection with --sources"
        )
    patients = {study.patient for study in [*data.training, *data.held_out]}
    if fold is not None and not data.held_out:
        raise TooLittleDataError(
            f"fold {fold} of {FOLDS} has nobody to hold back: found {len(patients)} patients, needed are {FOLDS}, and "
            "as many with as without a bleed for all figures"
        )


def left_out(data: Split, labels: Sequence[str], without: str) -> Iterator[str]:
    """What the collections cannot give, a line each."""
    studies = data.training
    if not any(map(is_host, studies)):
        yield "no whole normal heads of CT: no bleeds are implanted"
    if not has_parts([*studies, *data.training_implants]):
        yield "no outlines: the encoder learns on whole slices, where bleeds lie from the labels of slices alone"
    if not any(len(study.hu) > 1 for study in chain(studies, data.training_implants)):
        yield "no neighbouring slices: the head learns single slices, and is only guessing at whole studies"
    if missing := [label for label in labels if label not in learnable(data, labels)]:
        yield f"nothing known of {', '.join(missing)}: the model does not give them"
    there, absent = _sides([*studies, *data.training_implants])
    if without == "" and not (there[0] and absent[0]):
        yield "haemorrhage is not known to be both there and absent: `any` learns from outlines and subtypes alone"
