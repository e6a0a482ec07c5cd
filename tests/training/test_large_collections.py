"""The adapters of the full RSNA set, CQ500 and folders of pictures, on small synthetic ones."""

from __future__ import annotations

import csv
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.config import disable_value_validation

from ichscope import phantom
from ichscope.imaging.intake import Group
from ichscope.imaging.preprocess import model_input
from ichscope.imaging.source import Source
from ichscope.labels import LABELS
from ichscope.phantom import Phantom
from training import data, rsna_shaped
from training.data import cq500, rsna_2019

STUDIES, SLICES, SIZE = 4, 4, 64
NAN = float("nan")


def load(root: Path, source: str, **more) -> list[data.TrainingStudy]:
    return data.load(root, [source], root / "cache", **more)


def problems(root: Path, source: str) -> dict[str, str]:
    return {problem.file: problem.reason for problem in data.problems(root, [source], root / "cache")}


def same(one: data.TrainingStudy, other: data.TrainingStudy) -> bool:
    names = ("source", "patient", "study", "names", "spacing_mm", "pictures")
    return (
        all(getattr(one, name) == getattr(other, name) for name in names)
        and np.array_equal(one.hu, other.hu)
        and np.array_equal(one.labels, other.labels, equal_nan=True)
    )


# --- RSNA 2019 -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> tuple[Path, Path]:
    """The folder above a small `rsna-2019`, and the file in it that ends too soon."""
    root = tmp_path_factory.mktemp("rsna")
    return root, rsna_shaped.write(root / "rsna-2019", STUDIES, 7, SLICES, SIZE)


@pytest.fixture
def rsna(written, tmp_path) -> Path:
    """A copy that a test may spoil."""
    shutil.copytree(written[0] / "rsna-2019", tmp_path / "rsna-2019")
    return tmp_path


def table(root: Path) -> list[list[str]]:
    with (root / "rsna-2019" / "stage_2_train.csv").open(newline="") as file:
        return list(csv.reader(file))


def test_rsna_slices_stand_in_order_with_their_labels(rsna, written):
    studies = load(rsna, "rsna-2019")
    assert len(studies) == STUDIES
    assert sum(len(study.hu) for study in studies) == STUDIES * SLICES - 1
    rows = {row[0]: float(row[1]) for row in table(rsna)[1:]}
    for study in studies:
        assert study.study.startswith("rsna-2019/ID_")
        assert study.spacing_mm == 5.0 or len(study.hu) < SLICES
        for name, labels in zip(study.names, study.labels, strict=True):
            assert labels.tolist() == [rows[f"{Path(name).stem}_{label}"] for label in LABELS]
    assert any((study.labels == 1).any() for study in studies)


def test_rsna_study_is_read_as_inference_reads_it(rsna):
    for study in load(rsna, "rsna-2019"):
        with disable_value_validation():
            files = [dcmread(rsna / "rsna-2019" / name) for name in study.names]
            assert len({file.StudyInstanceUID for file in files}) == 1
        heights = [float(file.ImagePositionPatient[2]) for file in files]
        assert heights == sorted(heights)
        hu = np.stack([file.pixel_array.astype(np.int16) + np.int16(file.RescaleIntercept) for file in files])
        expected, _ = model_input(np.maximum(hu, -1024), tuple(files[0].PixelSpacing))
        assert np.array_equal(study.hu, expected)


def test_rsna_patients_have_their_own_names(rsna):
    patients = [study.patient for study in load(rsna, "rsna-2019")]
    assert all(patient.startswith("rsna/ID_") for patient in patients)
    assert len(set(patients)) == STUDIES - 1  # one has two studies


def test_rsna_file_with_too_few_pixels_is_listed(rsna, written):
    load(rsna, "rsna-2019")
    found = problems(rsna, "rsna-2019")
    assert list(found) == [f"stage_2_train/{written[1].name}"]
    assert "Pixel Data" in next(iter(found.values()))


def test_rsna_files_that_are_no_dicom_or_name_no_study_are_listed(rsna):
    files = sorted((rsna / "rsna-2019" / "stage_2_train").iterdir())
    files[0].write_bytes(b"something else")
    files[1].write_bytes(b"")
    content = files[2].read_bytes()
    at = content.index(b"\x20\0\x0d\0UI")
    files[2].write_bytes(content[:at] + b"\x20\0\x0f\0UI" + content[at + 6 :])
    studies = load(rsna, "rsna-2019")
    found = problems(rsna, "rsna-2019")
    assert {f"stage_2_train/{file.name}" for file in files[:3]} <= set(found)
    assert "Study Instance UID" in found[f"stage_2_train/{files[2].name}"]
    read = {name for study in studies for name in study.names}
    assert not read & {f"stage_2_train/{file.name}" for file in files[:3]}


