"""Several browsers at once: is every result that of its own upload, does nothing get lost, does memory stay flat?

    python -m benchmarks.browsers                             # 8 browsers, 10 minutes; needs Chromium
    python -m benchmarks.browsers --browsers 2 --minutes 1 --json browsers.json
    python -m benchmarks.browsers --models FOLDER             # smaller models, so that there are more rounds

A server is started with sign-in on. Each reader has an account, and a context of its own in one Chromium process. Over
and over each uploads a synthetic study that no other has (DICOM files and ZIPs in turns; other bleeds and numbers of
slices) on Study check, compares what is shown with what `ichscope analyse` said of the same slices before, begins a new
study, adds the files to the Worklist, searches for the study there, opens it, agrees or says the contrary, loads the
page anew and reads the review.

In the end the store is asked. Wanted are as many studies and reviews as the pages have confirmed, each with its own
result and signed by its own person; in the audit trail no one but its own reader has seen or reviewed a study, and the
trail is whole; no wrong result, no error on a page, in a browser's console or in an answer of the server, none in its
log; and the median of the server's memory in the last third of the time is at most 64 MB over that in the second third.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from playwright.async_api import ViewportSize, async_playwright

from benchmarks import shared
from benchmarks.browser_reader import PASSWORD, Confirmed, Head, Reader
from benchmarks.dashboard_server import DASHBOARD, FLAGS, resident_mb, running
from ichscope import phantom
from ichscope.access import Role, acting_as, operator
from ichscope.access.events import Action, Event
from ichscope.labels import SUBTYPES
from ichscope.models.registry import default_models_folder
from ichscope.store import Store, TrailFilter, WorklistRow

GROWTH_MB = 64
_SAMPLE_S = 15.0
_HEADS, _SIZE, _LEAST_SLICES = 2, 128, 6
_VIEWPORT: ViewportSize = {"width": 1280, "height": 800}


def main() -> int:
    options = _parse()
    report: dict[str, Any] = {"machine": shared.machine(), "browsers": options.browsers, "minutes": options.minutes}
    print(shared.conditions(report["machine"]))
    with tempfile.TemporaryDirectory(prefix="ichscope-browsers-") as folder:
        home, log = Path(folder) / "home", Path(folder) / "server.txt"
        with closing(Store.open(home=home)) as store, acting_as(operator()):
            names = [f"reader{number}" for number in range(options.browsers)]
            for name in names:
                store.accounts.add(name, Role.READER, PASSWORD)
            heads = _heads(Path(folder), home, options)
            with running(DASHBOARD, home, options.models, log, ICHSCOPE_SIGN_IN="on") as (address, server):
                readers, memory = asyncio.run(_work(address, server.pid, names, heads, options.minutes))
            report |= {"wrong": [*_all(reader.wrong for reader in readers), *wrong(store, readers)]}
        report |= {"errors": [*_all(reader.errors for reader in readers), *_of_log(log)], **_counted(readers)}
    report |= {"memory_mb": memory, "growth_mb": _growth(memory), "load_after": os.getloadavg()[0]}
    well = not report["wrong"] and not report["errors"] and report["growth_mb"] <= GROWTH_MB
    report["good"] = well and all(report["confirmed"])
    print(table(report))
    shared.save(report, options.json)
    return 0 if report["good"] else 1


# --- before -----------------------------------------------------------------------------------------------


def _heads(folder: Path, home: Path, options: argparse.Namespace) -> list[Head]:
    """Heads that all differ, two of each reader, with what the command says of them."""
    made, places = [], []
    for seed in range(_HEADS * options.browsers):
        made.append(phantom.make((None, *SUBTYPES)[seed % 6], seed, _LEAST_SLICES + seed, _SIZE))
        places.append(folder / "heads" / f"{seed:04}")
        phantom.write(made[-1], places[-1])
    found = folder / "found.json"
    command = [sys.executable, "-m", "ichscope.commands.cli", "analyse", *map(str, places), "--json", str(found)]
    command += ["--models-folder", str(options.models)]
    subprocess.run(command, env={**os.environ, "ICHSCOPE_HOME": str(home)}, check=True, stdout=subprocess.DEVNULL)
    said = {entry["slices"]: entry for entry in json.loads(found.read_text(encoding="utf-8"))}
    return [Head(one, said[len(one.hu)]) for one in made]


# --- meanwhile --------------------------------------------------------------------------------------------


async def _work(
    address: str, server: int, names: Sequence[str], heads: Sequence[Head], minutes: float
) -> tuple[list[Reader], list[float]]:
    """Let all readers work at once; gives them, and the server's memory in MB, a sample each 15 s."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        readers = [
            Reader(name, number, address, await browser.new_context(viewport=_VIEWPORT), [*heads[number :: len(names)]])
            for number, name in enumerate(names)
        ]
        memory: list[float] = []
        sampling = asyncio.create_task(_sample(server, memory))
        until = time.monotonic() + 60 * minutes
        await asyncio.gather(*(reader.work(until) for reader in readers))
        sampling.cancel()
        await browser.close()
    return readers, memory


