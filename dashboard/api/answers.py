"""The forms of all answers, as the description of the interface (OpenAPI) has them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from ichscope.store import Priority

Probability = dict[str, float]
Status = Literal["analysed", "limited", "not analysed"]


class Problem(BaseModel):
    """Why something was not done (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


# ---- studies -------------------------------------------------------------------------------------------


class SliceAnswer(BaseModel):
    """What a model says of one slice; the slices go from foot to head."""

    file: str = Field(description="Number of the slice; names of files are not kept.")
    sop: str = Field(description="Always empty: the store keeps no UID.")
    position_mm: float | None
    probability: Probability


class ModelAnswer(BaseModel):
    """What a model says of a series."""

    version: str
    provider: str
    seconds: float
    flagged: bool
    decides: bool = Field(description="Whether its word on any haemorrhage is the study's.")
    threshold: float
    operating_point: str
    thresholds: Probability
    probability: Probability
    per_slice: list[SliceAnswer]


class SeriesAnswer(BaseModel):
    """A series, as an entry of `ichscope analyse --json`, without identifiers."""

    study: str
    series: str
    name: str
    role: Literal["speaks for the study", "other series"]
    role_reason: str
    status: Status
    reasons: list[str]
    slices: int
    models: dict[str, ModelAnswer]


class ShortModelAnswer(BaseModel):
    """What a model says of a study."""

    version: str
    flagged: bool
    threshold: float
    probability: Probability


class StudyAnswer(BaseModel):
    """A study, as the Worklist has it."""

    study: str
    arrived_at: datetime
    analysed_at: datetime
    status: Status
    reasons: list[str]
    priority: Priority
    series: int
    slices: int
    synthetic: bool
    models: dict[str, ShortModelAnswer]


class StudiesAnswer(BaseModel):
    """Some studies, in the order in which they came into the store."""

    studies: list[StudyAnswer]
    cursor: int = Field(description="Give it as `after` to go on from here, now or later.")
    more: bool = Field(description="Whether there are more studies now.")


# ---- jobs ----------------------------------------------------------------------------------------------


class CountsAnswer(BaseModel):
    """Studies of a job, as far as they are known."""

    waiting: int
    running: int
    done: int
    failed: int


class ReasonAnswer(BaseModel):
    """Why studies of a job could not be analysed."""

    reason: str
    studies: int


class JobAnswer(BaseModel):
    """What was handed over at one time, and how far it is."""

    job: int
    kind: str
    state: Literal["waiting", "running", "done"]
    created_at: datetime
    finished_at: datetime | None = None
    counts: CountsAnswer
    reasons: list[ReasonAnswer]
    left_out: str = Field(description="Which files are no images of a series, in words.")
    studies: list[str] = Field(description="Keys of the first 100 studies that are done.")


class UploadAnswer(JobAnswer):
    """A job, and what it has found."""

    results: list[SeriesAnswer] | None = Field(
        description="Of the studies named here, where the job is done and the token may see studies."
    )


class QueueAnswer(BaseModel):
    """Studies of all jobs."""

    waiting: int
    running: int
    done: int
    failed: int
    on_hold: bool = Field(description="Whether work has stopped, as where the disk is full; the pages say why.")


# ---- pictures ------------------------------------------------------------------------------------------


class PictureAnswer(BaseModel):
    """What a model says of a single picture."""

    label: Literal["haemorrhage", "normal"]
    confidence: float = Field(description="The probability of this label.")
    status: Literal["analysed", "limited"]
    reasons: list[str]
    model: str
    version: str
    threshold: float
    probability: Probability
