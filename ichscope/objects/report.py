"""The report: what each model says of each label, as a structured report that machines and viewers read."""

from __future__ import annotations

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    Comprehensive3DSR,
    FindingSite,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurement,
    SourceImageForMeasurementGroup,
    TextContentItem,
    TrackingIdentifier,
)
from pydicom.dataset import FileDataset

from ichscope.labels import LABELS
from ichscope.objects import codes
from ichscope.objects.content import MOST_SLICES, WARNING, models_of, plain, reasons_of
from ichscope.objects.headers import SliceHeader
from ichscope.objects.making import MAKER, REPORT, Making
from ichscope.results import ModelResult, SeriesResult, top_slices


def report(result: SeriesResult, making: Making) -> FileDataset:
    """Make the structured report: Comprehensive 3D SR by TID 1500, a group by TID 1501 for each model and label.

    References
    ----------
    PS3.3 A.35.13, Comprehensive 3D SR; PS3.16 TID 1500, 1501, 300, 4019, 4108 and 1600
    """
    content = MeasurementReport(
        observation_context=ObservationContext(observer_device_context=making.observer()),
        procedure_reported=codes.HEAD_CT,
        imaging_measurements=[
            _group(model, label, making)
            for model in models_of(result)
            for label in LABELS
            if label in model.probability
        ],
        referenced_images=making.images(),
    )
    content[0].ContentSequence.extend(_comment(text) for text in _comments(result))
    document = Comprehensive3DSR(
        evidence=making.images(), content=content, is_complete=True, **making.made_with(REPORT)
    )
    return making.finished(document)


def _comments(result: SeriesResult) -> list[str]:
    """What holds of the whole report, in words."""
    point = ", ".join(dict.fromkeys(model.operating_point for model in models_of(result)))
    return [
        f"{WARNING}.",
        f"Present means that the probability reaches the threshold of the operating point ({point}). Absent does not "
        "rule out a haemorrhage.",
        *(f"The result is limited: {reason}" for reason in reasons_of(result)),
    ]


def _comment(text: str) -> TextContentItem:
    return TextContentItem(codes.COMMENT, plain(text), RelationshipTypeValues.CONTAINS)


def _group(model: ModelResult, label: str, making: Making) -> MeasurementsAndQualitativeEvaluations:
    """What one model says of one label: present or absent, how probable, from where on, and on which slices."""
    present = model.reaches(label)
    top = top_slices(model.slice_probability[label], MOST_SLICES) if present else []
    places = [making.headers.slices[index] for index in top]
    along = model.slice_probability[label]
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(
            uid=making.uid("tracking", model.name, label), identifier=f"{model.name} {label}"
        ),
        finding_type=codes.FINDINGS[label],
        finding_sites=[FindingSite(codes.INTRACRANIAL)],
        algorithm_id=_algorithm(model),
        measurements=[
            Measurement(codes.PROBABILITY, model.probability[label], codes.NO_UNITS),
            Measurement(codes.THRESHOLD, model.thresholds[label], codes.NO_UNITS),
            *(_on_slice(along[index], place) for index, place in zip(top, places, strict=True)),
        ],
        qualitative_evaluations=[QualitativeEvaluation(codes.PRESENCE, codes.PRESENT if present else codes.ABSENT)],
        source_images=[
            SourceImageForMeasurementGroup(image.SOPClassUID, image.SOPInstanceUID, frames or None)
            for image in making.images(places)
            for frames in [making.frames_in(image.SOPInstanceUID, places)]
        ]
        or None,
    )


def _on_slice(probability: np.float32, place: SliceHeader) -> Measurement:
    frames = None if place.frame is None else [place.frame]
    image = SourceImageForMeasurement(place.sop_class, place.sop, frames)
    return Measurement(codes.SLICE_PROBABILITY, float(probability), codes.NO_UNITS, referenced_images=[image])


def _algorithm(model: ModelResult) -> AlgorithmIdentification:
    """Which model it was, to the byte (PS3.16 TID 4019)."""
    parameters = {
        "operating point": model.operating_point,
        "provider": model.provider,
        "encoder SHA-256": model.encoder_sha256,
        "head SHA-256": model.head_sha256,
    }
    return AlgorithmIdentification(
        name=plain(model.name),
        version=plain(model.version),
        parameters=[plain(f"{name}: {value}") for name, value in parameters.items() if value],
        manufacturer=MAKER,
    )
