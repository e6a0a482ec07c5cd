"""What a row is about: a study, one of its series, or one of their slices."""

from __future__ import annotations

from typing import Final, Literal

Level = Literal["study", "series", "slice"]
PLURALS: Final[dict[Level, str]] = {"study": "studies", "series": "series", "slice": "slices"}
# `role` of an entry of `ichscope analyse --json`: one series speaks for its study, the others do not.
SPEAKS_FOR_THE_STUDY: Final = "speaks for the study"
OTHER_SERIES: Final = "other series"


def rows_of(count: int, level: Level) -> str:
    """How many rows there are, by what they are about.

    >>> rows_of(1, "study"), rows_of(1200, "series"), rows_of(2, "slice")
    ('1 study', '1,200 series', '2 slices')
    """
    return f"{count:,} {level if count == 1 else PLURALS[level]}"
