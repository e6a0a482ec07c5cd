"""What pictures lose on their way through the web: AUC of `any` of dressed slices against the same slices as they are.

    python -m benchmarks.pictures --data ../shared/data --slices 600
    python -m benchmarks.pictures --data ../shared/data --films 20

Slices of CT-ICH and RSNA 2019 become pictures in a brain window and go through reading, the gate and the published
models, each as a study of its own; then again cropped to the head's edge, rescaled, recompressed, all three, with
letters, in margins, in a viewer's window, photographed from a monitor (training/gate/dress.py). Those refused count as
not flagged, which is how a clinic would meet them. CT-ICH's patients are among those that the models were trained on,
so there the level of the AUC flatters; its difference is what is asked for. `--part` takes the patients that the gate
was trained on, those of its threshold, or those that neither saw. `--films` lays slices of one patient out in rows
instead, and counts how many such films are refused as several heads. Two CPU cores: about 15 minutes.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ichscope.imaging import quality
from ichscope.imaging.findings import Status
from ichscope.imaging.images import read_pictures
from ichscope.imaging.preprocess import model_input
from ichscope.metrics.ranking import compare_auc
from ichscope.models.detector import Detector
from ichscope.models.registry import default_models_folder
from training.gate.draw import PARTS, part_of
from training.gate.dress import (
    Picture,
    compressed,
    cropped,
    in_viewer,
    letters,
    margins,
    photographed,
    rescaled,
    tiled,
)
from training.gate.grey import as_grey
from training.gate.heads import HeadFile, head_box, head_files, head_hu

COLLECTIONS = {"CT-ICH": "ct-ich", "RSNA 2019": "rsna-more"}
Dress = Callable[[Picture, np.random.Generator], Picture]
DRESSES: dict[str, Dress] = {
    "original": lambda picture, rng: picture,
    "cropped": lambda picture, rng: cropped(picture, rng, tight=1),
    "rescaled": lambda picture, rng: rescaled(picture, rng),
    "recompressed": compressed,
    "all three": lambda picture, rng: compressed(rescaled(cropped(picture, rng, tight=1), rng), rng),
    "letters": letters,
    "margins": margins,
    "viewer": in_viewer,
    "monitor": photographed,
}
# Down and across; the gap as part of a slice's side; whether words stand below each slice.
FILMS = tuple(product(((1, 2), (2, 2), (3, 4), (4, 5)), (0.0, 0.02, 0.12), (False, True)))
_GREYS = (0.0, 1.0, 0.3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--slices", type=int, default=600, help="of each collection, half of them with a bleed")
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS), help="of the gate's patients")
    parser.add_argument("--model", default="cranioscan")
    parser.add_argument("--provider", default="auto")
    parser.add_argument("--collections", nargs="+", choices=list(COLLECTIONS), default=list(COLLECTIONS))
    parser.add_argument("--dresses", nargs="+", choices=list(DRESSES)[1:], default=list(DRESSES)[1:])
    parser.add_argument("--films", type=int, help="count refused films of each kind instead, so many of each")
    parser.add_argument("--seed", type=int, default=3)
    given = parser.parse_args()
    files = [file for file in head_files(given.data) if part_of(file) in given.part]
    if given.films:
        _films([file for file in files if file.source == COLLECTIONS["CT-ICH"]], given.films, given.seed)
        return
    detector = Detector(default_models_folder() / given.model, given.provider)
    truth = _truth(given.data)
    for name in given.collections:
        drawn = _drawn([file for file in files if file.source == COLLECTIONS[name]], truth, given)
        _losses(name, drawn, np.array([truth[file.path] for file in drawn]), detector, given)


def _losses(
    name: str, files: list[HeadFile], positive: NDArray[np.float64], detector: Detector, given: argparse.Namespace
) -> None:
    """Print one row a dress."""
    patients = [file.patient for file in files]
    print(f"{name}: {len(files)} slices, {int(positive.sum())} bleed, {len(set(patients))} patients", flush=True)
    before, _ = _scores(files, "original", detector, given.seed)
    for dress in given.dresses:
        score, refused = _scores(files, dress, detector, given.seed)
        compared = compare_auc(positive, score, before, patients)
        auc, change = compared.first, compared.difference
        print(f"{name:10} {dress:13} AUC {auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f}), original "
              f"{compared.second.value:.3f}, {change.value:+.3f} ({change.low:+.3f} to {change.high:+.3f}), "
              f"{refused.sum():3} refused, {int(positive[refused].sum())} of them bleed", flush=True)  # fmt: skip


def _truth(root: Path) -> dict[Path, float]:
    truth = {}
    with (root / "ct-ich" / "hemorrhage_diagnosis.csv").open(newline="", encoding="utf-8-sig") as table:
        for row in csv.DictReader(table):
            patient = root / "ct-ich" / "Patients_CT" / f"{int(row['PatientNumber']):03d}"
            truth[patient / "brain" / f"{row['SliceNumber']}.jpg"] = float(row["No_Hemorrhage"] == "0")
    with (root / "rsna-more" / "labels.csv").open(newline="") as table:
        truth |= {root / "rsna-more" / row["file"]: float(row["any"]) for row in csv.DictReader(table)}
    return truth


def _drawn(files: list[HeadFile], truth: dict[Path, float], given: argparse.Namespace) -> list[HeadFile]:
    """As many with a bleed as without, where there are so many; slices with hardly any brain are left out."""
    rng = np.random.default_rng(given.seed)
    known = [file for file in files if file.path in truth and head_box(_as_picture(file)) is not None]
    drawn: list[HeadFile] = []
    for value in (0.0, 1.0):
        of_one = [file for file in known if truth[file.path] == value]
        drawn += [of_one[i] for i in rng.permutation(len(of_one))[: given.slices // 2]]
    return drawn


def _as_picture(file: HeadFile) -> NDArray[np.float32]:
    return as_grey(head_hu(file) / np.float32(80))


def _scores(
    files: list[HeadFile], dress: str, detector: Detector, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(files,) probability of `any`, 0 where refused, and which were."""
    label = detector.card.labels.index("any")
    scores, refused = [], []
    for picture in _pictures(files, dress, seed):
        series = read_pictures([_png(picture.grey)])
        refused.append(quality.status(quality.assess(series)) == Status.NOT_ANALYSED)
        seen = model_input(series.hu)[0]
        scores.append(0.0 if refused[-1] else float(detector.run(seen).study_probability[label]))
    return np.array(scores), np.array(refused)


