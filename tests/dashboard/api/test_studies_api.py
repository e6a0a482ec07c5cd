"""Studies handed over, listed and given: every way in, every refusal, and each content analysed once."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from PIL import Image
from sqlalchemy import func, select, update

from dashboard import arrivals, cached, seen
from dashboard.api import studies
from dashboard.background import Background
from ichscope.access import Right
from ichscope.access.events import Action
from ichscope.imaging.limits import MIB
from ichscope.store import Store, TrailFilter, volumes
from ichscope.store.access_tables import Outgoing
from ichscope.store.tables import Result
from tests.dashboard.api.conftest import NAME, NUMBER, Program, multipart, study, wait_for, zipped
from tests.support import tiny_model

ZIP, DICOM = "application/zip", "application/dicom"


def results(store: Store) -> int:
    """How often a model has judged a series."""
    with store.database.reading() as session:
        return session.scalar(select(func.count()).select_from(Result)) or 0


def analysed(store: Store) -> int:
    return store.trail.count(TrailFilter(action=Action.ANALYSED))


def left_on_disk(store: Store) -> list[Path]:
    """Files of uploads that are still there."""
    home = store.volumes.parent
    every = [path for folder in ("incoming", "uploads") for path in (home / folder).rglob("*") if path.is_file()]
    return [path for path in every if path.name != "in use"]


# ---- in ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (zipped(study()), ZIP),
        (next(iter(study().values())), DICOM),
        multipart(study()),
        multipart(study(), "related"),
        multipart({"a.zip": zipped(study())}),
        multipart({"": next(iter(study().values()))}),
        multipart({"../../etc/a": next(iter(study().values())), "ä" * 400: b"x"}),
    ],
    ids=["zip", "dicom", "form-data", "related", "zip-in-form-data", "without-name", "names"],
)
def test_every_way_in_ends_in_a_study(program: Program, store: Store, body: bytes, kind: str) -> None:
    answer = program.post("/api/studies?wait=40", body, kind)
    assert answer.status_code == 200
    job = answer.json()
    assert (job["state"], job["counts"]) == ("done", {"waiting": 0, "running": 0, "done": 1, "failed": 0})
    assert [series["study"] for series in job["results"]] == job["studies"] == [store.worklist.page()[0].study_key]
    assert program.get(answer.headers["location"]).json() == {k: v for k, v in job.items() if k != "results"}
    wait_for(lambda: not left_on_disk(store))


def test_who_does_not_wait_finds_the_job_at_its_address(program: Program, store: Store) -> None:
    answer = program.post("/api/studies", zipped(study(), study(1), {"notes.txt": b"x"}), ZIP)
    assert answer.status_code == 202
    assert "results" not in answer.json()
    wait_for(lambda: program.get(answer.headers["location"]).json()["state"] == "done")
    job = program.get(answer.headers["location"]).json()
    assert job["counts"]["done"] == len(job["studies"]) == 2
    assert job["left_out"] == "1 file that is no image was left out."
    assert program.get("/api/queue").json() == {"waiting": 0, "running": 0, "done": 2, "failed": 0, "on_hold": False}


def test_the_time_to_wait_has_an_end(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Background, "start", lambda self: None)
    answer = program.hand_over(zipped(study()), wait=0.3)
    assert (answer.status_code, answer.json()["state"]) == (202, "waiting")
    monkeypatch.setattr(studies, "_MOST_WAITING", 0)
    assert program.hand_over(zipped(study()), wait=50).status_code == 202


def test_pictures_are_series_where_that_is_asked_for(program: Program) -> None:
    made = io.BytesIO()
    Image.new("L", (80, 80), 90).save(made, "PNG")
    body, kind = multipart({f"{number}.png": made.getvalue() for number in range(2)})
    apart, together = (
        program.post(f"/api/studies?wait=40&pictures_as_series={asked}", body, kind).json() for asked in ("no", "yes")
    )
    assert apart["job"] != together["job"]
    assert together["counts"]["done"] == 1


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("", b"x", 415),
        ("text/plain", b"x", 415),
        ("image/png", b"x", 415),
        ("application/zip2", b"x", 415),
        (ZIP, b"", 422),
        ("multipart/form-data", b"x", 400),
        ("multipart/form-data; boundary=border", b"no part", 400),
        ("multipart/form-data; boundary=border", b"--border\r\nno end", 400),
        ("multipart/form-data; boundary=border", b"--border--\r\n", 422),
        ("multipart/form-data; boundary=border", b"--border\r\n" + b"A: " + b"a" * 100_000, 400),
        (multipart({"empty.dcm": b""})[1], multipart({"empty.dcm": b""})[0], 422),
    ],
)
def test_what_is_no_file_is_refused(program: Program, store: Store, kind: str, body: bytes, status: int) -> None:
    answer = program.post("/api/studies", body, kind)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["connection"] == "close"
    assert answer.json()["status"] == status
    assert (store.jobs.recent(), left_on_disk(store)) == ([], [])


def test_a_body_that_is_packed_on_the_way_is_refused(program: Program) -> None:
    headers = {"content-type": ZIP, "content-encoding": "gzip"}
    assert (
        program.ask("POST", "/api/studies", content=gzip.compress(zipped(study())), headers=headers).status_code == 415
    )


@pytest.mark.parametrize("asked", ["wait=51", "wait=-1", "wait=nan", "wait=x", "pictures_as_series=perhaps"])
def test_a_wish_that_makes_no_sense_is_refused(program: Program, store: Store, asked: str) -> None:
    answer = program.post(f"/api/studies?{asked}", zipped(study()), ZIP)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(asked.partition("=")[0])
    assert store.jobs.recent() == []


def test_what_nobody_can_read_has_its_reason(program: Program) -> None:
    job = program.hand_over(zipped({"a.dcm": next(iter(study().values()))[:2000]})).json()
    (series,) = job["results"]
    assert series["status"] == "not analysed"
    assert series["reasons"]


# ---- limits --------------------------------------------------------------------------------------------


def test_more_than_an_upload_may_hold_is_refused(
    program: Program, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ICHSCOPE_UPLOAD_MB", "1")
    many = multipart({f"{number}.dcm": b"x" for number in range(20)})
    for body, kind in ((bytes(2 * MIB), ZIP), many, (bytes(20 * MIB), ZIP)):
        answer = program.post("/api/studies", body, kind)
        assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")
    assert (store.jobs.recent(), left_on_disk(store)) == ([], [])


def test_a_token_may_have_so_much_on_its_way(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ICHSCOPE_UPLOAD_MB", "1")
    arrivals.arrivals().charge("program-token-1", 2 * MIB - 100_000)
    answer = program.post("/api/studies", bytes(200_000), ZIP)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "30")
    arrivals.arrivals().charge("program-token-1", 100_000 - 2 * MIB)
    assert program.post("/api/studies", zipped(study()), ZIP).status_code == 202
    assert arrivals.arrivals()._held["program-token-1"] == 0


def test_a_full_disk_is_told(program: Program, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "LEAST_FREE_BYTES", 1 << 60)
    answer = program.post("/api/studies", zipped(study()), ZIP)
    assert (answer.status_code, answer.json()["title"]) == (503, "Service Unavailable")
    assert store.jobs.recent() == []


def test_without_models_nothing_is_taken(
    program: Program, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models" / "cranioscan").mkdir(parents=True)
    (tmp_path / "models" / "cranioscan" / "card.json").write_text("{")
    monkeypatch.setenv("ICHSCOPE_MODELS", str(tmp_path / "models"))
    assert program.post("/api/studies", zipped(study()), ZIP).status_code == 503
    assert (store.jobs.recent(), left_on_disk(store)) == ([], [])


# ---- once ----------------------------------------------------------------------------------------------


def test_the_same_content_is_the_same_job_and_analysed_once(program: Program, store: Store) -> None:
    first = program.hand_over(zipped(study())).json()
    judged, lines = results(store), analysed(store)
    assert program.hand_over(zipped(study())).json() == first
    assert program.post("/api/studies", zipped(study()), ZIP).json() == first, "known already: nobody waits"
    # Other names in another wrapping: another job, and still no second analysis.
    body, kind = multipart({f"{number}": data for number, data in enumerate(study().values())})
    again = program.post("/api/studies?wait=40", body, kind).json()
    assert (again["job"] != first["job"], again["studies"]) == (True, first["studies"])
    renamed, kind = multipart({f"x/{number}": data for number, data in enumerate(reversed(study().values()))})
    assert program.post("/api/studies", renamed, kind).json()["job"] == again["job"]
    assert (results(store), analysed(store), len(store.jobs.recent())) == (judged, lines, 2)


def test_of_two_that_send_the_same_at_once_one_begins_the_job(program: Program, store: Store) -> None:
    with ThreadPoolExecutor(4) as programs:
        answers = list(programs.map(lambda _: program.post("/api/studies", zipped(study()), ZIP), range(4)))
    assert {answer.status_code for answer in answers} <= {200, 202}
    assert {answer.json()["job"] for answer in answers} == {1}
    assert len(store.jobs.recent()) == 1


def test_models_of_another_version_look_at_it_again(
    program: Program, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = program.hand_over(zipped(study())).json()
    tiny_model.build(tmp_path / "models")
    card = tmp_path / "models" / "cranioscan" / "card.json"
    card.write_text(card.read_text().replace("0.0.1-test", "0.0.2-test"))
    monkeypatch.setenv("ICHSCOPE_MODELS", str(tmp_path / "models"))
    cached.background().close()
    cached.background.clear()
    second = program.hand_over(zipped(study())).json()
    assert second["job"] != first["job"]
    assert second["results"][0]["models"]["cranioscan"]["version"] == "0.0.2-test"


def test_a_killed_server_loses_nothing_that_it_has_taken(
    program: Program, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as dead:
        dead.setattr(Background, "start", lambda self: None)
        answer = program.post("/api/studies", zipped(study()), ZIP)
        assert answer.json()["counts"]["waiting"] == 1
    next_server = Background(store)
    next_server.start()
    wait_for(lambda: program.get(answer.headers["location"]).json()["state"] == "done")
    next_server.close()
    assert program.hand_over(zipped(study()), wait=0).json()["job"] == answer.json()["job"]


def test_failures_are_told_with_their_reason_and_tried_again(
    program: Program, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as dead:
        dead.setattr(Background, "start", lambda self: None)
        address = program.post("/api/studies", zipped(study()), ZIP).headers["location"]
    (item,) = store.jobs.claim(1)
    store.jobs.fail(item.id, "the program ended")
    assert program.get(address).json()["reasons"] == [{"reason": "the program ended", "studies": 1}]
    assert program.get("/api/queue").json()["failed"] == 1
    again = program.hand_over(zipped(study())).json()
    assert (again["job"], again["counts"]["done"], again["reasons"]) == (1, 1, [])


# ---- out -----------------------------------------------------------------------------------------------


def test_a_study_is_what_the_command_says_of_it(program: Program, store: Store) -> None:
    (key,) = program.hand_over(zipped(study())).json()["studies"]
    found = program.get(f"/api/studies/{key}").json()
    assert found == json.loads(json.dumps([store.results.load(1, voxels=False).to_json()]))
    assert len(found[0]["models"]["cranioscan"]["per_slice"]) == found[0]["slices"] == len(study())


def test_who_goes_on_from_the_cursor_misses_none(program: Program) -> None:
    keys = set(program.hand_over(zipped(*(study(seed) for seed in range(3)))).json()["studies"])
    pages, cursor, more = [], 0, True
    while more:
        page = program.get(f"/api/studies?limit=2&after={cursor}").json()
        cursor, more = page["cursor"], page["more"]
        pages.append([row["study"] for row in page["studies"]])
    assert [len(page) for page in pages] == [2, 1]
    assert {key for page in pages for key in page} == keys
    assert program.get(f"/api/studies?after={cursor}").json() == {"studies": [], "cursor": cursor, "more": False}
    (late,) = program.hand_over(zipped(study(3))).json()["studies"]
    assert [row["study"] for row in program.get(f"/api/studies?after={cursor}").json()["studies"]] == [late]


@pytest.mark.parametrize(
    ("since", "status", "number"),
    [
        ("2020-01-01", 200, 1),
        ("2020-01-01T00:00:00", 200, 1),
        ("2020-01-01T00:00:00%2B02:00", 200, 1),
        ("2999-01-01T00:00:00Z", 200, 0),
        ("0001-01-01T00:00:00%2B14:00", 422, 0),
        ("yesterday", 422, 0),
    ],
)
def test_studies_since(program: Program, since: str, status: int, number: int) -> None:
    program.hand_over(zipped(study()))
    answer = program.get(f"/api/studies?since={since}")
    assert answer.status_code == status
    assert len(answer.json().get("studies", ())) == number


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/studies/ffffffffffffffff", 404),
        ("/api/studies/ffffffffffffffff/evidence", 404),
        ("/api/studies/1.2.840.99999", 422),
        ("/api/studies/FFFFFFFFFFFFFFFF", 422),
        ("/api/jobs/1", 404),
        ("/api/jobs/0", 422),
        ("/api/jobs/x", 422),
        (f"/api/jobs/{2**63 - 1}", 404),
        (f"/api/jobs/{2**63}", 422),
        (f"/api/studies?after={2**63}", 422),
        ("/api/studies?limit=501", 422),
        ("/api/nothing", 404),
        ("/api/", 404),
        ("/api/docs", 404),
    ],
)
def test_what_is_not_there(program: Program, path: str, status: int) -> None:
    answer = program.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json().keys() == {"type", "title", "status", "detail"}


def test_another_method_is_told(program: Program) -> None:
    answer = program.ask("DELETE", "/api/queue")
    assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")


def test_a_result_is_given_as_fhir(program: Program) -> None:
    (key,) = program.hand_over(zipped(study())).json()["studies"]
    answer = program.get(f"/api/studies/{key}/fhir")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/fhir+json")
    report, *others = (entry["resource"] for entry in answer.json()["entry"])
    models = program.get(f"/api/studies/{key}").json()[0]["models"]
    said = sorted(round(p, 5) for model in models.values() for p in model["probability"].values())
    given = [one["valueQuantity"]["value"] for one in others if one["resourceType"] == "Observation"]
    assert sorted(given) == said
    assert "subject" not in report


def test_the_report_of_what_was_sent_is_given_as_dicom(program: Program, store: Store) -> None:
    sent = study(bleed="subdural")
    (key,) = program.hand_over(zipped(sent)).json()["studies"]
    answer = program.get(f"/api/studies/{key}/sr")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/dicom")
    report = pydicom.dcmread(io.BytesIO(answer.content))
    images = [pydicom.dcmread(io.BytesIO(one), stop_before_pixels=True) for one in sent.values()]
    assert (report.Modality, report.StudyInstanceUID, report.PatientID) == ("SR", images[0].StudyInstanceUID, NUMBER)
    (evidence,) = report.CurrentRequestedProcedureEvidenceSequence
    named = [one for series in evidence.ReferencedSeriesSequence for one in series.ReferencedSOPSequence]
    assert {one.ReferencedSOPInstanceUID for one in named} == {image.SOPInstanceUID for image in images}
    series = program.get(f"/api/studies/{key}").json()[0]["series"]
    assert program.get(f"/api/studies/{key}/sr?series={series}").content == answer.content
    assert program.get(f"/api/studies/{key}/sr?series={key}").status_code == 404
    assert NUMBER.encode() not in b"".join(path.read_bytes() for path in store.volumes.parent.glob("ichscope.db*"))
    assert store.outgoing.post() == [], "it waits for nobody"


@pytest.mark.parametrize(
    ("why", "status"), [("late", 410), ("forgotten", 410), ("switched off", 404), ("invalid", 404), ("by hand", 404)]
)
def test_a_report_that_is_not_there_has_its_reason(
    program: Program, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str, status: int
) -> None:
    if why == "switched off":
        (tmp_path / "ichscope.toml").write_text("[results]\nreports = false\n", encoding="utf-8")
        monkeypatch.setenv("ICHSCOPE_CONFIG", str(tmp_path / "ichscope.toml"))
    files = {name: _without_uid(data) if why == "invalid" else data for name, data in study().items()}
    if why == "by hand":
        job = cached.background().upload([(name, io.BytesIO(data)) for name, data in files.items()], "Upload")
        wait_for(lambda: store.jobs.get(job).finished_at)
        key = store.worklist.page()[0].study_key
    else:
        (key,) = program.hand_over(zipped(files)).json()["studies"]
    if why in ("late", "forgotten"):
        with store.database.writing() as session:
            session.execute(update(Outgoing).values(due_at=datetime.now(UTC)))
        if why == "forgotten":
            store.outgoing.forget_reports()
    answer = program.get(f"/api/studies/{key}/sr")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def _without_uid(data: bytes) -> bytes:
    """An image as anonymisers leave it whose UIDs are none."""
    with pydicom.config.disable_value_validation(), io.BytesIO() as file:
        image = pydicom.dcmread(io.BytesIO(data))
        image.SeriesInstanceUID = "ID_0012ab"
        image.save_as(file)
        return file.getvalue()


# ---- evidence ------------------------------------------------------------------------------------------


def test_evidence_lies_where_the_volume_does(program: Program, store: Store) -> None:
    (key,) = program.hand_over(zipped(study(bleed="intraparenchymal"))).json()["studies"]
    answer = program.get(f"/api/studies/{key}/evidence")
    assert answer.headers["content-disposition"] == f'attachment; filename="{key}-cranioscan.nii"'
    image = nibabel.Nifti1Image.from_bytes(answer.content)
    result = store.results.load(1)
    assert result.volume is not None
    assert result.box is not None
    cells = image.get_fdata()
    assert np.allclose(cells.transpose(2, 1, 0), result.models["cranioscan"].evidence)
    # The grid covers the box: its outer edges are the box's, in mm.
    pixels = volumes.affine(result.volume)
    for corner, place in ((-0.5, (result.box.left, result.box.top)), (cells.shape[0] - 0.5, _end(result.box))):
        of_box = pixels @ [place[0] - 0.5, place[1] - 0.5, 0, 1]
        assert np.allclose(image.affine @ [corner, corner, 0, 1], of_box, atol=1e-4)


def _end(box: Any) -> tuple[float, float]:
    return box.left + box.width, box.top + box.height


def test_the_picture_shows_the_slice_that_matters_most(program: Program, store: Store) -> None:
    (key,) = program.hand_over(zipped(study(bleed="intraparenchymal"))).json()["studies"]
    answer = program.get(f"/api/studies/{key}/evidence?format=png&model=cerebroscan")
    assert answer.headers["content-type"] == "image/png"
    picture = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB")).astype(int)
    result = store.results.load(1)
    assert result.volume is not None
    assert picture.shape == (*result.volume.hu.shape[1:], 3)
    coloured = (picture.max(axis=2) - picture.min(axis=2)) > 10
    assert coloured.any()
    top = result.models["cerebroscan"].slice_probability["any"].argmax()
    grey = np.clip(result.volume.hu[top] / 80, 0, 1)
    assert np.abs(picture[~coloured].mean(axis=1) / 255 - grey[~coloured]).max() < 0.05


@pytest.mark.parametrize("kept", ["off", "gone", "other model"])
def test_evidence_that_is_not_kept_has_its_reason(
    program: Program, store: Store, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    monkeypatch.setenv("ICHSCOPE_VOLUMES", "off" if kept == "off" else "on")
    (key,) = program.hand_over(zipped(study())).json()["studies"]
    if kept == "gone":
        for path in store.volumes.rglob("*.nii"):
            path.unlink()
    asked = "?model=other" if kept == "other model" else ""
    answer = program.get(f"/api/studies/{key}/evidence{asked}")
    assert answer.status_code == 404
    words = {"off": "not kept", "gone": "no longer kept", "other model": "found cerebroscan, cranioscan"}
    assert words[kept] in answer.json()["detail"]


# ---- whom it names -------------------------------------------------------------------------------------


def test_no_answer_and_no_line_names_a_patient(program: Program, store: Store) -> None:
    sent, kind = multipart(study())
    answers = [program.post("/api/studies?wait=40", sent, kind)]
    job = answers[0].json()
    broken = zipped({f"{NAME}/{NUMBER}.dcm": next(iter(study().values()))[:2000]})
    answers.append(program.hand_over(broken))
    for path in (answers[0].headers["location"], "/api/studies", f"/api/studies/{job['studies'][0]}", "/api/queue"):
        answers.append(program.get(path))
    answers.append(program.get(f"/api/studies?since={NAME}"))
    answers.append(program.get(f"/api/studies/{job['studies'][0]}/evidence"))
    assert seen.LINES.wait(30) == 0
    lines = "".join(map(str, store.trail.events(TrailFilter(), limit=1000)))
    for text in (*(answer.text + str(answer.headers) for answer in answers), lines):
        for telling in (NAME, NUMBER, NAME.partition("^")[0], "1.2."):
            assert telling not in text


def test_what_programs_do_is_in_the_audit_trail(
    program_with: Callable[[Iterable[Right]], Program], store: Store
) -> None:
    program = program_with({Right.ANALYSE, Right.SEE, Right.EXPORT})
    (key,) = program.hand_over(zipped(study())).json()["studies"]
    program.get(f"/api/studies/{key}")
    program.get(f"/api/studies/{key}/evidence")
    program.get(f"/api/studies/{key}/fhir")
    assert seen.LINES.wait(30) == 0
    lines = [event for event in store.trail.events(TrailFilter(who="PACS")) if event.via in ("token", "job")]
    told = [(event.action, event.via, event.session, event.key) for event in reversed(lines)]
    assert told == [
        ("job started", "token", "token 1", "1"),
        ("analysed", "job", "", key),
        ("study seen", "token", "token 1", key),
        ("study seen", "token", "token 1", key),
        ("exported", "token", "token 1", "evidence"),
        ("exported", "token", "token 1", "fhir"),
    ]