async def _sample(server: int, memory: list[float]) -> None:
    while True:
        memory.append(resident_mb(server))
        await asyncio.sleep(_SAMPLE_S)


# --- afterwards -------------------------------------------------------------------------------------------


def wrong(store: Store, readers: Sequence[Reader]) -> list[str]:
    """What the store has otherwise than the pages have confirmed, in words."""
    rows = {row.study_key: row for row in store.worklist.export()}
    confirmed = {store.keys.study(one.uid): (reader, one) for reader in readers for one in reader.confirmed}
    # A round that failed may have left a study; all others have one each.
    rounds = sum(reader.rounds for reader in readers)
    found = [] if len(confirmed) <= len(rows) <= rounds else [f"{len(rows)} studies, {len(confirmed)} confirmed"]
    for key, (reader, one) in confirmed.items():
        found += [f"{reader.name}, {one.uid}: {what}" for what in _wrong_study(store, rows.get(key), reader, one)]
    if not (trail := store.trail.verify()).whole:
        found.append(str(trail))
    return [*found, *_wrong_lines(list(store.trail.export(TrailFilter())), store, readers)]


def _wrong_study(store: Store, row: WorklistRow | None, reader: Reader, one: Confirmed) -> Iterator[str]:
    if row is None:
        yield "lost"
        return
    said = {name: round(model["probability"]["any"], 5) for name, model in one.head.said["models"].items()}
    found = {model.name: round(model.probability["any"], 5) for model in row.models}
    if (row.id, row.slices, found) != (one.study, one.head.slices, said):
        yield f"expected study {one.study}, {one.head.slices} slices, {said}, found {row.id}, {row.slices}, {found}"
    reviews = [(r.reader, r.signed, r.labels.get("any"), r.comment) for r in store.reviews.of(row.id)]
    if reviews != [(reader.name, True, one.bleeds, one.comment)]:
        yield f"expected one review, bleeds: {one.bleeds}, found {reviews}"


def _wrong_lines(events: Sequence[Event], store: Store, readers: Sequence[Reader]) -> Iterator[str]:
    """Lines of the audit trail that are of somebody else's study, and reviews without their line."""
    told = Counter(event.who for event in events if event.action == Action.REVIEWED)
    for reader in readers:
        if told[reader.name] < len(reader.confirmed):
            yield f"{reader.name}: {len(reader.confirmed)} reviews, {told[reader.name]} lines"
        own = {store.keys.study(reader.uid(number)) for number in range(1, reader.rounds + 1)}
        seen = {event.key for event in events if event.action == Action.STUDY_SEEN and event.who == reader.name}
        if others := seen - own:
            yield f"{reader.name} has seen studies of others: {others}"


def _of_log(log: Path) -> list[str]:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return [f"server: {line}" for line in lines if "Traceback" in line or "ERROR" in line]


def _counted(readers: Sequence[Reader]) -> dict[str, Any]:
    steps = dict.fromkeys(_all(reader.seconds for reader in readers))
    seconds = {step: sorted(_all(reader.seconds.get(step, ()) for reader in readers)) for step in steps}
    return {
        "rounds": [reader.rounds for reader in readers],
        "confirmed": [len(reader.confirmed) for reader in readers],
        "seconds": {
            step: {"median": statistics.median(taken), "most": taken[-1]} for step, taken in seconds.items() if taken
        },
    }


def _all(lists: Iterator[Any]) -> list[Any]:
    return [one for some in lists for one in some]


def _growth(memory: Sequence[float]) -> float:
    """Median of the last third over that of the second; 0 where there are not enough samples."""
    third = len(memory) // 3
    return statistics.median(memory[-third:]) - statistics.median(memory[third:-third]) if third else 0.0


def table(report: Mapping[str, Any]) -> str:
    memory = report["memory_mb"]
    lines = [
        shared.line("rounds of each reader", [" ".join(map(str, report["rounds"]))]),
        shared.line("studies reviewed", [str(sum(report["confirmed"]))]),
        *(
            shared.line(f"{step}, median and most", [f"{s['median']:.1f} s", f"{s['most']:.1f} s"])
            for step, s in report["seconds"].items()
        ),
        shared.line("server's memory, least and most", [f"{min(memory):.0f} MB", f"{max(memory):.0f} MB"]),
        shared.line("last third to second third", [f"{report['growth_mb']:+.0f} MB", f"aim {GROWTH_MB} MB"]),
        shared.line("load average afterwards", [f"{report['load_after']:.1f}"]),
        shared.line("wrong", [str(len(report["wrong"]))]),
        *(f"  {what}" for what in report["wrong"]),
        shared.line("errors", [str(len(report["errors"]))]),
        *(f"  {what}, {times} times" for what, times in Counter(report["errors"]).items()),
    ]
    return "\n".join(lines)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--browsers", type=int, default=8, help="at once (default 8)")
    parser.add_argument("--minutes", type=float, default=10, help="until no new round begins (default 10)")
    parser.add_argument("--models", type=Path, default=default_models_folder(), help="folder of models")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
