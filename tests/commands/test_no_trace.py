"""A day's work with one patient by commands, of whom nothing is left afterwards but in the files that came."""

from __future__ import annotations

import signal
import time
from contextlib import closing

import pytest

from ichscope import phantom
from ichscope.store import Store
from tests.support import one_patient as patient
from tests.support import tiny_model
from tests.support.one_patient import Day

pytestmark = pytest.mark.slow
WAIT_S = 180
BLEEDS = (None, "subdural", "epidural", None)
# What fails in a way that nobody foresaw, and says whom it was about.
FAILING = (
    "from ichscope.batch import workers\n"
    "def analyse(setup, group, *more):\n"
    f"    raise ValueError('{patient.NAME} {patient.UID}')\n"
    "workers.analyse = analyse\n"
)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    folder = tmp_path_factory.mktemp("day")
    tiny_model.build(folder / "models")
    day = Day(folder, folder / "models")
    heads = [phantom.make(bleed, seed, slices=6, size=96) for seed, bleed in enumerate(BLEEDS, 1)]
    files = [patient.slices(head, number) for number, head in enumerate(heads, 1)]
    for some in files[:2]:
        patient.write(day.inbox, some)
    damaged = {name: data[: len(data) // 2] for name, data in files[2].items()}
    patient.write(day.inbox, damaged | {f"{patient.NAME}/refused.dcm": b"\0" * 128 + b"DICM" + b"\xff" * 4000})
    _work(day, files[3])
    return day


def _work(day: Day, late: dict[str, bytes]) -> None:
    folder = day.inbox / patient.FOLDER
    options = ("--models-folder", day.models, "--provider", "cpu")
    day.command("batch", folder / f"{patient.ACCESSION} 2", *options, before=FAILING, code=1)
    day.command("batch", day.inbox, *options, code=3)
    patient.write(day.inbox, late)
    watch = day.start("watch", day.inbox, "--quiet", "0.5", *options)
    _wait_for(day, f"{patient.UID}.4")
    watch.send_signal(signal.SIGTERM)
    assert watch.wait() == 0
    truth = day.inbox / "truth.csv"
    truth.write_text("study,patient,any\n" + "".join(f"{patient.UID}.{i},ZZID1901,{i % 2}\n" for i in (1, 2, 4)))
    day.command("import-truth", truth)
    day.command("report", "--truth", "truth.csv", "--output", day.out / "report.html", "--tables", day.out / "tables")
    day.command("monitor", "--json", day.out / "monitor.json", "--tables", day.out / "monitor")
    for form in ("csv", "json", "xml"):
        day.command("audit", "export", "--format", form)
    day.command("audit", "verify")
    day.back_up()
    day.command("doctor")


def _wait_for(day: Day, uid: str) -> None:
    with closing(Store.open(home=day.home)) as store:
        for _ in range(2 * WAIT_S):
            if store.keys.study(uid) in {row.study_key for row in store.worklist.export()}:
                return
            time.sleep(0.5)
    pytest.fail("the watched study has not come")


def test_a_trace_would_be_found(day: Day) -> None:
    assert patient.traces(day.inbox)
    assert (day.home / "ichscope.db").stat().st_size


def test_nothing_of_the_patient_is_left(day: Day) -> None:
    assert patient.traces(*day.kept) == []
