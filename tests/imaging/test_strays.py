"""Pictures and objects without pixels that lie beside a series, as on a patient's CD."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ichscope.analyse import analyse
from ichscope.imaging.intake import collect
from ichscope.phantom import Phantom, datasets, to_bytes


def picture(value: int, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((80, 80), value, np.uint8)).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def disc(head: Phantom) -> dict[str, bytes]:
    """A patient's CD: the series, a viewer with its icons, the slices as JPEG for web browsers, and a report."""
    images = datasets(head)
    report = datasets(head, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", Rows=None, Columns=None)[0]
    csa = datasets(head, SOPClassUID="1.3.12.2.1107.5.9.1", Rows=None, Columns=None)[0]
    state = datasets(head, SOPClassUID="1.2.840.10008.5.1.4.1.1.11.1", Modality="PR", Rows=None, Columns=None)[0]
    return {
        **{f"cd/DICOM/IM{number:06}": to_bytes(image) for number, image in enumerate(images)},
        **{f"cd/IHE_PDI/img{number}.jpg": picture(10 * number, "JPEG") for number in range(len(images))},
        **{f"cd/DICOM/{name}": to_bytes(image) for name, image in zip("abc", (report, csa, state), strict=True)},
        "cd/DICOMDIR": bytes(128) + b"DICM" + bytes(100),
        "cd/AUTORUN.INF": b"[autorun]",
        "cd/VIEWER/VIEW.EXE": b"MZ" + bytes(300),
        "cd/VIEWER/logo.png": picture(250),
    }


def on_disk(files: dict[str, bytes], folder: Path) -> list[Path]:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return [folder / "cd"]


def packed(files: dict[str, bytes], folder: Path) -> list[Path]:
    with zipfile.ZipFile(folder / "cd.zip", "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return [folder / "cd.zip"]


def uploaded(files: dict[str, bytes], folder: Path) -> list[tuple[str, bytes]]:
    return list(files.items())


@pytest.mark.parametrize("way", [on_disk, packed, uploaded])
def test_a_patients_cd_is_one_result_and_a_line_says_what_was_left_out(
    disc: dict[str, bytes], tmp_path: Path, way
) -> None:
    found = collect(way(disc, tmp_path))
    (group,) = found.groups
    assert (group.kind, len(group.sources), found.rejected) == ("ct", 8, ())
    assert found.left_out == (9, 6)
    assert found.left_out_text.startswith("9 pictures beside DICOM images and 6 other files were left out: cd")
    assert found.left_out_text.endswith("and 12 more.")
    assert found.left_out_text.count("\n") == 0
    said: list[str] = []
    assert len(list(analyse(way(disc, tmp_path), {}, say=said.append))) == 1
    assert said == [found.left_out_text]


def test_pictures_are_read_where_the_user_means_them(disc: dict[str, bytes], head: Phantom, tmp_path: Path) -> None:
    (folder,) = on_disk(disc, tmp_path)
    by_name = collect([folder / "DICOM", folder / "IHE_PDI" / "img3.jpg", folder / "VIEWER" / "logo.png"])
    assert sorted(group.kind for group in by_name.groups) == ["ct", "picture", "picture"]
    folders = collect([folder / "DICOM", folder / "IHE_PDI"])
    assert sorted(group.kind for group in folders.groups) == ["ct"] + ["picture"] * 8
    as_series = collect([folder], pictures_as_series=True)
    assert [len(group.sources) for group in as_series.groups if group.kind == "picture"] == [8, 1]
    listed = collect(disc.items(), stray_pictures=False)
    assert sum(group.kind == "picture" for group in listed.groups) == 9


def test_pictures_beside_what_is_no_image_are_read(disc: dict[str, bytes]) -> None:
    beside = {name: data for name, data in disc.items() if not name.startswith("cd/DICOM/IM")}
    found = collect(beside.items())
    assert len(found.groups) == 9
    assert found.left_out == (0, 6)


def test_an_image_whose_class_says_that_it_is_none_is_an_image(head: Phantom) -> None:
    """Rows and pixels contradict the SOP Class, so that is not believed."""
    images = datasets(head, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11")
    assert [len(group.sources) for group in collect(enumerated(images)).groups] == [8]


def test_a_ct_image_without_rows_is_not_left_out_in_silence(head: Phantom) -> None:
    images = datasets(head)
    del images[0].Rows
    found = collect(enumerated(images))
    assert found.ignored == ()
    assert sorted(len(group.sources) for group in found.groups) == [1, 7]


def enumerated(images) -> list[tuple[str, bytes]]:
    return [(f"a/{number}", to_bytes(image)) for number, image in enumerate(images)]
