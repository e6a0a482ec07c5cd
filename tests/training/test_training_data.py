import csv
import json
import os
import re
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ichscope.labels import LABELS
from training import data, rsna_shaped
from training.data import work
from training.data.cache import CacheFolder, only_writer, read_index, restore

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
    assert [int(outline.any()) for outline in first.mask] == [0, 1, 0]
    rows, columns = np.nonzero(first.mask[1])
    assert columns.mean() < 100 < rows.mean() < 125


def test_files_that_fail_are_listed_with_a_reason(ct_ich, tmp_path):
    data.load(ct_ich, ["ct-ich"], tmp_path / "cache")
    reasons = {problem.file: problem.reason for problem in data.problems(ct_ich, ["ct-ich"], tmp_path / "cache")}
    assert set(reasons) == {"007/bone/3.jpg", "007/brain/4.jpg"}
    assert reasons["007/bone/3.jpg"] == "missing"
    assert "cannot be read" in reasons["007/brain/4.jpg"]


def test_second_load_reads_the_cache(ct_ich, tmp_path):
    once = data.load(ct_ich, ["ct-ich"], tmp_path / "cache")
    (ct_ich / "ct-ich" / "hemorrhage_diagnosis.csv").unlink()
    again = data.load(ct_ich, ["ct-ich"], tmp_path / "cache")
    for first_read, second_read in zip(once, again, strict=True):
        assert np.array_equal(first_read.hu, second_read.hu)
        assert np.array_equal(first_read.labels, second_read.labels)
        assert first_read.names == second_read.names


def test_cache_of_an_earlier_version_is_read(ct_ich, tmp_path):
    """It says nothing of being complete or of whole studies, and has a mask for every slice."""
    first, _ = data.load(ct_ich, ["ct-ich"], tmp_path / "cache")
    (folder,) = (tmp_path / "cache").iterdir()
    index = json.loads((folder / "index.json").read_text())
    del index["complete"]
    index["studies"][1]["masked"] = False
    (folder / "index.json").write_text(json.dumps(index))
    again, unmasked = data.load(ct_ich, ["ct-ich"], tmp_path / "cache")
    assert np.array_equal(again.mask, first.mask)
    assert unmasked.mask is None


def test_half_a_cache_is_written_again(ct_ich, tmp_path):
    once = data.load(ct_ich, ["ct-ich"], tmp_path / "cache")
    (folder,) = (tmp_path / "cache").iterdir()
    (folder / "index.json").unlink()
    (folder / "hu.npy").write_bytes(b"half an array")
    again = data.load(ct_ich, ["ct-ich"], tmp_path / "cache")
    assert all(
        np.array_equal(first_read.hu, second_read.hu) for first_read, second_read in zip(once, again, strict=True)
    )
    assert len(data.problems(ct_ich, ["ct-ich"], tmp_path / "cache")) == 2


def test_outlines_stay_with_their_studies(tmp_path):
    hu = np.arange(2 * 224 * 224, dtype=np.int16).reshape(2, 224, 224)
    outline = (hu > 100).astype(np.uint8)
    labels = np.zeros((2, len(LABELS)), np.float32)
    studies = [
        data.TrainingStudy("s", "p", f"{i}", hu + i, labels, outline if i == 2 else None, "ab") for i in range(4)
    ]
    with CacheFolder(tmp_path) as store:
        store.add(work.CollectionPart("one", studies[:1], []))
        store.add(work.CollectionPart("rest", studies[1:], [data.Problem("file", "reason")]))
        assert read_index(tmp_path) is None
        store.finish(complete=True)
    again = restore(tmp_path, read_index(tmp_path)["studies"])
    assert [study.mask is None for study in again] == [True, True, False, True]
    assert np.array_equal(again[2].mask, outline)
    assert all(np.array_equal(restored.hu, study.hu) for restored, study in zip(again, studies, strict=True))


