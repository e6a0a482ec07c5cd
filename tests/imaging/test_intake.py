from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset
from pydicom.data import get_testdata_file

from ichscope.imaging import intake, sorting, sources
from ichscope.imaging.dicom import read_series
from ichscope.imaging.images import ImageError, read_pictures
from ichscope.imaging.intake import Intake, collect, natural_order, walk
from ichscope.imaging.source import Source, SourceError
from ichscope.phantom import Phantom, datasets, make, to_bytes


def uploads(files: list[Dataset], folder: str = "study/") -> list[tuple[str, bytes]]:
    return [(f"{folder}IM{i:04d}", to_bytes(one)) for i, one in enumerate(files, 1)]


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def png(value: int = 100, size: int = 80) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((size, size), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def names(found: Intake) -> list[list[str]]:
    return [[source.name for source in group.sources] for group in found.groups]


@pytest.fixture(scope="module")
def other() -> Phantom:
    return make(seed=1, slices=8, size=128)


def test_a_folder_as_a_cd_has_it(head: Phantom, tmp_path: Path) -> None:
    for place, data in uploads(datasets(head), "DICOM/ST0/SE0/"):
        file = tmp_path / "cd" / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    for stray in (
        "DICOMDIR",
        "README.TXT",
        "AUTORUN.INF",
        "viewer.exe",
        ".DS_Store",
        "DICOM/Thumbs.db",
        "x/__MACOSX/IM1",
    ):
        file = tmp_path / "cd" / stray
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"MZ not an image")
    (tmp_path / "cd" / "DICOM" / "broken.dcm").write_bytes(b"text")
    found = collect([tmp_path / "cd"])
    assert names(found) == [[f"cd/DICOM/ST0/SE0/IM{i:04d}" for i in range(1, 9)]]
    assert [(one.name, one.reason) for one in found.rejected] == [
        ("cd/DICOM/broken.dcm", "holds text; expected a DICOM file ('DICM' at byte 128)")
    ]
    assert {Path(name).name for name in found.ignored} >= {"DICOMDIR", "README.TXT", "viewer.exe", "Thumbs.db"}
    np.testing.assert_array_equal(read_series(found.groups[0].sources).hu, np.maximum(head.hu, -1024))


def test_series_of_several_studies_are_told_apart(head: Phantom, other: Phantom) -> None:
    first, second, third = datasets(head), datasets(other), datasets(head)
    for one in third:
        one.StudyInstanceUID, one.SeriesInstanceUID = first[0].StudyInstanceUID, "1.2.3.4"
    mixed = [file for three in zip(first, second, third, strict=True) for file in three]
    found = collect(uploads(mixed))
    assert [len(group.sources) for group in found.groups] == [8, 8, 8]
    assert len({group.key for group in found.groups}) == 3
    assert len({group.study for group in found.groups}) == 2
    assert {group.kind for group in found.groups} == {"ct"}


def test_a_zip_as_path_and_as_upload(head: Phantom, tmp_path: Path) -> None:
    data = zipped({**dict(uploads(datasets(head), "a/b/")), "a/DICOMDIR": b"x", "__MACOSX/._IM1": b"x"})
    path = tmp_path / "deep" / "study.zip"
    path.parent.mkdir()
    path.write_bytes(data)
    for given in (path, tmp_path, ("study.zip", data)):
        found = collect([given])
        assert len(found.groups) == 1
        assert found.groups[0].sources[0].name.endswith("study.zip/a/b/IM0001")
        assert not found.rejected
        np.testing.assert_array_equal(read_series(found.groups[0].sources).hu, np.maximum(head.hu, -1024))


def test_groups_of_a_zip_can_go_to_another_process(head: Phantom, tmp_path: Path) -> None:
    path = tmp_path / "study.zip"
    path.write_bytes(zipped(dict(uploads(datasets(head)))))
    group = pickle.loads(pickle.dumps(collect([path]).groups[0]))
    assert read_series(group.sources).hu.shape == (8, 128, 128)


