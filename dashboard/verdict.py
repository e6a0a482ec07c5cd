"""The words of a result: the headline, and how far the models agree. Pure functions, no Streamlit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from dashboard.text import sentence
from ichscope.imaging.findings import Status
from ichscope.labels import DISPLAY_NAMES
from ichscope.reporting.figures.theme import number
from ichscope.results import ModelResult, SeriesResult, StudyResult, deciding, top_slices

DISAGREE = "The models disagree: read with care."
_ORDER = ("flagged", "clear", "none")


@dataclass(frozen=True)
class Verdict:
    """The answer for one series: `title` for the eye at a distance, `lines` for the second look."""

    level: Literal["flagged", "clear", "none"]
    title: str
    lines: tuple[str, ...]


def verdict(result: SeriesResult) -> Verdict:
    """What the page says first. Where no model decides, one that flags is enough: a miss costs more than a look."""
    models = ordered(result)
    if result.status == Status.NOT_ANALYSED or not models:
        return Verdict("none", "NOT ANALYSED", (reasons(result) or "No model is installed.",))
    flagging = [model for model in models if model.flagged]
    others = [model for model in models if not model.flagged]
    if not result.flagged:
        who = f"Below threshold: {_with_numbers(others)}."
        if flagging:
            who = f"{who} {_with_numbers(flagging)} flags it, as a second opinion. {DISAGREE}"
        return Verdict("clear", "Not flagged", (who, f"This does not rule out a haemorrhage. {_points(models)}"))
    who = f"Flagged by {_with_numbers(flagging)}"
    if others:
        who = f"{who}, not by {_with_numbers(others)}. {DISAGREE}"
    return Verdict("flagged", "FLAGGED - possible haemorrhage", (f"{who.rstrip('.')}.", _where(flagging)))


def _with_numbers(models: Sequence[ModelResult]) -> str:
    return " and ".join(
        f"{model.name} ({number(model.probability['any'])}, threshold {number(model.threshold)})" for model in models
    )


def _where(flagging: Sequence[ModelResult]) -> str:
    along = deciding(flagging)[0].slice_probability["any"]
    subtypes = dict.fromkeys(DISPLAY_NAMES[label] for model in flagging for label in positive_subtypes(model))
    named = f" {'Subtypes' if len(subtypes) > 1 else 'Subtype'}: {', '.join(subtypes)}." if subtypes else ""
    place = f"Highest on slice {top_slices(along, 1)[0] + 1} of {len(along)}." if len(along) > 1 else "Single slice."
    return f"{place}{named} {_points(flagging)}"


def _points(models: Sequence[ModelResult]) -> str:
    return f"Operating point: {', '.join(dict.fromkeys(model.operating_point for model in models))}."


def reasons(result: SeriesResult) -> str:
    """Why a result is limited or missing, as sentences."""
    return " ".join(map(sentence, result.reasons))


def ordered(result: SeriesResult) -> list[ModelResult]:
    """The models of a result, the one with the most labels first."""
    return sorted(result.models.values(), key=lambda model: -len(model.probability))


def positive_subtypes(model: ModelResult) -> list[str]:
    """Subtypes at or above their own thresholds, the most probable first."""
    positive = [label for label in model.positive_labels if label != "any"]
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
        return "warning", DISAGREE
    return "ok", "Both models flag this series." if flags == {True} else "Neither model flags this series."


def in_reading_order(studies: Sequence[StudyResult]) -> list[StudyResult]:
    """Flagged first, then not flagged, then not analysed; whole series before single slices."""

    def place(study: StudyResult) -> tuple[int, int]:
        return _ORDER.index(verdict(study.speaks).level), -len(study.speaks.slices)

    return sorted(studies, key=place)
