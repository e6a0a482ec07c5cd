"""Rows of truth from the store: of reviews and of imported files, readers brought to agree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ichscope.evaluation.joining import EvaluationError, ReferenceRows, StoredData, find, notes_of, taken
from ichscope.levels import Level, rows_of
from ichscope.metrics import study_truth
from ichscope.store.audit_columns import ReviewColumns
from ichscope.tabular.annotations import Annotation, Readers, agree
from ichscope.tabular.foreign_table import Floats, Ints, number

_RULES: dict[str, Readers] = {"majority": "majority", "any": "any"}
_SEEN = "readers saw the models' results before they judged, which favours the models"


def reviewed(stored: StoredData, level: Level, readers: str) -> tuple[ReferenceRows, list[str]]:
    """Truth of studies by reviews, a row a series that was reviewed; of each reader the last review counts.

    Raises
    ------
    EvaluationError
        if slices are asked for, or a reader who has said nothing
    """
    if level == "slice":
        raise EvaluationError("reviews: found rows by study, expected slices; choose the level 'study'")
    reviews = stored.store.columns.reviews()
    place = stored.place_of_id(reviews.study)
    if readers == "newest":
        by_reader = [_last_reviews(reviews, place, np.flatnonzero(place >= 0))]
    else:
        names, reader = number(reviews.reader)
        rows_of_readers = [np.flatnonzero((reader == i) & (place >= 0)) for i in range(len(names))]
        by_reader = _of_readers([_last_reviews(reviews, place, chosen) for chosen in rows_of_readers], readers)
    here = np.arange(len(stored.studies.id))
    truth, notes = agree(by_reader, len(here), _RULES.get(readers))
    nothing = np.zeros(len(here), np.uint64)
    rows = ReferenceRows(
        stored.studies.key, nothing, stored.studies.patient, here, np.full(len(here), -1), truth, by_place=True
    )
    there = np.isfinite(np.array([*truth.values(), np.full(len(here), np.nan)])).any(axis=0)
    return rows.chosen(there), [*notes, _SEEN, *_chosen_by_readers(stored.studies.flagged, there)]


def _chosen_by_readers(flagged: Floats, reviewed: NDArray[np.bool_]) -> list[str]:
    """What share of the studies has a review, by whether a model flags them (studies,), nan where none judged.

    Begg and Greenes (1983), "Assessment of diagnostic tests when disease verification is subject to selection bias".
    """
    judged = ~np.isnan(flagged)
    studies, looked = int(np.count_nonzero(judged)), int(np.count_nonzero(judged & reviewed))
    if looked == studies:
        return []
    shares = [
        f"{100 * reviewed[of].mean():.1f} % of the {np.count_nonzero(of):,} {name}"
        for of, name in ((flagged == 1, "that a model flags"), (flagged == 0, "others"))
        if of.any()
    ]
    return [
        f"{looked:,} of {studies:,} studies that a model judged are reviewed, {' and '.join(shares)}; where readers "
        "choose those that are flagged, sensitivity comes out too high and specificity too low"
    ]


def _last_reviews(reviews: ReviewColumns, place: Ints, chosen: Ints) -> Annotation:
    """The last of the chosen reviews of each study."""
    newest_first = chosen[::-1]
    places, at = np.unique(place[newest_first], return_index=True)
    last = newest_first[at]
    name = reviews.reader[last[0]] if len(last) else ""
    return Annotation(name, places, {label: values[last] for label, values in reviews.labels.items()})


def _of_readers(by_reader: Sequence[Annotation], readers: str) -> list[Annotation]:
    """Those whose word counts."""
    if readers in _RULES:
        return list(by_reader)
    if chosen := [annotation for annotation in by_reader if annotation.reader == readers]:
        return chosen
    raise EvaluationError(f"found no reader {readers!r}, expected majority, any, newest or a reader's name")


def imported(stored: StoredData, table_id: int, level: Level, readers: str) -> tuple[ReferenceRows, list[str]]:
    """Truth of an imported file; that of slices is put together where studies are asked for.

    Raises
    ------
    EvaluationError
        if the file has no slices and they are asked for, or has not what is asked of its readers
    """
    info, keys = stored.tables[table_id]
    if info.kind != "truth":
        raise EvaluationError(f"{info.name}: found predictions, expected truth")
    if level == "slice" and info.level == "study":
        raise EvaluationError(f"{info.name}: found rows by study, expected slices; choose the level 'study'")
    raters = stored.store.imported.raters(table_id)
    if readers == "newest" and len(raters) > 1:
        raise EvaluationError(
            f"{info.name}: found several readers and not who came last; expected majority, any or a name"
        )
    by_reader = [Annotation(rater.name, rater.rows, rater.labels) for rater in raters]
    truth, notes = agree(
        by_reader if readers == "newest" else _of_readers(by_reader, readers), info.rows, _RULES.get(readers)
    )
    nowhere = np.full(info.rows, -1)
    rows = ReferenceRows(keys.study, keys.slice, keys.patient, nowhere, nowhere, truth)
    notes = [*notes_of(info), *notes]
    if level == "slice":
        return _with_places(rows, stored), notes
    if info.level == "slice":
        rows, more = _studies(rows, stored)
        notes += more
    return ReferenceRows(
        rows.study, rows.slice, rows.patient, stored.place_of_key(rows.study), rows.index, rows.truth
    ), notes


def _with_places(rows: ReferenceRows, stored: StoredData) -> ReferenceRows:
    """Where slices are in the store; of those that it does not know, their study."""
    at = find(stored.slices.key, rows.slice)
    place = stored.place_of_id(taken(stored.slices.study, at, -1))
    index = np.where(place >= 0, taken(stored.slices.index, at, -1), -1)
    study = np.where(rows.study != 0, rows.study, taken(stored.studies.key, place, 0))
    place = np.where(place >= 0, place, stored.place_of_key(study))
    return ReferenceRows(study, rows.slice, rows.patient, place, index, rows.truth)


def _studies(rows: ReferenceRows, stored: StoredData) -> tuple[ReferenceRows, list[str]]:
    """Put slices together: a study bleeds if one of its slices does, else it is unknown if one is."""
    study, slices, notes = rows.study, np.arange(len(rows)), []
    if not study.all():
        # Other files and the store say whose slices they are; one that the truth does not know is unknown.
        keys, study = stored.studies_of_slices
        slices = find(rows.slice, keys)
        strangers = len(rows) - int(np.count_nonzero(slices >= 0))
        notes = [f"{rows_of(strangers, 'slice')} of the truth without a known study"] if strangers else []
        touched = np.isin(study, study[slices >= 0])
        study, slices = study[touched], slices[touched]
    studies, number_of_study = np.unique(study, return_inverse=True)
    truth = {
        label: study_truth(taken(values, slices, np.nan), number_of_study)[1] for label, values in rows.truth.items()
    }
    patient = np.zeros(len(studies), np.uint64)
    np.maximum.at(patient, number_of_study, taken(rows.patient, slices, 0))
    nowhere = np.full(len(studies), -1)
    return ReferenceRows(studies, np.zeros(len(studies), np.uint64), patient, nowhere, nowhere, truth), notes
