"""Results: what models say of a series, and the files they become, the JSON list and the CSV table."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ichscope.imaging.findings import FindingLevel, Status
from ichscope.imaging.preprocess import Box
from ichscope.imaging.series import Finding, Series, Slice
from ichscope.labels import LABELS
from ichscope.texts import json_text as text_of
from ichscope.texts import writable

# Where a cell may begin, before a sign that makes a formula of it; the full-width signs count in East Asia.
_FORMULA = re.compile(r"(?:\A|[;|\t\r\n])(?=[\s\"]*[=+\-@＝＋－＠])|\A(?=[\t\r])")

CSV_COLUMNS = (
    *("name", "study", "series", "status", "reasons", "slices"),
    *("model", "version", "provider", "seconds", "operating_point", "threshold", "flagged"),
    *(f"probability_{label}" for label in LABELS),
)


def reaches(probability: float, threshold: float) -> bool:
    """Whether a probability counts as positive: it is the threshold or more. The one rule, everywhere.

    >>> reaches(0.31, 0.31), reaches(0.3, 0.31)
    (True, False)
    """
    return bool(probability >= threshold)


@dataclass(frozen=True, eq=False)
class ModelResult:
    """What one model says of one series.

    probability, thresholds : of the whole study, by label name
    slice_probability : by label name, (slices,) float32
    evidence : (slices, h, w) float32, 0 to 1, of any haemorrhage, over SeriesResult.box
    seconds : of this model alone
    encoder_sha256, head_sha256 : of the files that gave the result, as their card had them when they were loaded
    decides : whether its word on any haemorrhage is the study's, and other models' are second opinions
    """

    name: str
    version: str
    provider: str
    seconds: float
    operating_point: str
    probability: dict[str, float]
    thresholds: dict[str, float]
    slice_probability: dict[str, NDArray[np.float32]]
    evidence: NDArray[np.float32]
    encoder_sha256: str = ""
    head_sha256: str = ""
    decides: bool = False

    @property
    def threshold(self) -> float:
        """From which probability of any haemorrhage the study is flagged."""
        return self.thresholds["any"]

    @property
    def flagged(self) -> bool:
        """Whether the study is flagged: any haemorrhage is as likely as the threshold says, or likelier."""
        return reaches(self.probability["any"], self.threshold)

    @property
    def positive_labels(self) -> tuple[str, ...]:
        """The labels whose probability reaches their threshold, in the order of LABELS."""
        return tuple(label for label in LABELS if self.reaches(label))

    def reaches(self, label: str) -> bool:
        """Whether a label's probability reaches its threshold; False where the model does not know the label."""
        return (
            label in self.probability
            and label in self.thresholds
            and reaches(self.probability[label], self.thresholds[label])
        )


class _Decider(Protocol):
    @property
    def decides(self) -> bool: ...


_Some = TypeVar("_Some", bound=_Decider)


def deciding(models: Iterable[_Some]) -> list[_Some]:
    """Those whose word on any haemorrhage counts: the ones that decide; all, where none does."""
    every = list(models)
    return [model for model in every if model.decides] or every


class Role(StrEnum):
    """What a series is to its study."""

    SPEAKS = "speaks for the study"
    OTHER = "other series"


# The finding of a series that was left alone because another one speaks for its study; no failure.
OTHER_SERIES = "other-series"
LEFT_TO_ANOTHER = "Not analysed, because another series speaks for the study; it can be analysed on request."


