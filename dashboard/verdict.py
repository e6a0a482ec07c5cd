"""The words of a result: the headline, and how far the models agree. Pure functions, no Streamlit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from dashboard.charts import number
from ichscope.analyse import ModelResult, StudyResult
from ichscope.labels import DISPLAY_NAMES

NOT_FOR_DIAGNOSIS = "Research use only - not for diagnosis"
_ORDER = ("flagged", "clear", "none")


@dataclass(frozen=True)
class Verdict:
    """The answer for one series: `title` for the eye at a distance, `detail` for the second look."""

    level: Literal["flagged", "clear", "none"]
    title: str
    detail: str


def verdict(result: StudyResult) -> Verdict:
    """What the page says first. One model that flags is enough to flag: a miss costs more than a look."""
    if result.status == "not analysed" or not result.models:
        return Verdict("none", "NOT ANALYSED", " ".join(result.reasons) or "No model is installed.")
    flagging = [model for model in result.models.values() if model.flagged]
    if flagging:
        return Verdict("flagged", "FLAGGED - possible haemorrhage", _flagged_detail(result, flagging))
    return Verdict("clear", "Not flagged", f"{_who(result.models.values(), 'below threshold')}. {_NO_PROOF}")


_NO_PROOF = "This does not rule out a haemorrhage."


def _flagged_detail(result: StudyResult, flagging: Sequence[ModelResult]) -> str:
    series = flagging[0].slice_probability["any"]
    highest = f"Highest on slice {int(series.argmax()) + 1} of {len(series)}"
    kinds = [DISPLAY_NAMES[label] for model in flagging for label in positive_subtypes(model)]
    first = f"Flagged by {_names(flagging)}"
    return f"{first}. {highest}. Kind: {', '.join(kinds)}." if kinds else f"{first}. {highest}."


def _who(models: Iterable[ModelResult], what: str) -> str:
    return f"{_names(models)}: {what}"


def _names(models: Iterable[ModelResult]) -> str:
    return " and ".join(model.name for model in models)


def positive_subtypes(model: ModelResult) -> list[str]:
    """Subtypes at or above their own thresholds, the most probable first."""
    positive = [
        label
        for label, value in model.probability.items()
        if label != "any" and value >= model.thresholds.get(label, 2)
    ]
    return sorted(positive, key=lambda label: -model.probability[label])


def agreement(models: Sequence[ModelResult]) -> tuple[Literal["ok", "warning"], str]:
    """Whether the models say the same, in words.

    Returns
    -------
    "warning" where they contradict each other, and the sentence
    """
    if len(models) < 2:
        return "ok", "One model only: no second opinion."
    flags = {model.flagged for model in models}
    if len(flags) == 2:
        return "warning", "The models disagree: read with care."
    return "ok", "Both models flag this series." if flags == {True} else "Neither model flags this series."


def model_line(model: ModelResult) -> str:
    """The number, its threshold and the operating point: "any 0.931, threshold 0.310 (sensitivity 0.95)"."""
    threshold = f"threshold {number(model.threshold)} ({model.operating_point})"
    return f"any {number(model.probability['any'])}, {threshold}"


def in_reading_order(results: Sequence[StudyResult]) -> list[StudyResult]:
    """Flagged first, then not flagged, then not analysed; otherwise as they came."""
    return sorted(results, key=lambda result: _ORDER.index(verdict(result).level))
