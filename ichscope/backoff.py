"""How long to wait before something is tried again that has failed."""

from __future__ import annotations

# Doubled so often, a second is 34 years: no pause that is asked for is longer, and no number too large.
_MOST_DOUBLINGS = 30


def pause_s(failures: int, first_s: float, longest_s: float) -> float:
    """Twice as long after each failure, up to the longest.

    Parameters
    ----------
    failures : in a row, at least one

    Examples
    --------
    >>> [pause_s(failures, 10, 3600) for failures in (1, 2, 3, 100_000)]
    [10, 20, 40, 3600]
    """
    doubled: float = first_s * 2 ** min(failures - 1, _MOST_DOUBLINGS)
    return min(doubled, longest_s)
