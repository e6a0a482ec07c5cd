"""How figures of performance are written: a value with its interval, and why there is none."""

from __future__ import annotations

from ichscope.labels import DISPLAY_NAMES
from ichscope.metrics import Estimate, Subgroup

# What stands where there is no number; the reason stands beside it.
NO_VALUE = "-"
_TITLES = {"kvp": "kVp"}


def interval(estimate: Estimate, decimals: int = 3) -> str:
    """Write a value with its 95 % interval.

    >>> interval(Estimate(0.9531, 0.931, 0.972)), interval(Estimate(0.5)), interval(Estimate.none("no positives"))
    ('0.953 (0.931-0.972)', '0.500', '-')
    """
    if estimate.value is None:
        return NO_VALUE
    text = f"{estimate.value:.{decimals}f}"
    if estimate.low is None or estimate.high is None:
        return text
    return f"{text} ({estimate.low:.{decimals}f}{_to(estimate.low)}{estimate.high:.{decimals}f})"


def _to(low: float) -> str:
    # "-0.2--0.1" cannot be read.
    return " to " if low < 0 else "-"


def in_full(estimate: Estimate) -> str:
    """Write a value with its interval, or why it is not estimable.

    >>> in_full(Estimate.none("no positives"))
    'not estimable: no positives'
    """
    return (estimate.reason or NO_VALUE) if estimate.value is None else interval(estimate)


def label_name(label: str) -> str:
    """Name of a label for people; one that is not ours stays as it is."""
    return DISPLAY_NAMES.get(label, label)


def group_name(by: str, subgroup: Subgroup) -> str:
    """Write what rows are divided by, and which of them these are.

    >>> group_name("slice thickness", Subgroup("5 mm", 0, 0, None, Estimate(None), Estimate(None), Estimate(None)))
    'Slice thickness: 5 mm'
    """
    return f"{column_name(by)}: {subgroup.name}"


def column_name(by: str) -> str:
    """Write what rows are divided by as a heading: Scanner, kVp."""
    return _TITLES.get(by) or by[0].upper() + by[1:]
