"""May this series be analysed? Each check is a finding in words; unknown is not wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ichscope.imaging.elements import describe
from ichscope.imaging.geometry import is_axial, plane_name
from ichscope.imaging.head_check import (
    OPEN_SKULL,
    HeadSlice,
    head_slices,
    is_upside_down,
    missing_ends,
    shows_brain,
    why_not_head,
)
from ichscope.imaging.header import ADULT_YEARS
from ichscope.imaging.picture_check import picture_findings
from ichscope.imaging.plausibility import implausible
from ichscope.imaging.proportions import proportion_findings
from ichscope.imaging.series import Finding, FindingLevel, Series, Status
from ichscope.imaging.slabs import SLAB_MM, slabs

_HEAD_WORDS = ("HEAD", "BRAIN", "SKULL", "CRANI", "CEREB", "NEURO", "KOPF", "SCHAEDEL", "CABEZA", "TETE", "TESTA")
_OTHER_PARTS = (
    "CHEST", "THORAX", "LUNG", "HEART", "CARDIAC", "BREAST", "ABDOMEN", "ABD", "LIVER", "PANCREAS", "KIDNEY", "PELVIS",
    "HIP", "SPINE", "NECK", "SHOULDER", "ARM", "ELBOW", "WRIST", "HAND", "LEG", "KNEE", "ANKLE", "FOOT", "FEMUR",
    "EXTREMITY", "COLON", "PROSTATE", "BLADDER", "UTERUS", "AORTA",
)  # fmt: skip
KVP_RANGE = (100, 140)
# The training sets have slices of 2.5 to 5 mm, most of them 5.
THICKNESS_RANGE_MM = (2.0, 7.5)
FEW_SLICES = 5
# Fewer than nine are a sample, as in tests and teaching files, and nobody takes them for a head. Their ends cannot be
# told: docs/reading.md.
_ENOUGH_FOR_ENDS = 9
# From the first slice to the last; the least of 60 whole CT-ICH heads.
_WHOLE_HEAD_MM = 120
_GRAVEST_FIRST = tuple(reversed(FindingLevel))


def assess(series: Series) -> tuple[Finding, ...]:
    """All findings about a series: those of reading and those of the checks here, the gravest first.

    Examples
    --------
    >>> from ichscope.imaging.dicom import read_series
    >>> from ichscope.phantom import datasets, make, to_bytes
    >>> series = read_series([to_bytes(dataset) for dataset in datasets(make(slices=4, size=64))])
    >>> [finding.code for finding in assess(series) if finding.level != FindingLevel.OK]
    ['few-slices']
    """
    checks = _picture_checks(series) if series.kind == "picture" else _ct_checks(series)
    return tuple(sorted((*series.findings, *checks), key=lambda finding: _GRAVEST_FIRST.index(finding.level)))


def status(findings: Iterable[Finding]) -> Status:
    """What the findings amount to: one "not analysable" decides, one "warning" limits.

    Examples
    --------
    >>> status([Finding("ok", "plane", "Slices are axial."), Finding("warning", "age", "Under 18.")])
    <Status.LIMITED: 'limited'>
    """
    levels = {finding.level for finding in findings}
    if FindingLevel.NOT_ANALYSABLE in levels:
        return Status.NOT_ANALYSED
    return Status.LIMITED if FindingLevel.WARNING in levels else Status.ANALYSED


def _picture_checks(series: Series) -> list[Finding]:
    text = "A picture has no Hounsfield units: grey is taken as a brain window, so the result is for a single look."
    return [Finding(FindingLevel.WARNING, "picture", text), *picture_findings(series.hu)]


def _ct_checks(series: Series) -> list[Finding]:
    slab_of = slabs(series)
    slices = head_slices(series.hu, slab_of)
    # Of thin slices one a slab shows the shape of the head; Hounsfield units are looked at in every slice.
    shapes = tuple(dict.fromkeys(image.like or image for image in slices))
    checks = (
        _modality,
        partial(_body_part, slices=shapes),
        _kind_of_image,
        _plane,
        partial(_head, slices=shapes),
        partial(implausible, slices=slices),
        partial(_proportions, slices=shapes),
        _contrast,
        _age,
        _kvp,
        partial(_thickness, slab_of=slab_of),
        _count,
        partial(_ends, slices=shapes),
    )
    return [finding for check in checks for finding in check(series)]


def _modality(series: Series) -> Iterable[Finding]:
    if series.header.modality == "CT":
        yield Finding(FindingLevel.OK, "modality", "The modality is CT.")
    elif series.header.modality:
        text = f"{describe('Modality')}: found {series.header.modality}, expected CT."
        yield Finding(FindingLevel.NOT_ANALYSABLE, "modality", text)


def _body_part(series: Series, slices: Sequence[HeadSlice]) -> Iterable[Finding]:
    part = series.header.body_part.upper()
    if any(word in part for word in _HEAD_WORDS):
        yield Finding(FindingLevel.OK, "body-part", f"Body Part Examined is {part}.")
    elif any(word in part for word in _OTHER_PARTS):
        text = f"{describe('BodyPartExamined')}: found {part}, expected HEAD"
        if shows_brain(slices):
            yield Finding(FindingLevel.WARNING, "body-part", f"{text}; the pixels show brain inside a skull")
        else:
            yield Finding(FindingLevel.NOT_ANALYSABLE, "body-part", text)


def _kind_of_image(series: Series) -> Iterable[Finding]:
    kind = [word.upper() for word in series.header.image_type]
    if "LOCALIZER" in kind:
        text = f"{describe('ImageType')}: found LOCALIZER, which is a scout, expected a series of slices."
        yield Finding(FindingLevel.NOT_ANALYSABLE, "localizer", text)
    elif "SECONDARY" in kind or {"MPR", "MIP", "MINIP", "REFORMATTED", "AVERAGE"} & set(kind):
        text = f"{describe('ImageType')}: found derived images ({' / '.join(kind[:3])}), expected the scanner's own."
        yield Finding(FindingLevel.WARNING, "derived", text)


def _plane(series: Series) -> Iterable[Finding]:
    if series.orientation is None:
        return
    if is_axial(series.orientation):
        yield Finding(FindingLevel.OK, "plane", "Slices are axial.")
    else:
        plane = plane_name(series.orientation)
        text = f"{describe('ImageOrientationPatient')}: found {plane} slices, expected axial ones."
        yield Finding(FindingLevel.NOT_ANALYSABLE, "plane", text)


def _head(series: Series, slices: Sequence[HeadSlice]) -> Iterable[Finding]:
    if series.orientation is not None and not is_axial(series.orientation):
        return
    reason, age = why_not_head(slices, series.pixel_spacing_mm), series.header.age_years
    if reason == OPEN_SKULL and age is not None and age < ADULT_YEARS:
        text = f"{describe('PatientAge')}: found {age:g} years, expected {ADULT_YEARS} or more; {reason}."
        yield Finding(FindingLevel.NOT_ANALYSABLE, "age", text)
    elif reason:
        yield Finding(FindingLevel.NOT_ANALYSABLE, "not-head", f"This does not look like a head CT: {reason}.")
    else:
        yield Finding(FindingLevel.OK, "head", "Air, bone and soft tissue are as in a head CT.")


def _proportions(series: Series, slices: Sequence[HeadSlice]) -> Iterable[Finding]:
    axial = series.orientation is None or is_axial(series.orientation)
    return proportion_findings(slices, series.pixel_spacing_mm) if axial else ()


def _contrast(series: Series) -> Iterable[Finding]:
    if series.header.contrast:
        text = f"The header says that a contrast agent was given: {_agent(series.header.contrast)}; "
        text += "enhanced vessels can look like blood."
        yield Finding(FindingLevel.WARNING, "contrast", text)


def _agent(words: str) -> str:
    """The words with their tag; the agent's own element is not named with its value."""
    return words if words.endswith(")") or "): " in words else f"Contrast/Bolus Agent (0018,0010): {words}"


