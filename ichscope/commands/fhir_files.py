"""Results as FHIR resources beside the table: a file a study, named by the study's key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ichscope.commands.shared import fail, make_folder, saved

if TYPE_CHECKING:
    from ichscope.imaging.intake import Group
    from ichscope.objects.fhir import About
    from ichscope.results import StudyResult

# Patient, study and accession number stand before the pixels, and near the beginning.
_HEAD_BYTES = 1 << 15


def ready(folder: Path) -> None:
    """Make the folder, before the work and not after it, and see that what checks resources is installed."""
    if find_spec("fhir") is None:
        fail("FHIR resources are checked by fhir.resources, which is not installed: pip install 'ichscope[pacs]'")
    make_folder(folder)


class Writer:
    """Writes a Bundle for each study.

    problems : files that could not be written, in words
    """

    def __init__(self, folder: Path, say: Callable[[str], object]) -> None:
        self.problems: list[str] = []
        self._folder, self._say = folder, say

    def __call__(self, study: StudyResult, groups: Sequence[Group]) -> None:
        """Take a study with the files that it came from, and say where its resources are, or why there are none."""
        from ichscope.objects.fhir import bundle_of
        from ichscope.objects.refusal import ObjectError
        from ichscope.texts import json_text

        speaks = study.speaks
        try:
            text = json_text(bundle_of(study, _about([group for group in groups if group.key == speaks.series])))
        except ObjectError as error:
            self._say(f"No FHIR resources: {error}")
            return
        file = self._folder / f"{speaks.study}.json"
        if problem := saved(file, text):
            self.problems.append(problem)
        else:
            self._say(f"FHIR resources of {speaks.name}: {file}")


def _about(groups: Sequence[Group]) -> About:
    """What the first header says of patient and study; pictures say nothing."""
    from ichscope.imaging.elements import DicomError, parse, text
    from ichscope.imaging.source import SourceError
    from ichscope.objects.fhir import About

    try:
        header, _ = parse(groups[0].sources[0].read(_HEAD_BYTES), "")
    except (IndexError, DicomError, SourceError):
        return About()
    return About(*(text(header, name) for name in ("StudyInstanceUID", "PatientID", "AccessionNumber")))
