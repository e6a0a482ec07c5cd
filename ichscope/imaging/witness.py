"""What the tags say of where and when slices were taken, each tag on its own: witnesses that may contradict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset

from ichscope.imaging.elements import DicomError, describe, integer, items, number, text
from ichscope.imaging.frames import Frame
from ichscope.imaging.kernels import is_soft_tissue

Values = NDArray[np.float64]
# Slices nearer than this lie in one place; positions are rounded to hundredths in practice.
SAME_PLACE_MM = 0.05
# An Enhanced image says it of each frame under these names (PS3.3 C.7.6.16.2.2).
_OF_A_FRAME = {
    "AcquisitionNumber": "FrameAcquisitionNumber",
    "TemporalPositionIdentifier": "TemporalPositionIndex",
    "AcquisitionTime": "FrameAcquisitionDateTime",
}
_ORDERING = ("ImagePositionPatient", "SliceLocation", "InStackPositionNumber", "InstanceNumber", "AcquisitionTime")


@dataclass(frozen=True, eq=False)
class Witness:
    """One tag and its value for each of some frames, NaN where it says nothing.

    in_mm : whether the values are places, not only an order
    """

    keyword: str
    values: Values
    in_mm: bool = False

    @property
    def name(self) -> str:
        """Name and number of the tag."""
        return describe(self.keyword)

    @property
    def complete(self) -> bool:
        """Whether it knows of every frame."""
        return not np.isnan(self.values).any()

    @property
    def different(self) -> int:
        """How many values differ."""
        return len(np.unique(self.ids[self.ids >= 0]))

    @property
    def ids(self) -> NDArray[np.int64]:
        """The number of each value in ascending order, equal for values that are the same; -1 where unknown."""
        known = np.flatnonzero(~np.isnan(self.values))
        order = known[np.argsort(self.values[known], kind="stable")]
        ids = np.full(len(self.values), -1)
        if len(order):
            steps = np.diff(self.values[order]) > (SAME_PLACE_MM if self.in_mm else 1e-6)
            ids[order] = np.concatenate([[0], np.cumsum(steps)])
        return ids

    @property
    def orders(self) -> bool:
        """Whether it puts all frames into one order."""
        return self.complete and self.different == len(self.values)

    def of(self, chosen: Sequence[int]) -> Witness:
        """The same of some of the frames."""
        return replace(self, values=self.values[list(chosen)])


def witness(frames: Sequence[Frame], keyword: str) -> Witness:
    """What one tag says of frames.

    Examples
    --------
    >>> from ichscope.imaging.frames import read_frames
    >>> from ichscope.phantom import datasets, make, to_bytes
    >>> files = [to_bytes(dataset) for dataset in datasets(make(slices=4, size=64))]
    >>> frames = [frame for file in files for frame in read_frames(file, "IM")]
    >>> witness(frames, "SliceLocation").different, witness(frames, "TemporalPositionIdentifier").different
    (4, 0)
    """
    if keyword == "ImagePositionPatient":
        return Witness(keyword, _array([frame.place for frame in frames]), in_mm=True)
    if keyword == "InstanceNumber":
        return Witness(keyword if frames[0].index is None else "NumberOfFrames", _numbers(frames))
    if keyword == "ConvolutionKernel":
        return Witness(keyword, _kernels(frames))
    read = _READ.get(keyword, _number)
    return Witness(keyword, _array([_of_frame(frame, keyword, read) for frame in frames]), keyword == "SliceLocation")


def order_witnesses(frames: Sequence[Frame]) -> list[Witness]:
    """Those that can put slices in order, the best first."""
    return [witness(frames, keyword) for keyword in _ORDERING]


def _array(values: Sequence[float | None]) -> Values:
    return np.array([np.nan if value is None else value for value in values], float)


def _of_frame(frame: Frame, keyword: str, read: Callable[[Dataset, str], float | None]) -> float | None:
    """From the frame's own groups; a tag of the image as a whole says nothing of a frame of many."""
    for group in _groups(frame.own):
        for name in (keyword, _OF_A_FRAME.get(keyword, keyword)):
            if (value := read(group, name)) is not None:
                return value
    return read(frame.dataset, keyword) if frame.index is None else None


def _groups(own: Dataset) -> list[Dataset]:
    sequences = ("FrameContentSequence", "TemporalPositionSequence")
    return [item for sequence in sequences for item in _items(own, sequence)]


def _items(dataset: Dataset, sequence: str) -> list[Dataset]:
    try:
        return items(dataset, sequence, "")
    except DicomError:
        return []


def _number(dataset: Dataset, keyword: str) -> float | None:
    read = integer if dictionary_VR(keyword) in ("UL", "US") else number
    try:
        return read(dataset, keyword, "")
    except DicomError:
        return None


def _time(dataset: Dataset, keyword: str) -> float | None:
    """Seconds, from a time or from a date and time; the date stands beside the time, if at all."""
    value = text(dataset, keyword)
    if keyword.endswith("DateTime"):
        day, clock = value[:8], value[8:]
    else:
        day, clock = text(dataset, keyword.replace("Time", "Date")), value
    try:
        seconds = int(clock[:2]) * 3600 + int(clock[2:4] or 0) * 60 + float(clock[4:].split("+")[0] or 0)
    except ValueError:
        return None
    try:
        return seconds + 86400 * date(int(day[:4]), int(day[4:6]), int(day[6:8])).toordinal()
    except ValueError:
        return seconds


_READ = dict.fromkeys(("AcquisitionTime", "ContentTime", "FrameAcquisitionDateTime"), _time)


def _numbers(frames: Sequence[Frame]) -> Values:
    """Instance Number; in a file of several frames, the frame's, file by file."""
    values = _array([_number(frame.dataset, "InstanceNumber") for frame in frames])
    if frames[0].index is None:
        return values
    if len({id(frame.dataset) for frame in frames}) == 1:
        values[:] = 0
    numbers: Values = values * 1e5 + np.array([frame.index or 0 for frame in frames])
    return numbers


def _kernels(frames: Sequence[Frame]) -> Values:
    """A number for each kernel, those for soft tissue first."""
    names = [frame.facts.kernel for frame in frames]
    known = sorted(set(filter(None, names)), key=lambda name: (is_soft_tissue(name) is not True, name))
    return _array([known.index(name) if name else None for name in names])
