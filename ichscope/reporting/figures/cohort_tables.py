"""What the tables of a cohort amount to: shares with intervals, names of steps, and rows for files. No Plotly."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

from ichscope.imaging.findings import Status
from ichscope.labels import DISPLAY_NAMES
from ichscope.metrics.estimate import Estimate, wilson
from ichscope.store import Cohort, Prevalence, Reason, Share, Wait

STATUSES: Final = tuple(Status)
# Title of each breakdown's axis, with its unit, and the width of its steps where it has some.
BREAKDOWNS: Final[dict[str, tuple[str, float | None]]] = {
    "age": ("Age (years)", 10),
    "sex": ("Sex", None),
    "scanner": ("Scanner", None),
    "kvp": ("Tube voltage (kVp)", None),
    "slice thickness": ("Slice thickness (mm)", 0.5),
    "slices": ("Slices a study", 5),
}
_SEX: Final = {"F": "female", "M": "male", "O": "other"}
_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"))
_OLDEST = 90  # the store keeps no age above
_REASONS: Final = {
    "age": "Under 18 years",
    "bits-stored": "More bits than the header says",
    "body-part": "Not a head, as its header says",
    "break": "Slices that do not go on",
    "colour": "Picture in colour",
    "contrast": "Contrast agent",
    "cut-off": "Head cut off",
    "derived": "Derived images",
    "distance-contradiction": "Distances contradict",
    "doubtful-order": "Order of slices in doubt",
    "doubtful-position": "Positions contradicted",
    "duplicate-positions": "Two slices in one place",
    "duplicate-slices": "Slices twice",
    "few-slices": "Few slices",
    "frame-of-reference": "Several frames of reference",
    "head-shape": "Head lies on its side",
    "hu-level": "Hounsfield units off",
    "hu-slices": "Slices unlike their neighbours",
    "identity": "Several patients in one study",
    "incomplete": "Images are missing",
    "kvp": "Unusual tube voltage",
    "localizer": "Localizer",
    "lossy": "Strong compression",
    "missing-numbers": "Numbers are missing",
    "missing-slices": "Slices are missing",
    "mixed-passes": "Passes cannot be told apart",
    "mixed-series": "Mixed series",
    "modality": "Not CT",
    "model-failed": "A model failed",
    "no-order": "Slices in no known order",
    "no-orientation": "Orientation unknown",
    "no-position": "Positions unknown",
    "not-head": "Does not look like a head",
    "order-contradiction": "Orders contradict",
    "orientation": "Unusual orientation",
    "padding": "Padding takes tissue",
    "picture": "Picture without CT numbers",
    "picture-contrast": "Picture with shifted contrast",
    "picture-frame": "Picture with margins or a frame",
    "pixel-length": "More pixels than the header says",
    "pixel-representation": "Sign of the values wrong",
    "pixel-spacing": "Pixel spacing in doubt",
    "plane": "Not axial",
    "rescale": "Rescale values contradict",
    "same-position": "Positions fall together",
    "set-apart": "Slices set apart by a tag",
    "several-heads": "Several heads on one picture",
    "several-passes": "Several passes in one series",
    "single-images": "Each slice in a series of its own",
    "slice-gaps": "Gaps between slices",
    "thickness": "Unusual slice thickness",
    "transfer-syntax": "Unknown transfer syntax",
    "uneven-spacing": "Uneven spacing",
    "unexpected-error": "Unexpected error",
    "unit": "Unit not stated",
    "unreadable": "Cannot be read",
    "unreadable-file": "Some files cannot be read",
    "upside-down": "Head upside down",
}


def reason_name(reason: Reason) -> str:
    """Say a reason in words; one that has none yet, by its code."""
    return _REASONS.get(reason.code, reason.code.replace("-", " ").capitalize())


def share(part: int, whole: int) -> Estimate:
    """Give a part of the studies with Wilson's interval; studies are taken as independent."""
    return wilson(part / whole, whole) if whole else Estimate.none("no studies")


def flagged(cohort: Cohort) -> Prevalence:
    """Say how many of the studies that a model looked at it flags."""
    return next(row for row in cohort.prevalence if row.label == "any" and row.by == "model")


def analysed(cohort: Cohort) -> int:
    """Count the studies that have a result, limited or not."""
    return sum(day.studies for day in cohort.days if day.status != Status.NOT_ANALYSED)


