"""Orientations that are usual for how a patient lies, and others."""

from __future__ import annotations

import pytest

from ichscope.imaging.dicom import read_series
from ichscope.imaging.quality import assess, status
from ichscope.phantom import Phantom, datasets, to_bytes

SUPINE, PRONE, MIRRORED, UPSET = [1, 0, 0, 0, 1, 0], [-1, 0, 0, 0, -1, 0], [-1, 0, 0, 0, 1, 0], [1, 0, 0, 0, -1, 0]


def levels(head: Phantom, orientation: list[float], position: str | None) -> list[str]:
    tags = {"ImageOrientationPatient": orientation, "PatientPosition": position}
    series = read_series([to_bytes(one) for one in datasets(head, **tags)])
    found = [finding for finding in series.findings if finding.code == "orientation"]
    assert all("Image Orientation (Patient) (0020,0037): found rows" in finding.text for finding in found)
    assert all("Patient Position (0018,5100)" in finding.text for finding in found)
    return [finding.level.value for finding in found]


@pytest.mark.parametrize("position", ["HFS", "FFS", "HFP", "UNKNOWN", None])
@pytest.mark.parametrize(
    "orientation", [[1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0.94, -0.342], [0.99, 0.14, 0, -0.14, 0.99, 0]]
)
def test_supine_is_usual(head: Phantom, orientation: list[float], position: str | None) -> None:
    assert levels(head, orientation, position) == []


@pytest.mark.parametrize(
    ("position", "orientation"),
    [
        ("HFP", PRONE),
        ("FFP", PRONE),
        ("FFS", MIRRORED),
        ("FFP", UPSET),
        ("HFDR", [0, 1, 0, -1, 0, 0]),
        ("HFDL", [0, -1, 0, 1, 0, 0]),
        ("FFDL", [0, 1, 0, 1, 0, 0]),
        ("FFDR", [0, -1, 0, -1, 0, 0]),
    ],
)
def test_other_positions_have_their_own(head: Phantom, position: str, orientation: list[float]) -> None:
    assert levels(head, orientation, position) == ["ok"]


@pytest.mark.parametrize(
    ("position", "orientation"),
    [
        ("HFS", PRONE),
        ("HFS", MIRRORED),
        ("HFS", [0, 1, 0, 1, 0, 0]),
        ("HFP", MIRRORED),
        ("HFDR", [0, -1, 0, 1, 0, 0]),
        ("UNKNOWN", PRONE),
        (None, MIRRORED),
    ],
)
def test_what_contradicts_the_position_limits(head: Phantom, position: str, orientation: list[float]) -> None:
    assert levels(head, orientation, position) == ["warning"]


def test_slices_that_disagree_of_the_position_bear_nothing_out(head: Phantom) -> None:
    files = datasets(head, ImageOrientationPatient=PRONE, PatientPosition="HFP")
    files[3].PatientPosition = "HFS"
    series = read_series([to_bytes(one) for one in files])
    [found] = [finding for finding in series.findings if finding.code == "orientation"]
    assert "HFP and HFS" in found.text
    assert status(assess(series)) == "limited"
