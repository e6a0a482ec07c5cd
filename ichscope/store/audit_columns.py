"""Whole columns of the store as arrays: what an audit of a hundred thousand studies can be counted from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Integer, Select, Text, and_, case, cast, exists, func, literal, or_, select, type_coerce

from ichscope.labels import LABELS
from ichscope.store.database import Database
from ichscope.store.filters import conditions
from ichscope.store.imported_tables import Keys, as_numbers
from ichscope.store.pseudonymiser import Pseudonymiser
from ichscope.store.rows import Filter
from ichscope.store.tables import Result, Review, Series, Study, Volume

Ints = NDArray[np.intp]
Floats = NDArray[np.float64]

_NO_KEY = '"' + "0" * 16 + '"'
_JSON_SIGNS = str.maketrans("", "", '[]", ')
# Of a study, what its speaking series has: one study, one unit.
_SPEAKS = Study.series_id == Result.series_id
_PROBABILITIES = tuple(getattr(Result, f"probability_{label}") for label in LABELS)


@dataclass(frozen=True)
class ModelVersion:
    """A version of a model that has results here, current or not."""

    name: str
    version: str
    studies: int
    labels: tuple[str, ...]
    has_slices: bool


@dataclass(frozen=True, eq=False)
class StudyColumns:
    """Facts of studies, (studies,) each; where unknown, keys are 0, numbers None and texts empty.

    flagged : 1 where a model flags a haemorrhage, 0 where none does, nan where none judged
    """

    id: Ints
    key: Keys
    patient: Keys
    score: Floats
    synthetic: NDArray[np.bool_]
    flagged: Floats
    scanner: Sequence[str]
    institution: Sequence[str]
    kvp: Sequence[float | None]
    slice_thickness_mm: Sequence[float | None]
    age_years: Sequence[int | None]
    sex: Sequence[str]


@dataclass(frozen=True, eq=False)
class SeriesColumns:
    """Facts of series, (series,) each, with the study that each belongs to; where unknown as in StudyColumns."""

    id: Ints
    study: Ints
    key: Keys
    scanner: Sequence[str]
    institution: Sequence[str]
    kvp: Sequence[float | None]
    slice_thickness_mm: Sequence[float | None]
    age_years: Sequence[int | None]
    sex: Sequence[str]


@dataclass(frozen=True, eq=False)
class ReviewColumns:
    """All reviews, the oldest first, (reviews,) each; labels are 0, 1, or nan where nothing is said."""

    study: Ints
    reader: Sequence[str]
    labels: dict[str, Floats]


@dataclass(frozen=True)
class InForce:
    """What results were made with."""

    thresholds: dict[str, float]
    operating_point: str
    encoder_sha256: str
    head_sha256: str


@dataclass(frozen=True, eq=False)
class ResultColumns:
    """Results of one version of a model, (results,) each, the newest last; nan where it does not know a label.

    study, series : which ones a result is of
    way : which of `ways` a result was made with
    """

    study: Ints
    series: Ints
    probability: dict[str, Floats]
    way: Ints
    ways: tuple[InForce, ...]

    def in_force(self, chosen: NDArray[np.bool_]) -> tuple[InForce, int]:
        """What the newest of the chosen results (results,) was made with, and how many of them with something else."""
        of_chosen = self.way[chosen]
        if not len(of_chosen):
            return InForce({}, "", "", ""), 0
        return self.ways[of_chosen[-1]], int(np.count_nonzero(of_chosen != of_chosen[-1]))


@dataclass(frozen=True, eq=False)
class SliceColumns:
    """Slices of studies, (slices,) each: the study, the index in it, and what is asked of them."""

    study: Ints
    index: Ints
    key: Keys
    probability: dict[str, Floats]


class AuditColumns:
    """Whole columns of studies, reviews and results, as audits read them."""

    def __init__(self, database: Database, keys: Pseudonymiser) -> None:
        self._database, self._keys = database, keys

    def model_versions(self) -> list[ModelVersion]:
        """All versions of all models that have results."""
        names = (Result.model, Result.version)
        counts = select(*names, func.count().label("studies"), func.max(Result.id).label("newest"))
        counts = counts.join(Study, _SPEAKS).group_by(*names)
        with self._database.reading() as session:
            versions = session.execute(counts.order_by(*names)).all()
            newest = Result.id.in_([version.newest for version in versions])
            chosen = select(Result.id, Result.slice_labels, *_PROBABILITIES).where(newest)
            rows = {row.id: row for row in session.execute(chosen)}
        return [
            ModelVersion(
                *(version.model, version.version, version.studies),
                tuple(label for label in LABELS if getattr(rows[version.newest], f"probability_{label}") is not None),
                bool(rows[version.newest].slice_labels),
            )
            for version in versions
        ]

    def reviewed(self) -> tuple[int, tuple[str, ...]]:
        """How many studies have a label that a reader gave, and who gave any."""
        has_label = or_(*(column.is_not(None) for column in _review_labels()))
        with self._database.reading() as session:
            count = session.scalar(select(func.count(Review.study_id.distinct())).where(has_label)) or 0
            readers = session.scalars(select(Review.reader).where(has_label).distinct()).all()
        return count, tuple(sorted(readers))

    def reviews(self) -> ReviewColumns:
        """What readers said of all studies."""
        labels = [type_coerce(column, Integer) for column in _review_labels()]
        study, reader, *values = self._columns(select(Review.study_id, Review.reader, *labels).order_by(Review.id))
        return ReviewColumns(_ints(study), reader, dict(zip(LABELS, map(_floats, values), strict=True)))

    def studies(self, filter: Filter | None = None) -> StudyColumns:
        """Facts of the studies that fit, by id."""
        chosen = select(
            *(Study.id, Study.study_key, Study.patient_key, Study.score, type_coerce(Study.synthetic, Integer)),
            type_coerce(Study.model_any, Integer),
            *(Study.scanner, Study.institution, Study.kvp, Study.slice_thickness_mm, Study.age_years, Study.sex),
        )
        chosen = chosen.where(*conditions(filter or Filter(), self._keys.study)).order_by(Study.id)
        id, key, patient, score, synthetic, flagged, *facts = self._columns(chosen)
        keys = (as_numbers(key), as_numbers(patient))
        return StudyColumns(_ints(id), *keys, _floats(score), np.array(synthetic, np.bool_), _floats(flagged), *facts)

    def results(self, model: str, version: str, all_series: bool = False) -> ResultColumns:
        """What a version of a model says of all studies, by the series that speaks for each; or of all series."""
        study = Series.study_id if all_series else Study.id
        join = (Series, Series.id == Result.series_id) if all_series else (Study, _SPEAKS)
        how = (cast(Result.thresholds, Text), Result.operating_point, Result.encoder_sha256, Result.head_sha256)
        columns = self._columns(select(*how).select_from(Result).join(*join).where(*_of(model, version)).distinct())
        ways = list(zip(*columns, strict=True))
        same = [and_(*(column == value for column, value in zip(how, way, strict=True))) for way in ways]
        number = case(*((fits, i) for i, fits in enumerate(same)), else_=0) if len(ways) > 1 else literal(0)
        chosen = select(study, Result.series_id, *_PROBABILITIES, number).select_from(Result).join(*join)
        studies, series, *cells, way = self._numbers(chosen.where(*_of(model, version)).order_by(Result.id))
        probability = dict(zip(LABELS, cells, strict=True))
        made_with = tuple(InForce(json.loads(thresholds), *rest) for thresholds, *rest in ways)
        return ResultColumns(
            studies.astype(np.intp), series.astype(np.intp), probability, way.astype(np.intp), made_with
        )

    def series(self) -> SeriesColumns:
        """Facts of the series that a model has judged, by id."""
        judged = exists().where(Result.series_id == Series.id)
        chosen = select(
            *(Series.id, Series.study_id, Series.series_key, Series.scanner, Series.institution, Series.kvp),
            *(Series.slice_thickness_mm, Series.age_years, Series.sex),
        )
        id, study, key, *facts = self._columns(chosen.where(judged).order_by(Series.id))
        return SeriesColumns(_ints(id), _ints(study), as_numbers(key), *facts)

    def slice_probabilities(self, model: str, version: str) -> SliceColumns:
        """What a version of a model says of all slices; keys are not told (0)."""
        names = cast(Result.slice_labels, Text)
        chosen = select(Study.id, names, Result.slice_probability).join(Result, _SPEAKS).where(*_of(model, version))
        study, texts, blobs = self._columns(chosen)
        # Versions of a model know the same labels in every study.
        labels = json.loads(texts[-1]) if texts else []
        along = [np.frombuffer(blob, "<f4").reshape(len(labels), -1) for blob in blobs if labels]
        counts = [probabilities.shape[1] for probabilities in along]
        all_of_them = np.concatenate(along, axis=1).astype(np.float64) if along else np.empty((len(labels), 0))
        of_study, index = _places(study if labels else (), counts)
        return SliceColumns(
            of_study, index, np.zeros(len(index), np.uint64), dict(zip(labels, all_of_them, strict=True))
        )

    def slice_keys(self) -> SliceColumns:
        """The keys of all slices that have one, the newest study's first; probabilities are not told."""
        chosen = select(Study.id, cast(Volume.slice_keys, Text)).join(Volume, Volume.series_id == Study.series_id)
        chosen = chosen.order_by(Study.id.desc())
        study, texts = self._columns(chosen)
        of_study, index = _places(study, [text.count('"') // 2 for text in texts])
        digits = "".join(texts).replace('""', _NO_KEY).translate(_JSON_SIGNS)
        keys = np.frombuffer(bytes.fromhex(digits), ">u8").astype(np.uint64)
        there = keys != 0
        return SliceColumns(of_study[there], index[there], keys[there], {})

    def _columns(self, chosen: Select[*tuple[Any, ...]]) -> list[Sequence[Any]]:
        """Columns of plain values as the driver gives them: objects a row would take most of the time."""
        with self._database.reading() as session:
            cursor = session.connection().execute(chosen).cursor
            rows = cursor.fetchall() if cursor else []
        return [list(map(itemgetter(i), rows)) for i in range(len(chosen.selected_columns))]

    def _numbers(self, chosen: Select[*tuple[Any, ...]]) -> list[Floats]:
        """Columns of numbers, nan where there is none."""
        return [np.array(cells, np.float64) for cells in self._columns(chosen)]


def _review_labels() -> list[Any]:
    return [getattr(Review, f"label_{label}") for label in LABELS]


def _of(model: str, version: str) -> tuple[Any, Any]:
    return Result.model == model, Result.version == version


def _places(study: Sequence[int], counts: Sequence[int]) -> tuple[Ints, Ints]:
    """Study and index of each slice, (slices,), from how many slices each study has."""
    many = np.array(counts, np.intp)
    starts = np.repeat(np.cumsum(many) - many, many)
    return np.repeat(_ints(study), many), np.arange(len(starts)) - starts


def _ints(values: Sequence[int]) -> Ints:
    return np.array(values, np.intp)


def _floats(values: Sequence[float | None]) -> Floats:
    return np.array(values, np.float64)
