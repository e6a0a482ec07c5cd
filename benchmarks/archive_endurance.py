"""Does a watch lose nothing and do nothing twice, though archive and watch are killed while studies arrive?

    python -m benchmarks.archive_endurance                        # 30 studies over DICOMweb
    python -m benchmarks.archive_endurance --language network     # over C-FIND, C-GET and C-STORE, with commitment

A real archive (Orthanc) gets studies of synthetic heads, one after the other, while `ichscope watch --archive` runs as
a user starts it, with a tiny model for the plumbing and results going back. In the middle of a study, a third and half
of the way, the archive is killed (SIGKILL) and started again; two thirds and five sixths of the way it is the watch. In
the end each study must have been analysed once, and have one report in the archive, that of its own images and patient.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import requests

from benchmarks import shared
from ichscope import phantom
from ichscope.store import Store
from tests.support import orthanc, tiny_model

_SLICES, _SIZE, _QUIET_S = 4, 64, 5.0
_GIVE_UP_S = 1800.0


@dataclass
class _Watch:
    """`ichscope watch`, as a process that can be killed."""

    folder: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = field(default=None)

    def start(self) -> None:
        command = [sys.executable, "-m", "ichscope.commands.cli", "watch", "--archive", "hospital"]
        command += ["--quiet", str(_QUIET_S), "--provider", "cpu", "--models-folder", str(self.folder / "models")]
        with (self.folder / "watch.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)

    def end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(300)


def main() -> int:
    parser = shared.parser(__doc__, rounds=30)
    parser.add_argument("--language", choices=("dicomweb", "network"), default="dicomweb")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ichscope-endurance-") as name:
        folder = Path(name)
        us = {"AET": "ICHSCOPE", "Host": "127.0.0.1", "Port": orthanc.free_port()}
        allowed = {f"Allow{what}": True for what in ("Find", "Get", "Move", "StorageCommitment")}
        archive = orthanc.Orthanc(folder / "orthanc", peers={"us": us | allowed})
        watch = _Watch(folder, _settings(archive, folder, options.language))
        tiny_model.build(folder / "models", name="cranioscan")
        archive.start()
        watch.start()
        began = time.perf_counter()
        try:
            _send_and_kill(archive, watch, options.rounds)
            _wait(archive, options.rounds)
        finally:
            watch.end(signal.SIGTERM)
            report = _report(archive, folder, options.rounds)
            archive.stop()
    report |= {"machine": shared.machine(), "language": options.language, "took_s": time.perf_counter() - began}
    print(shared.conditions(report["machine"]))
    for what in ("studies", "analysed", "items_done", "items_failed", "reports", "reports_right", "sent", "waiting"):
        print(shared.line(what.replace("_", " "), [str(report[what])]))
    print(shared.line("took", [f"{report['took_s']:.0f} s"]))
    shared.save(report, options.json)
    return 0 if report["good"] else 1


def _settings(archive: orthanc.Orthanc, folder: Path, language: str) -> dict[str, str]:
    """The environment of a watch, with its file of settings."""
    said = {
        "dicomweb": f'url = "{archive.dicomweb}"\nuser_from = "ENDURANCE_USER"\npassword_from = "ENDURANCE_PASSWORD"\n',
        "network": f'title = "ORTHANC"\nhost = "127.0.0.1"\nport = {archive.dicom}\ncommitment = true\n'
        f"our_port = {archive.peers['us']['Port']}\nwhole_s = 60\n",
    }
    config = folder / "ichscope.toml"
    config.write_text(f"[archives.hospital]\n{said[language]}results = true\n")
    secrets = {"ENDURANCE_USER": orthanc.USER, "ENDURANCE_PASSWORD": orthanc.PASSWORD}
    return {**os.environ, **secrets, "ICHSCOPE_CONFIG": str(config), "ICHSCOPE_HOME": str(folder / "home")}


def _send_and_kill(archive: orthanc.Orthanc, watch: _Watch, studies: int) -> None:
    for number in range(studies):
        head = phantom.make("subdural" if number % 2 else None, number, slices=_SLICES, size=_SIZE)
        tags = {"StudyDate": f"{date.today():%Y%m%d}", "BodyPartExamined": "HEAD", "PatientID": f"E{number}"}
        instances = [phantom.to_bytes(one) for one in phantom.datasets(head, **tags)]
        archive.send(instances[:2])
        if number in (studies // 3, studies // 2):
            archive.kill()
            archive.start()
        archive.send(instances[2:])
        if number in (2 * studies // 3, 5 * studies // 6):
            watch.end(signal.SIGKILL)
            watch.start()
        time.sleep(1)


def _wait(archive: orthanc.Orthanc, studies: int) -> None:
    """Until there are as many reports as studies, and nothing more comes."""
    until = time.monotonic() + _GIVE_UP_S
    while len(_series(archive, "SR")) < studies and time.monotonic() < until:
        time.sleep(2)
    time.sleep(3 * _QUIET_S)


def _series(archive: orthanc.Orthanc, modality: str) -> list[dict[str, Any]]:
    return [one for one in archive.get("series?expand") if one["MainDicomTags"].get("Modality") == modality]


def _report(archive: orthanc.Orthanc, folder: Path, studies: int) -> dict[str, Any]:
    images = {series["ParentStudy"]: set(map(_uid, _files(archive, series))) for series in _series(archive, "CT")}
    reports = [(series["ParentStudy"], file) for series in _series(archive, "SR") for file in _files(archive, series)]
    right = {study for study, file in reports if _evidence(file) == images[study]}
    store = Store.open(home=folder / "home")
    (job,), posts = store.jobs.recent(), store.outgoing.post()
    report = {
        "studies": len(images),
        "analysed": store.worklist.counts().total,
        "items_done": job.done,
        "items_failed": job.failed,
        "reports": len(reports),
        "reports_right": len(right),
        "sent": sum(post.sent for post in posts),
        "waiting": sum(post.waiting for post in posts),
    }
    store.close()
    once = all(report[what] == studies for what in report if what not in ("items_failed", "waiting"))
    return report | {"good": once and not report["items_failed"] and not report["waiting"]}


def _files(archive: orthanc.Orthanc, series: dict[str, Any]) -> list[pydicom.Dataset]:
    login = (orthanc.USER, orthanc.PASSWORD)
    found = [requests.get(f"{archive.url}/instances/{one}/file", auth=login, timeout=30) for one in series["Instances"]]
    return [pydicom.dcmread(BytesIO(one.content)) for one in found]


def _uid(one: pydicom.Dataset) -> tuple[str, str]:
    return str(one.PatientID), str(one.SOPInstanceUID)


def _evidence(report: pydicom.Dataset) -> set[tuple[str, str]]:
    """The images that a report is about, with the patient whom it names."""
    return {
        (str(report.PatientID), str(image.ReferencedSOPInstanceUID))
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for image in series.ReferencedSOPSequence
    }


if __name__ == "__main__":
    sys.exit(main())
