"""The tables of the cohort page, as plain frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from ichscope.imaging.findings import FindingLevel, Status

By = Literal["model", "reader"]


@dataclass(frozen=True)
class Day:
    """Studies that arrived on one day (UTC), by status."""

    day: date
    status: Status
    studies: int


@dataclass(frozen=True)
class Reason:
    """Studies with a finding that limits or prevents the analysis."""

    code: str
    level: FindingLevel
    studies: int


@dataclass(frozen=True)
class Prevalence:
    """How many of the studies that somebody said something of have a label; an interval is the page's to make."""

    label: str
    by: By
    positives: int
    studies: int


@dataclass(frozen=True)
class Together:
    """Studies that have both labels; where a is b, all that have it."""

    a: str
    b: str
    by: By
    studies: int


@dataclass(frozen=True)
class ScoreBin:
    """Studies whose probability of `any` by a model lies in low <= p < high; the last bin has its end."""

    model: str
    low: float
    high: float
    studies: int


@dataclass(frozen=True)
class Share:
    """Studies with one value, or in the step from it on; None or "" where the files do not say."""

    value: str | float | None
    studies: int
    analysed: int
    flagged: int


@dataclass(frozen=True)
class Wait:
    """Studies that waited so long from arrival to result or first review; `high_s` is None in the last step."""

    of: Literal["result", "review"]
    low_s: int
    high_s: int | None
    studies: int


@dataclass(frozen=True)
class Cohort:
    """All tables of the page; `synthetic` of all studies are, and `medians` are of the waits, in seconds."""

    total: int
    synthetic: int
    days: tuple[Day, ...]
    reasons: tuple[Reason, ...]
    prevalence: tuple[Prevalence, ...]
    together: tuple[Together, ...]
    scores: tuple[ScoreBin, ...]
    breakdowns: dict[str, tuple[Share, ...]]
    waits: tuple[Wait, ...]
    medians: dict[str, float | None]