def test_one_process_at_a_time_writes_a_cache(ct_ich, tmp_path):
    data.load(ct_ich, ["ct-ich"], tmp_path / "cache")
    (folder,) = (tmp_path / "cache").iterdir()
    index = (folder / "index.json").read_bytes()
    (folder / "index.json").unlink()
    loaded: list[data.TrainingStudy] = []
    other = threading.Thread(target=lambda: loaded.extend(data.load(ct_ich, ["ct-ich"], tmp_path / "cache")))
    with only_writer(folder):
        other.start()
        other.join(0.1)
        assert other.is_alive()
        (folder / "index.json").write_bytes(index)
        (ct_ich / "ct-ich" / "hemorrhage_diagnosis.csv").unlink()  # it need not read what is there by now
    other.join(10)
    assert len(loaded) == 2


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


def test_folds_spread_bleeds_that_are_known_of_whole_studies_only():
    unknown = np.full((2, len(LABELS)), NAN, np.float32)
    whole = [np.array([number < 10] * len(LABELS), np.float32) for number in range(30)]
    hu = np.zeros((2, 4, 4), np.int16)
    studies = [
        data.TrainingStudy("cq500", f"p{number}", "", hu, unknown, None, ("a", "b"), study_labels=labels)
        for number, labels in enumerate(whole)
    ]
    assert np.bincount(data.folds(studies)[:10]).tolist() == [2] * 5


@pytest.mark.parametrize("helpers", [0, 2])
def test_work_keeps_order_and_tells_how_far_it_is(monkeypatch, helpers):
    monkeypatch.setattr(work, "_REPORT_EVERY_S", 0)
    lines: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        mine = work.Work(Path(), (), pool if helpers else None, lines.append)
        assert list(mine.map(lambda item: item**2, range(10), "squares", 45, lambda item: item)) == [
            item**2 for item in range(10)
        ]
    assert lines[-1] == "squares: 45 of 45, 0 minutes left"


def test_work_starts_few_pieces_ahead():
    started: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        results = work.Work(Path(), (), pool, print).map(started.append, range(1000), "", 1000)
        next(results)
        results.close()
    assert len(started) <= 2 * (os.cpu_count() or 1)


def test_command_prints_what_is_there(ct_ich, tmp_path, capsys):
    data.main(["--root", str(ct_ich), "--cache", str(tmp_path / "cache"), "--sources", "ct-ich", "--limit", "1"])
    printed = capsys.readouterr().out
    assert "1/3 (1)" in printed
    assert "007/brain/4.jpg: cannot be read" in printed


@pytest.mark.slow
def test_command_with_processes(tmp_path, capsys):
    folder = rsna_shaped.write(tmp_path / "rsna-2019", 3, slices=3, size=64).parents[1]
    root = ["--root", str(folder.parent), "--cache", str(tmp_path / "cache")]
    data.main([*root, "--sources", "rsna-2019", "--workers", "2"])
    printed = capsys.readouterr().out
    assert re.search(r"rsna-2019 +3 +3 +8 ", printed)


@pytest.mark.slow
def test_real_rsna_slices_by_the_adapter_of_the_full_set(real_data, tmp_path):
    sample = real_data / "rsna-sample"
    shutil.copytree(sample / "dicom", tmp_path / "rsna-2019" / "stage_2_train")
    shutil.copy(sample / "labels.csv", tmp_path / "rsna-2019" / "stage_2_train.csv")
    full = {Path(study.names[0]).stem: study for study in data.load(tmp_path, ["rsna-2019"], tmp_path / "cache")}
    for sample in data.load(real_data, ["rsna-sample"], tmp_path / "cache"):
        same = full[Path(sample.names[0]).stem]
        assert sample.patient == same.patient
        assert [Path(name).stem for name in sample.names] == [Path(name).stem for name in same.names]
        assert np.array_equal(sample.labels, same.labels, equal_nan=True)
        brain = (sample.hu > -50) & (sample.hu < 150)
        assert np.abs(sample.hu.astype(int) - same.hu)[brain].max(initial=0) <= 1


@pytest.mark.slow
def test_real_rsna_sample(real_data, tmp_path):
    studies = data.load(real_data, ["rsna-sample"], tmp_path)
    assert sum(len(study.hu) for study in studies) == 108
    assert max(len(study.hu) for study in studies) == 32
    labels = np.concatenate([study.labels for study in studies])
    assert np.isfinite(labels[:, 0]).sum() == 54
    assert (labels[:, 0] == 1).sum() == 6
