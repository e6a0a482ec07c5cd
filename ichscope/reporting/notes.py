"""Notes below tables of metrics: each reason once, by number."""

from __future__ import annotations

# Of a threshold that was chosen on the very data that it is judged on.
FLATTERS = "threshold chosen on these data, so slightly optimistic"


class NumberedNotes:
    """Reasons that several metrics share are said once, below the tables, by number.

    >>> notes = NumberedNotes()
    >>> notes.mark("few positives"), notes.mark("no negatives"), notes.mark("few positives"), notes.mark("")
    (' (1)', ' (2)', ' (1)', '')
    >>> notes.lines()
    ['(1) few positives', '(2) no negatives']
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, reason: str) -> str:
        """Give the mark of a reason, as ' (1)', or ""."""
        return f" ({self._numbers.setdefault(reason, len(self._numbers) + 1)})" if reason else ""

    def lines(self) -> list[str]:
        """All reasons with their numbers."""
        return [f"({number}) {reason}" for reason, number in self._numbers.items()]
