"""RSNA slices of many scanners, outlines by kind and ischaemic strokes, on small synthetic ones."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom.config import disable_value_validation

from ichscope import phantom
from ichscope.labels import LABELS
from training import data, rsna_shaped
from training.data.study import KINDS, bleeding

COLUMNS = ("file", "sop", "patient", "study", "window_centre", *LABELS)
NORMAL, SUBDURAL = ("0",) * 6, ("1", "0", "0", "0", "0", "1")


def head(size: int = 96) -> np.ndarray:
    """A grey disc in a white ring on black."""
    rows, columns = np.indices((size, size)) - size / 2
    radius = np.hypot(rows, columns)
    return np.select([radius < size * 0.3, radius < size * 0.35], [112, 255], 0).astype(np.uint8)


def save(path: Path, grey: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(grey).save(path)


def table(path: Path, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Four pictures, one of them broken, and a whole study of three slices."""
    home = tmp_path / "rsna-more"
    rows = [
        ("images/ID_a.png", "ID_a", "ID_p", "ID_s", "36", *SUBDURAL),
        ("images/ID_b.png", "ID_b", "", "ID_s2", "40", *NORMAL),
        ("images/ID_c.png", "ID_c", "", "", "40", *NORMAL),
        ("images/ID_d.png", "ID_d", "", "", "40", *NORMAL),
    ]
    for name in "abc":
        save(home / "images" / f"ID_{name}.png", head())
    (home / "images" / "ID_d.png").write_bytes(b"not a picture")
    datasets = rsna_shaped._datasets(phantom.make("subdural", 3, 3, 64), "ID_w", False, np.random.default_rng(0))
    (home / "whole-study").mkdir()
    for number, dataset in enumerate(datasets):
        sop = f"ID_{9 - number}"
        with disable_value_validation():
            dataset.SOPInstanceUID = sop
            (home / "whole-study" / f"{sop}.dcm").write_bytes(phantom.to_bytes(dataset))
        rows.append((f"images/{sop}.png", sop, "ID_w", "ID_sw", "40", *(SUBDURAL if number == 1 else NORMAL)))
    table(home / "labels.csv", COLUMNS, rows)
    return tmp_path


def load(root: Path, source: str) -> list[data.TrainingStudy]:
    return data.load(root, [source], root / "cache")


def test_slices_stand_alone_under_their_patient_study_or_own_name(root: Path) -> None:
    whole, *alone = load(root, "rsna-more")
    assert [study.patient for study in alone] == ["rsna/ID_p", "rsna/ID_s2", "rsna/ID_c"]
    assert {study.hospital for study in (whole, *alone)} == {"rsna"}
    assert all(study.pictures and len(study.hu) == 1 for study in alone)
    assert alone[0].labels.tolist() == [[1, 0, 0, 0, 0, 1]]
    assert not alone[1].labels.any()
    (problem,) = data.problems(root, ["rsna-more"], root / "cache")
    assert problem.file.endswith("ID_d.png")


def test_the_whole_study_is_read_from_dicom_in_its_order(root: Path) -> None:
    whole = load(root, "rsna-more")[0]
    assert (whole.patient, whole.study, whole.pictures) == ("rsna/ID_w", "rsna-more/ID_sw", False)
    assert whole.names == ("whole-study/ID_9.dcm", "whole-study/ID_8.dcm", "whole-study/ID_7.dcm")
    assert whole.labels[:, 0].tolist() == [0, 1, 0]
    assert whole.hu.min() < -900


def test_the_window_centre_moves_grey_and_leaves_black_and_white(root: Path) -> None:
    _, at_36, at_40, _ = load(root, "rsna-more")
    middle = np.s_[0, 100:120, 100:120]
    assert at_40.hu[middle].mean() - at_36.hu[middle].mean() == pytest.approx(4, abs=0.1)
    assert (at_36.hu.min(), at_36.hu.max()) == (0, 80)


def test_outlines_tell_kinds(tmp_path: Path) -> None:
    home = tmp_path / "rsna-more" / "outlines"
    outline = np.zeros((96, 96), np.uint8)
    outline[40:46, 40:46], outline[50:56, 50:56] = 2, 5
    save(home / "1.png", head())
    save(home / "mask_1.png", outline)
    row = ("1.png", "mask_1.png", "ID_p", "1", "0", "1", "0", "0", "1")
    table(home / "labels.csv", ("file", "mask", "patient", *LABELS), [row])
    (study,) = load(tmp_path, "bhsd")
    assert (study.patient, study.source) == ("rsna/ID_p", "bhsd")
    assert set(np.unique(study.mask)) == {0, KINDS["intraparenchymal"], KINDS["subdural"]}
    assert 0 < bleeding(study.mask).mean() < 0.05
    assert study.hu.max() == 80


def test_ischaemic_strokes_are_normal_patients_of_their_own(tmp_path: Path) -> None:
    home = tmp_path / "rsna-more" / "ischaemic"
    rows = [(f"{name}.png", "", "", *NORMAL) for name in "xy"]
    for name in "xy":
        save(home / f"{name}.png", head())
    table(home / "labels.csv", ("file", "mask", "patient", *LABELS), rows)
    studies = load(tmp_path, "cpaisd")
    assert [study.patient for study in studies] == ["cpaisd/x", "cpaisd/y"]
    assert not any(study.labels.any() for study in studies)


@pytest.mark.slow
def test_real_slices(real_data: Path, tmp_path: Path) -> None:
    if not (real_data / "rsna-more").is_dir():
        pytest.skip("no rsna-more beside the other real scans")
    studies = data.load(real_data, ["rsna-more", "bhsd", "cpaisd"], tmp_path)
    counts = {name: sum(len(study.hu) for study in studies if study.source == name) for name in ("bhsd", "cpaisd")}
    assert counts == {"bhsd": 36, "cpaisd": 24}
    more = [study for study in studies if study.source == "rsna-more"]
    assert sum(len(study.hu) for study in more) == 3294
    assert np.concatenate([study.labels for study in more]).sum(axis=0).tolist() == [619, 24, 278, 117, 162, 215]
    fold = data.folds(more)
    positives = [
        sum(study.labels[:, 0].sum() for study, at in zip(more, fold, strict=True) if at == n) for n in range(5)
    ]
    assert min(positives) > 100
