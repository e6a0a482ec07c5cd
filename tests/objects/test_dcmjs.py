"""dcmjs, by which viewers in browsers (OHIF) read DICOM, finds in our objects what pydicom finds."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from ichscope import phantom
from ichscope.objects.study import as_files, objects_of
from tests.support.dicom_results import study

ROOT = Path(__file__).parents[2]
MODULES = ROOT / ".cache/dcmjs/node_modules"


def test_dcmjs_reads_what_we_have_written(tmp_path: Path) -> None:
    node = shutil.which("node")
    if not node or not (MODULES / "dcmjs").is_dir():
        pytest.skip("dcmjs is not installed (npm, then `make dcmjs`)")
    objects = as_files(objects_of(*study(phantom.datasets(phantom.make("subdural", 3, slices=8, size=64)))))
    for name, data in objects.items():
        (tmp_path / name).write_bytes(data)
    files = [tmp_path / name for name in objects]
    command = [node, ROOT / "tests/support/read_with_dcmjs.cjs", *files]
    done = subprocess.run(command, env=os.environ | {"NODE_PATH": str(MODULES)}, capture_output=True, check=True)
    expected = [found(dcmread(file)) for file in files]
    assert json.loads(done.stdout) == expected
    assert [bool(one["content"] or one["pixels"]) for one in expected] == [True] * 4


def found(one: Dataset) -> dict[str, Any]:
    pixels = one.get("FloatPixelData", one.get("PixelData"))
    return {
        "kind": one.SOPClassUID,
        "instance": one.SOPInstanceUID,
        "study": one.StudyInstanceUID,
        "frames": int(one.get("NumberOfFrames", 1)),
        "pixels": None if pixels is None else hashlib.sha256(pixels).hexdigest(),
        "content": content(one),
    }


def content(parent: Dataset) -> list[Any]:
    return [
        [
            *(item.RelationshipType, item.ValueType),
            item.ConceptNameCodeSequence[0].CodeMeaning if "ConceptNameCodeSequence" in item else None,
            *(value(item), content(item)),
        ]
        for item in parent.get("ContentSequence", ())
    ]


def value(item: Dataset) -> Any:
    match item.ValueType:
        case "NUM":
            return float(item.MeasuredValueSequence[0].NumericValue)
        case "CODE":
            return item.ConceptCodeSequence[0].CodeMeaning
        case "TEXT":
            return item.TextValue
        case "UIDREF":
            return item.UID
        case "IMAGE":
            return item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    return None
