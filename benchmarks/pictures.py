"""What pictures lose on their way through the web: AUC of `any` of dressed slices against the same slices as they are.

    python -m benchmarks.pictures --data ../shared/data --slices 300

Slices of CT-ICH and RSNA 2019 become pictures in a brain window and go through reading, the gate and the published
models, each as a study of its own; then again cropped to the head's edge, rescaled and recompressed, with letters, in
margins, in a viewer's window, photographed from a monitor (training/gate/dress.py). Those refused count as not
flagged, which is how a clinic would meet them. The models were trained on these patients, so the level of the AUC
flatters; its difference is what is asked for. Two CPU cores: about 10 minutes.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ichscope.imaging import quality
from ichscope.imaging.findings import Status
from ichscope.imaging.images import read_pictures
from ichscope.imaging.preprocess import model_input
from ichscope.metrics.ranking import roc_auc
from ichscope.models.detector import Detector
from ichscope.models.registry import default_models_folder
from training.gate.dress import KINDS, Picture, compressed, dressed, rescaled
from training.gate.grey import as_grey
from training.gate.heads import HeadFile, head_box, head_files, head_hu

COLLECTIONS = {"CT-ICH": ("ct-ich",), "RSNA 2019": ("rsna-more",)}
_RESCALED = "rescaled, recompressed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--slices", type=int, default=300, help="of each collection, half of them with a bleed")
    parser.add_argument("--model", default="cranioscan")
    dresses = [_RESCALED, *(kind for kind in KINDS if kind != "as it is")]
    parser.add_argument("--dresses", nargs="+", choices=dresses, default=dresses)
    parser.add_argument("--seed", type=int, default=3)
    given = parser.parse_args()
    detector = Detector(default_models_folder() / given.model)
    truth = _truth(given.data)
    for name, sources in COLLECTIONS.items():
        files = _drawn([file for file in head_files(given.data) if file.source in sources], truth, given)
        positive = np.array([truth[file.path] for file in files])
        patients = [file.patient for file in files]
        before = None
        for dress in ("original", *given.dresses):
            score, refused = _scores(files, dress, detector, given.seed)
            auc = roc_auc(positive, score, patients)
            before = before if before is not None else auc.value
            change = (auc.value or 0) - (before or 0)
            print(f"{name:10} {dress:24} {len(files)} slices, {int(positive.sum())} bleed, {refused:3} refused: "
                  f"AUC {auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f}), {change:+.3f}", flush=True)  # fmt: skip


def _truth(root: Path) -> dict[Path, float]:
    truth = {}
    with (root / "ct-ich" / "hemorrhage_diagnosis.csv").open(newline="", encoding="utf-8-sig") as table:
        for row in csv.DictReader(table):
            path = (
                root
                / "ct-ich"
                / "Patients_CT"
                / f"{int(row['PatientNumber']):03d}"
                / "brain"
                / f"{row['SliceNumber']}.jpg"
            )
            truth[path] = float(row["No_Hemorrhage"] == "0")
    with (root / "rsna-more" / "labels.csv").open(newline="") as table:
        truth |= {root / "rsna-more" / row["file"]: float(row["any"]) for row in csv.DictReader(table)}
    return truth


def _drawn(files: list[HeadFile], truth: dict[Path, float], given: argparse.Namespace) -> list[HeadFile]:
    rng = np.random.default_rng(given.seed)
    known = [file for file in files if file.path in truth and head_box(_as_picture(file)) is not None]
    drawn: list[HeadFile] = []
    for value in (0.0, 1.0):
        of_one = [file for file in known if truth[file.path] == value]
        drawn += [of_one[i] for i in rng.permutation(len(of_one))[: given.slices // 2]]
    return drawn


def _as_picture(file: HeadFile) -> NDArray[np.float32]:
    return as_grey(head_hu(file) / np.float32(80))


def _scores(files: list[HeadFile], dress: str, detector: Detector, seed: int) -> tuple[NDArray[np.float64], int]:
    """(files,) probability of `any`, 0 where refused, and how many were."""
    label = detector.card.labels.index("any")
    scores, refused = [], 0
    for picture in _pictures(files, dress, seed):
        series = read_pictures([_png(picture)])
        if quality.status(quality.assess(series)) == Status.NOT_ANALYSED:
            scores.append(0.0)
            refused += 1
        else:
            scores.append(float(detector.run(model_input(series.hu)[0]).study_probability[label]))
    return np.array(scores), refused


def _pictures(files: list[HeadFile], dress: str, seed: int) -> Iterator[Picture]:
    for number, file in enumerate(files):
        rng = np.random.default_rng([seed, number])
        grey = _as_picture(file)
        box = head_box(grey)
        picture = Picture(grey, (box,) if box else ())
        if dress == _RESCALED:
            yield compressed(rescaled(picture, rng), rng)
        else:
            yield picture if dress == "original" else dressed(picture, rng, dress)


def _png(picture: Picture) -> bytes:
    buffer = BytesIO()
    Image.fromarray(np.rint(np.clip(picture.grey, 0, 1) * 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


if __name__ == "__main__":
    main()
