"""The picture: a page that any viewer shows, with what the models say burnt in, and what it is not for."""

from __future__ import annotations

from highdicom.sc import SCImage
from pydicom.dataset import Dataset, FileDataset

from ichscope.imaging.geometry import is_axial
from ichscope.imaging.preprocess import Box
from ichscope.imaging.series import Series
from ichscope.labels import DISPLAY_NAMES
from ichscope.objects.content import WARNING, key_slices, models_of, plain, reasons_of
from ichscope.objects.making import CAPTURE, Making
from ichscope.objects.page import Tile, page
from ichscope.objects.refusal import ObjectError
from ichscope.results import ModelResult, SeriesResult, deciding

_MOST_REASONS = 3


def capture(result: SeriesResult, making: Making) -> FileDataset:
    """Make the Secondary Capture: the most suspicious slices in anatomical order, under the models' numbers.

    Raises
    ------
    ObjectError
        if the voxels are not there any more

    References
    ----------
    PS3.3 A.8.1, Secondary Capture Image
    """
    if result.volume is None or result.box is None:
        raise ObjectError(f"{result.name}: found no voxels, expected those of the series, for a picture of it")
    slices = sorted(key_slices(result))
    tiles = [_tile(result, result.volume, result.box, index) for index in slices]
    dataset = SCImage(
        pixel_array=page(_title(result), _lines(result), f"{WARNING.upper()}", tiles),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=making.headers.study,
        patient_orientation=("L", "P"),
        patient_id="",
        **making.made_with(CAPTURE),
    )
    # A page of several slices has no direction of its own; each slice on it bears its letters.
    dataset.PatientOrientation = []
    dataset.BurnedInAnnotation = "NO"  # nothing on it names a patient (PS3.3 C.7.6.1)
    dataset.DerivationDescription = "Slices in the brain window with the outline of the evidence of haemorrhage"
    dataset.SourceImageSequence = [_reference(image, making, slices) for image in _images(making, slices)]
    return making.finished(dataset, is_image=True)


def _title(result: SeriesResult) -> str:
    return "Flagged: possible haemorrhage" if result.flagged else "Not flagged; this does not rule out a haemorrhage"


def _lines(result: SeriesResult) -> list[str]:
    reasons = reasons_of(result)
    more = f" (and {len(reasons) - _MOST_REASONS} more reasons)" if len(reasons) > _MOST_REASONS else ""
    limited = [f"LIMITED: {' '.join(map(plain, reasons[:_MOST_REASONS]))}{more}"] if reasons else []
    return [*map(_line, models_of(result)), *limited, "Yellow: outline of the evidence."]


def _line(model: ModelResult) -> str:
    found = [
        f"{DISPLAY_NAMES[label]} {model.probability[label]:.2f}" for label in model.positive_labels if label != "any"
    ]
    subtypes = f"; {', '.join(found)}" if found else ""
    flagged = "flagged" if model.flagged else "not flagged"
    numbers = f"any haemorrhage {model.probability['any']:.3f}, threshold {model.threshold:.3f}"
    return plain(f"{model.name} {model.version}: {numbers}: {flagged}{subtypes}")


def _tile(result: SeriesResult, volume: Series, box: Box, index: int) -> Tile:
    models = deciding(models_of(result))
    model = next((model for model in models if model.flagged), models[0])
    sides = volume.orientation is not None and is_axial(volume.orientation)
    along = model.slice_probability["any"]
    caption = f"Slice {index + 1} of {len(along)}: {model.name} {along[index]:.2f}"
    return Tile(plain(caption), volume.hu[index], model.evidence[index], box, sides)


def _images(making: Making, slices: list[int]) -> list[Dataset]:
    return making.images([making.headers.slices[index] for index in slices])


def _reference(image: Dataset, making: Making, slices: list[int]) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    if frames := making.frames_in(image.SOPInstanceUID, [making.headers.slices[index] for index in slices]):
        item.ReferencedFrameNumber = frames
    return item
