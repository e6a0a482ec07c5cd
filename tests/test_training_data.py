import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ichscope.labels import LABELS
from training import data

HEADER = "PatientNumber,SliceNumber,Intraventricular,Intraparenchymal,Subarachnoid,Epidural,Subdural,No,Fracture\n"
NAN = float("nan")


def head(size: int = 80) -> np.ndarray:
    """A grey disc on black, a holder below it."""
    rows, columns = np.indices((size, size)) - size / 2
    grey = np.zeros((size, size), np.uint8)
    grey[np.hypot(rows, columns) < size * 0.3] = 110
    grey[int(size * 0.95) :, int(size * 0.3) : int(size * 0.7)] = 200
    return grey


def save(path: Path, grey: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey).save(path, quality=95)


@pytest.fixture
def ct_ich(tmp_path: Path) -> Path:
    """Two patients; 7 bleeds in slice 2, lacks slice 3 in one window, and has a broken slice 4."""
    root = tmp_path / "ct-ich"
    rows = ["7,1,0,0,0,0,0,1,0", "7,2,0,0,0,1,0,0,1", "7,3,0,0,0,0,0,1,0", "7,4,0,0,0,0,0,1,0", "8,1,0,0,0,0,0,1,0"]
    for row in rows:
        patient, number = row.split(",")[:2]
        folder = root / "Patients_CT" / f"{int(patient):03}"
        save(folder / "brain" / f"{number}.jpg", head())
        save(folder / "bone" / f"{number}.jpg", head())
    seven = root / "Patients_CT" / "007"
    outline = np.zeros((80, 80), np.uint8)
    outline[36:46, 24:30] = 255
    save(seven / "mask" / "2.png", outline)
    (seven / "bone" / "3.jpg").unlink()
    (seven / "brain" / "4.jpg").write_bytes(b"not a picture")
    (root / "hemorrhage_diagnosis.csv").write_text(HEADER + "\n".join(rows))
    return tmp_path


def test_ct_ich_gives_one_study_a_patient_with_labels_and_outline(ct_ich, tmp_path):
    first, second = data.load(ct_ich, ["ct-ich"], tmp_path / "cache")
    assert (first.patient, len(first.hu), len(second.hu)) == ("ct-ich/007", 3, 1)
    assert first.hu.shape[1:] == (224, 224)
    assert first.hu.dtype == np.int16
    assert first.labels[1].tolist() == [1, 1, 0, 0, 0, 0]
    assert not first.labels[0].any()
    assert first.mask is not None
    assert [int(one.any()) for one in first.mask] == [0, 1, 0]
    rows, columns = np.nonzero(first.mask[1])
    assert columns.mean() < 100 < rows.mean() < 125


def test_files_that_fail_are_listed_with_a_reason(ct_ich, tmp_path):
    data.load(ct_ich, ["ct-ich"], tmp_path / "cache")
    found = {problem.file: problem.reason for problem in data.problems(ct_ich, ["ct-ich"], tmp_path / "cache")}
    assert set(found) == {"007/bone/3.jpg", "007/brain/4.jpg"}
    assert found["007/bone/3.jpg"] == "missing"
    assert "cannot be read" in found["007/brain/4.jpg"]


def test_second_load_reads_the_cache(ct_ich, tmp_path):
    once = data.load(ct_ich, ["ct-ich"], tmp_path / "cache")
    (ct_ich / "ct-ich" / "hemorrhage_diagnosis.csv").unlink()
    again = data.load(ct_ich, ["ct-ich"], tmp_path / "cache")
    for one, other in zip(once, again, strict=True):
        assert np.array_equal(one.hu, other.hu)
        assert np.array_equal(one.labels, other.labels)
        assert one.names == other.names


def test_missing_collection_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="rsna-sdh"):
        data.load(tmp_path, ["rsna-sdh"], tmp_path / "cache")


