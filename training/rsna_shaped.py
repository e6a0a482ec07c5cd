"""A small set of synthetic heads in the shape of RSNA 2019, to try the recipe for the full set from end to end.

    python -m training.rsna_shaped /tmp/shaped/rsna-2019 --studies 40
    python -m training.data --root /tmp/shaped --sources rsna-2019

It shows that the programs work, not how well anything detects bleeds. What is peculiar to the original is here too:
one folder of single slices in no order, few header fields and UIDs that are none, unsigned 12-bit and signed 16-bit
pixels, patients with two studies, a table whose rows stand in no order and partly come twice, and a file whose pixels
end too soon.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset, FileMetaDataset

from ichscope import phantom
from ichscope.labels import LABELS, SUBTYPES
from ichscope.phantom import Phantom

# In RSNA 2019 45 % of the studies bleed.
_BLEEDING = 0.45
_PADDING = -2000
# All that RSNA's files say, besides identifiers.
_KEPT = (
    "Modality",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "PixelSpacing",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "WindowCenter",
    "WindowWidth",
    "RescaleIntercept",
    "RescaleSlope",
    "PixelData",
)


def write(folder: Path, studies: int, seed: int = 0, slices: int = 12, size: int = 128) -> Path:
    """Write `stage_2_train/ID_*.dcm` and `stage_2_train.csv` into a folder, made if absent.

    Parameters
    ----------
    slices, size : of each study; rows and columns are equal

    Returns
    -------
    the file whose pixels end too soon
    """
    rng = np.random.default_rng(seed)
    (folder / "stage_2_train").mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, int]] = []
    files: list[Path] = []
    bleeding = rng.random(studies) < _BLEEDING
    for number in range(studies):
        bleed = SUBTYPES[bleeding[:number].sum() % len(SUBTYPES)] if bleeding[number] else None
        head = phantom.make(bleed, 1000 * seed + number, slices, size)
        # Every fourth study is the second one of the patient before.
        patient = f"ID_{seed:04x}{number - (number % 4 == 3):04x}"
        for dataset, truth in zip(_datasets(head, patient, number % 2 == 1, rng), head.labels, strict=True):
            files.append(folder / "stage_2_train" / f"{dataset.SOPInstanceUID}.dcm")
            with disable_value_validation():
                files[-1].write_bytes(phantom.to_bytes(dataset))
            rows += [(f"{files[-1].stem}_{label}", int(there)) for label, there in zip(LABELS, truth, strict=True)]
    short = files[int(rng.integers(len(files)))]
    short.write_bytes(short.read_bytes()[: -size * size])
    repeated = rows[: len(LABELS)]
    rng.shuffle(rows)
    with (folder / "stage_2_train.csv").open("w", newline="") as table:
        csv.writer(table).writerows([("ID", "Label"), *rows, *repeated])
    return short


def _datasets(head: Phantom, patient: str, signed: bool, rng: np.random.Generator) -> list[Dataset]:
    """The slices with RSNA's few fields, identifiers that are no UIDs, and one of its two kinds of pixels."""
    study, series = _identifier(rng), _identifier(rng)
    made = []
    for original in phantom.datasets(head):
        dataset = Dataset()
        for keyword in _KEPT:
            dataset[keyword] = original[keyword]
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.MediaStorageSOPClassUID = original.SOPClassUID
        dataset.file_meta.TransferSyntaxUID = original.file_meta.TransferSyntaxUID
        dataset.PatientID = patient
        with disable_value_validation():
            dataset.SOPInstanceUID = _identifier(rng)
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        made.append(_signed(dataset) if signed else dataset)
    return made


def _identifier(rng: np.random.Generator) -> str:
    return f"ID_{rng.integers(16**9):09x}"


def _signed(dataset: Dataset) -> Dataset:
    """The same slice in signed 16-bit pixels, which are HU, with padding outside the scanner's circle."""
    stored = np.frombuffer(dataset.PixelData, "<u2").reshape(dataset.Rows, dataset.Columns).astype("<i2")
    rows, columns = np.indices(stored.shape) - (len(stored) - 1) / 2
    hu = np.where(np.hypot(rows, columns) > len(stored) / 2, _PADDING, stored + np.int16(dataset.RescaleIntercept))
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation, dataset.RescaleIntercept = 16, 15, 1, 0
    dataset.PixelData = hu.astype("<i2").tobytes()
    return dataset


def main() -> None:
    """Write a set as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--slices", type=int, default=12)
    parser.add_argument("--size", type=int, default=128)
    options = parser.parse_args()
    short = write(options.folder, options.studies, options.seed, options.slices, options.size)
    print(f"{options.studies} studies in {options.folder}; {short.name} is cut off")


if __name__ == "__main__":
    main()
