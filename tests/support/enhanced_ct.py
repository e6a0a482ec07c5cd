"""An Enhanced CT image: all slices in one file, as frames with functional groups of their own."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.sequence import Sequence

from ichscope.phantom import Phantom, datasets


def enhanced(head: Phantom, order: list[int], **tags: Any) -> Dataset:
    """All slices as frames of one Enhanced CT file, in the given order; tags as for `datasets`."""
    files = datasets(head)
    one = datasets(head, ImagePositionPatient=None, ImageOrientationPatient=None, PixelSpacing=None, KVP=None, **tags)[
        0
    ]
    for keyword in ("RescaleSlope", "RescaleIntercept", "SliceThickness", "ConvolutionKernel", "InstanceNumber"):
        if keyword in one:
            delattr(one, keyword)
    one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    one.NumberOfFrames = len(order)

    def item(**tags: object) -> Sequence:
        dataset = Dataset()
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)
        return Sequence([dataset])

    shared = Dataset()
    shared.PlaneOrientationSequence = item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    shared.PixelMeasuresSequence = item(PixelSpacing=list(head.spacing_mm[1:]), SliceThickness=5)
    shared.CTXRayDetailsSequence = item(KVP=110)
    shared.CTReconstructionSequence = item(ConvolutionKernel="H31s")
    shared.FrameAnatomySequence = item(AnatomicRegionSequence=item(CodeMeaning="Head"))
    one.SharedFunctionalGroupsSequence = Sequence([shared])
    frames = []
    for i in order:
        frame = Dataset()
        frame.PlanePositionSequence = item(ImagePositionPatient=files[i].ImagePositionPatient)
        frame.PixelValueTransformationSequence = item(RescaleSlope=1, RescaleIntercept=-1024 + i, RescaleType="HU")
        frames.append(frame)
    one.PerFrameFunctionalGroupsSequence = Sequence(frames)
    one.PixelData = b"".join((np.frombuffer(files[i].PixelData, np.uint16) - np.uint16(i)).tobytes() for i in order)
    return one
