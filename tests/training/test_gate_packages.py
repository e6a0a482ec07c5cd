"""Pictures out of packages: found in wheels and archives of any kind, each read as what it is."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from ichscope.phantom import datasets, make_chest, to_bytes
from training.gate import packages
from training.gate.packages import SAMPLES, Sample, members


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (40, 30), value).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with zipfile.ZipFile(tmp_path / "seen-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("seen/data/b.png", png(2))
        wheel.writestr("seen/data/a.png", png(1))
        wheel.writestr("seen/code.py", "")
    with tarfile.open(tmp_path / "packed-1.0.tgz", "w:gz") as archive:
        held = tarfile.TarInfo("package/data/c.png")
        held.size = len(png(3))
        archive.addfile(held, io.BytesIO(png(3)))
    return tmp_path


def test_members_are_found_by_name_in_wheels_and_archives(folder: Path) -> None:
    def found(package: str) -> list[str]:
        sample = Sample("test", "photograph", package, "*/data/*.png", packages.read_picture)
        return [name for name, _ in members(folder, sample)]

    assert found("seen") == ["seen/data/a.png", "seen/data/b.png"]
    assert found("packed") == ["package/data/c.png"]
    assert found("missing") == []


def test_a_package_that_lacks_its_picture_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = Sample("train", "face", "seen", "*/face.png", packages.read_picture)
    present = Sample("train", "photograph", "seen", "*/data/*.png", packages.read_picture)
    monkeypatch.setattr(packages, "SAMPLES", (present, lacking))
    with pytest.raises(SystemExit, match=r"seen: found no \*/face.png, expected face"):
        packages.write(folder, folder / "out")
    assert sorted(path.name for path in (folder / "out/train/photograph").iterdir()) == ["seen a 1.png", "seen b 1.png"]


def test_ct_is_shown_in_four_windows() -> None:
    (dataset,) = datasets(make_chest(0, slices=1, size=64))
    shown = list(packages.read_dicom(to_bytes(dataset)))
    assert len(shown) == 4
    assert all(grey.shape == (64, 64) and 0 <= grey.min() < grey.max() <= 1 for grey in shown)


def test_volumes_give_slices_large_enough_to_look_at() -> None:
    volume = np.zeros((64, 80, 12), np.float32)
    volume[10:50, 20:60, 4:] = 1
    image = nibabel.Nifti1Image(volume, np.eye(4))
    shown = list(packages.read_nifti(image.to_bytes()))
    assert [grey.shape for grey in shown] == [(320, 256)] * 2  # of slices 0, 5 and 10 the first is empty


def test_no_one_is_in_two_parts() -> None:
    parts: dict[tuple[str, str], set[str]] = {}
    for sample in SAMPLES:
        parts.setdefault((sample.package, sample.members), set()).add(sample.part)
    assert all(len(found) == 1 for found in parts.values())
