"""A hospital's own DICOM folder with a CSV of labels by study or by slice."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

from ichscope import phantom
from ichscope.tabular.table import TableError
from training import data

SLICES, SIZE = 12, 64


@pytest.fixture(scope="module")
def studies() -> dict[str, list[bytes]]:
    """Files of three heads by the name of their folder: a subdural bleed, and two without one."""
    return {
        name: [phantom.to_bytes(dataset) for dataset in phantom.datasets(phantom.make(bleed, seed, SLICES, SIZE))]
        for seed, (name, bleed) in enumerate({"A 1": "subdural", "B 2": None, "C 3": None}.items())
    }


@pytest.fixture
def own(tmp_path: Path, studies: dict[str, list[bytes]]) -> Callable[[str], Path]:
    """The folder above `own`, with this table in it."""

    def write(text: str) -> Path:
        for name, files in studies.items():
            folder = tmp_path / "own" / "scans" / name
            folder.mkdir(parents=True, exist_ok=True)
            for number, content in enumerate(files):
                (folder / f"{number}.dcm").write_bytes(content)
        (tmp_path / "own" / "labels.csv").write_text(text)
        return tmp_path

    return write


def load(root: Path) -> list[data.TrainingStudy]:
    return data.load(root, ["own"], root / "cache")


def problems(root: Path) -> list[str]:
    return [f"{problem.file}: {problem.reason}" for problem in data.problems(root, ["own"], root / "cache")]


def uids(files: list[bytes]) -> tuple[str, list[str]]:
    read = [pydicom.dcmread(io.BytesIO(content)) for content in files]
    return read[0].StudyInstanceUID, [dataset.SOPInstanceUID for dataset in read]


def test_labels_of_studies_say_what_slices_do_not_have(own, studies) -> None:
    uid, _ = uids(studies["C 3"])
    root = own(f"study,any,SDH,EDH\na-1,1,1,0\nb_2,0,,\n{uid},,0,0\n")
    bleeding, normal, half = load(root)
    assert bleeding.study_labels is not None
    np.testing.assert_array_equal(bleeding.study_labels, [1, 0, np.nan, np.nan, np.nan, 1])
    assert np.isnan(bleeding.labels[:, [0, 5]]).all()
    assert (bleeding.labels[:, 1] == 0).all(), "no slice has what the study has not"
    assert (normal.labels == 0).all()
    np.testing.assert_array_equal(half.study_labels, [np.nan, 0, np.nan, np.nan, np.nan, 0])
    assert len({study.patient for study in (bleeding, normal, half)}) == 3
    assert bleeding.spacing_mm == pytest.approx(5)


def test_labels_of_slices_stand_with_their_slices(own, studies) -> None:
    _, sops = uids(studies["A 1"])
    rows = "".join(f"{sop},{int(number == 4)},{int(number == 4)}\n" for number, sop in enumerate(sops[:6]))
    root = own(f"sop,any,subdural\n{rows}")
    (study,) = load(root)
    assert sorted(study.labels[:, 0].tolist())[:6] == [0, 0, 0, 0, 0, 1]
    assert np.isnan(study.labels[:, 0]).sum() == SLICES - 6
    assert study.study_labels is None
    assert any(f"{SLICES - 6} of {SLICES} slices have no row" in problem for problem in problems(root))
    assert sum("has no row in the table" in problem for problem in problems(root)) == 2


def test_neither_patients_nor_folders_are_named(own) -> None:
    root = own("study,any,patient\nA 1,1,Miller\nB 2,0,Miller\nC 3,0,Smith\n")
    first, second, third = load(root)
    assert first.patient == second.patient != third.patient
    kept = "".join(path.read_text() for path in (root / "cache").rglob("*.json"))
    assert not any(name in kept for name in ("Miller", "A 1", "scans"))


def test_readers_who_contradict_themselves_are_a_problem(own) -> None:
    root = own("study,any,SDH\nA 1,0,1\nB 2,0,0\nC 3,1,\n")
    bleeding, *_ = load(root)
    assert np.isnan(bleeding.labels).all()
    assert any("a kind of haemorrhage, but no haemorrhage" in problem for problem in problems(root))


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("study,age\nA 1,70\n", ValueError, "found no label"),
        ("scanner,any\nX,1\n", ValueError, "expected a column 'study' or 'sop'"),
        ("study,any\nA 1,perhaps\n", TableError, "perhaps"),
    ],
)
def test_a_table_that_says_nothing_is_refused(own, text: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        load(own(text))


def test_without_one_table_nothing_is_read(own) -> None:
    root = own("study,any\nA 1,1\n")
    (root / "own" / "more.csv").write_text("study,any\n")
    with pytest.raises(FileNotFoundError, match=r"expected one CSV file .* found labels\.csv, more\.csv"):
        load(root)
