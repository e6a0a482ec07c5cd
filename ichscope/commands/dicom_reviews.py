"""`ichscope review-dicom`: what readers have said of a study, as documents beside the report of the models."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ichscope.commands import running
from ichscope.commands.dicom_objects import ready, write_files
from ichscope.commands.shared import NONE_ANALYSED, fail

if TYPE_CHECKING:
    from pydicom.dataset import FileDataset

    from ichscope.objects.review import Said
    from ichscope.store import Store
    from ichscope.store.rows import Review

_EXIT_CODES = """\b
Exit code:
  0  the reviews are written
  1  the store has no review of this study
  2  wrong usage, or a file that is no report of ICHScope
  4  the store cannot be used
"""

app = typer.Typer()


@app.command("review-dicom", epilog=_EXIT_CODES)
def review_dicom(
    report: Annotated[
        Path,
        typer.Argument(
            metavar="REPORT", exists=True, dir_okay=False, help="report.dcm, as `analyse --dicom` wrote it."
        ),
    ],
    output: Annotated[Path, typer.Option(metavar="FOLDER", file_okay=False, help="Where to write the reviews.")],
) -> None:
    """Write what each reader has said last of a study in the store as a DICOM document that refers to the report.

    The store has no identifiers: patient, study and images come from the report.
    """
    ready(output)
    from ichscope.access import Right
    from ichscope.access.events import Action, Kind
    from ichscope.objects.refusal import ObjectError
    from ichscope.objects.review import review_of
    from ichscope.objects.study import as_files

    first = _read(report)
    with running.store(hint="") as store:
        said = [_said(review) for review in _newest(store, str(first.StudyInstanceUID))]
        if not said:
            fail("the store has no review of this study that says something of a label", NONE_ANALYSED)
        try:
            files = as_files([review_of(first, one, number) for number, one in enumerate(said, 1)])
        except ObjectError as error:
            fail(f"{report}: {error}")
        store.trail.record(Right.EXPORT, Action.EXPORTED, Kind.EXPORT, "reviews of a study", format="dcm")
    try:
        write_files(output, files, ("review-*.dcm",))
    except OSError as error:
        fail(f"{output}: could not be written ({error.strerror})")
    typer.echo(f"{output}: {', '.join(files)}")


def _read(report: Path) -> FileDataset:
    from pydicom import dcmread

    from ichscope.errors import IchscopeError, barrier

    try:
        with barrier(lambda kind: IchscopeError(f"{report}: found no DICOM file ({kind}), expected a report")):
            first = dcmread(report)
            str(first.StudyInstanceUID)  # a report is of a study
            return first
    except IchscopeError as error:
        fail(str(error))


def _newest(store: Store, study_uid: str) -> Iterable[Review]:
    """The newest review of each reader, as far as it says something of a label; none of an unknown study."""
    from ichscope.store import StoreError

    try:
        row = store.worklist.keyed(store.keys.study(study_uid))
    except StoreError:
        return ()
    by_reader = {(review.reader, review.signed): review for review in store.reviews.of(row.id)}
    return [review for review in by_reader.values() if review.labels]


def _said(review: Review) -> Said:
    from ichscope.objects.review import Said

    return Said(review.reader, review.created_at, review.labels, review.comment, review.poor_quality, review.signed)
