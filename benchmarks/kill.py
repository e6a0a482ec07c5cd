"""Nothing is lost: a program, or the server of its database, is killed with -9 at random moments and started again.

    python -m benchmarks.kill                                       # all four ways, ten kills each
    python -m benchmarks.kill --way watch --studies 100 --kills 5 --json kill.json
    python -m benchmarks.kill --way writes --way server --kills 25

`batch` and `watch`: 1,000 studies each. All are synthetic, small and different. A moment is a random number of studies
and some tenths of a second more; every third one is a random time after the start instead, so that the program also
dies while it opens the store, loads models and looks for series. For the watched folder, studies arrive file by file
meanwhile. In the end each study must be there once, with a result of every model and pictures that can be read, and the
database must be sound. A study that kills hit three times is given up; the same command, given again, analyses it.

`writes`: a program that uploads, analyses, reviews, imports, sets thresholds, adds accounts, removes pictures and backs
up, all at once, is killed; `server`: it goes on while its PostgreSQL server is killed. After each kill all that was
confirmed must be there, each change with its line of the audit trail, and the trail and the database must be sound.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from ichscope.models.registry import default_models_folder
from tests.support import postgresql
from tests.support.killed_runs import SIZE, SLICES, survive
from tests.support.killed_writes import endure

WAYS = ("batch", "watch", "writes", "server")


def main() -> int:
    options = _parse()
    model = [part for name in options.model or () for part in ("--model", name)]
    more = ["--models-folder", str(options.models), "--provider", options.provider, *model]
    reports = []
    for way in options.way or WAYS:
        with tempfile.TemporaryDirectory(prefix="ichscope-kill-") as folder:
            if way in ("batch", "watch"):
                report = survive(way, Path(folder), options.studies, options.kills, more, options.seed)
                reports.append({"way": way, "studies": options.studies, "slices": SLICES, "size": SIZE, **report})
                print(table(reports[-1]), flush=True)
            else:
                reports.append({"way": way, **_writes(way, Path(folder), options)})
                print(json.dumps(reports[-1], indent=2), flush=True)
    if options.json:
        options.json.write_text(json.dumps(reports, indent=2) + "\n", encoding="utf-8")
    return 0 if all(report["good"] for report in reports) else 1


def _writes(way: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    if way == "writes":
        return endure(folder, options.kills, options.models, options.seed)
    programs = postgresql.programs()
    if programs is None:
        return {"good": False, "wrong": ["PostgreSQL is not installed"]}
    with postgresql.running(programs) as server:
        return endure(folder, options.kills, options.models, options.seed, server)


def table(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = [f"{report['way']}: {report['studies']:,} studies, killed {report['kills']} times, {report['seconds']} s"]
    names = (
        "rows",
        "missing",
        "twice",
        "with_results",
        "with_pictures",
        "given_up",
        "failed",
        "left",
        "jobs",
        "integrity",
    )
    lines += [f"  {name.replace('_', ' '):14} {report[name]}" for name in names]
    return "\n".join([*lines, f"  nothing lost: {'yes' if report['good'] else 'NO'}"])


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--way", action="append", choices=WAYS, help="only this one")
    parser.add_argument("--studies", type=int, default=1000, help="how many (default 1000)")
    parser.add_argument("--kills", type=int, default=10, help="how often the program is killed (default 10)")
    parser.add_argument("--models", type=Path, default=default_models_folder(), help="folder of models")
    parser.add_argument("--model", action="append", metavar="NAME", help="only this model; may be given again")
    parser.add_argument("--provider", default="auto", help='"auto" (the best that is there), cuda, openvino or cpu')
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
