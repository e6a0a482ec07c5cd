"""One acquisition, phase or time of a series that holds several of the same places; never a mixture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ichscope.imaging.frames import Frame
from ichscope.imaging.likeness import distances, in_order, moves_on
from ichscope.imaging.series import Finding, FindingLevel
from ichscope.imaging.source import name_some
from ichscope.imaging.witness import Witness, order_witnesses, witness

Ids = NDArray[np.int64]

# By what passes are told apart, the clearest first.
_BY_VALUE = ("ConvolutionKernel", "AcquisitionNumber", "TemporalPositionIdentifier", "AcquisitionTime", "ContentTime")
_BY_TURN = ("AcquisitionNumber", "TemporalPositionIdentifier", "AcquisitionTime", "ContentTime", "InstanceNumber")
# Tags whose passes may also lie between each other's slices; times differ from slice to slice anyway.
_INTERLEAVING = _BY_VALUE[:3]
_FEW = 3
# Slices nearer than this share of their thickness overlap.
_OVERLAP = 0.75


class Pass(NamedTuple):
    """Frames of one pass, by index, and the least value of the tag among them."""

    members: list[int]
    value: float


def one_pass(frames: list[Frame]) -> tuple[list[Frame], list[Finding]]:
    """The most complete pass, of several such the first, and words for what was left.

    Where two images lie in the same places and nothing tells passes apart, all frames come back with a finding that
    the series cannot be analysed; of one or two images that came again, ordering keeps the first.
    """
    findings: list[Finding] = []
    while len(frames) > 1:
        places = place_ids(frames)
        if _repeats(places) and _collapsed(frames, places):
            break
        passes = _told_apart(frames, places)
        if passes is None:
            findings += _mixture(frames, places)
            break
        told_by, parts = passes
        frames, finding = _chosen(frames, places, told_by, parts)
        findings.append(finding)
    return frames, findings


def place_ids(frames: Sequence[Frame]) -> Ids:
    """A number for the place of each frame, by the tag that tells most places apart; -1 where unknown."""
    witnesses = order_witnesses(frames)[:3]
    return max(witnesses, key=lambda witness: witness.different).ids


def _told_apart(frames: list[Frame], places: Ids) -> tuple[Witness, list[Pass]] | None:
    """The first tag that parts the frames into passes of the same places, and its passes."""
    if _repeats(places):
        for told_by, parts in _ways(frames, places):
            if _whole(parts, places) and len(rivals := _rivals(parts, places)) > 1:
                return told_by, rivals
        return None
    for keyword in _INTERLEAVING:
        told_by = witness(frames, keyword)
        parts = _by_value(told_by)
        if len(parts) > 1 and _interleaved(frames, parts, places):
            return told_by, parts
    return None


def _ways(frames: list[Frame], places: Ids) -> Iterator[tuple[Witness, list[Pass]]]:
    for keyword in _BY_VALUE:
        told_by = witness(frames, keyword)
        if len(parts := _by_value(told_by)) > 1:
            yield told_by, parts
    for keyword in _BY_TURN:
        told_by = witness(frames, keyword)
        for parts in (_by_gap(told_by, places), _by_turn(told_by, places)):
            if len(parts) > 1:
                yield told_by, parts


def _by_value(told_by: Witness) -> list[Pass]:
    """A part for each value, one more for frames without."""
    ids = told_by.ids
    parts = [np.flatnonzero(ids == number) for number in range(-1, ids.max() + 1)]
    return [Pass(part.tolist(), float(told_by.values[part[0]])) for part in parts if len(part)]


def _by_gap(told_by: Witness, places: Ids) -> list[Pass]:
    """As many parts as images lie in one place at most, cut where the tag jumps furthest; none holds a place twice."""
    if not told_by.complete:
        return []
    order = np.argsort(told_by.values, kind="stable")
    jumps = np.diff(told_by.values[order])
    several = int(np.bincount(places[places >= 0]).max())
    cuts = np.sort(np.argsort(-jumps, kind="stable")[: several - 1]) + 1
    if np.any(jumps[cuts - 1] <= 1.5 * np.median(jumps)):
        return []
    parts = [part.tolist() for part in np.split(order, cuts)]
    if any(_repeats(places[part]) for part in parts):
        return []
    return [Pass(part, float(told_by.values[part[0]])) for part in parts]


def _by_turn(told_by: Witness, places: Ids) -> list[Pass]:
    """In the tag's order, a new part begins where a place comes again."""
    if not told_by.complete:
        return []
    parts: list[list[int]] = [[]]
    seen: set[int] = set()
    last = -np.inf
    for index in np.argsort(told_by.values, kind="stable").tolist():
        if places[index] in seen:
            if told_by.values[index] <= last:
                return []
            parts.append([])
            seen.clear()
        seen.add(places[index])
        parts[-1].append(index)
        last = told_by.values[index]
    return [Pass(part, float(told_by.values[part[0]])) for part in parts]


