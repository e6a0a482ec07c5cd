"""May this series be analysed? Each check is a finding in words; unknown is not wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

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
from ichscope.imaging.picture_check import picture_findings
from ichscope.imaging.plausibility import implausible
from ichscope.imaging.series import Finding, FindingLevel, Series, Status

_HEAD_WORDS = ("HEAD", "BRAIN", "SKULL", "CRANI", "CEREB", "NEURO", "KOPF", "SCHAEDEL", "CABEZA", "TETE", "TESTA")
_OTHER_PARTS = (
    "CHEST", "THORAX", "LUNG", "HEART", "CARDIAC", "BREAST", "ABDOMEN", "ABD", "LIVER", "PANCREAS", "KIDNEY", "PELVIS",
    "HIP", "SPINE", "NECK", "SHOULDER", "ARM", "ELBOW", "WRIST", "HAND", "LEG", "KNEE", "ANKLE", "FOOT", "FEMUR",
    "EXTREMITY", "COLON", "PROSTATE", "BLADDER", "UTERUS", "AORTA",
)  # fmt: skip
ADULT_YEARS = 18
KVP_RANGE = (100, 140)
# The training sets have slices of 2.5 to 5 mm, most of them 5.
THICKNESS_RANGE_MM = (2.0, 7.5)
FEW_SLICES = 5
# Fewer than nine are a sample, as in tests and teaching files, and nobody takes them for a head.
_ENOUGH_FOR_ENDS = 9
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
    slices = head_slices(series.hu)
    checks = (
        _modality,
        partial(_body_part, slices=slices),
        _kind_of_image,
        _plane,
        partial(_head, slices=slices),
        partial(implausible, slices=slices),
        _contrast,
        _age,
        _kvp,
        _thickness,
        _count,
        partial(_ends, slices=slices),
    )
    return [finding for check in checks for finding in check(series)]


def _modality(series: Series) -> Iterable[Finding]:
    if series.header.modality == "CT":
        yield Finding(FindingLevel.OK, "modality", "The modality is CT.")
    elif series.header.modality:
        text = f"The modality is {series.header.modality}, not CT."
        yield Finding(FindingLevel.NOT_ANALYSABLE, "modality", text)


def _body_part(series: Series, slices: Sequence[HeadSlice]) -> Iterable[Finding]:
    part = series.header.body_part.upper()
    if any(word in part for word in _HEAD_WORDS):
        yield Finding(FindingLevel.OK, "body-part", f"Body Part Examined is {part}.")
    elif any(word in part for word in _OTHER_PARTS):
        text = f"Body Part Examined (0018,0015): found {part}, expected HEAD"
        if shows_brain(slices):
            yield Finding(FindingLevel.WARNING, "body-part", f"{text}; the pixels show brain inside a skull")
        else:
            yield Finding(FindingLevel.NOT_ANALYSABLE, "body-part", text)


def _kind_of_image(series: Series) -> Iterable[Finding]:
    kind = [word.upper() for word in series.header.image_type]
    if "LOCALIZER" in kind:
        yield Finding(FindingLevel.NOT_ANALYSABLE, "localizer", "This is a scout (localizer), not a series of slices.")
    elif "SECONDARY" in kind or {"MPR", "MIP", "MINIP", "REFORMATTED", "AVERAGE"} & set(kind):
        text = f"These are derived images ({' / '.join(kind[:3])}), not the scanner's own slices."
        yield Finding(FindingLevel.WARNING, "derived", text)


def _plane(series: Series) -> Iterable[Finding]:
    if series.orientation is None:
        return
    if is_axial(series.orientation):
        yield Finding(FindingLevel.OK, "plane", "Slices are axial.")
    else:
        text = f"Slices are {plane_name(series.orientation)}; only axial ones can be analysed."
        yield Finding(FindingLevel.NOT_ANALYSABLE, "plane", text)


def _head(series: Series, slices: Sequence[HeadSlice]) -> Iterable[Finding]:
    if series.orientation is not None and not is_axial(series.orientation):
        return
    reason, age = why_not_head(slices, series.pixel_spacing_mm), series.header.age_years
    if reason == OPEN_SKULL and age is not None and age < ADULT_YEARS:
        text = f"Patient's Age (0010,1010): found {age:g} years, expected {ADULT_YEARS} or more; {reason}."
        yield Finding(FindingLevel.NOT_ANALYSABLE, "age", text)
    elif reason:
        yield Finding(FindingLevel.NOT_ANALYSABLE, "not-head", f"This does not look like a head CT: {reason}.")
    else:
        yield Finding(FindingLevel.OK, "head", "Air, bone and soft tissue are as in a head CT.")


def _contrast(series: Series) -> Iterable[Finding]:
    if series.header.contrast:
        text = (
            f"The header says that a contrast agent was given: {_agent(series.header.contrast)}; enhanced vessels can "
        )
        text += "look like blood."
        yield Finding(FindingLevel.WARNING, "contrast", text)


def _agent(words: str) -> str:
    """The words with their tag; the agent's own element is not named with its value."""
    return words if words.endswith(")") or "): " in words else f"Contrast/Bolus Agent (0018,0010): {words}"


def _age(series: Series) -> Iterable[Finding]:
    age = series.header.age_years
    if age is not None and age < ADULT_YEARS:
        yield Finding(
            FindingLevel.WARNING, "age", f"The patient is under {ADULT_YEARS}; the models learned from adults."
        )


def _kvp(series: Series) -> Iterable[Finding]:
    kvp = series.header.kvp
    if kvp is not None and not KVP_RANGE[0] <= kvp <= KVP_RANGE[1]:
        text = f"Tube voltage is {kvp:g} kV, outside {KVP_RANGE[0]} to {KVP_RANGE[1]}; blood has other HU there."
        yield Finding(FindingLevel.WARNING, "kvp", text)


def _thickness(series: Series) -> Iterable[Finding]:
    thickness = series.header.slice_thickness_mm
    between = series.spacing_mm[0] if series.spacing_mm else None
    low, high = THICKNESS_RANGE_MM
    if thickness is not None and not low <= thickness <= high:
        text = f"Slices are {thickness:.1f} mm thick, outside the {low:g} to {high:g} mm that the models know."
        yield Finding(FindingLevel.WARNING, "thickness", text)
    elif thickness is None and between is not None and not low <= between <= high:
        text = f"Slices are {between:.1f} mm apart, outside the {low:g} to {high:g} mm that the models know."
        yield Finding(FindingLevel.WARNING, "thickness", text)


def _count(series: Series) -> Iterable[Finding]:
    count = len(series.slices)
    if count == 1:
        text = "There is one slice only; a bleed on another slice cannot be seen."
        yield Finding(FindingLevel.WARNING, "few-slices", text)
    elif count < FEW_SLICES:
        text = f"There are only {count} slices; a whole head has 20 or more."
        yield Finding(FindingLevel.WARNING, "few-slices", text)


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
