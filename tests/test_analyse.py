from __future__ import annotations

import dataclasses
import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ichscope import phantom, results
from ichscope.analyse import analyse as analyse_studies
from ichscope.analyse import analyse_group, series_name
from ichscope.imaging.intake import Group, Source, collect
from ichscope.imaging.preprocess import model_input
from ichscope.labels import LABELS
from ichscope.models.card import CARD_FILE, ModelError
from ichscope.models.detector import Detector
from ichscope.models.registry import load_detectors
from ichscope.phantom import Phantom
from ichscope.results import SeriesResult
from tests.support import tiny_model

File = tuple[str, bytes]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in ("cranioscan", "cerebroscan"):
        tiny_model.build(folder, name)
    return folder


@pytest.fixture(scope="module")
def detectors(models: Path) -> dict[str, Detector]:
    return load_detectors(models, provider="cpu")


def files(made: Phantom, folder: str, **tags: Any) -> list[File]:
    made_files = enumerate(phantom.datasets(made, **tags), 1)
    return [(f"{folder}/IM{i:04d}.dcm", phantom.to_bytes(one)) for i, one in made_files]


def picture(made: Phantom, index: int) -> bytes:
    grey = np.clip(made.hu[index] / 80 * 255, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(grey).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def bleeding() -> Phantom:
    return phantom.make("intraparenchymal", seed=1, slices=8, size=128)


@pytest.fixture(scope="module")
def good(bleeding: Phantom) -> list[File]:
    return files(bleeding, "good")


def analyse(*inputs: Any, **options: Any) -> Iterator[SeriesResult]:
    """The results of all series, study by study."""
    return (result for study in analyse_studies(*inputs, **options) for result in study.series)


def one(inputs: list[File], detectors: Mapping[str, Detector], **options: Any) -> SeriesResult:
    (result,) = analyse(inputs, detectors, **options)
    return result


# ---------------------------------------------------------------- one good study


def test_every_model_speaks_of_every_slice(good: list[File], detectors: dict[str, Detector]) -> None:
    result = one(good, detectors)
    assert (result.status, result.reasons, result.name) == ("analysed", (), "good")
    assert set(result.models) == {"cranioscan", "cerebroscan"}
    for model in result.models.values():
        assert model.evidence.shape == (8, tiny_model.GRID, tiny_model.GRID)
        assert {len(values) for values in model.slice_probability.values()} == {8}
        assert model.probability["any"] == pytest.approx(model.slice_probability["any"].max())
    assert tuple(result.models["cranioscan"].probability) == LABELS
    assert tuple(result.models["cerebroscan"].probability) == ("any",)
    assert result.volume is not None
    assert result.volume.hu.shape == (8, 128, 128)


def test_thin_slices_are_judged_as_the_thick_ones_that_they_make(detectors: dict[str, Detector]) -> None:
    thick = phantom.make("intraparenchymal", seed=1, slices=12, size=64)
    thick = dataclasses.replace(thick, spacing_mm=(5.0, *thick.spacing_mm[1:]))
    spread = np.array([-4, -2, 0, 2, 4], np.int16)[:, None, None]  # five slices of 1 mm around each, with its mean
    thin = dataclasses.replace(
        thick,
        hu=(thick.hu[:, None] + spread).reshape(60, 64, 64),
        mask=thick.mask.repeat(5, axis=0),
        spacing_mm=(1.0, *thick.spacing_mm[1:]),
    )
    of_thick, of_thin = one(files(thick, "thick"), detectors), one(files(thin, "thin"), detectors)
    assert "slabs" in {finding.code for finding in of_thin.findings}
    assert len(of_thin.slices) == 60, "the viewer scrolls the slices that came"
    for name, model in of_thick.models.items():
        same = of_thin.models[name]
        assert same.probability == pytest.approx(model.probability, abs=1e-5)
        np.testing.assert_allclose(same.evidence, model.evidence.repeat(5, axis=0), atol=1e-5)
        for label, along in model.slice_probability.items():
            np.testing.assert_allclose(same.slice_probability[label], along.repeat(5), atol=1e-5)


@pytest.mark.parametrize(("theirs", "runs"), [("same", 1), ("other", 2), ("", 2)])
def test_models_with_one_encoder_run_it_once(
    good: list[File], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theirs: str, runs: int
) -> None:
    tiny_model.build(tmp_path, "cranioscan", "same" if theirs else "")
    tiny_model.build(tmp_path, "cerebroscan", theirs)
    encoded, encode = [], Detector.encode

    def counted(self: Detector, *arguments, **named):
        encoded.append(self.card.name)
        return encode(self, *arguments, **named)

    monkeypatch.setattr(Detector, "encode", counted)
    seen: list[tuple[int, int]] = []
    detectors = load_detectors(tmp_path, provider="cpu")
    found = next(analyse(good, detectors, progress=lambda done, total, _: seen.append((done, total))))
    assert len(encoded) == runs
    assert list(found.models) == ["cerebroscan", "cranioscan"]
    few, many = found.models.values()
    np.testing.assert_array_equal(few.evidence, many.evidence)
    np.testing.assert_array_equal(few.slice_probability["any"], many.slice_probability["any"])
    assert {total for _, total in seen} == {16}


def test_the_models_see_the_cropped_head(bleeding: Phantom, good: list[File], detectors: dict[str, Detector]) -> None:
    hu, box = model_input(bleeding.hu, bleeding.spacing_mm[1:])
    expected = detectors["cranioscan"].run(hu)
    result = one(good, detectors)
    found = result.models["cranioscan"]
    assert result.box is not None
    assert dataclasses.astuple(result.box) == pytest.approx(dataclasses.astuple(box))
    np.testing.assert_allclose(found.slice_probability["any"], expected.slice_probability[:, 0], atol=1e-6)
    np.testing.assert_allclose(found.evidence, expected.evidence[..., 0], atol=1e-6)
    assert np.ptp(expected.slice_probability[:, 0]) > 0.05, "slices that are alike would prove nothing"


def test_the_box_covers_the_head_in_every_slice(
    bleeding: Phantom, good: list[File], detectors: dict[str, Detector]
) -> None:
    box = one(good, detectors).box
    assert box is not None
    rows, columns = (np.flatnonzero((bleeding.hu[3] > 15).any(axis=axis)) for axis in (1, 0))
    assert box.top < rows[0]
    assert rows[-1] < box.top + box.height
    assert box.left < columns[0]
    assert columns[-1] < box.left + box.width


@pytest.mark.parametrize(("threshold", "flagged"), [(0.0, True), (1.0, False)])
def test_flagged_from_the_threshold_on(
    good: list[File], detectors: dict[str, Detector], monkeypatch: pytest.MonkeyPatch, threshold: float, flagged: bool
) -> None:
    detector = detectors["cranioscan"]
    thresholds = {**detector.card.thresholds, "any": threshold}
    monkeypatch.setattr(detector, "card", dataclasses.replace(detector.card, thresholds=thresholds))
    model = one(good, {"cranioscan": detector}).models["cranioscan"]
    assert (model.flagged, model.threshold, model.operating_point) == (flagged, threshold, "Youden")


def test_a_probability_at_the_threshold_is_flagged(
    good: list[File], detectors: dict[str, Detector], monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = detectors["cranioscan"]
    exactly = one(good, detectors).models["cranioscan"].probability["any"]
    monkeypatch.setattr(detector, "card", dataclasses.replace(detector.card, thresholds={"any": exactly}))
    assert one(good, {"cranioscan": detector}).models["cranioscan"].flagged


def test_one_slice_is_a_study_with_a_warning(good: list[File], detectors: dict[str, Detector]) -> None:
    result = one(good[4:5], detectors)
    assert (result.status, len(result.slices)) == ("limited", 1)
    assert "one slice only" in " ".join(result.reasons)
    assert len(result.models["cranioscan"].slice_probability["any"]) == 1


def test_pictures_are_limited(bleeding: Phantom, detectors: dict[str, Detector]) -> None:
    shown = [(f"shots/{i}.png", picture(bleeding, i)) for i in (3, 4)]
    single = list(analyse(shown, detectors))
    assert [(result.status, len(result.slices)) for result in single] == [("limited", 1)] * 2
    together = one(shown, detectors, pictures_as_series=True)
    assert (together.status, len(together.slices)) == ("limited", 2)


# ---------------------------------------------------------------- studies with several series


@pytest.fixture(scope="module")
def examination(bleeding: Phantom) -> list[File]:
    """A thick soft-tissue series, the same with a bone kernel, and a scout: one study, three series."""
    study = {"StudyInstanceUID": "1.2.3.4"}
    bone = files(bleeding, "e/bone", **study, SeriesInstanceUID="1.2.3.4.1", ConvolutionKernel="H70h", SeriesNumber=2)
    soft = files(bleeding, "e/soft", **study, SeriesInstanceUID="1.2.3.4.2", ConvolutionKernel="H31s", SeriesNumber=3)
    side = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}
    scout = files(bleeding, "e/scout", **study, SeriesInstanceUID="1.2.3.4.3", SeriesNumber=1, **side)
    return [*scout, *bone, *soft]


def test_of_several_series_one_speaks_and_the_others_say_why_they_are_silent(
    examination: list[File], detectors: dict[str, Detector]
) -> None:
    (study,) = analyse_studies(examination, detectors)
    assert [result.name for result in study.series] == ["e/soft", "e/bone", "e/scout"]
    assert (study.speaks.name, study.status, study.flagged) == ("e/soft", "analysed", True)
    assert study.speaks.role_reason.startswith("original axial soft-tissue series")
    assert "a bone kernel" in study.speaks.role_reason
    bone, scout = study.others
    assert (bone.models, scout.models) == ({}, {})
    assert bone.left_to_another
    assert bone.volume is not None, "it can be opened"
    assert bone.reasons == (
        "Not analysed, because another series speaks for the study; it can be analysed on request.",
    )
    assert not scout.left_to_another, "a scout cannot be analysed at all"
    entries = study.to_json()
    assert [entry["role"] for entry in entries] == ["speaks for the study", "other series", "other series"]
    assert [entry["status"] for entry in entries] == ["analysed", "not analysed", "not analysed"]
    assert len({entry["study"] for entry in entries}) == 1


def test_all_series_are_analysed_on_request(examination: list[File], detectors: dict[str, Detector]) -> None:
    (study,) = analyse_studies(examination, detectors, all_series=True)
    assert [set(result.models) for result in study.series] == [set(detectors), set(detectors), set()]
    assert study.speaks.name == "e/soft"


def test_where_the_best_series_cannot_be_analysed_the_next_one_speaks(
    bleeding: Phantom, detectors: dict[str, Detector]
) -> None:
    study = {"StudyInstanceUID": "1.2.3.5"}
    soft = {"ConvolutionKernel": "H31s", "RescaleSlope": None}
    broken = files(bleeding, "e/1", **study, SeriesInstanceUID="1.2.3.5.1", **soft)
    bone = files(bleeding, "e/2", **study, SeriesInstanceUID="1.2.3.5.2", ConvolutionKernel="H70h")
    (result,) = analyse_studies([*broken, *bone], detectors)
    assert (result.speaks.name, result.status) == ("e/2", "analysed")
    assert "would come first but could not be analysed" in result.speaks.role_reason


# ---------------------------------------------------------------- JSON as ARCHITECTURE.md gives it


def test_json_is_what_programs_rely_on(bleeding: Phantom, detectors: dict[str, Detector]) -> None:
    inputs = list(reversed(files(bleeding, "study")))
    result = one(inputs, detectors)
    entry = json.loads(results.json_text([result.to_json()]))[0]
    assert set(entry) == {"study", "series", "name", "role", "role_reason", "status", "reasons", "slices", "models"}
    assert (entry["role"], entry["role_reason"]) == ("speaks for the study", "the only series")
    assert (entry["status"], entry["reasons"], entry["slices"]) == ("analysed", [], 8)
    assert entry["study"] == result.study
    assert entry["series"] == result.series
    for name, labels in (("cranioscan", LABELS), ("cerebroscan", ("any",))):
        model = entry["models"][name]
        assert set(model) == {
            *("version", "provider", "seconds", "flagged", "decides", "threshold", "operating_point", "thresholds"),
            *("probability", "per_slice"),
        }
        assert (model["version"], model["provider"]) == ("0.0.1-test", "CPU fp32")
        assert isinstance(model["flagged"], bool)
        assert 0 < model["seconds"] < 60
        assert tuple(model["probability"]) == labels
        assert set(model["thresholds"]) == set(labels)
        assert [set(one) for one in model["per_slice"]] == [{"file", "sop", "position_mm", "probability"}] * 8
        assert all(tuple(one["probability"]) == labels for one in model["per_slice"])


def test_per_slice_json_follows_the_slices_from_foot_to_head(bleeding: Phantom, detectors: dict[str, Detector]) -> None:
    made = phantom.datasets(bleeding)
    inputs = [(f"study/{9 - i}.dcm", phantom.to_bytes(dataset)) for i, dataset in enumerate(made)]
    rows = one(inputs, detectors).to_json()["models"]["cranioscan"]["per_slice"]
    assert [row["file"] for row in rows] == [f"study/{9 - i}.dcm" for i in range(8)]
    assert [row["sop"] for row in rows] == [dataset.SOPInstanceUID for dataset in made]
    positions = [row["position_mm"] for row in rows]
    assert positions == sorted(positions)
    expected = detectors["cranioscan"].run(model_input(bleeding.hu)[0]).slice_probability[:, 0]
    assert [row["probability"]["any"] for row in rows] == pytest.approx(expected.tolist(), abs=1e-5)


def test_numbers_in_json_are_those_of_the_result(good: list[File], detectors: dict[str, Detector]) -> None:
    result = one(good, detectors)
    model = result.models["cranioscan"]
    entry = result.to_json()["models"]["cranioscan"]
    assert entry["probability"]["subdural"] == pytest.approx(model.probability["subdural"], abs=1e-6)
    told = [row["probability"]["subdural"] for row in entry["per_slice"]]
    assert told == pytest.approx(model.slice_probability["subdural"].tolist(), abs=1e-6)


# ---------------------------------------------------------------- bad input becomes a row


def test_each_series_of_a_mixed_upload_gets_its_row(
    bleeding: Phantom, good: list[File], detectors: dict[str, Detector]
) -> None:
    other = phantom.make(seed=7, slices=8, size=128)
    mr = files(other, "mr", Modality="MR", RescaleSlope=None, RescaleIntercept=None, SeriesInstanceUID="1.2.3")
    chest = files(phantom.make_chest(slices=8, size=128), "chest")
    broken = [("cut/IM1.dcm", good[0][1][:200]), ("empty.dcm", b""), ("text.dcm", b"not a scan at all")]
    stray = [("readme.txt", b"hello"), ("Thumbs.db", b"\0")]
    found = {result.name: result for result in analyse([*good, *mr, *chest, *broken, *stray], detectors)}
    assert {name: result.status for name, result in found.items()} == {
        "good": "analysed",
        "mr": "not analysed",
        "chest": "not analysed",
        "cut/IM1.dcm": "not analysed",
        "empty.dcm": "not analysed",
        "text.dcm": "not analysed",
    }
    assert "MR" in found["mr"].reasons[0]
    for name, result in found.items():
        assert bool(result.models) == (name == "good")
        assert bool(result.reasons) == (name != "good")
    json.loads(results.json_text(result.to_json() for result in found.values()))


def test_a_rejected_file_has_a_json_entry_of_the_same_form(good: list[File], detectors: dict[str, Detector]) -> None:
    rejected = one([("empty.dcm", b"")], detectors).to_json()
    assert set(rejected) == set(one(good, detectors).to_json())
    assert (rejected["name"], rejected["status"], rejected["slices"]) == ("empty.dcm", "not analysed", 0)
    assert rejected["models"] == {}
    assert len(rejected["reasons"]) == 1


@pytest.mark.parametrize(
    "tags",
    [
        {"PixelSpacing": [0, 0]},
        {"PixelSpacing": [-1, 0.5]},
        {"PixelSpacing": None},
        {"ImagePositionPatient": None},
        {"ImageOrientationPatient": None},
        {"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]},
        {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]},
        {"RescaleSlope": None},
        {"RescaleSlope": 0},
        {"RescaleIntercept": None},
        {"Modality": "PT"},
        {"PixelData": None},
        {"PixelData": b"\0\0"},
        {"Rows": 0},
        {"BitsAllocated": 7},
        {"SeriesInstanceUID": None},
        {"StudyInstanceUID": None},
        {"SliceThickness": "0"},
        {"KVP": None},
    ],
    ids=lambda tags: " ".join(f"{key}={str(value)[:20]}" for key, value in tags.items()),
)
def test_no_header_makes_it_raise(bleeding: Phantom, detectors: dict[str, Detector], tags: dict[str, Any]) -> None:
    for result in (found := list(analyse(files(bleeding, "odd", **tags), detectors))):
        assert result.status in ("analysed", "limited", "not analysed")
        assert bool(result.reasons) == (result.status != "analysed")
        assert bool(result.models) == (result.status != "not analysed")
        results.json_text([result.to_json()])
    assert found


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of what is damaged
def test_no_damage_makes_it_raise(good: list[File], detectors: dict[str, Detector]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(60):
        inputs = []
        for name, content in good[:3]:
            data = bytearray(content)
            for at in rng.integers(128, 2000, 6):
                data[at] = rng.integers(256)
            inputs.append((name, bytes(data[: rng.integers(300, len(data))] if rng.random() < 0.3 else data)))
        for result in analyse(inputs, {"cranioscan": detectors["cranioscan"]}):
            results.json_text([result.to_json()])


@pytest.mark.parametrize("value", [-1024, -1000, 0, 60, 3071])
def test_a_volume_of_one_value_is_no_head(bleeding: Phantom, detectors: dict[str, Detector], value: int) -> None:
    flat = dataclasses.replace(bleeding, hu=np.full_like(bleeding.hu, value))
    assert one(files(flat, "flat"), detectors).status == "not analysed"


def test_files_that_vanish_between_grouping_and_reading(
    tmp_path: Path, bleeding: Phantom, detectors: dict[str, Detector]
) -> None:
    paths = phantom.write(bleeding, tmp_path / "study")
    (group,) = collect([tmp_path / "study"]).groups
    paths[0].unlink()
    result = analyse_group(group, detectors)
    assert (result.status, len(result.slices)) == ("limited", 7)
    assert "IM0001.dcm" in " ".join(result.reasons)
    for path in paths[1:]:
        path.unlink()
    result = analyse_group(group, detectors)
    assert (result.status, result.models) == ("not analysed", {})
    assert result.reasons


def test_nothing_in_nothing_out(tmp_path: Path, detectors: dict[str, Detector]) -> None:
    assert list(analyse([], detectors)) == []
    assert list(analyse([tmp_path], detectors)) == []


# ---------------------------------------------------------------- a model that fails


class Failing:
    """Stands for a Detector whose provider breaks down on the way."""

    provider = "CUDA fp32"

    def __init__(self, card: Any) -> None:
        self.card = card

    def share(self, *_: Any) -> None:
        return None

    def run(self, *_: Any) -> Any:
        raise ModelError(f"{self.card.name} on CUDA fp32 failed: out of memory")


def test_a_model_that_fails_limits_the_result(good: list[File], detectors: dict[str, Detector]) -> None:
    some = {"cranioscan": Failing(detectors["cranioscan"].card), "cerebroscan": detectors["cerebroscan"]}
    result = one(good, some)
    assert (result.status, set(result.models)) == ("limited", {"cerebroscan"})
    assert result.reasons == ("cranioscan on CUDA fp32 failed: out of memory",)
    assert result.findings[0].code == "model-failed"


def test_when_every_model_fails_nothing_is_analysed(good: list[File], detectors: dict[str, Detector]) -> None:
    result = one(good, {name: Failing(detector.card) for name, detector in detectors.items()})
    assert (result.status, result.models, len(result.reasons)) == ("not analysed", {}, 2)
    assert result.volume is not None, "the study can still be looked at"


def test_a_mistake_in_the_program_is_told_and_costs_no_other_study(
    good: list[File], detectors: dict[str, Detector], caplog: pytest.LogCaptureFixture
) -> None:
    """The log has its kind and its place, and nothing of what it says, which may be a patient's."""
    calls: list[str] = []

    def run(*arguments: Any) -> Any:
        calls.append("")
        if len(calls) == 1:
            raise TypeError("Mueller^Anna")
        return detectors["cranioscan"].run(*arguments)

    wrong = SimpleNamespace(run=run, card=detectors["cranioscan"].card, provider="CPU fp32")
    more = files(phantom.make(seed=2, slices=8, size=128), "more")
    first, second = (study.speaks for study in analyse_studies([*good, *more], {"cranioscan": wrong}))
    assert (first.status, first.reasons) == ("not analysed", ("good: not analysed: unexpected TypeError",))
    assert first.findings[0].code == "unexpected-error"
    assert second.models
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert re.match(r"unexpected TypeError in .*test_analyse, line \d+$", record.getMessage())
    assert "Mueller" not in caplog.text


# ---------------------------------------------------------------- progress


def test_progress_counts_over_all_models_and_reaches_the_total(
    good: list[File], detectors: dict[str, Detector]
) -> None:
    longer = files(phantom.make(seed=2, slices=20, size=128), "longer")
    seen: list[tuple[int, int, str]] = []
    list(analyse([*good, *longer], detectors, progress=lambda *now: seen.append(now)))
    for name, slices in (("good", 8), ("longer", 20)):
        mine = [(done, total) for done, total, what in seen if what == name]
        assert {total for _, total in mine} == {2 * slices}
        assert [done for done, _ in mine] == sorted({done for done, _ in mine})
        assert mine[-1][0] == 2 * slices


def test_results_come_one_by_one(good: list[File], detectors: dict[str, Detector]) -> None:
    stream = analyse([("empty.dcm", b""), *good], detectors)
    assert next(stream).status == "not analysed"
    assert next(stream).status == "analysed"


# ---------------------------------------------------------------- names and models


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.dcm"], "a.dcm"),
        (["study/a.dcm"], "study/a.dcm"),
        (["study/1/a.dcm", "study/1/b.dcm"], "study/1"),
        (["study/1/a.dcm", "study/2/b.dcm"], "study"),
        (["one/a.dcm", "two/b.dcm"], "one/a.dcm and 1 more"),
        (["a.dcm", "b.dcm", "c.dcm"], "a.dcm and 2 more"),
    ],
)
def test_series_name(names: list[str], expected: str) -> None:
    assert series_name(Group("ct", "s", "k", tuple(Source(name, data=b"") for name in names))) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (None, ["cerebroscan", "cranioscan"]),
        ([], ["cerebroscan", "cranioscan"]),
        (["cranioscan"], ["cranioscan"]),
    ],
)
def test_load_detectors(models: Path, names: list[str] | None, expected: list[str]) -> None:
    assert list(load_detectors(models, names, provider="cpu")) == expected


@pytest.mark.parametrize("name", ["other", "../cranioscan", ""])
def test_a_model_that_is_not_there_is_named(models: Path, name: str) -> None:
    with pytest.raises(ModelError, match=rf"expected the model '{name}', found cerebroscan, cranioscan"):
        load_detectors(models, [name])


def test_a_folder_without_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="expected at least one model, found none"):
        load_detectors(tmp_path / "nowhere")


def test_one_damaged_model_is_not_left_out_silently(tmp_path: Path) -> None:
    for name in ("cranioscan", "cerebroscan"):
        tiny_model.build(tmp_path, name)
    (tmp_path / "cranioscan" / CARD_FILE).write_text("{}")
    with pytest.raises(ModelError, match="cranioscan"):
        load_detectors(tmp_path, provider="cpu")


def test_the_folder_can_be_given_by_the_environment(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "ICHSCOPE_MODELS", str(models))
    assert set(load_detectors(provider="cpu")) == {"cranioscan", "cerebroscan"}