def percent(value: float) -> str:
    """Write a share in three significant digits, and 100 % only where it is all.

    >>> percent(0.1234), percent(0.0), percent(0.99999), percent(1.0)
    ('12.3 %', '0 %', '>99.9 %', '100 %')
    """
    return ">99.9 %" if 0.9995 <= value < 1 else f"{100 * value:.3g} %"


def in_percent(estimate: Estimate) -> str:
    """Write a share with its interval.

    >>> in_percent(Estimate(0.25, 0.2, 0.301))
    '25 % (95 % CI 20 % to 30.1 %)'
    """
    return estimate.reason if estimate.value is None else f"{percent(estimate.value)} ({limits(estimate)})"


def limits(estimate: Estimate) -> str:
    """Write the interval of a share alone, or why there is none."""
    if estimate.low is None or estimate.high is None:
        return estimate.reason
    return f"95 % CI {percent(estimate.low)} to {percent(estimate.high)}"


def part_of(part: int, whole: int) -> str:
    """Say how many of how many.

    >>> part_of(1, 4)
    '1 of 4 studies, 25 %'
    """
    return f"{part:,} of {whole:,} studies, {percent(part / whole if whole else 0.0)}"


def step_name(of: str, group: Share) -> str:
    """Name what the studies of a share have in common, without its unit.

    >>> step_name("age", Share(40, 3, 3, 1)), step_name("slice thickness", Share(1.5, 3, 3, 1))
    ('40-49', '1.5-2')
    """
    value, width = group.value, BREAKDOWNS[of][1]
    if value is None or value == "":
        return "unknown"
    if isinstance(value, str):
        return _SEX.get(value, value) if of == "sex" else value
    if of == "age" and value >= _OLDEST:
        return f"{value:g}+"
    if width is None:
        return f"{value:g}"
    # Whole numbers end before the next step begins; measures do not.
    return f"{value:g}-{value + width - (0 if of == 'slice thickness' else 1):g}"


def wait_name(wait: Wait) -> str:
    """Name a step of times, in the unit of its lower edge.

    >>> [wait_name(Wait("result", low, high, 1)) for low, high in ((0, 60), (900, 3600), (604800, None))]
    ['< 1 min', '15-60 min', '> 7 d']
    """
    size, unit = _unit(wait.low_s or wait.high_s or 1)
    if wait.high_s is None:
        return f"> {wait.low_s / size:g} {unit}"
    return f"{wait.low_s / size:g}-{wait.high_s / size:g} {unit}" if wait.low_s else f"< {wait.high_s / size:g} {unit}"


def time_name(seconds: float) -> str:
    """Write a time in three significant digits and the unit that suits it.

    >>> time_name(12.0), time_name(93600.0)
    ('12 s', '1.08 d')
    """
    size, unit = _unit(seconds)
    return f"{seconds / size:.3g} {unit}"


def _unit(seconds: float) -> tuple[int, str]:
    return next(((size, unit) for size, unit in _UNITS if seconds >= size), (1, "s"))


def tables(cohort: Cohort) -> dict[str, list[dict[str, Any]]]:
    """Give every table of the cohort as rows for a file, by name."""
    return {
        "studies": [{"studies": cohort.total, "synthetic": cohort.synthetic}],
        "days": [asdict(day) for day in cohort.days],
        "reasons": [{"reason": reason_name(reason), **asdict(reason)} for reason in cohort.reasons],
        "prevalence": [_with_interval(row) for row in cohort.prevalence],
        "co-occurrence": [asdict(pair) for pair in cohort.together],
        "scores": [asdict(bin_) for bin_ in cohort.scores],
        "breakdowns": [{"of": of, **asdict(group)} for of, groups in cohort.breakdowns.items() for group in groups],
        "waits": [asdict(wait) for wait in cohort.waits],
        "medians": [{"of": of, "seconds": seconds} for of, seconds in cohort.medians.items()],
    }


def _with_interval(row: Prevalence) -> dict[str, Any]:
    estimate = share(row.positives, row.studies)
    limits = {"share": estimate.value, "low": estimate.low, "high": estimate.high, "interval": estimate.method}
    return {"name": DISPLAY_NAMES[row.label], **asdict(row), **limits}
