"""A study's result as DICOM objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from io import BytesIO

from pydicom.dataset import FileDataset

from ichscope.errors import barrier
from ichscope.objects.capture import capture
from ichscope.objects.content import check, fingerprint
from ichscope.objects.evidence_map import evidence_maps
from ichscope.objects.headers import Headers
from ichscope.objects.key_images import key_images
from ichscope.objects.making import CAPTURE, EVIDENCE, KINDS, SEVERAL, Making
from ichscope.objects.refusal import ObjectError
from ichscope.objects.report import report
from ichscope.results import SeriesResult, StudyResult


def objects_of(
    result: StudyResult,
    headers: Headers,
    made: datetime | None = None,
    say: Callable[[str], object] = lambda text: None,
) -> list[FileDataset]:
    """Make the DICOM objects of a study's result, that of the series that speaks for it.

    Parameters
    ----------
    headers : of that series, as `headers.headers_of` reads them from its files
    made : when, by default now; all but this is the same whenever objects of a result are made
    say : called with what was left out, and why, in words

    Returns
    -------
    the report; of a study that is flagged the key images; the picture; a map of each evidence

    Raises
    ------
    ObjectError
        if nothing was analysed, the headers are another series', or they hold what nobody foresaw

    Examples
    --------
    >>> from ichscope.results import SeriesResult
    >>> from ichscope.imaging.findings import Status
    >>> nothing = SeriesResult(study="", series="", name="CT/", status=Status.NOT_ANALYSED, reasons=("No pixels.",))
    >>> objects_of(StudyResult(series=(nothing,)), Headers("1.2", None, ()))
    Traceback (most recent call last):
    ichscope.objects.refusal.ObjectError: CT/: found no result (No pixels.), expected that a model has analysed the \
series
    """
    speaks = result.speaks
    check(speaks, headers)
    making = Making(headers, fingerprint(speaks, headers), made or datetime.now())
    with barrier(lambda kind: ObjectError(f"{speaks.name}: unexpected {kind} while its objects were made")):
        objects = [report(speaks, making)]
        if result.flagged:
            objects.append(key_images(speaks, making))
        for kind, make in ((CAPTURE, _captures), (EVIDENCE, evidence_maps)):
            try:
                objects += make(speaks, making)
            except ObjectError as error:
                say(f"no {kind.name}: {error}")
    return objects


def report_of(result: StudyResult, headers: Headers, made: datetime | None = None) -> FileDataset:
    """Make the report alone, as `objects_of` makes it, in a fraction of the time; errors as there."""
    speaks = result.speaks
    check(speaks, headers)
    making = Making(headers, fingerprint(speaks, headers), made or datetime.now())
    with barrier(lambda kind: ObjectError(f"{speaks.name}: unexpected {kind} while its report was made")):
        return report(speaks, making)


def _captures(result: SeriesResult, making: Making) -> list[FileDataset]:
    return [capture(result, making)]


def as_files(objects: Sequence[FileDataset]) -> dict[str, bytes]:
    """Objects of one study as files (PS3.10) by their names, which follow from their kind: report.dcm, evidence-1.dcm.

    Examples
    --------
    >>> as_files([])
    {}
    """
    return {_file_name(one): _bytes(one) for one in objects}


def _file_name(dataset: FileDataset) -> str:
    kind = next(kind for kind in KINDS if kind.number == dataset.SeriesNumber)
    return f"{kind.name}-{dataset.InstanceNumber}.dcm" if kind in SEVERAL else f"{kind.name}.dcm"


def _bytes(dataset: FileDataset) -> bytes:
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()
