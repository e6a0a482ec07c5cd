"""From the last slice in the archive to the report beside the images: how long, with nobody touching anything?

    python -m benchmarks.arrival                       # 5 studies of 32 slices, one after the other
    python -m benchmarks.arrival --rounds 3 --json arrival.json

A real archive (Orthanc with its DICOMweb plugin) and `ichscope watch --archive`, as a user starts it, with results
going back. A study of 32 slices is sent, then the archive is asked until it has the study's structured report. The
aim is 60 s on two cores, of which 30 s are the quiet time after which a study counts as complete; beside it stands what
the same study takes `ichscope analyse`, as the peer.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks import shared
from ichscope import phantom
from ichscope.labels import SUBTYPES
from tests.support import orthanc

AIM_S, QUIET_S = 60.0, 30.0
_SLICES, _SIZE = 32, 512
_GIVE_UP_S = 300.0


def main() -> int:
    options = shared.parser(__doc__, rounds=5).parse_args()
    report: dict[str, Any] = {"machine": shared.machine(), "quiet_s": QUIET_S}
    print(shared.conditions(report["machine"]))
    with tempfile.TemporaryDirectory(prefix="ichscope-arrival-") as folder:
        archive = orthanc.Orthanc(Path(folder) / "orthanc")
        archive.start()
        try:
            report |= _measured(archive, Path(folder), options.models, options.rounds)
        finally:
            archive.stop()
    worst = max(report["arrival_s"])
    report |= {"good": worst <= AIM_S, "load_after": os.getloadavg()[0]}
    print(
        shared.line("last slice to report", [f"{statistics.median(report['arrival_s']):.1f} s", f"most {worst:.1f} s"])
    )
    print(shared.line("of it quiet time", [f"{QUIET_S:.1f} s", f"aim {AIM_S:.0f} s"]))
    print(shared.line("ichscope analyse, alone", [f"{report['analyse_s']:.1f} s"]))
    print(shared.line("load average afterwards", [f"{report['load_after']:.1f}"]))
    shared.save(report, options.json)
    return 0 if report["good"] else 1


def _measured(archive: orthanc.Orthanc, folder: Path, models: Path, rounds: int) -> dict[str, Any]:
    config = folder / "ichscope.toml"
    login = 'user_from = "ARRIVAL_USER"\npassword_from = "ARRIVAL_PASSWORD"\n'
    config.write_text(f'[archives.hospital]\nurl = "{archive.dicomweb}"\n{login}results = true\n')
    secrets = {"ARRIVAL_USER": orthanc.USER, "ARRIVAL_PASSWORD": orthanc.PASSWORD}
    environment = {**os.environ, **secrets, "ICHSCOPE_CONFIG": str(config), "ICHSCOPE_HOME": str(folder / "home")}
    command = [sys.executable, "-m", "ichscope.commands.cli"]
    heads = [phantom.make(SUBTYPES[n % 5], n, slices=_SLICES, size=_SIZE) for n in range(rounds)]
    tags = {"StudyDate": f"{date.today():%Y%m%d}", "BodyPartExamined": "HEAD"}
    studies = [[phantom.to_bytes(one) for one in phantom.datasets(head, **tags)] for head in heads]
    phantom.write(heads[0], folder / "one")
    begun = time.perf_counter()
    subprocess.run(
        [*command, "analyse", folder / "one", "--models-folder", models], env=environment, stdout=subprocess.DEVNULL
    )
    alone = time.perf_counter() - begun
    watch = [*command, "watch", "--archive", "hospital", "--quiet", str(QUIET_S), "--models-folder", str(models)]
    with (folder / "watch.log").open("wb") as log:
        watching = subprocess.Popen(watch, env=environment, stdout=log, stderr=log)
        try:
            taken = [_arrival(archive, study) for study in studies]
        finally:
            watching.send_signal(signal.SIGTERM)
            watching.wait(60)
    return {"arrival_s": taken, "analyse_s": alone}


def _arrival(archive: orthanc.Orthanc, study: list[bytes]) -> float:
    """Send a study, and wait for a report more than there was; seconds since the last slice was taken."""
    before = _reports(archive)
    archive.send(study)
    sent = time.perf_counter()
    while _reports(archive) == before:
        if time.perf_counter() - sent > _GIVE_UP_S:
            sys.exit("no report has come")
        time.sleep(0.2)
    return time.perf_counter() - sent


def _reports(archive: orthanc.Orthanc) -> int:
    return sum(series["MainDicomTags"].get("Modality") == "SR" for series in archive.get("series?expand"))


if __name__ == "__main__":
    sys.exit(main())
