"""From foot to head: the order and places of slices, by the tag that the others and the pixels bear out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ichscope.imaging.frames import Frame
from ichscope.imaging.head_check import head_slices, is_upside_down
from ichscope.imaging.likeness import breaks_at, distances, in_order, moves_on
from ichscope.imaging.series import Finding, FindingLevel
from ichscope.imaging.source import name_some
from ichscope.imaging.witness import Witness, order_witnesses, witness

Order = NDArray[np.int64]
_POSITION = "Image Position (Patient) (0020,0032)"
# Steps of two tags may differ by this share before they contradict: rounding, and a gantry tilt of 30 degrees.
_FEW = 2
_SAME_STEP, _TILTED_STEP = 0.1, 0.2


@dataclass(frozen=True)
class Ordered:
    """Frames from foot to head, their places in mm where known, and what had to be chosen."""

    frames: list[Frame]
    places: list[float | None]
    findings: list[Finding]


def ordered(frames: list[Frame]) -> Ordered:
    """Put the frames of one pass in order.

    Image Position (Patient) is taken if it tells all slices apart and no other tag is borne out better by the pixels;
    else Slice Location, In-Stack Position Number, Instance Number (the frame's in a file of several), Acquisition Time.

    References
    ----------
    PS3.3 C.7.6.2.1.1 Image Position, C.7.6.2.1.2 Slice Location, C.7.6.16.2.2 In-Stack Position Number
    """
    if len(frames) == 1:
        return Ordered(frames, [frames[0].place], [])
    apart = distances([frame.hu for frame in frames])
    frames, apart, repeated = _without_rivals(frames, apart)
    witnesses = [told for told in order_witnesses(frames) if told.orders]
    if not witnesses or len(frames) == 1:
        return Ordered(frames, [frame.place if len(frames) == 1 else None for frame in frames], repeated or _no_order())
    borne_out = [told for told in witnesses if in_order(apart, np.argsort(told.values))]
    best = (borne_out or witnesses)[0]
    order = np.argsort(best.values, kind="stable")
    findings = repeated + _choice(frames, witnesses, borne_out, best) + _contradictions(witnesses, borne_out, best)
    if best.keyword != "ImagePositionPatient" and is_upside_down(
        head_slices(np.stack([frames[index].hu for index in order]))
    ):
        order = order[::-1]
    # Slice Location may count down; places go up to the head.
    upward = best.values[order] * (1 if best.values[order[-1]] > best.values[order[0]] else -1)
    places = [float(place) if best.in_mm else None for place in upward]
    in_place = [frames[index] for index in order]
    if borne_out and (found := breaks_at(apart[np.ix_(order, order)], places)):
        findings.append(_break(in_place, *found))
    return Ordered(in_place, places, findings)


def _without_rivals(
    frames: list[Frame], apart: NDArray[np.float64]
) -> tuple[list[Frame], NDArray[np.float64], list[Finding]]:
    """Of images in one place the first, unless the place is what is wrong: then all."""
    places = witness(frames, "ImagePositionPatient")
    if places.orders or not places.complete or _others_tell(frames, places, apart):
        return frames, apart, []
    if not _alike(apart, places):
        return frames, apart, []
    first = [index for index, place in enumerate(places.ids) if place not in places.ids[:index]]
    left = sorted(set(range(len(frames))) - set(first))
    text = f"{len(left)} image{'s' * (len(left) > 1)} in the place of another by {_POSITION}, with other pixels "
    text += "(repeat scan, perfusion or second kernel?); only the first is used: "
    text += name_some([frames[index].file for index in left])
    finding = Finding(FindingLevel.WARNING, "duplicate-positions", text)
    return [frames[index] for index in first], apart[np.ix_(first, first)], [finding]


def _others_tell(frames: list[Frame], places: Witness, apart: NDArray[np.float64]) -> bool:
    """Whether another tag tells all images apart, as different as the slices of a head are."""
    location, *numbers = order_witnesses(frames)[1:]
    if location.orders:
        return True
    few = 2 * places.different > len(frames)
    orders = [np.argsort(told.values) for told in numbers if told.orders]
    return any(in_order(apart, order) and (few or moves_on(apart, order)) for order in orders)


def _alike(apart: NDArray[np.float64], places: Witness) -> bool:
    """Whether images in one place show the same, not slices of a head that got one place."""
    ids = places.ids
    members = np.flatnonzero(ids == np.bincount(ids).argmax())
    if len(members) <= _FEW:
        return True
    inside = apart[np.ix_(members, members)] + np.diag(np.full(len(members), np.inf))
    nearest = float(np.median(inside.min(axis=1)))
    return float(np.median(inside[np.isfinite(inside)])) <= 2 * nearest


def _break(frames: list[Frame], index: int, times: float) -> Finding:
    names = " and ".join(frame.file for frame in frames[index : index + 2])
    text = f"{names} are neighbours and differ {times:g} times as much as the slices before and behind them do: parts "
    text += "of two heads, or a patient who moved?"
    return Finding(FindingLevel.WARNING, "break", text)


def _no_order() -> list[Finding]:
    text = f"{_POSITION}: found none or the same in several files, expected one place for each slice; Slice Location "
    text += "(0020,1041), Instance Number (0020,0013) and Acquisition Time (0008,0032) give no order either. The "
    text += "slices stand in no known order, which cannot be analysed."
    return [Finding(FindingLevel.NOT_ANALYSABLE, "no-order", text)]


def _choice(frames: list[Frame], witnesses: list[Witness], borne_out: list[Witness], best: Witness) -> list[Finding]:
    """What is said of an order that is not that of Image Position, or that the pixels contradict."""
    findings = []
    position = witness(frames, "ImagePositionPatient")
    if best.keyword != "ImagePositionPatient":
        if np.isnan(position.values).any():
            missing = int(np.isnan(position.values).sum())
            code, why = "no-position", f"is missing in {missing} of {len(frames)} images"
        elif position.orders:
            code, why = "doubtful-position", "puts slices beside each other that do not fit"
        else:
            values = f"{position.different} value{'s' * (position.different > 1)}"
            code, why = "same-position", f"has {values} for {len(frames)} slices"
        text = f"{_POSITION} {why}, so slices stand in the order of {best.name}"
        text += "." if best.in_mm else "; distances and missing slices cannot be checked."
        findings.append(Finding(FindingLevel.WARNING, code, text))
    if not borne_out:
        tags = " or ".join(told.name for told in witnesses)
        text = f"Neighbouring slices do not fit in the order of {tags}; that of {best.name} is used."
        findings.append(Finding(FindingLevel.WARNING, "doubtful-order", text))
    return findings


def _contradictions(witnesses: list[Witness], borne_out: list[Witness], best: Witness) -> list[Finding]:
    """Tags that put the slices into another order, or at other distances, than the one that is used."""
    findings = []
    order = np.argsort(best.values, kind="stable")
    for told in witnesses:
        steps = np.diff(told.values[order])
        if told is best or (told.keyword == "ImagePositionPatient" and told not in borne_out):
            continue
        if not (np.all(steps > 0) or np.all(steps < 0)):
            # Places that differ are two truths; numbers are often the order of something else.
            grave = told.in_mm or told in borne_out or best not in borne_out
            text = f"{told.name}: found another order of the slices than that of {best.name}, which is used"
            text += " and which the pixels bear out." if best in borne_out else "."
            level = FindingLevel.WARNING if grave else FindingLevel.OK
            findings.append(Finding(level, "order-contradiction", text))
        elif told.in_mm and best.in_mm and (words := _other_distances(np.diff(best.values[order]), steps)):
            text = f"{told.name}: found {words} by {best.name}, expected the same."
            findings.append(Finding(FindingLevel.WARNING, "distance-contradiction", text))
    return findings


def _other_distances(used: NDArray[np.float64], others: NDArray[np.float64]) -> str:
    """Steps of another tag in words, where they are not those used, up to a tilt's constant share."""
    used, others = np.abs(used), np.abs(others)
    usual, other = float(np.median(used)), float(np.median(others))
    scaled = abs(other / usual - 1) > _TILTED_STEP
    worst = int(np.argmax(np.abs(others / other - used / usual)))
    if not scaled and abs(others[worst] / other - used[worst] / usual) <= _SAME_STEP + 0.1 / usual:
        return ""
    return f"{others[worst]:.1f} mm between two slices that are {used[worst]:.1f} mm apart"