def test_rsna_rows_that_disagree_or_lack_are_unknown(rsna, written):
    rows = table(rsna)[1:]
    contradicted, lacking = sorted({row[0].rpartition("_")[0] for row in rows} - {written[1].stem})[:2]
    kept = [row for row in rows if not row[0].startswith(lacking)]
    kept += [[f"{contradicted}_subdural", value] for value in "01"] + [["ID_x_subdural", "?"], ["odd"], []]
    with (rsna / "rsna-2019" / "stage_2_train.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["ID", "Label"], *kept])
    studies = load(rsna, "rsna-2019")
    labels = {Path(name).stem: row for study in studies for name, row in zip(study.names, study.labels, strict=True)}
    assert [name for name, known in zip(LABELS, labels[contradicted], strict=True) if np.isnan(known)] == ["subdural"]
    assert np.isnan(labels[lacking]).all()
    found = problems(rsna, "rsna-2019")
    assert found[contradicted] == "rows disagree on subdural: unknown"
    assert found["stage_2_train.csv"].startswith("2 rows are not")
    assert any("1 of 4 slices have no row" in reason for reason in found.values())


def test_rsna_tables_of_another_shape_are_refused(rsna):
    (rsna / "rsna-2019" / "stage_2_train.csv").write_text("image,any\nID_1,0\n")
    with pytest.raises(ValueError, match="expected ID and Label"):
        load(rsna, "rsna-2019")
    (rsna / "rsna-2019" / "stage_2_train.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"stage_2_train\.csv"):
        load(rsna, "rsna-2019")


def test_rsna_with_helpers_gives_the_same(rsna, written):
    with ThreadPoolExecutor(3) as executor:
        helped = load(rsna, "rsna-2019", executor=executor)
    alone = data.load(written[0], ["rsna-2019"], rsna / "other")
    assert all(same(one, other) for one, other in zip(helped, alone, strict=True))


def test_rsna_goes_on_after_a_kill_without_reading_again(rsna, monkeypatch):
    read, headers = rsna_2019._read, rsna_2019._read_header
    seen: list[str] = []

    def watched(study):
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(study.key)
        return read(study)

    monkeypatch.setattr(rsna_2019, "_read", watched)
    with pytest.raises(KeyboardInterrupt):
        load(rsna, "rsna-2019")
    (cache,) = (rsna / "cache").iterdir()
    assert not (cache / "index.json").exists()
    # As if killed in the middle of writing: half a line, and pixels that no line speaks of.
    with (cache / "journal.jsonl").open("ab") as file:
        file.write(b'{"key": "rsna-2019/ID_')
    with (cache / "hu.npy").open("ab") as file:
        file.write(b"half a study")

    def again(study):
        seen.append(study.key)
        return read(study)

    monkeypatch.setattr(rsna_2019, "_read", again)
    monkeypatch.setattr(rsna_2019, "_read_header", lambda source: pytest.fail("headers were noted"))
    studies = load(rsna, "rsna-2019")
    assert len(seen) == len(set(seen)) == STUDIES
    monkeypatch.setattr(rsna_2019, "_read_header", headers)
    whole = data.load(rsna, ["rsna-2019"], rsna / "other")
    assert all(same(one, other) for one, other in zip(studies, whole, strict=True))
    assert problems(rsna, "rsna-2019").keys() == {p.file for p in data.problems(rsna, ["rsna-2019"], rsna / "other")}
    assert sorted(path.name for path in cache.iterdir()) == ["hu.npy", "index.json", "labels.npy", "lock"]


def test_limit_reads_some_and_later_the_rest(rsna, monkeypatch):
    read, seen = rsna_2019._read, []
    monkeypatch.setattr(rsna_2019, "_read", lambda study: seen.append(study.key) or read(study))
    first = load(rsna, "rsna-2019", limit=2)
    assert len(first) == len(seen) == 2
    assert len(load(rsna, "rsna-2019", limit=1)) == 1
    assert len(seen) == 2
    every = load(rsna, "rsna-2019")
    assert len(every) == len(seen) == STUDIES
    assert all(same(one, other) for one, other in zip(first, every, strict=False))
    assert len(load(rsna, "rsna-2019", limit=3)) == 3


# --- CQ500 ---------------------------------------------------------------------------------------------

COLUMNS = [f"{reader}:{name}" for reader in ("R1", "R2", "R3") for name in ("ICH", "IPH", "IVH", "SDH", "EDH", "SAH")]
NORMAL, SUBDURAL = "0,0,0,0,0,0", "1,0,0,1,0,0"


@pytest.fixture(scope="module")
def heads() -> list[Phantom]:
    return [phantom.make(None, seed, 10, 64) for seed in range(2)]


def series(root: Path, number: int, name: str, head: Phantom, **tags) -> Path:
    folder = root / "cq500" / f"CQ500CT{number} CQ500CT{number}" / "Unknown Study" / name
    study = f"1.2.3.{number}"
    phantom.write(head, folder, StudyInstanceUID=study, SeriesInstanceUID=f"{study}.{len(name)}", **tags)
    return folder


def group(head: Phantom, name: str, **tags) -> Group:
    first = phantom.to_bytes(phantom.datasets(head, **tags)[0])
    source = Source(f"CQ500CT3 CQ500CT3/Unknown Study/{name}/CT000000.dcm", data=first)
    return Group("ct", "study", "series", (source,) * len(head.hu))


def reads(root: Path, votes: dict[int, list[str]]) -> None:
    lines = [f"CQ500-CT-{number},B1,{','.join(each)}" for number, each in votes.items()]
    (root / "cq500" / "reads.csv").write_text("\n".join([f"name,Category,{','.join(COLUMNS)}", *lines]))


def test_cq500_takes_one_plain_series_a_patient_and_knows_the_study(tmp_path, heads):
    series(tmp_path, 0, "CT PLAIN THIN", heads[0], SliceThickness=0.6)
    series(tmp_path, 0, "CT Plain", heads[1])
    series(tmp_path, 0, "CT POST CONTRAST", heads[0])
    series(tmp_path, 12, "CT 5mm", heads[0])
    reads(tmp_path, {0: [SUBDURAL, SUBDURAL, NORMAL], 12: [NORMAL] * 3})
    bleeding, normal = load(tmp_path, "cq500")
    assert bleeding.patient == "cq500/CQ500-CT-0"
    assert {Path(name).parent.name for name in bleeding.names} == {"CT Plain"}
    assert np.array_equal(bleeding.hu, model_input(heads[1].hu, heads[1].spacing_mm[1:])[0])
    assert bleeding.study_labels.tolist() == [1, 0, 0, 0, 0, 1]
    assert np.isnan(bleeding.labels).all()
    assert normal.study_labels.tolist() == [0] * 6
    assert not normal.labels.any()
    assert problems(tmp_path, "cq500") == {}
    assert bleeding.bleeds.tolist() == [True, False, False, False, False, True]
    again = load(tmp_path, "cq500")[0]
    assert np.array_equal(again.study_labels, bleeding.study_labels)
    assert "(1)" in data.summary([bleeding, normal])


def test_cq500_zip_files_need_not_be_unpacked(tmp_path, heads):
    series(tmp_path, 3, "CT Plain", heads[0])
    reads(tmp_path, {3: [SUBDURAL] * 3})
    folder = tmp_path / "cq500" / "CQ500CT3 CQ500CT3"
    shutil.make_archive(str(tmp_path / "cq500" / "CQ500-CT-3"), "zip", folder.parent, folder.name)
    shutil.rmtree(folder)
    (study,) = load(tmp_path, "cq500")
    assert study.names[0] == "CQ500-CT-3.zip/CQ500CT3 CQ500CT3/Unknown Study/CT Plain/IM0001.dcm"
    assert np.array_equal(study.hu, model_input(heads[0].hu, heads[0].spacing_mm[1:])[0])


@pytest.mark.parametrize(
    ("name", "tags"),
    [
        ("CT POST CONTRAST", {}),
        ("CT 55mm Contrast", {}),
        ("CT CECT THIN", {}),
        ("CT 4cc sec 150cc D3D on", {}),
        ("CT ORAL IV", {}),
        ("CT 1.25 MMC", {}),
        ("CT C", {}),
        ("CT BONE", {}),
        ("CT PRE CONTRAST BONE", {}),
        ("CT 5mm", {"ContrastBolusAgent": "Omnipaque"}),
        ("CT Plain", {"ConvolutionKernel": "BONEPLUS"}),
        ("CT 2.55mm", {"SeriesDescription": "Brain with contrast"}),
    ],
)
def test_cq500_series_with_contrast_or_in_a_bone_kernel_are_left_out(heads, name, tags):
    assert cq500._rank(group(heads[0], name, **tags)) is None


@pytest.mark.parametrize(
    "name", ["CT PRE CONTRAST THIN", "CT 5 MM PRE CONTRAST-2", "CT Thin Stnd", "CT 0.625mm", "CT I To S"]
)
def test_cq500_series_without_contrast_may_be_taken(heads, name):
    assert cq500._rank(group(heads[0], name, ConvolutionKernel="C")) is not None


def test_cq500_patient_without_plain_series_is_listed(tmp_path, heads):
    series(tmp_path, 3, "CT POST CONTRAST", heads[0])
    reads(tmp_path, {3: [NORMAL] * 3})
    assert load(tmp_path, "cq500") == []
    assert problems(tmp_path, "cq500") == {"CQ500CT3 CQ500CT3": "no plain axial series of a head: left out"}


def test_cq500_lists_what_is_broken_or_belongs_to_nobody(tmp_path, heads):
    folder = series(tmp_path, 1, "CT Plain", heads[0])
    (folder / "IM0003.dcm").write_bytes((folder / "IM0003.dcm").read_bytes()[:-1000])
    chest = phantom.make_chest(0, 10, 64)
    series(tmp_path, 2, "CT Plain", chest, BodyPartExamined="HEAD")
    series(tmp_path, 9, "CT Plain", heads[0])
    reads(tmp_path, {1: [NORMAL] * 3, 2: [NORMAL] * 3, 4: [NORMAL] * 3})
    (study,) = load(tmp_path, "cq500")
    assert len(study.hu) == 9
    found = problems(tmp_path, "cq500")
    assert "Pixel Data" in found["CQ500CT1 CQ500CT1/Unknown Study/CT Plain/IM0003.dcm"]
    assert "does not look like a head" in found["CQ500CT2 CQ500CT2/Unknown Study/CT Plain"]
    assert "no row" in found["CQ500CT9 CQ500CT9"]
    assert found["reads.csv"] == "1 of 3 scans are not here"


@pytest.mark.parametrize(
    ("votes", "expected"),
    [
        ([NORMAL, NORMAL, SUBDURAL], [0, 0, 0, 0, 0, 0]),
        ([SUBDURAL, NORMAL, SUBDURAL], [1, 0, 0, 0, 0, 1]),
        ([SUBDURAL, "1,1,0,0,0,0", "1,1,0,0,0,0"], [1, 0, 1, 0, 0, 0]),
        ([SUBDURAL, SUBDURAL, ",,,,,"], [1, 0, 0, 0, 0, 1]),
        ([SUBDURAL, NORMAL, ",,,,,"], [NAN, 0, 0, 0, 0, NAN]),
        (["0,0,0,1,0,0", SUBDURAL, NORMAL], [NAN] * 6),  # subdural, but no haemorrhage
    ],
)
def test_cq500_truth_is_what_two_of_three_say(tmp_path, votes, expected):
    (tmp_path / "cq500").mkdir()
    reads(tmp_path, {5: votes})
    found: list[data.Problem] = []
    truth = cq500._majorities(tmp_path / "cq500" / "reads.csv", found)
    assert np.array_equal(truth["5"], expected, equal_nan=True)
    assert bool(found) == np.isnan(expected).any()


# --- pictures ------------------------------------------------------------------------------------------


def picture(path: Path, seed: int) -> None:
    """A grey disc with its own speckles."""
    rows, columns = np.indices((96, 96)) - 48
    grey = np.where(np.hypot(rows, columns) < 30, 110, 0) + np.random.default_rng(seed).integers(0, 9, (96, 96))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey.astype(np.uint8)).save(path)


@pytest.fixture
def pictures(tmp_path) -> Path:
    root = tmp_path / "pictures"
    for seed, name in enumerate(
        ["Training/Hemorrhagic/12/1.jpg", "Training/Hemorrhagic/12/2.jpg", "Training/NORMAL/a.PNG",
         "Training/NORMAL/patient007_3.png", "Testing/Hemorrhagic/12/1.jpg", "testing/normal/b.jpg"]
    ):  # fmt: skip
        picture(root / name, seed)
    return tmp_path


def test_pictures_say_whether_there_is_a_bleed_and_never_which(pictures):
    studies = {study.names[0]: study for study in load(pictures, "pictures")}
    assert len(studies) == 4
    assert all(study.pictures and study.hu.shape == (1, 224, 224) for study in studies.values())
    bleed, normal = studies["Training/Hemorrhagic/12/1.jpg"], studies["Training/NORMAL/a.PNG"]
    assert np.array_equal(bleed.labels, [[1] + [NAN] * 5], equal_nan=True)
    assert np.array_equal(normal.labels, [[0] * 6])
    assert 0 <= normal.hu.min() <= normal.hu.max() <= 80
    assert [study.patient for study in studies.values()] == [
        "pictures/hemorrhagic/12",
        "pictures/hemorrhagic/12",
        "pictures/Training/NORMAL/a.PNG",
        "pictures/7",
    ]


def test_testing_pictures_are_another_source_whose_patients_are_recognised(pictures):
    tested = load(pictures, "pictures-testing")
    assert {study.source for study in tested} == {"pictures-testing"}
    assert [study.names[0] for study in tested] == ["Testing/Hemorrhagic/12/1.jpg", "testing/normal/b.jpg"]
    assert tested[0].patient == load(pictures, "pictures")[0].patient


def test_copies_of_pictures_are_used_once_and_never_to_train_if_tested(pictures):
    root = pictures / "pictures"
    shutil.copy(root / "testing/normal/b.jpg", root / "Training/NORMAL/b.jpg")
    shutil.copy(root / "Training/NORMAL/a.PNG", root / "Training/NORMAL/z.png")
    picture(root / "Training/NORMAL/both.jpg", 9)
    shutil.copy(root / "Training/NORMAL/both.jpg", root / "Training/Hemorrhagic/both.jpg")
    assert len(load(pictures, "pictures")) == 4
    assert problems(pictures, "pictures") == {
        "Training/NORMAL/b.jpg": "the same picture as testing/normal/b.jpg: left out",
        "Training/NORMAL/z.png": "the same picture as Training/NORMAL/a.PNG: left out",
        "Training/NORMAL/both.jpg": "stands in both classes: left out",
        "Training/Hemorrhagic/both.jpg": "stands in both classes: left out",
    }
    assert len(load(pictures, "pictures-testing")) == 2


def test_broken_pictures_are_listed(pictures):
    (pictures / "pictures/Training/NORMAL/broken.jpg").write_bytes(b"not a picture")
    whole = (pictures / "pictures/Training/Hemorrhagic/12/1.jpg").read_bytes()
    (pictures / "pictures/Training/NORMAL/short.jpg").write_bytes(whole[: len(whole) // 2])
    assert len(load(pictures, "pictures")) == 4
    assert set(problems(pictures, "pictures")) == {"Training/NORMAL/broken.jpg", "Training/NORMAL/short.jpg"}


@pytest.mark.parametrize(
    ("name", "bleeds"),
    [
        ("Hemorrhage", 1), ("haemorrhagic", 1), ("BLEEDING", 1), ("Intracranial_Haemorrhage", 1),
        ("normal", 0), ("No-Hemorrhage", 0), ("Non Haemorrhagic", 0), ("Healthy", 0),
    ],
)  # fmt: skip
def test_names_of_classes(tmp_path, name, bleeds):
    picture(tmp_path / "pictures" / "Train" / name / "1.png", 0)
    (study,) = load(tmp_path, "pictures")
    assert study.labels[0, 0] == bleeds


def test_a_class_that_is_not_understood_is_an_error(pictures):
    picture(pictures / "pictures/Training/Ischemic/1.png", 8)
    with pytest.raises(ValueError, match=r"Hemorrhagic, Ischemic, NORMAL, expected .*hemorrhage.*normal"):
        load(pictures, "pictures")


def test_pictures_without_training_folder_are_an_error(tmp_path):
    picture(tmp_path / "pictures/Testing/normal/1.png", 0)
    with pytest.raises(FileNotFoundError, match="training or train/<class>"):
        load(tmp_path, "pictures")
