"""Contradictory headers: of a head whose tags are wrong, missing or at odds, is a different result ever shown unsaid?

Time: some 0.08 s a series and core. The aim: of 20,000 series none is "silent" or "lost".
"""

from __future__ import annotations

import argparse
import os
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from benchmarks.shared import save
from tests.support.contradictory_headers import Outcome, changes_of, outcome_of, single_changes

VERDICTS = {
    "same": "the model is given what it is given of the untouched head",
    "named": "something else, and a finding names a changed tag",
    "said": "something else, and a finding says that something is amiss",
    "refused": "no result, with a reason",
    "silent": "something else, without a finding",
    "lost": "no result, and nothing said",
}
BAD = ("silent", "lost")
_SHOWN = 40
_SAVED_EVERY = 500


def outcome(number: int) -> Outcome:
    """What becomes of the series of a number."""
    return outcome_of(changes_of(number), number)


def outcome_of_single(number: int) -> Outcome:
    """What becomes of the series with one change only, by its number."""
    return outcome_of([single_changes()[number]], number)


class Tally:
    """Verdicts so far; of those that are not the best, the kinds of change, and of bad ones the numbers of series."""

    def __init__(self) -> None:
        """Begin with none."""
        self.counts: Counter[str] = Counter()
        self.kinds: dict[str, Counter[str]] = defaultdict(Counter)
        self.numbers: dict[str, list[int]] = defaultdict(list)

    def add(self, number: int, result: Outcome) -> None:
        """Count one series."""
        self.counts[result.verdict] += 1
        if result.verdict in BAD or result.verdict == "said":
            self.kinds[result.verdict][" + ".join(change.kind for change in result.changes)] += 1
        if result.verdict in BAD:
            self.numbers[result.verdict].append(number)

    def report(self) -> dict[str, object]:
        """All counts, single changes first."""
        kinds = {
            verdict: dict(sorted(kinds.items(), key=lambda item: (item[0].count("+"), -item[1])))
            for verdict, kinds in self.kinds.items()
        }
        counts = {verdict: self.counts[verdict] for verdict in VERDICTS}
        return {"counts": counts, "kinds": kinds, "numbers": dict(self.numbers)}


def show(found: dict[str, object]) -> None:
    """Print counts, and the kinds that are bad."""
    counts, kinds = found["counts"], found["kinds"]
    assert isinstance(counts, dict)
    assert isinstance(kinds, dict)
    for verdict, meaning in VERDICTS.items():
        print(f"{verdict:10s}{counts[verdict]:>8,}  {meaning}")
    for verdict in BAD:
        for kind, count in list(kinds.get(verdict, {}).items())[:_SHOWN]:
            print(f"{verdict}: {count:>4} x {kind}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=20_000, help="how many (default 20,000)")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--single", action="store_true", help="every change there is, each alone, instead")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all counts")
    options = parser.parse_args()
    numbers = range(options.first, options.first + options.series)
    way = outcome
    if options.single:
        numbers, way = range(len(single_changes())), outcome_of_single
    tally = Tally()
    with ProcessPoolExecutor(options.workers) as pool:
        for number, result in zip(numbers, pool.map(way, numbers, chunksize=25), strict=True):
            tally.add(number, result)
            if tally.counts.total() % _SAVED_EVERY == 0:
                save(tally.report(), options.json)
    show(tally.report())
    save(tally.report(), options.json)


if __name__ == "__main__":
    main()
