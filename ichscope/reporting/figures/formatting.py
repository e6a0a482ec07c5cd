"""How figures of performance are written: a value with its interval, and why there is none."""

from __future__ import annotations

from ichscope.labels import DISPLAY_NAMES
from ichscope.metrics import Estimate

# What stands where there is no number; the reason stands beside it.
NO_VALUE = "-"


def interval(found: Estimate, decimals: int = 3) -> str:
    """Write a value with its 95 % interval.

    >>> interval(Estimate(0.9531, 0.931, 0.972)), interval(Estimate(0.5)), interval(Estimate.none("no positives"))
    ('0.953 (0.931-0.972)', '0.500', '-')
    """
    if found.value is None:
        return NO_VALUE
    text = f"{found.value:.{decimals}f}"
    if found.low is None or found.high is None:
        return text
    return f"{text} ({found.low:.{decimals}f}{_to(found.low)}{found.high:.{decimals}f})"


def _to(low: float) -> str:
    # "-0.2--0.1" cannot be read.
    return " to " if low < 0 else "-"


def in_full(found: Estimate) -> str:
    """Write a value with its interval, or why it is not estimable.

    >>> in_full(Estimate.none("no positives"))
    'not estimable: no positives'
    """
    return (found.reason or NO_VALUE) if found.value is None else interval(found)


def label_name(label: str) -> str:
    """Name of a label for people; one that is not ours stays as it is."""
    return DISPLAY_NAMES.get(label, label)
