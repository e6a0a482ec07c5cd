"""Results of synthetic studies with the headers that they came from, and what other programs say of DICOM objects."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from ichscope.imaging.dicom import read_series
from ichscope.imaging.findings import Status
from ichscope.imaging.intake import Group, collect
from ichscope.imaging.preprocess import model_input
from ichscope.imaging.series import Series
from ichscope.objects.headers import Headers, headers_of
from ichscope.objects.making import Making
from ichscope.phantom import to_bytes
from ichscope.results import ModelResult, SeriesResult, StudyResult
from tests.support import results_builder

# Its private codes are told in Coding Scheme Identification Sequence; that dciodvfy knows only public designators, it
# says of every private one.
PRIVATE = "Unrecognized defined term <99ICHSCOPE> for value 1 of attribute <Coding Scheme Designator>"
# Where the images name no patient, the objects name none.
NAMELESS = "Missing attribute or value that would be needed to build DICOMDIR - Patient ID"


def group_of(files: Sequence[Dataset]) -> Group:
    """The one series that these files are."""
    [group] = collect([(f"head/IM{number:04}", to_bytes(one)) for number, one in enumerate(files, 1)]).groups
    return group


def headers(files: Sequence[Dataset]) -> Headers:
    """The headers of a series, read as after its analysis."""
    group = group_of(files)
    return headers_of(group, read_series(group.sources, group.identity).slices)


def study(files: Sequence[Dataset], *models: ModelResult, **fields: Any) -> tuple[StudyResult, Headers]:
    """A study of one series with what models say of it (two, by default, that flag it), and its headers."""
    group = group_of(files)
    series = read_series(group.sources, group.identity)
    _, box = model_input(series.hu, series.pixel_spacing_mm)
    by_name = {model.name: model for model in models or both(series)}
    known: dict[str, Any] = {
        "study": group.study, "series": group.key, "name": "head/", "status": Status.ANALYSED, "slices": series.slices,
        "models": by_name, "box": box, "volume": series,
    }  # fmt: skip
    return StudyResult(series=(SeriesResult(**known | fields),)), headers_of(group, series.slices)


def making(headers: Headers) -> Making:
    """What a single object is made with."""
    return Making(headers, "of a test", datetime(2024, 1, 2, 3, 4, 5))


def both(series: Series) -> tuple[ModelResult, ModelResult]:
    """Two models that share their evidence, each with a probability of its own on each slice."""
    slices = len(series.slices)
    rising = tuple(float(value) for value in np.linspace(0.11, 0.93, slices))
    subtypes = {"subdural": 0.875, "epidural": 0.0625}
    return (
        results_builder.model("cranioscan", subtypes, along=rising),
        results_builder.model("cerebroscan", along=rising[::-1], labels=("any",), threshold=0.25),
    )


def dciodvfy(file: Path) -> tuple[list[str], list[str]]:
    """Errors and warnings of dicom3tools, a checker that is written by an editor of the standard."""
    checker = Path(sys.executable).with_name("dciodvfy")
    done = subprocess.run([checker, file], capture_output=True, text=True, timeout=60)
    lines = (done.stderr + done.stdout).splitlines()
    assert lines, "dciodvfy names at least the kind of object"
    warnings = [line.removeprefix("Warning - ") for line in lines if line.startswith("Warning")]
    return [line for line in lines if line.startswith("Error")], warnings


def dsr2html(file: Path) -> str:
    """What dcmtk shows of a structured document, as HTML."""
    program = shutil.which("dsr2html")
    if program is None:
        missing = "dsr2html is not installed (Debian: apt-get install dcmtk)"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    done = subprocess.run([program, file], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode("utf-8", errors="replace")
