"""Which series speaks for its study: one rule, for every list, page and figure that has one row a study."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ichscope.imaging.quality import FEW_SLICES, THICKNESS_RANGE_MM
from ichscope.imaging.series import SeriesFacts

__all__ = ["Choice", "SeriesFacts", "speaker"]

# From skull base to vertex an adult's brain takes some 120 to 150 mm along the body.
WHOLE_HEAD_MM = 120.0
_GOOD, _UNKNOWN, _BAD = 0, 1, 2
_NAMED = 3


@dataclass(frozen=True)
class Choice:
    """The series that speaks for a study.

    index : its place in what was given
    order : all places, the best first
    reason : why, for the page and the JSON
    """

    index: int
    order: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class _Rank:
    """One criterion for one series: how it stands, and in words what it is where another stands better."""

    value: int
    words: str


def speaker(series: Sequence[SeriesFacts], analysed: Sequence[bool] = ()) -> Choice:
    """Choose the series that speaks for its study.

    CT before pictures; original axial soft-tissue series without contrast agent before other planes, a few slices,
    contrast, bone kernels and derived images, in this order; then slices as thick as the models know; then the whole
    head before a part; of one reconstruction the complete run before a part of it; then the earlier series. What a
    header does not say ranks between good and bad; one that says nothing of contrast counts as without.

    Parameters
    ----------
    series : of one study, as they came
    analysed : which of them a model has judged, where that is known; others speak only where none was judged

    Raises
    ------
    ValueError
        if there is no series

    Examples
    --------
    >>> thin = SeriesFacts(original=True, axial=True, soft_tissue=True, slice_thickness_mm=0.6, extent_mm=160)
    >>> thick = SeriesFacts(original=True, axial=True, soft_tissue=True, slice_thickness_mm=5, extent_mm=160)
    >>> speaker([thin, thick])
    Choice(index=1, order=(1, 0), reason='original axial soft-tissue series, 5 mm, whole head; chosen before 1 other: \
slices of 0.6 mm')
    """
    if not series:
        raise ValueError("found no series, expected at least one")
    ranks = [_ranks(facts) for facts in series]
    values = [tuple(rank.value for rank in each) for each in ranks]
    runs = _runs(series, values)
    order = tuple(sorted(range(len(series)), key=lambda index: (values[index], runs[index])))
    if any(analysed) and not analysed[order[0]]:
        return _fallback(series, order, analysed)
    best, *others = order
    if not others:
        return Choice(best, order, "the only series")
    losses = [_loss(ranks[best], ranks[other], runs[other]) for other in others]
    before = f"chosen before {len(others)} other{'s' * (len(others) > 1)}: {_listed(losses)}"
    return Choice(best, order, f"{_described(series[best])}; {before}")


def _fallback(series: Sequence[SeriesFacts], order: tuple[int, ...], analysed: Sequence[bool]) -> Choice:
    """The first in order that a model could judge."""
    best = next(index for index in order if analysed[index])
    better = order.index(best)
    reason = (
        f"{_described(series[best])}; {better} other{'s' * (better > 1)} would come first but could not be analysed"
    )
    return Choice(best, (best, *(index for index in order if index != best)), reason)


def _ranks(facts: SeriesFacts) -> list[_Rank]:
    """Every criterion, the one that decides first at the front.

    Of series with a flaw, one in another plane comes last: it cannot be analysed at all. A few slices are a test bolus
    or a sample, and no study. Enhanced vessels look like blood, which noise of a bone kernel does not.
    """
    kind = _Rank(_GOOD if facts.kind == "ct" else _BAD, "pictures")
    modality = _tri(facts.is_ct, "a modality that is not given", "another modality than CT")
    axial = _tri(facts.axial, "a plane that is not given", "another plane")
    soft = _tri(facts.soft_tissue, "a kernel that is not known", "a bone kernel")
    original = _tri(facts.original, "an image type that is not given", "derived images")
    flaws = (axial, _few(facts), _contrast(facts), soft, original)
    worst = max(flaws, key=lambda rank: rank.value)
    return [kind, modality, worst, *flaws, _thickness(facts), _extent(facts)]


def _tri(fact: bool | None, unknown: str, bad: str) -> _Rank:
    return _Rank(_UNKNOWN, unknown) if fact is None else _Rank(_GOOD if fact else _BAD, bad)


def _few(facts: SeriesFacts) -> _Rank:
    few = 0 < facts.slices < FEW_SLICES
    return _Rank(_BAD if few else _GOOD, f"{facts.slices} slice{'s' * (facts.slices > 1)} only")


def _contrast(facts: SeriesFacts) -> _Rank:
    return _Rank(_BAD if facts.contrast else _GOOD, "a contrast agent")


def _thickness(facts: SeriesFacts) -> _Rank:
    thickness = facts.slice_thickness_mm
    known = None if thickness is None else THICKNESS_RANGE_MM[0] <= thickness <= THICKNESS_RANGE_MM[1]
    return _tri(known, "a slice thickness that is not given", f"slices of {thickness or 0:.3g} mm")


def _extent(facts: SeriesFacts) -> _Rank:
    extent = facts.extent_mm
    whole = None if extent is None else extent >= WHOLE_HEAD_MM
    return _tri(whole, "a length that is not given", f"{extent or 0:.0f} mm of the head only")


def _runs(series: Sequence[SeriesFacts], values: Sequence[tuple[int, ...]]) -> list[tuple[float, ...]]:
    """The place of each series among equals: its reconstruction's, whether it is a part of it, its own.

    Places are (number, index) of the reconstruction's first series, 1 and minus the slices for a part, else 0 and 0,
    and the series' own (number, index).
    """
    places = [
        (math.inf if facts.series_number is None else facts.series_number, index) for index, facts in enumerate(series)
    ]
    reconstructions: dict[object, list[int]] = defaultdict(list)
    for index, facts in enumerate(series):
        reconstructions[values[index], facts.slice_thickness_mm].append(index)
    runs: list[tuple[float, ...]] = [()] * len(series)
    for members in reconstructions.values():
        first = min(places[index] for index in members)
        for index in members:
            part = any(_is_part(series[index], series[other]) for other in members)
            runs[index] = (*first, int(part), -series[index].slices * part, *places[index])
    return runs


def _is_part(part: SeriesFacts, whole: SeriesFacts) -> bool:
    """Whether a series has fewer slices than another of its reconstruction, and covers less where that is known."""
    if part.slices >= whole.slices:
        return False
    if part.extent_mm is None or whole.extent_mm is None:
        return True
    return part.extent_mm < whole.extent_mm - (part.slice_thickness_mm or 0) / 2


def _loss(best: Iterable[_Rank], other: Iterable[_Rank], run: tuple[float, ...]) -> str:
    """Say what decided against a series. The worst of three says no more than the one that it is."""
    lost = [theirs.words for ours, theirs in zip(best, other, strict=True) if theirs.value > ours.value]
    is_part = run[2] == 1
    return lost[0] if lost else "a part of the same" if is_part else "a later series"


def _listed(losses: Sequence[str]) -> str:
    """Each loss once, in the order of the series, the first few by name."""
    once = list(dict.fromkeys(losses))
    more = len(losses) - sum(loss in once[:_NAMED] for loss in losses)
    return ", ".join(once[:_NAMED]) + (f", and {more} more" if more else "")


def _described(facts: SeriesFacts) -> str:
    if facts.kind == "picture":
        return "pictures"
    kind = {True: "original", False: "derived", None: ""}[facts.original]
    plane = {True: "axial", False: "non-axial", None: ""}[facts.axial]
    tissue = {True: "soft-tissue", False: "bone-kernel", None: ""}[facts.soft_tissue]
    contrast = "with contrast agent" if facts.contrast else ""
    parts = [" ".join(filter(None, (kind, plane, tissue, "series", contrast)))]
    if facts.slice_thickness_mm is not None:
        parts.append(f"{facts.slice_thickness_mm:.3g} mm")
    if facts.extent_mm is not None:
        parts.append("whole head" if facts.extent_mm >= WHOLE_HEAD_MM else f"{facts.extent_mm:.0f} mm of the head")
    return ", ".join(parts)
