"""Headers that contradict: never another result than that of the untouched head without a finding.

A small form of benchmarks/headers.py.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest

from ichscope.imaging.findings import Status
from tests.support.contradictory_headers import (
    WRONG,
    Change,
    changes_of,
    files_of,
    outcome_of,
    same_input,
    single_changes,
    untouched,
)

SERIES = 40


@pytest.fixture(autouse=True)
def _what_pydicom_says_of_them() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_the_untouched_head_is_analysed() -> None:
    assert untouched().status == Status.ANALYSED
    assert same_input(untouched().speaks)


def test_a_number_is_always_the_same_series() -> None:
    assert files_of(changes_of(7), 7) == files_of(changes_of(7), 7)
    assert changes_of(7) != changes_of(8)
    assert {change.keyword for change in single_changes()} == set(WRONG)


@pytest.mark.parametrize(
    ("change", "verdicts"),
    [
        (Change("PatientSex", "missing", "all"), {"same"}),
        (Change("SliceLocation", "shuffled", "all"), {"same", "named"}),
        (Change("RescaleSlope", "missing", "all"), {"refused"}),
        (Change("Modality", "MR", "all"), {"refused"}),
        (Change("RescaleSlope", "missing", "one"), {"named"}),
        *(
            (Change("ImageOrientationPatient", how, "all"), {"named"})
            for how in ("turned by 180", "mirrored", "transposed")
        ),
        (Change("ImageOrientationPatient", "mirrored", "one"), {"named"}),
        (Change("PixelSpacing", "oblong", "all"), {"named"}),
        (Change("PixelSpacing", "missing", "some"), {"named"}),
        (Change("PixelRepresentation", "signed", "all"), {"same"}),
        (Change("PixelPaddingValue", "that of air", "all"), {"same"}),
        (Change("BitsStored", "missing", "one"), {"named"}),
        (Change("Columns", "times 2", "one"), {"named"}),
        (Change("NumberOfFrames", "2", "some"), {"named"}),
        (Change("StudyInstanceUID", "another", "some"), {"named"}),
        (Change("SeriesInstanceUID", "missing", "every second"), {"named"}),
        (Change("Modality", "missing", "some"), {"same"}),
        (Change("ConvolutionKernel", "bone", "some"), {"named"}),
    ],
)
def test_single_changes_have_their_verdict(change: Change, verdicts: set[str]) -> None:
    assert outcome_of([change], 0).verdict in verdicts


def test_no_other_result_is_shown_without_a_finding() -> None:
    outcomes = [outcome_of(changes_of(number), number) for number in range(SERIES)]
    assert not [outcome for outcome in outcomes if outcome.verdict in ("silent", "lost")]
