"""Several users at once: is what they get together as fast as one alone, and does each get a fair share?

    python -m benchmarks.users
    python -m benchmarks.users --users 8 --studies 4 --json users.json

Every user checks one synthetic study after the other, from files in memory to the result, with the models that all
share. The aim is that together they get at least what one user gets, and that the slowest needs at most 1.5 times what
all need on average. A batch beside one user is measured, too: how much longer the user's study takes for it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks import shared
from ichscope import phantom
from ichscope.analyse import analyse
from ichscope.batch import WorkerConfig, workers
from ichscope.imaging.intake import collect
from ichscope.models.detector import Detector
from ichscope.models.registry import REGISTRY

TOGETHER, FAIR = 1.0, 1.5

Files = list[tuple[str, bytes]]


def main() -> int:
    options = _parse()
    report: dict[str, Any] = {"machine": shared.machine()}
    print(shared.conditions(report["machine"]))
    detectors = REGISTRY.get(options.models, provider=options.provider).detectors
    report["models"] = {name: f"{detector.card.version} on {detector.provider}" for name, detector in detectors.items()}
    files = _study(options.slices)
    _check(files, detectors)
    alone, together, shares = [], [], []
    for _ in range(options.rounds):
        alone.append(_rate([_user(files, detectors, options.studies * 2)]))
        with ThreadPoolExecutor(options.users) as pool:
            start = threading.Barrier(options.users)
            asked = [pool.submit(_user, files, detectors, options.studies, start) for _ in range(options.users)]
            users = [user.result() for user in asked]
        together.append(_rate(users))
        whole = [last - first for first, last, _ in users]
        shares.append(max(whole) / statistics.mean(whole))
    report |= {"users": options.users, "alone_studies_per_s": statistics.median(alone)}
    report |= {
        "together_studies_per_s": statistics.median(together),
        "together": statistics.median(b / a for a, b in zip(alone, together, strict=True)),
        "slowest_share": statistics.median(shares),
        "beside_a_batch": _beside_a_batch(files, detectors, options),
    }
    report["good"] = report["together"] >= TOGETHER and report["slowest_share"] <= FAIR
    print(table(report))
    shared.save(report, options.json)
    return 0 if report["good"] else 1


def _study(slices: int) -> Files:
    made = phantom.datasets(phantom.make("intraparenchymal", slices=slices))
    return [(f"study/IM{i:04d}.dcm", phantom.to_bytes(dataset)) for i, dataset in enumerate(made, 1)]


def _check(files: Files, detectors: Mapping[str, Detector]) -> None:
    (study,) = analyse(files, detectors)
    assert study.speaks.models, study.speaks.reasons


def _user(
    files: Files, detectors: Mapping[str, Detector], studies: int, start: threading.Barrier | None = None
) -> tuple[float, float, int]:
    """Check studies; gives the moments of the first and the last, and how many there were."""
    if start:
        start.wait()
    first = time.perf_counter()
    for _ in range(studies):
        _check(files, detectors)
    return first, time.perf_counter(), studies


def _rate(users: Sequence[tuple[float, float, int]]) -> float:
    """Studies a second of all users."""
    return sum(user[2] for user in users) / (max(user[1] for user in users) - min(user[0] for user in users))


def _beside_a_batch(files: Files, detectors: Mapping[str, Detector], options: argparse.Namespace) -> float:
    """How many times as long a user's study takes while a batch runs in the same process."""
    setup = WorkerConfig(options.models.resolve(), provider=options.provider, voxels=False)
    (group,) = collect(files).groups
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            workers.analyse(setup, group)

    workers.analyse(setup, group)
    alone, beside = [], []
    for _ in range(options.rounds):
        alone.append(_seconds(files, detectors))
        over.clear()
        with workers.executor() as pool:
            futures = [pool.submit(work) for _ in range(workers.usual_workers())]
            time.sleep(1.0)  # all of them are under way
            beside.append(_seconds(files, detectors))
            over.set()
        assert all(future.exception() is None for future in futures)
    return statistics.median(b / a for a, b in zip(alone, beside, strict=True))


def _seconds(files: Files, detectors: Mapping[str, Detector]) -> float:
    first, last, _ = _user(files, detectors, 1)
    return last - first


def table(report: Mapping[str, Any]) -> str:
    users = f"{report['users']} users"
    return "\n".join(
        [
            ", ".join(f"{name} {version}" for name, version in report["models"].items()),
            shared.line("one user, studies/s", [f"{report['alone_studies_per_s']:.2f}"]),
            shared.line(f"{users} together, studies/s", [f"{report['together_studies_per_s']:.2f}"]),
            shared.line("together to one", [f"{report['together']:.2f}", f"aim {TOGETHER:g}"]),
            shared.line("slowest to its fair share", [f"{report['slowest_share']:.2f}", f"aim {FAIR:g}"]),
            shared.line("one study beside a batch to alone", [f"{report['beside_a_batch']:.2f}"]),
        ]
    )


def _parse() -> argparse.Namespace:
    parser = shared.parser(__doc__, rounds=3)
    parser.add_argument("--users", type=int, default=8, help="at once (default 8)")
    parser.add_argument("--studies", type=int, default=3, help="of each user (default 3)")
    parser.add_argument("--slices", type=int, default=32, help="of a study (default 32)")
    parser.add_argument("--provider", default="auto", help="as for `ichscope analyse`")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
