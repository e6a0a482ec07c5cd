"""Results as DICOM objects beside the table: a folder a study, a line a study."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ichscope.atomic import replacing
from ichscope.commands.shared import fail, make_folder
from ichscope.home import as_the_user_wants
from ichscope.objects import is_available

if TYPE_CHECKING:
    from ichscope.imaging.intake import Group
    from ichscope.results import StudyResult

# The names that files of objects have: those of an earlier run that are not made any more are removed.
_NAMES = ("report.dcm", "key-images.dcm", "capture.dcm", "evidence-*.dcm")


def ready(folder: Path) -> None:
    """Make the folder, before the work and not after it, and see that what writes objects is installed."""
    if not is_available():
        fail("DICOM objects are written by highdicom, which is not installed: pip install 'ichscope[pacs]'")
    make_folder(folder)


class Writer:
    """Writes the objects of each study to a subfolder that is named by the study's key.

    problems : files that could not be written, in words
    """

    def __init__(self, folder: Path, say: Callable[[str], object]) -> None:
        self.problems: list[str] = []
        self._folder, self._say = folder, say

    def __call__(self, study: StudyResult, groups: Sequence[Group]) -> None:
        """Take a study with the files that it came from, and say what was made of it, or why nothing was."""
        from ichscope.objects.headers import headers_of
        from ichscope.objects.refusal import ObjectError
        from ichscope.objects.study import as_files, objects_of

        speaks = study.speaks
        left_out: list[str] = []
        try:
            group = next(group for group in groups if group.key == speaks.series)
            files = as_files(objects_of(study, headers_of(group, speaks.slices), say=left_out.append))
        except ObjectError as error:
            self._say(f"No DICOM objects: {error}")
            return
        folder = self._folder / speaks.study
        try:
            write_files(folder, files, _NAMES)
        except OSError as error:
            self.problems.append(f"{folder}: could not be written ({error.strerror})")
            return
        self._say("; ".join([f"DICOM objects of {speaks.name}: {folder} ({', '.join(files)})", *left_out]))


def write_files(folder: Path, files: Mapping[str, bytes], names: Sequence[str]) -> None:
    """Write files whole or not at all, and remove those of these names that are not among them.

    Raises
    ------
    OSError
        if the folder cannot be written
    """
    _make(folder)
    for old in (old for pattern in names for old in folder.glob(pattern)):
        if old.name not in files:
            old.unlink()
    for name, data in files.items():
        with as_the_user_wants(), replacing(folder / name) as part:
            part.write_bytes(data)


def _make(folder: Path) -> None:
    with as_the_user_wants():
        folder.mkdir(parents=True, exist_ok=True)
