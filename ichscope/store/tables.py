"""The tables. Nothing here names a patient: identifiers are keyed hashes, and no name of an image outlives its job."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Dialect,
    Enum,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from ichscope.imaging.findings import FindingLevel, Status

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(TypeDecorator[datetime]):
    """A point in time, kept as milliseconds since 1970 UTC: both databases count and compare those alike."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Turn a time with its zone into milliseconds."""
        return None if value is None else (value - EPOCH) // timedelta(milliseconds=1)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Turn milliseconds into a time in UTC."""
        return None if value is None else EPOCH + timedelta(milliseconds=value)


def _words_of(kind: type[StrEnum]) -> Enum:
    """A column with the words of an enum."""
    return Enum(kind, native_enum=False, length=16, values_callable=list)


class Base(DeclarativeBase):
    """What all tables share: names for keys and indices that both databases agree on."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012
        datetime: Moment,
        dict[str, Any]: JSON,
        list[Any]: JSON,
        str: Text,
        Status: _words_of(Status),
        FindingLevel: _words_of(FindingLevel),
    }


class Setting(Base):
    """Facts of the database itself."""

    __tablename__ = "settings"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str]


class Study(Base):
    """One examination, with what the worklist filters and sorts by; all of it is what its speaking series says.

    series_id : the series that speaks for it, of its own in `series`, which names the study; None only inside a
        transaction. series_reason : why this one, in words
    series_count : how many series it has, each once however often it came
    institution : a code that stands for its name (Pseudonymiser.site), "" where unknown
    models : "|name|name version|" of every current result, one after the other: a scan filters by it
    rank : place in the worklist: number of its priority plus 1 - score / 2, so that one column sorts
    model_* : whether any current result has that label; None where no model knows it
    first_result_at : when it was analysed first; analysed_at, when last
    reader_* : what readers say, the newest word of each label; None where nobody has set it
    """

    __tablename__ = "studies"

    id: Mapped[int] = mapped_column(primary_key=True)
    # Sorted by bytes whatever language the database has, so that keys with one start lie together.
    study_key: Mapped[str] = mapped_column(
        String(16).with_variant(String(16, collation="C"), "postgresql"), unique=True
    )
    patient_key: Mapped[str | None] = mapped_column(String(16), index=True)
    arrived_at: Mapped[datetime]
    analysed_at: Mapped[datetime]
    first_result_at: Mapped[datetime | None]
    synthetic: Mapped[bool]

    series_id: Mapped[int | None] = mapped_column(index=True)
    series_reason: Mapped[str] = mapped_column(default="", server_default="")
    series_count: Mapped[int] = mapped_column(default=0, server_default="0")

    status: Mapped[Status]
    slices: Mapped[int]
    age_years: Mapped[int | None]
    sex: Mapped[str] = mapped_column(String(1))
    manufacturer: Mapped[str]
    scanner: Mapped[str]
    institution: Mapped[str] = mapped_column(default="", server_default="")
    kvp: Mapped[float | None]
    slice_thickness_mm: Mapped[float | None]
    kernel: Mapped[str]

    models: Mapped[str] = mapped_column(default="|")
    priority: Mapped[str] = mapped_column(String(16))
    score: Mapped[float | None]
    rank: Mapped[float]
    model_any: Mapped[bool | None]
    model_epidural: Mapped[bool | None]
    model_intraparenchymal: Mapped[bool | None]
    model_intraventricular: Mapped[bool | None]
    model_subarachnoid: Mapped[bool | None]
    model_subdural: Mapped[bool | None]

    reviews: Mapped[int] = mapped_column(default=0)
    first_review_at: Mapped[datetime | None]
    reviewed_at: Mapped[datetime | None]
    agreement: Mapped[str] = mapped_column(String(16), default="unreviewed")
    reader_any: Mapped[bool | None]
    reader_epidural: Mapped[bool | None]
    reader_intraparenchymal: Mapped[bool | None]
    reader_intraventricular: Mapped[bool | None]
    reader_subarachnoid: Mapped[bool | None]
    reader_subdural: Mapped[bool | None]

    __table_args__ = (
        Index(None, "rank", "id"),
        Index(None, "arrived_at", "id"),
        Index(None, "score", "id"),
        Index(None, "scanner"),
        Index(None, "institution"),
        Index(None, "status", "priority", "agreement"),
    )


class Series(Base):
    """One series of a study, with its own facts; findings, results and the volume hang on it.

    content : hash of its files, by which it is known again
    kind : "ct" or "picture", "" where it could not be read
    facts : what decides whether it speaks for its study, the fields of ichscope.imaging.series.SeriesFacts
    superseded_by : the fuller version of the same series, which counts in its place; of that, too, None
    """

    __tablename__ = "series"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    content: Mapped[str] = mapped_column(String(64), unique=True)
    series_key: Mapped[str] = mapped_column(String(16))
    arrived_at: Mapped[datetime]
    analysed_at: Mapped[datetime]
    status: Mapped[Status]
    kind: Mapped[str] = mapped_column(String(8))

    slices: Mapped[int]
    age_years: Mapped[int | None]
    sex: Mapped[str] = mapped_column(String(1))
    manufacturer: Mapped[str]
    scanner: Mapped[str]
    institution: Mapped[str]
    kvp: Mapped[float | None]
    slice_thickness_mm: Mapped[float | None]
    kernel: Mapped[str]

    facts: Mapped[dict[str, Any]]
    superseded_by: Mapped[int | None]


class SeriesChoice(Base):
    """That somebody let another series speak for a study. Rows are added, never changed; the newest counts.

    series_id : None where the rule decides again
    signed : as of a review
    """

    __tablename__ = "series_choices"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    series_id: Mapped[int | None] = mapped_column(ForeignKey("series.id"))
    who: Mapped[str]
    signed: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime]


class Volume(Base):
    """What a viewer needs of a series beside its voxels; apart, so that scans of `series` stay quick.

    path : of the voxels, relative to the folder of volumes; None where they are not kept
    spacing : mm between slices, rows, columns; None where unknown
    positions : (slices,) little-endian float64 mm, NaN where unknown
    slice_keys : 16 hexadecimal digits a slice, keyed hashes of SOP Instance UIDs; empty where a file has none
    box : top, left, height, width of the square that the models saw, in pixels
    """

    __tablename__ = "volumes"

    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"), primary_key=True, autoincrement=False)
    path: Mapped[str | None]
    oriented: Mapped[bool]
    spacing: Mapped[list[Any] | None]
    positions: Mapped[bytes]
    slice_keys: Mapped[list[Any]]
    box: Mapped[list[Any] | None]


class Finding(Base):
    """One check of a series; `place` keeps their order."""

    __tablename__ = "findings"

    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"), primary_key=True)
    place: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    level: Mapped[FindingLevel]
    code: Mapped[str] = mapped_column(String(32))
    text: Mapped[str]

    __table_args__ = (Index(None, "level", "code", "series_id"),)


class Result(Base):
    """What one version of a model says of one series; `current` are the ones that count.

    probability_* : of the whole study, 0 to 1; None where the model does not know the label
    slice_probability : little-endian float32, (labels, slices), the labels named in `slice_labels`
    thresholds : of the whole study, by label
    """

    __tablename__ = "results"

    id: Mapped[int] = mapped_column(primary_key=True)
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"))
    model: Mapped[str] = mapped_column(String(64))
    version: Mapped[str] = mapped_column(String(64))
    current: Mapped[bool]
    encoder_sha256: Mapped[str] = mapped_column(String(64), default="")
    head_sha256: Mapped[str] = mapped_column(String(64), default="")
    provider: Mapped[str]
    seconds: Mapped[float]
    operating_point: Mapped[str]
    threshold: Mapped[float]
    flagged: Mapped[bool]
    decides: Mapped[bool] = mapped_column(default=False, server_default=false())
    probability_any: Mapped[float | None]
    probability_epidural: Mapped[float | None]
    probability_intraparenchymal: Mapped[float | None]
    probability_intraventricular: Mapped[float | None]
    probability_subarachnoid: Mapped[float | None]
    probability_subdural: Mapped[float | None]
    thresholds: Mapped[dict[str, Any]]
    slice_labels: Mapped[list[Any]]
    slice_probability: Mapped[bytes]
    created_at: Mapped[datetime]

    __table_args__ = (
        UniqueConstraint("series_id", "model", "version"),
        # Covers the filters by model and the histogram of scores, whose rows would be far apart in the table.
        Index(None, "model", "version", "current", "series_id", "probability_any"),
    )


class Review(Base):
    """What one reader said of one study at one time. Rows are added, never changed.

    signed : whether the reader's name is proven, as by a sign-in; if not, it is as typed
    series_id : the series whose slices the reader saw, and that `marks` are about
    """

    __tablename__ = "reviews"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"))
    reader: Mapped[str]
    signed: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime]
    agree: Mapped[bool | None]
    label_any: Mapped[bool | None]
    label_epidural: Mapped[bool | None]
    label_intraparenchymal: Mapped[bool | None]
    label_intraventricular: Mapped[bool | None]
    label_subarachnoid: Mapped[bool | None]
    label_subdural: Mapped[bool | None]
    marks: Mapped[dict[str, Any]]
    poor_quality: Mapped[bool]
    comment: Mapped[str]
    based_on: Mapped[int | None]

    __table_args__ = (Index(None, "reader", "study_id"),)


class ImportedTable(Base):
    """An imported file of truth or predictions; its rows are arrays, being written and read all at once.

    kind : "truth" or "predictions"
    sha256 : of the file
    content : SHA-256 of the file and of how it was read; the same comes in once
    level : "study", "series" or "slice", what a row is about
    who : imported it, "" before this was kept; signed, as of a review
    study_keys, series_keys, slice_keys, patient_keys : (rows,) 8 bytes a row, the keyed hashes; 0 where unknown
    """

    __tablename__ = "imported_tables"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str]
    sha256: Mapped[str] = mapped_column(String(64))
    content: Mapped[str] = mapped_column(String(64), unique=True)
    level: Mapped[str] = mapped_column(String(8))
    imported_at: Mapped[datetime]
    who: Mapped[str] = mapped_column(default="", server_default="")
    signed: Mapped[bool] = mapped_column(default=False, server_default=false())
    rows: Mapped[int]
    notes: Mapped[list[Any]]
    study_keys: Mapped[bytes]
    series_keys: Mapped[bytes]
    slice_keys: Mapped[bytes]
    patient_keys: Mapped[bytes]


class Rater(Base):
    """What one reader, or one model, says of rows of an imported table.

    studies : how many different studies, or slices where it is not known whose they are
    places : (n,) little-endian int32, numbers of the rows
    labels : names; those of ichscope.labels, and others that the file has
    values : (labels, n) little-endian float64, NaN where unknown; compressed by zlib, as are `places`
    """

    __tablename__ = "raters"

    id: Mapped[int] = mapped_column(primary_key=True)
    table_id: Mapped[int] = mapped_column(ForeignKey("imported_tables.id"), index=True)
    name: Mapped[str]
    version: Mapped[str]
    studies: Mapped[int]
    thresholds: Mapped[dict[str, Any]]
    labels: Mapped[list[Any]]
    places: Mapped[bytes]
    values: Mapped[bytes]


class Adjustment(Base):
    """A number that a user has set, or taken back. Rows are added, never changed; the newest of a name counts.

    kind : "threshold" of a model's version, on the study's probability of the label `name`; "alert", limit of the rule
    value : None where the program's own number counts again
    signed : as of a review
    """

    __tablename__ = "adjustments"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    model: Mapped[str] = mapped_column(String(64))
    version: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(32))
    value: Mapped[float | None]
    who: Mapped[str]
    signed: Mapped[bool] = mapped_column(default=False, server_default=false())
    why: Mapped[str]
    created_at: Mapped[datetime]


class Job(Base):
    """One ingest: an upload, a folder, a watched folder. `listed` says that all its items are known.

    who, role : of the one who started it, whose name its results bear in the audit trail
    """

    __tablename__ = "jobs"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    title: Mapped[str]
    options: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    who: Mapped[str] = mapped_column(default="", server_default="")
    role: Mapped[str] = mapped_column(String(16), default="", server_default="")
    listed: Mapped[bool]


class JobItem(Base):
    """The files of one study to be analysed: pending, running, done, failed, or dropped (no longer a part of its job).

    locator : where its files are, sealed with the installation's key; emptied when the item is done
    locator_key : keyed hash of it, which stays
    owner, lease_until : the process that runs it, and until when it need not say that it is alive
    """

    __tablename__ = "job_items"

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))
    locator: Mapped[str]
    locator_key: Mapped[str] = mapped_column(String(16), index=True)
    state: Mapped[str] = mapped_column(String(8))
    reason: Mapped[str]
    attempts: Mapped[int]
    owner: Mapped[str]
    lease_until: Mapped[datetime | None]
    study_id: Mapped[int | None] = mapped_column(ForeignKey("studies.id"), index=True)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("job_id", "locator_key"),
        Index(None, "job_id", "state", "attempts", "id"),
        # Covers the progress that pages ask for every second.
        Index(None, "job_id", "state", "started_at", "finished_at"),
    )
