"""Damaged files, thousands of each kind, read as the program reads them: does anything end, hang or surprise it?

    python -m benchmarks.fuzz                                 # 20,000 DICOM, 5,000 ZIPs, 5,000 pictures, 2,000 tables
    python -m benchmarks.fuzz --dicom 2000 --zips 500 --pictures 500 --tables 200 --json found.json

A number makes a file, so that it can be made again. Wanted: no death, no error but those that the program raises on
purpose, nothing over 10 s.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.support.damaged_files import run

COUNTS = {"dicom": 20_000, "zips": 5_000, "pictures": 5_000, "tables": 2_000}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for kind, count in COUNTS.items():
        parser.add_argument(f"--{kind}", type=int, default=count, help=f"how many (default {count})")
    parser.add_argument("--first", type=int, default=0, help="number of the first file of each kind")
    parser.add_argument("--json", type=Path, help="write what was found")
    options = parser.parse_args()
    found = {}
    for kind in COUNTS:
        found[kind] = one = run(kind, getattr(options, kind), options.first)
        numbers = {name: len(value) if isinstance(value, list) else value for name, value in one.items()}
        print(f"{kind:10s}" + ", ".join(f"{name} {value}" for name, value in numbers.items() if name != "unexpected"))
        for place, times in one["unexpected"].most_common():
            print(f"{'':10s}{times} x {place}")
        if options.json:
            options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    sys.exit(any(one[name] for one in found.values() for name in ("deaths", "hangs", "unhandled")))


if __name__ == "__main__":
    main()