REJECTED = [
    ("a.dcm", b"", "is empty; expected a DICOM file"),
    ("IM0001", b"", "is empty; expected a DICOM file"),
    ("a.dcm", b"Dear colleague," * 50, "holds text; expected a DICOM file"),
    ("a.dcm", bytes(500), "holds something else; expected a DICOM file"),
    ("a.dcm", bytes(128) + b"DICM", "ends inside its header; expected a whole DICOM file"),
    ("a.jpg", b"no picture", "holds text; expected a JPEG or PNG picture"),
    ("a.png", b"", "is empty; expected a JPEG or PNG picture"),
    ("a.zip", b"no archive", "holds text; expected a ZIP archive"),
    ("a.zip", zipped({"a": b"x" * 500})[:60], "found a damaged ZIP archive"),
    ("a.nii.gz", b"\x1f\x8b123", "is NIfTI, which is not read; expected DICOM, JPEG, PNG or ZIP"),
    ("a.TIF", b"II*\0", "is TIFF, which is not read"),
    ("b.zip", zipped({"inner.zip": zipped({"a.dcm": b"x"})}), "is a ZIP inside a ZIP; unpack the outer one first"),
    ("c.zip", zipped({"../../etc/a.dcm": b"x"}), "has a path that leaves its archive"),
    ("d.zip", zipped({"a.dcm": b""}), "is empty; expected a DICOM file"),
]


@pytest.mark.parametrize(
    ("name", "data", "reason"), REJECTED, ids=[f"{name}: {reason[:30]}" for name, _, reason in REJECTED]
)
def test_rejected_with_a_reason_and_the_rest_is_kept(head: Phantom, name: str, data: bytes, reason: str) -> None:
    found = collect([(name, data), *uploads(datasets(head))])
    assert [one.name.split("/")[0] for one in found.rejected] == [name]
    assert found.rejected[0].reason.startswith(reason)
    assert len(found.groups) == 1


@pytest.mark.parametrize(
    "name", ["notes.txt", "labels.csv", "report.docx", "Thumbs.db", "DICOMDIR", "a/.DS_Store", "README"]
)
def test_strays_are_ignored(name: str) -> None:
    data = zipped({"word/media/image1.png": png()}) if name.endswith("docx") else b"anything"
    assert collect([(name, data)]) == Intake((), (), (name,))


def test_dicom_without_image_is_ignored_and_other_images_are_groups() -> None:
    files = [
        Path(str(get_testdata_file(name, download=False))) for name in ("reportsi.dcm", "rtplan.dcm", "MR_small.dcm")
    ]
    found = collect([(file.name, file.read_bytes()) for file in files])
    assert found.ignored == ("reportsi.dcm", "rtplan.dcm")
    assert names(found) == [["MR_small.dcm"]]


def test_paths_that_are_no_images_are_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    found = collect([tmp_path / "notes.txt", tmp_path / "nowhere"])
    assert [(one.name, one.reason.split(";")[0]) for one in found.rejected] == [
        ("notes.txt", "is not an image"),
        (str(tmp_path / "nowhere"), "does not exist"),
    ]


def test_a_mixed_series_becomes_one_group_a_volume(head: Phantom) -> None:
    files = datasets(head)
    scout = datasets(head, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], ImageOrientationPatient=[1, 0, 0, 0, 0, -1])[
        :1
    ]
    coronal = datasets(head, ImageOrientationPatient=[1, 0, 0, 0, 0, -1])[:3]
    for one in scout + coronal:
        one.StudyInstanceUID, one.SeriesInstanceUID = files[0].StudyInstanceUID, files[0].SeriesInstanceUID
    found = collect(uploads(scout + files + coronal))
    assert sorted(len(group.sources) for group in found.groups) == [1, 3, 8]
    assert len({group.key for group in found.groups}) == 3
    assert len({group.study for group in found.groups}) == 1
    main = max(found.groups, key=lambda group: len(group.sources))
    assert read_series(main.sources).key == main.key


