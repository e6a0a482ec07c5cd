"""Phantoms as DICOM: CT Image Storage with every attribute of types 1 and 2 (PS3.3 A.3)."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from .study import Phantom

_INTERCEPT, _LARGEST = -1024, 4095
_DATE, _TIME = "20240102", "030405"


def datasets(phantom: Phantom, **tags: Any) -> list[Dataset]:
    """A series of single-slice CT images, from foot to head.

    Parameters
    ----------
    phantom : what to write
    tags : elements by keyword, set to this value in every slice; None leaves the element out
    """
    made = [_dataset(phantom, index) for index in range(len(phantom.hu))]
    for dataset in made:
        for keyword, value in tags.items():
            if value is not None:
                setattr(dataset, keyword, value)
            elif keyword in dataset:
                delattr(dataset, keyword)
    return made


def to_bytes(dataset: Dataset) -> bytes:
    """The data set as a DICOM file (PS3.10)."""
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def write(phantom: Phantom, folder: Path, **tags: Any) -> list[Path]:
    """Write one file a slice (IM0001.dcm, ...) into a folder, made if absent; tags as for `datasets`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, dataset in enumerate(datasets(phantom, **tags), start=1):
        paths.append(folder / f"IM{number:04}.dcm")
        paths[-1].write_bytes(to_bytes(dataset))
    return paths


def _dataset(phantom: Phantom, index: int) -> Dataset:
    dataset = Dataset()
    groups = (_patient(phantom), _study(phantom), _series(phantom), _image(phantom, index), _pixels(phantom, index))
    for group in groups:
        for keyword, value in group.items():
            setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def _uid(phantom: Phantom, *what: object) -> str:
    parts = ("ICHScope phantom", phantom.body_part, phantom.bleed, phantom.seed, *phantom.hu.shape, *what)
    return generate_uid(entropy_srcs=[str(part) for part in parts])


def _patient(phantom: Phantom) -> dict[str, Any]:
    age = 25 + phantom.seed * 17 % 60
    return {
        "PatientName": "SYNTHETIC^PHANTOM",
        "PatientID": f"PHANTOM-{phantom.seed:04}",
        "PatientBirthDate": f"{2024 - age}0101",
        "PatientSex": "MF"[phantom.seed % 2],
        "PatientAge": f"{age:03}Y",
    }


def _study(phantom: Phantom) -> dict[str, Any]:
    return {
        "StudyInstanceUID": _uid(phantom, "study"),
        "StudyDate": _DATE,
        "StudyTime": _TIME,
        "StudyID": "1",
        "StudyDescription": f"SYNTHETIC {phantom.body_part}",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
    }


def _series(phantom: Phantom) -> dict[str, Any]:
    return {
        "Modality": "CT",
        "SeriesInstanceUID": _uid(phantom, "series"),
        "SeriesNumber": 2,
        "SeriesDescription": f"SYNTHETIC {phantom.body_part} AXIAL",
        "SeriesDate": _DATE,
        "SeriesTime": _TIME,
        "BodyPartExamined": phantom.body_part,
        "PatientPosition": "HFS",
        "FrameOfReferenceUID": _uid(phantom, "frame of reference"),
        "PositionReferenceIndicator": "",
        "Manufacturer": "ICHScope",
        "ManufacturerModelName": "Synthetic phantom",
    }


def _image(phantom: Phantom, index: int) -> dict[str, Any]:
    between, row_mm, column_mm = phantom.spacing_mm
    rows, columns = phantom.hu.shape[1:]
    left, back = -column_mm * (columns - 1) / 2, -row_mm * (rows - 1) / 2
    z = round(phantom.bottom_mm + index * between, 3)
    return {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": _uid(phantom, "slice", index),
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "InstanceNumber": index + 1,
        "AcquisitionNumber": 1,
        "AcquisitionDate": _DATE,
        "AcquisitionTime": _TIME,
        "ContentDate": _DATE,
        "ContentTime": _TIME,
        "ImagePositionPatient": [round(left, 4), round(back, 4), z],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "SliceLocation": z,
        "SliceThickness": round(between, 4),
        "PixelSpacing": [round(row_mm, 6), round(column_mm, 6)],
        "KVP": 120,
        "ConvolutionKernel": "SYNTHETIC",
        "GantryDetectorTilt": 0,
        "BurnedInAnnotation": "NO",
        "LossyImageCompression": "00",
        "ImageComments": "SYNTHETIC PHANTOM, NOT A PATIENT",
    }


def _pixels(phantom: Phantom, index: int) -> dict[str, Any]:
    hu = phantom.hu[index]
    stored = np.clip(hu.astype(np.int32) - _INTERCEPT, 0, _LARGEST).astype("<u2")
    return {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": hu.shape[0],
        "Columns": hu.shape[1],
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "RescaleIntercept": _INTERCEPT,
        "RescaleSlope": 1,
        "RescaleType": "HU",
        "WindowCenter": 40,
        "WindowWidth": 80 if phantom.body_part == "HEAD" else 400,
        "PixelData": stored.tobytes(),
    }
