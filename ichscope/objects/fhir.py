"""A study's result as FHIR R4 resources: a report, an observation for each model and label, a device for each model.

References
----------
https://hl7.org/fhir/R4/: DiagnosticReport, Observation, Device. They are made and checked as R4B, which has these three
unchanged.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from pydicom.sr.coding import Code

from ichscope.imaging.findings import Status
from ichscope.labels import LABELS
from ichscope.objects.codes import FINDINGS, HEAD_CT, SCHEME, THRESHOLD
from ichscope.objects.content import WARNING, models_of
from ichscope.objects.refusal import ObjectError
from ichscope.results import ModelResult, SeriesResult, StudyResult, deciding

# What FHIR calls the code systems that DICOM names by their designators.
_SYSTEMS: Final = {"SCT": "http://snomed.info/sct", "DCM": "http://dicom.nema.org/resources/ontology/DCM"}
_UNITS: Final = "http://unitsofmeasure.org"
_INTERPRETATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
_SECTION: Final = "http://terminology.hl7.org/CodeSystem/v2-0074"
# What UUIDs of resources are made in (RFC 9562, version 5): the same result gives the same ones.
_NAMESPACE: Final = uuid.uuid5(uuid.NAMESPACE_URL, "ICHScope FHIR")


@dataclass(frozen=True)
class About:
    """Whose study it is, as far as whoever makes the resources may say; what is "" stays out."""

    study_uid: str = field(default="", repr=False)
    patient_id: str = field(default="", repr=False)
    accession: str = field(default="", repr=False)


def bundle_of(result: StudyResult, about: About = About(), made: datetime | None = None) -> dict[str, Any]:
    """Make the resources of a study's result, that of the series that speaks for it, as one collection.

    Parameters
    ----------
    about : what is said of patient and study; nothing where the store, which does not know it, gives the result
    made : when, by default now

    Returns
    -------
    a Bundle as plain values, for JSON; its first entry is the report

    Raises
    ------
    ObjectError
        if no model has analysed the study
    """
    from fhir.resources.R4B.bundle import Bundle

    speaks = result.speaks
    if speaks.status == Status.NOT_ANALYSED or not speaks.models:
        reason = " ".join(speaks.reasons) or "no model was run"
        raise ObjectError(f"{speaks.name}: found no result ({reason}), expected that a model has analysed the study")
    at = (made or datetime.now(UTC)).isoformat(timespec="seconds")
    common = _common(speaks, about, at)
    devices = {model.name: _device(model) for model in models_of(speaks)}
    observations = [one for model in models_of(speaks) for one in _observations(speaks, model, devices, common)]
    resources = [_report(speaks, about, observations, common, at), *observations, *devices.values()]
    entries = [{"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource} for resource in resources]
    # The package checks what is written, and gives it back in the order of the standard.
    bundle = Bundle.model_validate({"resourceType": "Bundle", "type": "collection", "timestamp": at, "entry": entries})
    values: dict[str, Any] = bundle.model_dump(mode="json", exclude_none=True)
    return values


def _common(result: SeriesResult, about: About, at: str) -> dict[str, Any]:
    """What report and observations share; nobody has confirmed any of it."""
    common: dict[str, Any] = {"status": "preliminary", "effectiveDateTime": at}
    if about.patient_id:
        common["subject"] = {"type": "Patient", "identifier": {"value": about.patient_id}}
    return common


def _report(
    result: SeriesResult, about: About, observations: list[dict[str, Any]], common: dict[str, Any], at: str
) -> dict[str, Any]:
    seen = [model.name for model in deciding(models_of(result)) if model.flagged]
    words = f"{', '.join(seen)}: signs of intracranial haemorrhage" if seen else "No model is above its threshold"
    limits = [f"Limited: {' '.join(result.reasons)}"] if result.status == Status.LIMITED else []
    report = {
        "resourceType": "DiagnosticReport",
        "id": _id(result, "report"),
        **common,
        "issued": at,
        "category": [{"coding": [{"system": _SECTION, "code": "CT"}]}],
        "code": _concept(HEAD_CT),
        "result": [{"reference": f"urn:uuid:{one['id']}"} for one in observations],
        "conclusion": " ".join([f"{WARNING}.", f"{words}.", *limits]),
    }
    if about.accession:
        report["identifier"] = [{"type": {"text": "Accession Number"}, "value": about.accession}]
    if about.study_uid:
        image = {"system": "urn:dicom:uid", "value": f"urn:oid:{about.study_uid}"}
        report["imagingStudy"] = [{"type": "ImagingStudy", "identifier": image}]
    return report


def _observations(
    result: SeriesResult, model: ModelResult, devices: dict[str, dict[str, Any]], common: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    for label in (label for label in LABELS if label in model.probability):
        code, text = ("POS", "Positive") if model.reaches(label) else ("NEG", "Negative")
        observation = {
            "resourceType": "Observation",
            "id": _id(result, model.name, label),
            **common,
            "code": _concept(FINDINGS[label]),
            "valueQuantity": _quantity(model.probability[label]),
            "device": {"reference": f"urn:uuid:{devices[model.name]['id']}"},
            "note": [{"text": f"Probability by {model.name} {model.version}. {WARNING}."}],
        }
        if label in model.thresholds:
            observation["interpretation"] = [
                {"coding": [{"system": _INTERPRETATION, "code": code, "display": text}]},
            ]
            threshold = {"code": _concept(THRESHOLD), "valueQuantity": _quantity(model.thresholds[label])}
            observation["component"] = [threshold]
        yield observation


def _device(model: ModelResult) -> dict[str, Any]:
    hashes = {"encoder": model.encoder_sha256, "head": model.head_sha256}
    return {
        "resourceType": "Device",
        "id": str(uuid.uuid5(_NAMESPACE, f"{model.name} {model.version} {' '.join(hashes.values())}")),
        "identifier": [
            {"type": {"text": f"SHA-256 of the {part}"}, "value": value} for part, value in hashes.items() if value
        ],
        "deviceName": [{"name": model.name, "type": "model-name"}],
        "version": [{"value": model.version}],
        "note": [{"text": f"{WARNING}. No medical device."}],
    }


def _concept(code: Code) -> dict[str, Any]:
    coding = {"code": code.value, "display": code.meaning}
    system = _SYSTEMS.get(code.scheme_designator)
    return {"coding": [coding | ({"system": system} if system else {"system": f"urn:{SCHEME}"})], "text": code.meaning}


def _quantity(value: float) -> dict[str, Any]:
    return {"value": round(value, 5), "system": _UNITS, "code": "1"}


def _id(result: SeriesResult, *what: str) -> str:
    """The same for the same study, models and part."""
    models = " ".join(f"{model.name} {model.encoder_sha256} {model.head_sha256}" for model in models_of(result))
    return str(uuid.uuid5(_NAMESPACE, "\0".join([result.study, result.series, models, *what])))