@pytest.mark.parametrize(("overlap", "groups"), [(True, [8, 8]), (False, [8])])
def test_two_kernels_of_the_same_places_are_two_volumes(head: Phantom, overlap: bool, groups: list[int]) -> None:
    files = datasets(head, ConvolutionKernel="H31s")
    for i, one in enumerate(datasets(head, ConvolutionKernel="H60s")):
        one.StudyInstanceUID, one.SeriesInstanceUID = files[0].StudyInstanceUID, files[0].SeriesInstanceUID
        one.SOPInstanceUID = f"1.2.3.{i}"
        files = [*files, one] if overlap else [*files[:i], one, *files[i + 1 :]] if i < 4 else files
    assert [len(group.sources) for group in collect(uploads(files)).groups] == groups


@pytest.mark.parametrize(
    ("sharp_at", "groups"),
    [
        ([z + 0.5 for z in range(8)], [8, 8]),
        ([z + 0.2 for z in range(2, 8)], [8, 6]),
        ([z + 1 / 3 for z in range(8)], [8, 8]),
        ([-float(z) for z in range(1, 9)], [16]),
        ([z + 8.0 for z in range(8)], [16]),
    ],
    ids=["half a step higher", "most of it", "a third of a step", "below", "above"],
)
def test_a_kernel_between_the_slices_of_another_is_a_volume_of_its_own(
    head: Phantom, sharp_at: list[float], groups: list[int]
) -> None:
    soft = datasets(head, ConvolutionKernel="H30s", StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.4")
    sharp = datasets(head, ConvolutionKernel="H60s", StudyInstanceUID="1.2.3", SeriesInstanceUID="1.2.3.4")
    bottom, step = float(soft[0].ImagePositionPatient[2]), head.spacing_mm[0]
    for i, (one, z) in enumerate(zip(sharp, sharp_at, strict=False)):
        one.SOPInstanceUID = f"1.2.3.{i}"
        one.ImagePositionPatient = [*one.ImagePositionPatient[:2], round(bottom + step * z, 3)]
    found = collect(uploads([*soft, *sharp[: len(sharp_at)]]))
    assert [len(group.sources) for group in found.groups] == groups
    assert {group.facts.soft_tissue for group in found.groups} >= ({True, False} if len(groups) == 2 else {True})


@pytest.mark.parametrize("missing", [("SeriesInstanceUID",), ("StudyInstanceUID", "SeriesInstanceUID")])
def test_without_uids_a_folder_is_a_series(head: Phantom, other: Phantom, missing: tuple[str, ...]) -> None:
    absent = dict.fromkeys(missing)
    found = collect(uploads(datasets(head, **absent), "a/") + uploads(datasets(other, **absent), "b/"))
    assert [len(group.sources) for group in found.groups] == [8, 8]
    assert len({group.key for group in found.groups}) == 2
    series = read_series(found.groups[0].sources)
    assert series.key == found.groups[0].key


def test_keys_depend_on_content_not_on_names(head: Phantom) -> None:
    files = datasets(head)
    assert collect(uploads(files, "a/")).groups[0].key == collect(uploads(files, "b/")).groups[0].key


def test_a_huge_header_before_the_pixels_is_still_read(head: Phantom) -> None:
    files = datasets(head)
    for one in files:
        one.add_new(0x00091001, "OB", bytes(100_000))
    assert [len(group.sources) for group in collect(uploads(files)).groups] == [8]


def test_pictures_go_one_by_one_or_as_a_series() -> None:
    given = [(f"p/image{i}.png", png(i)) for i in (10, 2, 1)] + [("q/x.dcm", png(50)), ("p/copy.png", png(2))]
    single = collect(given)
    assert names(single) == [["p/copy.png"], ["p/image1.png"], ["p/image10.png"], ["q/x.dcm"]]
    assert single.ignored == ("p/image2.png (the same picture as p/copy.png)",)
    together = collect(given[:4], pictures_as_series=True)
    assert names(together) == [["p/image1.png", "p/image2.png", "p/image10.png"], ["q/x.dcm"]]
    assert {group.kind for group in together.groups} == {"picture"}


def test_natural_order() -> None:
    given = ["b", "a10", "a2", "a1b", "A3", "10", "9"]
    assert sorted(given, key=natural_order) == ["9", "10", "a1b", "a2", "A3", "a10", "b"]


@pytest.mark.parametrize("name", ["../../x/IM1", "/x/IM1", "C:\\x\\IM1"])
def test_upload_names_lose_root_and_dots(head: Phantom, name: str) -> None:
    found = collect([(name, to_bytes(datasets(head)[0]))])
    assert names(found) == [["x/IM1"]]


def bomb(kind: str) -> bytes:
    if kind == "ratio":
        return zipped({f"{i}.dcm": bytes(1 << 22) for i in range(8)})
    if kind == "count":
        return zipped({f"{i}": b"" for i in range(60)}, zipfile.ZIP_STORED)
    data = bytearray(zipped({"a.dcm": b"secret" * 100}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("ratio", "would unpack from"),
        ("count", "holds 60 files; expected at most 50"),
        ("encrypted", "is encrypted; unpack it"),
    ],
)
def test_bombs_and_encrypted_archives_are_not_unpacked(
    head: Phantom, monkeypatch: pytest.MonkeyPatch, kind: str, reason: str
) -> None:
    monkeypatch.setattr(sources, "MAX_FILES", 50)
    monkeypatch.setattr(sources, "_SMALL_ZIP_BYTES", 1 << 24)
    found = collect([("bomb.zip", bomb(kind)), *uploads(datasets(head))])
    assert [(one.name, one.reason[: len(reason)]) for one in found.rejected] == [("bomb.zip", reason)]
    assert len(found.groups) == 1


def test_a_picture_damaged_inside_its_archive_is_named() -> None:
    noise = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 300), np.uint8)).save(noise, "PNG")
    data = bytearray(zipped({"a.png": noise.getvalue(), "b.png": png(7)}, zipfile.ZIP_STORED))
    data[60_000] ^= 255
    damaged, whole = collect([("p.zip", bytes(data))]).groups
    with pytest.raises(ImageError, match=r"^p.zip/a.png: is damaged inside its ZIP archive"):
        read_pictures(damaged.sources)
    assert read_pictures(whole.sources).hu.shape == (1, 80, 80)


