"""Folders of synthetic studies as DICOM files, for tests and benchmarks of batches."""

from __future__ import annotations

from pathlib import Path

from ichscope import phantom
from ichscope.labels import SUBTYPES

# Heads that are painted; further studies are these under other UIDs.
DIFFERENT = 4


def write_studies(folder: Path, studies: int, slices: int, size: int) -> None:
    """Write so many studies; painting a head takes long, so a few heads come again and again under other UIDs."""
    heads = [phantom.make((None, *SUBTYPES)[seed % 6], seed, slices, size) for seed in range(min(studies, DIFFERENT))]
    for number in range(studies):
        head = heads[number % len(heads)]
        uids = {"StudyInstanceUID": study_uid(number), "SeriesInstanceUID": f"{study_uid(number)}.1"}
        phantom.write(head, folder / f"{number:05}", **uids, PatientID=f"P{number}")


def study_uid(number: int) -> str:
    """The Study Instance UID of a study by its number."""
    return f"1.2.3.{number}"
