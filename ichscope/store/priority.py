"""What is read first: likely bleeds, then what is uncertain, disputed or missing, then negatives. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from ichscope.labels import LABELS
from ichscope.results import deciding

Priority = Literal["likely", "uncertain", "disagree", "not analysed", "negative"]
PRIORITIES: Final[tuple[Priority, ...]] = ("likely", "uncertain", "disagree", "not analysed", "negative")

# A model is unsure where its odds lie within this factor of the odds at its threshold.
UNSURE_ODDS = 1.5
_SMALLEST = 1e-6


@dataclass(frozen=True)
class Opinion:
    """What one model says of one study: probabilities and thresholds by label, and whether it decides."""

    flagged: bool
    probability: Mapping[str, float]
    thresholds: Mapping[str, float]
    decides: bool = False


def priority(opinions: Sequence[Opinion]) -> Priority:
    """Where a study belongs. Without an opinion it was not analysed."""
    if not opinions:
        return "not analysed"
    decisive = deciding(opinions)
    flags = {opinion.flagged for opinion in opinions if _is_sure(opinion)}
    if len(flags) == 2:
        return "disagree"
    if flags == {True}:
        return "likely" if any(opinion.flagged for opinion in decisive) else "uncertain"
    return "negative" if all(map(_is_sure, decisive)) else "uncertain"


def _is_sure(opinion: Opinion) -> bool:
    return abs(_margin(opinion)) >= math.log(UNSURE_ODDS)


def _margin(opinion: Opinion) -> float:
    """How far `any` lies above its threshold, in log odds."""
    return _log_odds(opinion.probability["any"]) - _log_odds(opinion.thresholds["any"])


def _log_odds(p: float) -> float:
    p = min(max(p, _SMALLEST), 1 - _SMALLEST)
    return math.log(p / (1 - p))


def score(opinions: Sequence[Opinion]) -> float | None:
    """The highest probability of `any` among the models whose word counts."""
    return max((opinion.probability["any"] for opinion in deciding(opinions)), default=None)


def rank(of: Priority, highest: float | None) -> float:
    """One number to sort the worklist by: the priority's place first, then the score, the highest first."""
    return PRIORITIES.index(of) + (1 - (highest or 0.0)) / 2


def model_labels(opinions: Sequence[Opinion]) -> dict[str, bool | None]:
    """By label, whether a model reaches its threshold for it; None where no model knows the label.

    On `any` those speak whose word counts; subtypes are of whichever model knows them.
    """
    return {
        label: _is_positive(label, [opinion for opinion in opinions if label in opinion.probability])
        for label in LABELS
    }


def _is_positive(label: str, opinions: Sequence[Opinion]) -> bool | None:
    if not opinions:
        return None
    if label == "any":  # by the flag itself: that is what pages and files say
        return any(opinion.flagged for opinion in deciding(opinions))
    return any(_reaches(opinion, label) for opinion in opinions)


def _reaches(opinion: Opinion, label: str) -> bool:
    return label in opinion.thresholds and opinion.probability[label] >= opinion.thresholds[label]