@pytest.mark.parametrize(
    ("brain", "bone", "expected"),
    [
        (128, 75, 40),  # inside the brain window the brain window counts
        (3, 0, -19),
        (252, 0, 99),
        (0, 0, -900),  # below it the bone window takes over
        (255, 255, 2300),
        (255, 70, 100),  # JPEG noise of the bone window cannot pull bone below the brain window's end
        (0, 90, -20),
        (0, None, -20),
        (255, None, 100),
    ],
)
def test_rebuild_hu(brain, bone, expected):
    grey = np.full((1, 1), brain, np.uint8)
    other = None if bone is None else np.full((1, 1), bone, np.uint8)
    assert data.rebuild_hu(grey, other)[0, 0] == expected


def test_proxy_labels_leave_neighbours_unknown():
    labels = data.proxy_labels(np.array([0, 0, 1, 1, 0, 0], bool))
    parenchyma = labels[:, LABELS.index("intraparenchymal")]
    assert np.array_equal(parenchyma, [0, NAN, 1, 1, NAN, 0], equal_nan=True)
    assert np.array_equal(labels[:, 0], [NAN, NAN, 1, 1, NAN, NAN], equal_nan=True)
    assert np.isnan(labels[:, LABELS.index("subdural")]).all()


@pytest.mark.parametrize("turns", [1, -1])
def test_quarter_turns_bring_the_holder_down(turns):
    upright = (head(160) / 255 * 80).astype(np.int16)[None]
    lying = np.rot90(upright, -turns, axes=(1, 2))
    assert data.quarter_turns(lying) == turns


def test_kaggle_labels_take_duplicates_and_any_order(tmp_path):
    path = tmp_path / "labels.csv"
    rows = [("ID_ab_any", 1), ("ID_ab_subdural", 1), ("ID_ab_epidural", 0), ("ID_ab_epidural", 0)]
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("ID", "Label"), *rows])
    assert np.array_equal(data.kaggle_labels(path)["ID_ab"], [1, 0, NAN, NAN, NAN, 1], equal_nan=True)


def study(patient: str, positive: str | None = None, source: str = "ct-ich") -> data.TrainingStudy:
    labels = np.zeros((2, len(LABELS)), np.float32)
    if positive:
        labels[0, [0, LABELS.index(positive)]] = 1
    return data.TrainingStudy(source, patient, patient, np.zeros((2, 4, 4), np.int16), labels, None, ("a", "b"))


def test_folds_keep_patients_whole_and_spread_labels():
    kinds = ["subdural"] * 10 + ["epidural"] * 5 + [None] * 25
    studies = [study(f"p{number}", kind) for number, kind in enumerate(kinds) for _ in range(2)]
    fold = data.folds(studies, k=5, seed=3)
    assert all(fold[2 * i] == fold[2 * i + 1] for i in range(len(kinds)))
    first = fold[::2]
    assert np.bincount(first[:10], minlength=5).tolist() == [2] * 5
    assert np.bincount(first[10:15], minlength=5).tolist() == [1] * 5
    assert np.bincount(first, minlength=5).tolist() == [8] * 5
    assert np.array_equal(fold, data.folds(studies, k=5, seed=3))
    assert not np.array_equal(fold, data.folds(studies, k=5, seed=4))


def test_folds_keep_a_patient_of_two_sources_together():
    studies = [study(f"rsna/{i}", "subdural", source) for i in range(7) for source in ("rsna-sdh", "rsna-sample")]
    fold = data.folds(studies)
    assert np.array_equal(fold[::2], fold[1::2])


@pytest.mark.slow
def test_real_rsna_sample(real_data, tmp_path):
    studies = data.load(real_data, ["rsna-sample"], tmp_path)
    assert sum(len(one.hu) for one in studies) == 108
    assert max(len(one.hu) for one in studies) == 32
    labels = np.concatenate([one.labels for one in studies])
    assert np.isfinite(labels[:, 0]).sum() == 54
    assert (labels[:, 0] == 1).sum() == 6
