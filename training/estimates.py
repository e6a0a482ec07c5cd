"""Estimates of which training knows that there is something to estimate."""

from __future__ import annotations

from ichscope.metrics import Estimate


def value_of(estimate: Estimate) -> float:
    """Value of an estimate that must be there.

    Raises
    ------
    ValueError
        if it could not be estimated; the message says why

    Examples
    --------
    >>> value_of(Estimate(0.9))
    0.9
    """
    if estimate.value is None:
        raise ValueError(f"expected a value, found: {estimate.reason}")
    return estimate.value


def rounded_ends(estimate: Estimate, digits: int = 3) -> list[float] | None:
    """Ends of the interval, rounded; None where it has none.

    Examples
    --------
    >>> rounded_ends(Estimate(0.9, 0.80001, 0.95))
    [0.8, 0.95]
    """
    if estimate.low is None or estimate.high is None:
        return None
    return [round(estimate.low, digits), round(estimate.high, digits)]