def _age(series: Series) -> Iterable[Finding]:
    age = series.header.age_years
    if age is not None and age < ADULT_YEARS:
        text = f"{describe('PatientAge')} or {describe('PatientBirthDate')}: found less than {ADULT_YEARS} years, "
        yield Finding(FindingLevel.WARNING, "age", text + "expected more: the models learned from adults.")


def _kvp(series: Series) -> Iterable[Finding]:
    kvp = series.header.kvp
    if kvp is not None and not KVP_RANGE[0] <= kvp <= KVP_RANGE[1]:
        text = f"{describe('KVP')}: found {kvp:g} kV, expected {KVP_RANGE[0]} to {KVP_RANGE[1]}"
        yield Finding(FindingLevel.WARNING, "kvp", f"{text}: blood has other HU there.")


def _thickness(series: Series, slab_of: NDArray[np.intp] | None) -> Iterable[Finding]:
    thickness = series.header.slice_thickness_mm
    between = series.spacing_mm[0] if series.spacing_mm else None
    low, high = THICKNESS_RANGE_MM
    if slab_of is not None:
        count = int(slab_of[-1]) + 1
        text = f"{len(slab_of)} thin slices: the models see them as {count} slabs of some {SLAB_MM:g} mm, each the"
        yield Finding(FindingLevel.OK, "slabs", f"{text} mean of its slices.")
    elif thickness is not None and not low <= thickness <= high:
        text = f"{describe('SliceThickness')}: found {thickness:.1f} mm, expected {low:g} to {high:g} mm"
        yield Finding(FindingLevel.WARNING, "thickness", f"{text}, which the models know.")
    elif thickness is None and between is not None and not low <= between <= high:
        text = f"{describe('SliceThickness')}: found none, and slices {between:.1f} mm apart, expected {low:g} to "
        yield Finding(FindingLevel.WARNING, "thickness", f"{text}{high:g} mm, which the models know.")


