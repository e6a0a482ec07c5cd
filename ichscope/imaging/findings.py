"""What checks find in a series, and what becomes of it. Needs no NumPy, so that the command line starts quickly."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class FindingLevel(StrEnum):
    """How grave a finding is; equal to its word, which the store and the JSON hold."""

    OK = "ok"
    WARNING = "warning"
    NOT_ANALYSABLE = "not analysable"


class Status(StrEnum):
    """What became of a series; equal to its word, which the store and the JSON hold."""

    ANALYSED = "analysed"
    LIMITED = "limited"
    NOT_ANALYSED = "not analysed"


# A level may be given by its word, as the store has it.
Level = FindingLevel | Literal["ok", "warning", "not analysable"]


@dataclass(frozen=True)
class Finding:
    """One check of a series: how grave it is, a stable code for filters, and words for the reader.

    Examples
    --------
    >>> finding = Finding("warning", "age", "The patient is under 18.")
    >>> finding.level is FindingLevel.WARNING, finding.level == "warning"
    (True, True)
    """

    level: Level
    code: str
    text: str

    def __post_init__(self) -> None:
        """Make the level a FindingLevel."""
        object.__setattr__(self, "level", FindingLevel(self.level))