def test_a_lying_archive_does_not_give_more_than_it_says() -> None:
    data = bytearray(zipped({"a.png": png(1, 300) + bytes(1 << 20)}))
    at = data.index(b"PK\x01\x02")
    data[at + 24 : at + 28] = (4000).to_bytes(4, "little")
    found = collect([("lie.zip", bytes(data))])
    assert not found.groups
    assert "damaged inside its ZIP archive" in found.rejected[0].reason


@pytest.mark.parametrize("limit", ["MAX_FILES", "MAX_FILES_ON_DISK"])
def test_of_too_many_files_none_is_taken_and_no_series_is_cut(
    head: Phantom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(sources, limit, 5)
    write(tmp_path / "study", datasets(head))
    refused = Intake(
        (), (intake.Rejected("study", "holds more than 5 files; expected fewer at once, as in subfolders"),), ()
    )
    uploaded, on_disk = collect(uploads(datasets(head))), collect([tmp_path / "study"])
    assert (uploaded == refused, on_disk == refused) == (limit == "MAX_FILES", limit == "MAX_FILES_ON_DISK")
    for found in (uploaded, on_disk):
        assert found == refused or [len(group.sources) for group in found.groups] == [8]


def write(folder: Path, files: list[Dataset]) -> None:
    folder.mkdir()
    for number, one in enumerate(files):
        (folder / f"IM{number:04}").write_bytes(to_bytes(one))


def test_a_zip_on_disk_may_be_of_any_size(head: Phantom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_ZIP_BYTES", 1000)
    data = zipped(dict(uploads(datasets(head))))
    (tmp_path / "night.zip").write_bytes(data)
    assert [len(group.sources) for group in collect([tmp_path / "night.zip"]).groups] == [8]
    assert collect([("night.zip", data)]).rejected[0].reason == "holds 0 GiB; expected at most 0 GiB in one ZIP"


def test_a_file_too_large_is_not_read(head: Phantom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorting, "MAX_FILE_BYTES", 10_000)
    found = collect([("a.dcm", to_bytes(datasets(head)[0]))])
    assert found.rejected[0].reason.startswith("has 0 MiB; expected at most")


def test_of_links_those_that_stay_inside_are_followed_where_it_matters(tmp_path: Path) -> None:
    for name in ("inbox/today", "other", "private"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / f"{Path(name).name}.dcm").touch()
    today = tmp_path / "inbox/today"
    for name in ("other", "private"):
        (today / f"link-{name}").symlink_to(tmp_path / name / f"{name}.dcm")
    (today / "link-inside").symlink_to(tmp_path / "inbox/above.dcm")
    (tmp_path / "inbox/above.dcm").touch()
    roots = (tmp_path / "inbox", tmp_path / "other")
    everything = {"link-inside", "link-other", "link-private", "today.dcm"}
    assert {file.name for file in walk(today)} == everything
    assert {file.name for file in walk(today, roots)} == everything - {"link-private"}
    assert {file.name for file in walk(today, roots[:1])} == {"link-inside", "today.dcm"}


def test_links_that_go_in_circles_and_pipes_do_not_hang(head: Phantom, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "IM1").write_bytes(to_bytes(datasets(head)[0]))
    assert [len(group.sources) for group in collect([tmp_path]).groups] == [1]


def test_a_file_is_touched_once_and_only_its_head(
    head: Phantom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What keeps thousands of files quick."""
    for place, data in uploads(datasets(head)):
        (tmp_path / Path(place).name).write_bytes(data + bytes(1 << 20))
    asked: list[int | None] = []
    read = Source.read

    def spy(source: Source, limit: int | None = None) -> bytes:
        asked.append(limit)
        return read(source, limit)

    monkeypatch.setattr(Source, "read", spy)
    assert len(collect([tmp_path]).groups[0].sources) == 8
    assert asked == [1 << 15] * 8


@dataclass(frozen=True)
class Server:
    """A way in that the core does not know: whatever has these four members is taken."""

    images: tuple[bytes, ...]
    name: str = "archive"
    most: int = 100
    named: bool = False
    reachable: bool = True

    def files(self) -> Iterator[Source | intake.Rejected]:
        if not self.reachable:
            raise SourceError("does not answer")
        for number, image in enumerate(self.images):
            yield Source(f"{self.name}/{number}", data=image)
        yield intake.Rejected(f"{self.name}/last", "was withdrawn")


def test_another_way_in(head: Phantom) -> None:
    images = tuple(map(to_bytes, datasets(head)))
    taken = collect([Server(images)])
    assert names(taken) == [[f"archive/{number}" for number in range(8)]]
    assert taken.rejected == (intake.Rejected("archive/last", "was withdrawn"),)
    assert collect([Server(images, reachable=False)]).rejected == (intake.Rejected("archive", "does not answer"),)
    assert collect([Server(images, most=5)]).rejected[0].reason.startswith("holds more than 5 files")


def test_each_thing_handed_over_has_its_way_in(tmp_path: Path) -> None:
    file = tmp_path / "a.dcm"
    file.write_bytes(b"")
    given = (tmp_path, file, str(file), Source("x/a", data=b""), ("x/a", b""), Server(()))
    kinds = (sources.FolderSource, sources.FileSource, sources.FileSource, sources.ListedSource, sources.UploadSource)
    assert [type(sources.series_source(item)) for item in given] == [*kinds, Server]
    assert [sources.series_source(item).name for item in given] == [
        tmp_path.name,
        "a.dcm",
        "a.dcm",
        "x",
        "x",
        "archive",
    ]
