"""What all objects have in common: the images they refer to, who made them, and patient and study of the images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from typing import Any

from highdicom.sr import DeviceObserverIdentifyingAttributes, ObserverContext
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset
from pydicom.uid import UID

from ichscope import __version__
from ichscope.objects import codes
from ichscope.objects.content import WARNING
from ichscope.objects.headers import Headers, SliceHeader
from ichscope.objects.uids import uid_of

MAKER = "ICHScope contributors"
PRODUCT = "ICHScope"


@dataclass(frozen=True)
class Kind:
    """A kind of object: how its files are named, and number and description of its series, which it has for itself.

    Numbers are far above those of scanners, which count from 1.
    """

    name: str
    number: int
    description: str


REPORT = Kind("report", 9901, f"{PRODUCT} results")
KEY_IMAGES = Kind("key-images", 9902, f"{PRODUCT} key images")
CAPTURE = Kind("capture", 9903, f"{PRODUCT} picture")
EVIDENCE = Kind("evidence", 9904, f"{PRODUCT} evidence")
REVIEW = Kind("review", 9905, f"{PRODUCT} review")
KINDS = (REPORT, KEY_IMAGES, CAPTURE, EVIDENCE, REVIEW)
# Of these a study may have several, which are numbered.
SEVERAL = (EVIDENCE, REVIEW)


@dataclass(frozen=True, eq=False)
class Making:
    """What every object of one result is made with.

    fingerprint : of the result, from which all UIDs follow
    made : when; the only thing in which two makings differ
    """

    headers: Headers
    fingerprint: str
    made: datetime

    def uid(self, *what: str) -> str:
        """A UID of this result, the same whenever it is made."""
        return uid_of(self.fingerprint, *what)

    def images(self, slices: Sequence[SliceHeader] | None = None) -> list[Dataset]:
        """The images of these slices, or all, each once, in order: as much of them as references need, no patient."""
        chosen = {place.sop: place for place in (self.headers.slices if slices is None else slices)}
        return [self._image(place) for place in chosen.values()]

    def frames_in(self, sop: str, slices: Sequence[SliceHeader]) -> list[int]:
        """Which frames of an image these slices are; none of a classic image."""
        return sorted(place.frame for place in slices if place.sop == sop and place.frame is not None)

    def made_with(self, kind: Kind, number: int = 1) -> dict[str, Any]:
        """The arguments that highdicom takes for series, instance and equipment of an object."""
        return {
            "series_instance_uid": self.uid(kind.name, "series"),
            "series_number": kind.number,
            "series_description": f"{kind.description} - {WARNING}",
            "sop_instance_uid": self.uid(kind.name, str(number)),
            "instance_number": number,
            "manufacturer": MAKER,
            "manufacturer_model_name": PRODUCT,
            "software_versions": __version__,
            # Software has no serial number: what identifies this one is in its version, and in the models' hashes.
            "device_serial_number": __version__,
            "coding_schemes": [codes.scheme()],
        }

    def observer(self) -> ObserverContext:
        """Who speaks in a document: a device (PS3.16 TID 1002 and 1004)."""
        device = DeviceObserverIdentifyingAttributes(
            uid=uid_of(PRODUCT, __version__), name=PRODUCT, manufacturer_name=MAKER, model_name=PRODUCT
        )
        return ObserverContext(codes.DEVICE, device)

    def finished(self, dataset: Dataset, is_image: bool = False) -> FileDataset:
        """An object with patient and study of the images and the time of its making, as it is read from its file."""
        for taken in (self.headers.patient_and_study, *([self.headers.lossy] if is_image else [])):
            for tag in taken.keys():  # noqa: SIM118 - a data set's own iterator would decode the values
                dataset[tag] = taken.get_item(tag)
        if is_image:
            dataset.BodyPartExamined = "HEAD"
        for keyword in ("InstanceCreation", "Content", "Series"):
            _set_time(dataset, f"{keyword}Date", f"{keyword}Time", self.made)
        _set_time(dataset, "DateOfSecondaryCapture", "TimeOfSecondaryCapture", self.made)
        for item in dataset.get("ContributingEquipmentSequence", ()):
            item.ContributionDateTime = self.made.strftime("%Y%m%d%H%M%S.%f")
        file = BytesIO()
        dataset.save_as(file, enforce_file_format=True)
        file.seek(0)
        return dcmread(file)

    def _image(self, place: SliceHeader) -> Dataset:
        image = Dataset()
        image.StudyInstanceUID = self.headers.study
        image.SeriesInstanceUID = place.series
        image.SOPClassUID = UID(place.sop_class)
        image.SOPInstanceUID = UID(place.sop)
        image.Rows, image.Columns = place.rows, place.columns
        if place.frame_of_reference:
            image.FrameOfReferenceUID = place.frame_of_reference
        # highdicom asks for these; they come from the headers, byte for byte, when the object is finished.
        for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"):
            setattr(image, keyword, "")
        image.StudyDate = image.StudyTime = image.Modality = image.ReferringPhysicianName = None
        return image


def _set_time(dataset: Dataset, date: str, time: str, made: datetime) -> None:
    if date in dataset:
        setattr(dataset, date, made.strftime("%Y%m%d"))
        setattr(dataset, time, made.strftime("%H%M%S.%f"))