def reasons_of(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Why a result is limited or missing, in words: every finding that is no good news."""
    return tuple(
        finding.text for finding in findings if finding.level != FindingLevel.OK or finding.code == OTHER_SERIES
    )


@dataclass(frozen=True, eq=False, kw_only=True)
class SeriesResult:
    """The result of one series: what became of it, why, and what each model says.

    name : the file or folder as the user knows it
    role, role_reason : whether it speaks for its study, and why
    box : the square of each slice that the models saw, and that the evidence covers
    volume : the series itself, for viewing; None where it could not be read
    """

    study: str
    series: str
    name: str
    status: Status
    role: Role = Role.SPEAKS
    role_reason: str = ""
    reasons: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    slices: tuple[Slice, ...] = ()
    models: dict[str, ModelResult] = field(default_factory=dict)
    box: Box | None = None
    volume: Series | None = None

    @property
    def flagged(self) -> bool:
        """Whether a model flags it whose word counts."""
        return any(model.flagged for model in deciding(self.models.values()))

    @property
    def left_to_another(self) -> bool:
        """Whether no model was asked, because another series speaks for the study; that is no failure."""
        return any(finding.code == OTHER_SERIES for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Give the result as plain values, in the form that `ichscope analyse --json` promises."""
        return {
            "study": self.study,
            "series": self.series,
            "name": self.name,
            "role": str(self.role),
            "role_reason": self.role_reason,
            "status": self.status,
            "reasons": list(self.reasons),
            "slices": len(self.slices),
            "models": {name: self._model_json(model) for name, model in self.models.items()},
        }

    def _model_json(self, model: ModelResult) -> dict[str, Any]:
        return {
            "version": model.version,
            "provider": model.provider,
            "seconds": round(model.seconds, 4),
            "flagged": model.flagged,
            "decides": model.decides,
            "threshold": model.threshold,
            "operating_point": model.operating_point,
            "thresholds": model.thresholds,
            "probability": {label: round(p, 6) for label, p in model.probability.items()},
            "per_slice": [
                {
                    "file": place.file,
                    "sop": place.sop,
                    "position_mm": place.position_mm,
                    "probability": {label: round(float(p[i]), 6) for label, p in model.slice_probability.items()},
                }
                for i, place in enumerate(self.slices)
            ],
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class StudyResult:
    """The results of one examination's series, the one that speaks for it first; its verdict is the study's."""

    series: tuple[SeriesResult, ...]

    @property
    def study(self) -> str:
        """Short hash that stands for the study; "" where no file was read."""
        return self.series[0].study

    @property
    def speaks(self) -> SeriesResult:
        """The series that speaks for the study."""
        return self.series[0]

    @property
    def others(self) -> tuple[SeriesResult, ...]:
        """All other series."""
        return self.series[1:]

    @property
    def status(self) -> Status:
        """As of the series that speaks."""
        return self.speaks.status

    @property
    def flagged(self) -> bool:
        """As of the series that speaks."""
        return self.speaks.flagged

    def to_json(self) -> list[dict[str, Any]]:
        """Give an entry a series, in the form that `ichscope analyse --json` promises."""
        return [result.to_json() for result in self.series]


def top_slices(along: NDArray[np.float32], most: int) -> list[int]:
    """The slices with the highest probability, the highest first; of equal ones the lowest in the head.

    Neighbours of one probability are thin slices that a model saw as one slab: the middle one stands for them.

    Parameters
    ----------
    along : (slices,) float32

    Examples
    --------
    >>> top_slices(np.array([0.1, 0.9, 0.4, 0.9], np.float32), most=3)
    [1, 3, 2]
    >>> top_slices(np.array([0.1, 0.1, 0.1, 0.9, 0.9, 0.9, 0.4], np.float32), most=3)
    [4, 6, 1]
    """
    starts = np.flatnonzero(np.diff(along, prepend=np.float32(np.nan)) != 0)
    ends = np.append(starts[1:], len(along))
    middles = (starts + ends - 1) // 2
    order = np.argsort(-along[starts], kind="stable")[:most]
    return [int(middle) for middle in middles[order]]


def json_text(results: Iterable[Mapping[str, Any]]) -> str:
    """Give the results (SeriesResult.to_json) as a JSON list, UTF-8 text with a final newline."""
    return text_of(list(results))


def csv_text(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = CSV_COLUMNS) -> str:
    """Give rows (as of csv_rows) as CSV with a header line; a cell without a value stays empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({column: csv_cell(value) for column, value in row.items()} for row in rows)
    return writable(text.getvalue())


def csv_rows(result: SeriesResult) -> list[dict[str, Any]]:
    """Rows of one SeriesResult: one a model, or a single one with empty model cells when nothing was analysed.

    Probabilities are those of the whole study, 0 to 1; slices are in the JSON.
    """
    series = {
        "name": result.name,
        "study": result.study,
        "series": result.series,
        "status": result.status,
        "reasons": "; ".join(result.reasons),
        "slices": len(result.slices),
    }
    return [series | _model_cells(model) for model in result.models.values()] or [series]


def _model_cells(model: ModelResult) -> dict[str, Any]:
    return {
        "model": model.name,
        "version": model.version,
        "provider": model.provider,
        "seconds": round(float(model.seconds), 3),
        "operating_point": model.operating_point,
        "threshold": round(float(model.threshold), 4),
        "flagged": "yes" if model.flagged else "no",
        **{f"probability_{label}": round(float(p), 4) for label, p in model.probability.items()},
    }


def csv_cell(value: Any) -> Any:
    """Put a quote before what a spreadsheet would run as a formula, since names and header values are from outside.

    That is the beginning of a text and, as some split cells at other signs than commas, what follows such a sign.

    Source: OWASP, CSV Injection.

    Examples
    --------
    >>> csv_cell("=1+1"), csv_cell("found CT;=1+1, expected CT"), csv_cell("5-10 mm"), csv_cell(-0.5)
    ("'=1+1", "found CT;'=1+1, expected CT", '5-10 mm', -0.5)
    """
    return _FORMULA.sub(r"\g<0>'", value) if isinstance(value, str) else value
