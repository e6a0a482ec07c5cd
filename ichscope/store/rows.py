"""What the store gives out: plain frozen values, no database behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from ichscope.access.actor import Actor, Via
from ichscope.access.roles import Role
from ichscope.imaging.findings import Status
from ichscope.store.priority import Priority

# "noted": reviewed without a word on whether it bleeds. "conflict": two readers contradict each other.
Agreement = Literal["unreviewed", "agree", "disagree", "conflict", "noted"]
Order = Literal["priority", "newest", "oldest", "score"]
Labels = dict[str, bool | None]


@dataclass(frozen=True)
class Filter:
    """Which studies: all conditions hold at once; an empty one limits nothing.

    label, by : the label is positive, as the current model results say or the newest review
    since, until : of the arrival, `until` excluded
    scanner, institution : as in Choices, or "" for those that are not known
    model, version, reader : as in Choices; a current result of the model, a review by the reader
    poor_quality : a reader says so of the study, or none does
    agreement : also "reviewed", which is all but "unreviewed"
    key : the start of a study key, or a whole Study Instance UID, or a key of `ichscope analyse`
    job : studies that this ingest brought
    """

    status: tuple[str, ...] = ()
    priority: tuple[Priority, ...] = ()
    label: str | None = None
    by: Literal["model", "reader"] = "model"
    since: datetime | None = None
    until: datetime | None = None
    scanner: str | None = None
    institution: str | None = None
    model: str | None = None
    version: str | None = None
    reader: str | None = None
    agreement: Agreement | Literal["reviewed"] | None = None
    key: str = ""
    job: int | None = None
    synthetic: bool | None = None
    poor_quality: bool | None = None


@dataclass(frozen=True)
class ModelRow:
    """The current result of one model; `probability` is of the whole study, by label."""

    name: str
    version: str
    provider: str
    seconds: float
    operating_point: str
    threshold: float
    flagged: bool
    probability: dict[str, float]
    thresholds: dict[str, float]


@dataclass(frozen=True)
class WorklistRow:
    """One study in the worklist.

    series_id, series_reason : the series that speaks for it, and why; series_count : how many it has
    model_labels : what the models say, by label
    reader_labels : what readers say, the newest word of each label
    readers, comments, poor_quality : of all its reviews, the oldest first; of readers, each once; None without one
    """

    id: int
    study_key: str
    series_id: int
    series_reason: str
    series_count: int
    arrived_at: datetime
    analysed_at: datetime
    status: Status
    priority: Priority
    score: float | None
    slices: int
    age_years: int | None
    sex: str
    scanner: str
    institution: str
    kvp: float | None
    slice_thickness_mm: float | None
    kernel: str
    model_labels: Labels
    agreement: Agreement
    reviews: int
    reviewed_at: datetime | None
    reader_labels: Labels
    has_volume: bool
    synthetic: bool
    reasons: tuple[str, ...] = ()
    models: tuple[ModelRow, ...] = ()
    readers: tuple[str, ...] = ()
    comments: tuple[str, ...] = ()
    poor_quality: bool | None = None


@dataclass(frozen=True)
class SeriesRow:
    """One series of a study.

    speaks : whether it speaks for its study
    analysed : whether a model has judged it; where not, `reasons` say why
    left_to_another : no model was asked, because another series speaks
    superseded_by : the fuller version of this series that counts in its place; it speaks no more
    """

    id: int
    series_key: str
    speaks: bool
    status: Status
    analysed: bool
    left_to_another: bool
    slices: int
    slice_thickness_mm: float | None
    kernel: str
    soft_tissue: bool | None
    arrived_at: datetime
    has_volume: bool
    reasons: tuple[str, ...]
    superseded_by: int | None = None


@dataclass(frozen=True)
class SeriesChoice:
    """That somebody let a series speak for a study; None where the rule decides again. `signed` as of a review."""

    id: int
    study: int
    series: int | None
    who: str
    created_at: datetime
    signed: bool = False


@dataclass(frozen=True)
class Counts:
    """How many studies fit a filter, in all and by state."""

    total: int
    status: dict[str, int]
    priority: dict[Priority, int]
    agreement: dict[Agreement, int]


@dataclass(frozen=True)
class Choices:
    """What filters can be set to. `models` are (name, version), institutions are codes."""

    scanners: tuple[str, ...]
    institutions: tuple[str, ...]
    models: tuple[tuple[str, str], ...]
    readers: tuple[str, ...]


@dataclass(frozen=True)
class Neighbours:
    """The studies before and after one in the worklist; `position` counts from 1."""

    previous: int | None
    next: int | None
    position: int
    total: int


@dataclass(frozen=True)
class Seen:
    """What the store knows of a content: study and series, codes of findings, versions of models that have a result."""

    study: int
    series: int
    status: Status
    models: dict[str, frozenset[str]]
    findings: frozenset[str]


@dataclass(frozen=True)
class Review:
    """What one reader said at one time. `marks` are labels by slice index of `series`; `labels` has what was set.

    slices : of the series, as far as it had come when the reader saw it
    superseded : whether a fuller version of the series counts now
    signed : whether the reader's name is proven, as by a sign-in; if not, it is as typed
    """

    id: int
    study: int
    series: int
    reader: str
    created_at: datetime
    agree: bool | None
    labels: dict[str, bool]
    marks: dict[int, tuple[str, ...]]
    poor_quality: bool
    comment: str
    based_on: int | None
    slices: int = 0
    superseded: bool = False
    signed: bool = False


@dataclass(frozen=True)
class Saved:
    """A review that was saved, and the other readers' reviews that its reader had not seen."""

    review: Review
    unseen: tuple[Review, ...]


@dataclass(frozen=True)
class Item:
    """One series that this process has taken on."""

    id: int
    job: int
    locator: str
    attempts: int


@dataclass(frozen=True)
class FailedItem:
    """One series that could not be analysed, and why."""

    item: int
    reason: str
    attempts: int
    at: datetime | None


@dataclass(frozen=True)
class Job:
    """One ingest and how far it is; `finished_at` is None while it runs.

    first_at, last_at : start of its first item and end of its last one so far
    who, role : of the one who started it; "" before this was kept
    """

    id: int
    kind: str
    title: str
    options: Mapping[str, Any]
    created_at: datetime
    listed: bool
    states: dict[str, int] = field(default_factory=dict)
    first_at: datetime | None = None
    last_at: datetime | None = None
    who: str = ""
    role: str = ""

    @property
    def actor(self) -> Actor:
        """In whose name its results are recorded, whichever process does the work."""
        return Actor(self.who or "not known", Role(self.role or Role.READER), Via.JOB).at_work()

    @property
    def left_out(self) -> tuple[int, int]:
        """Pictures beside DICOM images, and other files, that are no images of a series."""
        pictures, others = self.options.get("left out", (0, 0))
        return pictures, others

    @property
    def pending(self) -> int:
        """Items that wait."""
        return self.states.get("pending", 0)

    @property
    def running(self) -> int:
        """Items that a process works on, or worked on when it died."""
        return self.states.get("running", 0)

    @property
    def done(self) -> int:
        """Items whose study is in the store."""
        return self.states.get("done", 0)

    @property
    def failed(self) -> int:
        """Items that could not be analysed."""
        return self.states.get("failed", 0)

    @property
    def total(self) -> int:
        """All items that are known so far."""
        return sum(self.states.values())

    @property
    def finished_at(self) -> datetime | None:
        """When the last item ended, where nothing is left to do."""
        if not self.listed or self.pending or self.running:
            return None
        return self.last_at or self.created_at
