"""Contact sheets of what a model gets wrong on patients held back, for people to name the causes.

    python -m training.mistakes runs/cerebroscan --source rsna-more --out ~/sheets

draws the slices without a bleed that the folds find most suspicious, and those with one that they find least, and lists
them in `mistakes.csv` with an empty column `cause`. Slices of patients stay out of the repository: a folder inside of
it is refused.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from training.data import ADAPTERS, DEFAULT_CACHE, TrainingStudy, load
from training.out_of_fold import FINAL, Predictions, read_runs

_ROOT = Path(__file__).parents[1]
_COLUMNS, _ROWS, _CAPTION = 6, 4, 14
_PER_SHEET = _COLUMNS * _ROWS
# The window in which readers look for blood.
_LOW_HU, _WIDTH_HU = 0, 80


@dataclass(frozen=True)
class Mistake:
    """A slice that is judged wrongly; `logit` is of any haemorrhage."""

    kind: str
    study: str
    place: int
    logit: float


def mistakes(runs: Predictions, source: str, most: int) -> dict[str, list[Mistake]]:
    """The worst false alarms and misses on slices of a collection, the worst first, by what they are called.

    Raises
    ------
    ValueError
        if no fold has judged slices of the collection
    """
    mine = runs.where((runs.source == source) & (runs.level == "slice") & (runs.fold != FINAL))
    if not len(mine):
        there = ", ".join(np.unique(runs.source).tolist())
        raise ValueError(f"expected slices of {source} that a fold held back, found only {there}")
    found = {}
    for kind, truth, sign in (("false alarm", 0, -1), ("miss", 1, 1)):
        rows = np.flatnonzero(mine.truth[:, 0] == truth)
        worst = rows[np.argsort(sign * mine.logit[rows, 0], kind="stable")][:most]
        found[kind] = [
            Mistake(kind, str(mine.study[row]), int(mine.place[row]), float(mine.logit[row, 0])) for row in worst
        ]
    return found


def sheets(some: Sequence[Mistake], studies: Sequence[TrainingStudy]) -> list[Image.Image]:
    """Pictures of some slices, so many a sheet, each with its number and logit."""
    by_name = {study.study: study for study in studies}
    drawn = []
    for first in range(0, len(some), _PER_SHEET):
        part = some[first : first + _PER_SHEET]
        tiles = [by_name[mistake.study].hu[mistake.place] for mistake in part]
        drawn.append(_sheet(tiles, [f"{first + i + 1}: {mistake.logit:.2f}" for i, mistake in enumerate(part)]))
    return drawn


def _sheet(tiles: Sequence[NDArray[np.int16]], captions: Sequence[str]) -> Image.Image:
    side = tiles[0].shape[0]
    sheet = Image.new("L", (_COLUMNS * side, _ROWS * (side + _CAPTION)))
    pen = ImageDraw.Draw(sheet)
    for number, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        left, top = number % _COLUMNS * side, number // _COLUMNS * (side + _CAPTION)
        grey = np.clip((tile - np.float32(_LOW_HU)) / _WIDTH_HU * 255, 0, 255).astype(np.uint8)
        sheet.paste(Image.fromarray(grey), (left, top + _CAPTION))
        pen.text((left + 2, top + 1), caption, fill=255)
    return sheet


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line, draw and list."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="the runs of a model, such as runs/cerebroscan")
    parser.add_argument("--source", choices=sorted(ADAPTERS), required=True, help="the collection")
    parser.add_argument("--out", type=Path, required=True, help="folder for the sheets, outside of the repository")
    parser.add_argument("--most", type=int, default=2 * _PER_SHEET, help="of either kind")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    options = parser.parse_args(arguments)
    out = options.out.expanduser().resolve()
    if out.is_relative_to(_ROOT):
        parser.error(f"{options.out}: lies in the repository, where no slice of a patient belongs")
    try:
        found = mistakes(read_runs(options.runs), options.source, options.most)
    except (FileNotFoundError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    studies = load(options.data, [options.source], options.cache)
    out.mkdir(parents=True, exist_ok=True)
    with (out / "mistakes.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["kind", "number", "study", "slice", "logit", "cause"])
        for kind, some in found.items():
            for number, sheet in enumerate(sheets(some, studies), 1):
                sheet.save(out / f"{kind.replace(' ', '-')}s-{number}.png")
            table.writerows([kind, i, m.study, m.place, f"{m.logit:.3f}", ""] for i, m in enumerate(some, 1))
    print(f"{sum(map(len, found.values()))} slices in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
