from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle

from ichscope.labels import LABELS
from ichscope.objects.fhir import About, bundle_of
from ichscope.objects.refusal import ObjectError
from ichscope.results import StudyResult
from tests.support import results_builder as build

MADE = datetime(2026, 12, 1, 11, 0, tzinfo=UTC)
ABOUT = About("1.2.3", "P7", "A7")
CRANIO = replace(build.model(probability={"subdural": 0.6}), encoder_sha256="a" * 64, head_sha256="b" * 64)
CEREBRO = replace(build.model("cerebroscan", labels=("any",), along=(0.1, 0.2)), head_sha256="c" * 64)


def study(**fields: Any) -> StudyResult:
    return StudyResult(series=(build.result(CRANIO, CEREBRO, **fields),))


def of_type(bundle: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    resources = [entry["resource"] for entry in bundle["entry"]]
    return [resource for resource in resources if resource["resourceType"] == kind]


@pytest.fixture
def bundle() -> dict[str, Any]:
    return bundle_of(study(), ABOUT, MADE)


def test_the_bundle_is_fhir_and_json(bundle: dict[str, Any]) -> None:
    again = json.loads(json.dumps(bundle))
    assert Bundle.model_validate(again).model_dump(mode="json", exclude_none=True) == bundle
    assert bundle["entry"][0]["resource"]["resourceType"] == "DiagnosticReport"


def test_every_label_of_every_model_is_an_observation(bundle: dict[str, Any]) -> None:
    observations = of_type(bundle, "Observation")
    assert len(observations) == len(LABELS) + 1
    by_code = {one["code"]["coding"][0]["code"]: one for one in observations[: len(LABELS)]}
    subdural = by_code["35486000"]
    assert subdural["code"]["coding"][0]["system"] == "http://snomed.info/sct"
    assert subdural["valueQuantity"]["value"] == 0.6
    assert subdural["interpretation"][0]["coding"][0]["code"] == "POS"
    assert subdural["component"][0]["valueQuantity"]["value"] == 0.5
    assert by_code["21454007"]["interpretation"][0]["coding"][0]["code"] == "NEG"
    assert {one["status"] for one in observations} == {"preliminary"}


def test_references_lead_to_what_is_in_the_bundle(bundle: dict[str, Any]) -> None:
    there = {entry["fullUrl"] for entry in bundle["entry"]}
    (report,) = of_type(bundle, "DiagnosticReport")
    results = {one["reference"] for one in report["result"]}
    devices = {one["device"]["reference"] for one in of_type(bundle, "Observation")}
    assert results | devices < there
    assert len(devices) == 2
    assert len(there) == len(bundle["entry"])


def test_devices_are_the_models_with_their_files(bundle: dict[str, Any]) -> None:
    cranio, cerebro = of_type(bundle, "Device")
    assert (cranio["deviceName"][0]["name"], cranio["version"][0]["value"]) == ("cranioscan", "1.0")
    assert [one["value"] for one in cranio["identifier"]] == ["a" * 64, "b" * 64]
    assert [one["value"] for one in cerebro["identifier"]] == ["c" * 64]


def test_whose_study_it_is_stands_where_fhir_has_it(bundle: dict[str, Any]) -> None:
    (report,) = of_type(bundle, "DiagnosticReport")
    assert report["subject"]["identifier"]["value"] == "P7"
    assert report["identifier"][0]["value"] == "A7"
    assert report["imagingStudy"][0]["identifier"]["value"] == "urn:oid:1.2.3"
    without = bundle_of(study(), made=MADE)
    assert not {"subject", "identifier", "imagingStudy"} & of_type(without, "DiagnosticReport")[0].keys()


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "cranioscan: signs of intracranial haemorrhage"),
        ({"status": "limited", "reasons": ("Few slices.",)}, "Limited: Few slices."),
    ],
    ids=["analysed", "limited"],
)
def test_the_conclusion_says_what_it_is_not(fields: dict[str, Any], says: str) -> None:
    (report,) = of_type(bundle_of(study(**fields), ABOUT, MADE), "DiagnosticReport")
    assert says in report["conclusion"]
    assert "Research use only, not for diagnosis" in report["conclusion"]


def test_the_same_result_gives_the_same_resources() -> None:
    assert bundle_of(study(), ABOUT, MADE) == bundle_of(study(), ABOUT, MADE)
    other = StudyResult(series=(build.result(replace(CRANIO, head_sha256="d" * 64)),))
    ids = [{entry["fullUrl"] for entry in bundle_of(one, ABOUT, MADE)["entry"]} for one in (study(), other)]
    assert not ids[0] & ids[1]


@pytest.mark.parametrize("fields", [{"status": "not analysed", "reasons": ("No head.",)}], ids=["not analysed"])
def test_without_a_result_there_is_nothing(fields: dict[str, Any]) -> None:
    with pytest.raises(ObjectError, match=r"found no result \(No head\.\)"):
        bundle_of(study(**fields))
