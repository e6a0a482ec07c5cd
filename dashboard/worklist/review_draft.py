"""What a reader enters about a study: checked, completed, and told in words. Pure functions, no Streamlit."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dashboard.text import count
from ichscope.labels import DISPLAY_NAMES, LABELS, SUBTYPES
from ichscope.store import Review

_RANGE = re.compile(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?")


@dataclass(frozen=True)
class ReviewDraft:
    """`labels` has only what the reader has set; `marks` are labels by slice, from 0."""

    labels: Mapping[str, bool] = field(default_factory=dict)
    marks: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    poor_quality: bool = False
    comment: str = ""

    @property
    def empty(self) -> bool:
        """Whether nothing at all is set."""
        return not (self.labels or self.poor_quality or self.comment.strip())


def complete(labels: Mapping[str, bool]) -> dict[str, bool]:
    """Labels with what follows from them: a subtype is a haemorrhage, and without one there is no subtype."""
    if any(labels.get(label) for label in SUBTYPES):
        return {"any": True} | dict(labels)
    if labels.get("any") is False:
        return dict.fromkeys(SUBTYPES, False) | dict(labels)
    return dict(labels)


def implied(labels: Mapping[str, bool]) -> str:
    """What `complete` adds, as a sentence."""
    if "any" in complete(labels) and "any" not in labels:
        return "A subtype is set, so a haemorrhage will be saved as present."
    if labels.get("any") is False and not all(label in labels for label in SUBTYPES):
        return "Without a haemorrhage no subtype is present; all five will be saved as absent."
    return ""


def contradiction(labels: Mapping[str, bool]) -> str:
    """What cannot all be true, as a sentence; "" where nothing is in the way."""
    present = [DISPLAY_NAMES[label] for label in SUBTYPES if labels.get(label)]
    if labels.get("any") is False and present:
        return f"{DISPLAY_NAMES['any']} is set to No, but {_listed(present)} to Yes. Change one of them."
    return ""


def against_models(labels: Mapping[str, bool], by_models: Mapping[str, bool | None]) -> list[str]:
    """Labels on which a reader and the models differ."""
    judged = {label: value for label, value in by_models.items() if value is not None}
    return [label for label in LABELS if label in judged and labels.get(label, judged[label]) != judged[label]]


def agrees(labels: Mapping[str, bool], by_models: Mapping[str, bool | None]) -> bool | None:
    """Whether these labels affirm the models; None where the reader or the models say nothing of a haemorrhage."""
    if "any" not in labels or by_models["any"] is None:
        return None
    return not against_models(labels, by_models)


def slice_numbers(text: str, slices: int) -> list[int]:
    """Read "12-14, 20" as slice indices from 0.

    Raises
    ------
    ValueError
        if a part is no slice or range of slices of this study; the message is for the reader
    """
    indices: set[int] = set()
    for part in filter(str.strip, text.split(",")):
        match = _RANGE.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= slices:
            raise ValueError(f"“{part.strip()}” is no slice from 1 to {slices}, nor a range such as 3-7.")
        indices.update(range(first - 1, last))
    return sorted(indices)


def ranges(indices: Sequence[int]) -> str:
    """The inverse of `slice_numbers`.

    >>> ranges([11, 12, 13, 19])
    '12-14, 20'
    """
    runs: list[list[int]] = []
    for i in sorted(indices):
        if runs and i == runs[-1][1] + 1:
            runs[-1][1] = i
        else:
            runs.append([i, i])
    return ", ".join(f"{a + 1}" if a == b else f"{a + 1}-{b + 1}" for a, b in runs)


def slices_with(marks: Mapping[int, Sequence[str]], label: str) -> list[int]:
    """Indices of the slices that are marked with a label."""
    return sorted(i for i, labels in marks.items() if label in labels)


def by_slice(marked: Mapping[str, Sequence[int]]) -> dict[int, tuple[str, ...]]:
    """Labels by slice, from slices by label."""
    every = sorted({i for indices in marked.values() for i in indices})
    return {i: tuple(label for label in LABELS if i in marked.get(label, ())) for i in every}


def told(review: Review) -> list[str]:
    """What a review says, a sentence each."""
    sentences = []
    if review.agree is not None:
        sentences.append("Agrees with the models." if review.agree else "Disagrees with the models.")
    # Without a haemorrhage there is nothing to say of its subtypes.
    labels = SUBTYPES if review.labels.get("any", True) else ()
    for label in ("any", *labels):
        if label in review.labels:
            sentences.append(
                f"{DISPLAY_NAMES[label]}: {'yes' if review.labels[label] else 'no'}{_where(review, label)}."
            )
    if review.poor_quality:
        sentences.append("Poor quality.")
    sentences = sentences or ["Comment only."]
    if review.superseded:
        seen = count(review.slices, "slice")
        sentences.append(f"Saw {seen} of the series, which came in full later.")
    return sentences


def _where(review: Review, label: str) -> str:
    marked = slices_with(review.marks, label)
    return f", slices {ranges(marked)}" if marked else ""


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