def _pictures(files: list[HeadFile], dress: str, seed: int) -> Iterator[Picture]:
    for number, file in enumerate(files):
        grey = _as_picture(file)
        box = head_box(grey)
        yield DRESSES[dress](Picture(grey, (box,) if box else ()), np.random.default_rng([seed, number]))


def _png(grey: NDArray[np.float32]) -> bytes:
    buffer = BytesIO()
    Image.fromarray(np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def _films(files: list[HeadFile], number: int, seed: int) -> None:
    """Print how many films of each kind are refused, and why."""
    by_patient: dict[str, list[HeadFile]] = {}
    for file in files:
        by_patient.setdefault(file.patient, []).append(file)
    whole = [sorted(slices, key=lambda file: int(file.path.stem)) for slices in by_patient.values()]
    for (down, across), gap, caption in FILMS:
        rng = np.random.default_rng([seed, down, round(100 * gap)])
        found = Counter(_verdict(_film(whole, down, across, gap, caption, rng)) for _ in range(number))
        words = "with words" if caption else "no words"
        print(f"film {down} x {across}, gap {gap:4.0%}, {words:10}: {dict(found)}", flush=True)


def _film(
    patients: list[list[HeadFile]], down: int, across: int, gap: float, caption: bool, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Slices of one patient that follow each other, half of the films cropped to the head."""
    enough = [slices for slices in patients if len(slices) >= down * across]
    slices = enough[rng.integers(len(enough))]
    start, crop = int(rng.integers(len(slices) - down * across + 1)), rng.random() < 0.5
    pictures = []
    for file in slices[start : start + down * across]:
        grey = _as_picture(file)
        box = head_box(grey)
        picture = Picture(grey, (box,) if box else ())
        pictures.append(cropped(picture, rng) if box and crop else picture)
    side = int(rng.integers(110, 260))
    page = tiled(pictures, across, side, round(gap * side), float(rng.choice(_GREYS)), round(0.12 * side) * caption)
    return compressed(page, rng).grey


def _verdict(grey: NDArray[np.float32]) -> str:
    findings = quality.assess(read_pictures([_png(grey)]))
    if quality.status(findings) != Status.NOT_ANALYSED:
        return "taken for one slice"
    return next(finding.code for finding in findings if finding.level == "not analysable")


if __name__ == "__main__":
    main()