def _repeats(places: Ids) -> bool:
    known = places[places >= 0]
    return len(np.unique(known)) < len(known)


def _whole(parts: list[Pass], places: Ids) -> bool:
    """Whether these are passes: one covers most places, and most images are in such."""
    counts = [_count(part, places) for part in parts]
    largest = max(counts)
    in_large = sum(count for count in counts if 2 * count >= largest)
    return largest > 1 and 2 * largest > places.max() and 2 * in_large >= sum(counts)


def _count(part: Pass, places: Ids) -> int:
    return len(np.unique(places[part.members]))


def _rivals(parts: list[Pass], places: Ids) -> list[Pass]:
    """Parts that share most of their places with a larger one; what lies elsewhere is the same pass, further on."""
    ranked = sorted(parts, key=lambda part: (-_count(part, places), part.value))
    main, rivals = set(ranked[0].members), []
    for part in ranked[1:]:
        here = set(places[part.members].tolist())
        if 2 * len(here & set(places[list(main)].tolist())) >= len(here):
            rivals.append(part)
        else:
            main |= set(part.members)
    return [Pass(sorted(main), ranked[0].value), *rivals]


def _interleaved(frames: list[Frame], parts: list[Pass], places: Ids) -> bool:
    """Whether parts lie between each other's slices, and these overlap as those of one pass do not."""
    if min(len(part.members) for part in parts) < _FEW or -1 in places:
        return False
    ranges = [(places[part.members].min(), places[part.members].max()) for part in parts]
    shared = min(high for _, high in ranges) - max(low for low, _ in ranges)
    if 2 * shared < min(high - low for low, high in ranges):
        return False
    thickness = next((frame.facts.slice_thickness_mm for frame in frames if frame.facts.slice_thickness_mm), None)
    known = witness(frames, "ImagePositionPatient")
    if thickness is None or not known.orders:
        return True
    return float(np.median(np.diff(np.sort(known.values)))) < _OVERLAP * thickness


def _chosen(frames: list[Frame], places: Ids, told_by: Witness, parts: list[Pass]) -> tuple[list[Frame], Finding]:
    """The soft-tissue kernel, else the most complete pass; of equals the first."""
    by_kernel = told_by.keyword == "ConvolutionKernel"

    def rank(part: Pass) -> tuple[float, ...]:
        value = np.inf if np.isnan(part.value) else part.value
        size = -_count(part, places)
        return (value, size) if by_kernel else (size, value)

    first, *others = sorted(parts, key=rank)
    names = [_name(frames, told_by, part) for part in (first, *others)]
    why = "the softest kernel" if by_kernel else "the most complete, of equals the first"
    text = f"{told_by.name}: found {len(parts)} passes over the same places, expected one. Only {names[0]} is "
    text += f"used ({why}); not looked at: {name_some(names[1:])}"
    kept = [frames[index] for index in sorted(first.members)]
    return kept, Finding(FindingLevel.WARNING, "several-passes", text)


def _name(frames: list[Frame], told_by: Witness, part: Pass) -> str:
    count = f"{len(part.members)} slice{'s' * (len(part.members) != 1)}"
    if told_by.keyword == "ConvolutionKernel":
        return f"{frames[part.members[0]].facts.kernel or 'unknown'} ({count})"
    return f"{part.value:.10g} ({count})" if "Time" not in told_by.keyword else f"{_clock(part.value)} ({count})"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds % 86400, 60)
    return f"{int(minutes // 60):02}:{int(minutes % 60):02}:{rest:04.1f}"


def _mixture(frames: list[Frame], places: Ids) -> list[Finding]:
    """Many images in places of others, and nothing says which belong together."""
    if places.max() < 1 or not _repeats(places):
        return []
    again = len(frames) - len(np.unique(places))
    if 10 * again <= len(frames) + 10:
        return []
    text = f"{again} of {len(frames)} images lie in the place of another by Image Position (Patient) (0020,0032), and "
    text += "neither Acquisition Number (0020,0012), Temporal Position Identifier (0020,0100) nor a time says which "
    text += "belong together: a mixture cannot be analysed."
    return [Finding(FindingLevel.NOT_ANALYSABLE, "mixed-passes", text)]


def _collapsed(frames: list[Frame], places: Ids) -> bool:
    """Whether it is the places that are wrong: in the order of their numbers the images go on through the head."""
    if places.max() < 1:
        return False
    apart = distances([frame.hu for frame in frames])
    for keyword in ("InstanceNumber", "AcquisitionTime"):
        numbers = witness(frames, keyword)
        if not numbers.orders:
            continue
        order = np.argsort(numbers.values)
        same = np.diff(places[order]) == 0
        steps = np.diagonal(apart[np.ix_(order, order)], 1)
        if not same.any() or not moves_on(apart, order) or not in_order(apart, order):
            continue
        if same.all() or 2 * np.median(steps[same]) > np.median(steps[~same]):
            return True
    return False
