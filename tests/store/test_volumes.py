from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import nibabel
import numpy as np
import pytest

from ichscope.imaging.series import Header
from ichscope.results import SeriesResult
from ichscope.store import volumes
from tests.support import results_builder as build

CONTENT = "ab" + 62 * "0"


@pytest.fixture
def result() -> SeriesResult:
    header = Header(institution="Saint Elsewhere", scanner="SOMATOM", age_years=61.5)
    return build.result(build.model(), build.model("cerebro.scan"), data=build.series(header=header), name="DOE^JANE")


def test_voxels_and_evidence_come_back(tmp_path: Path, result: SeriesResult) -> None:
    path = volumes.save(tmp_path, CONTENT, result)
    assert path is not None
    voxels = volumes.read(tmp_path, path)
    assert voxels.dtype == np.int16
    assert voxels.flags.c_contiguous
    np.testing.assert_array_equal(voxels, result.volume.hu)
    for name, model in result.models.items():
        evidence = volumes.read_evidence(tmp_path, path, name)
        assert evidence is not None
        np.testing.assert_allclose(evidence, model.evidence, atol=0.5 / 255 + 1e-6)
    assert volumes.read_evidence(tmp_path, path, "another") is None


def test_other_programs_see_the_same_place_in_the_head(tmp_path: Path, result: SeriesResult) -> None:
    path = volumes.save(tmp_path, CONTENT, result)
    image = nibabel.load(tmp_path / path)
    assert nibabel.aff2axcodes(image.affine) == ("L", "P", "S")
    assert image.header.get_zooms() == pytest.approx((0.4, 0.5, 5.0))
    assert image.dataobj[5, 3, 2] == result.volume.hu[2, 3, 5]


def test_files_say_nothing_of_the_patient(tmp_path: Path, result: SeriesResult) -> None:
    volumes.save(tmp_path, CONTENT, result)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 3
    for path in files:
        header = nibabel.load(path).header
        texts = [bytes(header[field]) for field in ("descrip", "db_name", "intent_name", "aux_file", "data_type")]
        assert not any(text.strip(b"\0") for text in texts)
        assert not header.extensions
        assert not any(word in path.read_bytes() for word in (b"DOE", b"Elsewhere", b"SOMATOM"))


def test_no_voxels_no_volume(tmp_path: Path) -> None:
    assert volumes.save(tmp_path, CONTENT, build.result()) is None
    assert not list(tmp_path.iterdir())


def test_unknown_spacing_is_kept_as_voxels(tmp_path: Path) -> None:
    result = build.result(data=build.series(spacing_mm=None))
    np.testing.assert_array_equal(volumes.read(tmp_path, volumes.save(tmp_path, CONTENT, result)), result.volume.hu)


def test_a_full_disk_leaves_no_part_and_the_old_volume(
    tmp_path: Path, result: SeriesResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = volumes.save(tmp_path, CONTENT, result)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*.nii")}

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        volumes.save(tmp_path, CONTENT, build.result(build.model(), data=build.series(slices=2)))
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
    assert volumes.read(tmp_path, path).shape == (3, 4, 6)


@pytest.mark.parametrize("keep", [0, 200, 352, 400])
def test_a_damaged_volume_is_refused(tmp_path: Path, result: SeriesResult, keep: int) -> None:
    path = volumes.save(tmp_path, CONTENT, result)
    (tmp_path / path).write_bytes((tmp_path / path).read_bytes()[:keep])
    with pytest.raises(volumes.VolumeError, match="damaged"):
        volumes.read(tmp_path, path)


def test_a_missing_volume_is_said_to_be_gone(tmp_path: Path) -> None:
    with pytest.raises(volumes.VolumeError, match="no longer kept"):
        volumes.read(tmp_path, "ab/none.nii")


def test_prune_removes_what_is_old_and_only_that(tmp_path: Path, result: SeriesResult) -> None:
    old, new = (volumes.save(tmp_path, two + 62 * "0", result) for two in ("aa", "bb"))
    left = tmp_path / "aa" / ".1234.part.x.nii"
    foreign = tmp_path / "aa" / "notes.txt"
    for path in (left, foreign):
        path.write_text("x")
    for path in (tmp_path / "aa").iterdir():
        os.utime(path, (1_000_000, 1_000_000))
    for path in (tmp_path / "bb").iterdir():
        os.utime(path, (1_000_000 + 86400, 1_000_000 + 86400))
    assert volumes.prune(tmp_path, timedelta(days=1), now=1_000_000 + 86401) == [old]
    assert list((tmp_path / "aa").iterdir()) == [foreign]
    assert volumes.read(tmp_path, new).shape == (3, 4, 6)
    assert volumes.prune(tmp_path / "nothing", timedelta(0)) == []
