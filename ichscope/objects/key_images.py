"""The key images: which slices to look at first, as a list that viewers jump by."""

from __future__ import annotations

from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
from pydicom.dataset import FileDataset

from ichscope.objects import codes
from ichscope.objects.content import WARNING, key_slices, models_of
from ichscope.objects.making import KEY_IMAGES, MAKER, Making
from ichscope.results import SeriesResult, deciding


def key_images(result: SeriesResult, making: Making) -> FileDataset:
    """Make the Key Object Selection of the slices with the highest probability of any haemorrhage.

    References
    ----------
    PS3.3 A.35.4, Key Object Selection Document; PS3.16 TID 2010
    """
    places = [making.headers.slices[index] for index in key_slices(result)]
    images = making.images(places)
    content = KeyObjectSelection(
        document_title=codes.OF_INTEREST,
        referenced_objects=images,
        observer_device_context=making.observer(),
        description=_description(result, len(places)),
    )
    for item in content[0].ContentSequence:
        for reference in item.get("ReferencedSOPSequence", ()):
            if frames := making.frames_in(reference.ReferencedSOPInstanceUID, places):
                reference.ReferencedFrameNumber = frames
    settings = making.made_with(KEY_IMAGES)
    document = KeyObjectSelectionDocument(evidence=images, content=content, **settings)
    return making.finished(document)


def _description(result: SeriesResult, slices: int) -> str:
    flagging = " and ".join(model.name for model in deciding(models_of(result)) if model.flagged)
    many = f"The {slices} slices" if slices > 1 else "The slice"
    return f"{WARNING}. {many} with the highest probability of haemorrhage by {flagging} of {MAKER}."