def _count(series: Series) -> Iterable[Finding]:
    count = len(series.slices)
    if count == 1:
        text = "There is one slice only; a bleed on another slice cannot be seen."
        yield Finding(FindingLevel.WARNING, "few-slices", text)
    elif count < FEW_SLICES:
        text = f"There are only {count} slices; a whole head has 20 or more."
        yield Finding(FindingLevel.WARNING, "few-slices", text)
    elif count < _ENOUGH_FOR_ENDS:
        text = f"There are only {count} slices{_covering(series)}; whether skull base and vertex are there"
        text += " is not judged, and a bleed above, below or between them cannot be seen."
        yield Finding(FindingLevel.OK, "few-slices", text)


def _covering(series: Series) -> str:
    between = series.spacing_mm[0] if series.spacing_mm else None
    if between is None:
        return ""
    return f" over {between * (len(series.slices) - 1):.0f} mm, where a whole head has {_WHOLE_HEAD_MM} mm or more"


def _ends(series: Series, slices: Sequence[HeadSlice]) -> Iterable[Finding]:
    """Is the head there from skull base to vertex? Slices that are no axial head have no such ends."""
    axial = series.orientation is None or is_axial(series.orientation)
    if len(series.slices) < _ENOUGH_FOR_ENDS or not axial:
        return
    if missing := missing_ends(slices):
        text = f"The {' and the '.join(missing)} {'are' if len(missing) > 1 else 'is'} missing: the last slice there "
        text += "still shows a wide cross-section of the brain, so a bleed beyond it cannot be seen."
        yield Finding(FindingLevel.WARNING, "cut-off", text)
    if is_upside_down(slices):
        text = "Image Position (Patient) (0020,0032): found the skull base above the vertex, expected it below: the "
        text += "head is read upside down, and left may be right."
        yield Finding(FindingLevel.WARNING, "upside-down", text)
