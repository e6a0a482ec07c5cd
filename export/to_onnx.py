"""Publish the runs of a model as a model folder, only if ONNX Runtime and Keras agree.

    python -m export.to_onnx runs/cranioscan --version 0.2.0

takes the weights of runs/cranioscan/final, what `training.evaluate` and `training.evidence` wrote beside it, and
writes models/cranioscan/ with encoder.onnx, head.onnx, card.json and README.md; a model whose encoder a published one
beside it has, too, gets none of its own. Nothing is written, and the exit code
is 1, if a file is not valid ONNX, does not load, is too large, or if a probability differs from Keras' by more than
1e-4 (2e-3 where weights are stored in fp16) at any of several batch sizes and study lengths.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from export.model_card import description, limits, readme
from ichscope import phantom
from ichscope.imaging.preprocess import INPUT_SIZE, model_input
from ichscope.labels import SUBTYPES
from ichscope.models import providers
from ichscope.models.card import (
    CARD_FILE,
    ModelCard,
    ModelError,
    file_sha256,
    shares_encoder_with,
)
from ichscope.models.card_parts import CardOperatingPoint, Failure, Metrics, Parity, TrainingSource, from_plain
from ichscope.models.detector import ENCODER_FILE, HEAD_FILE
from training import models, onnx_files
from training.evaluate import METRICS_FILE
from training.evidence import EVIDENCE_FILE
from training.out_of_fold import CONFIG_FILE
from training.train import ENCODER_FILE as ENCODER_WEIGHTS
from training.train import HEAD_FILE as HEAD_WEIGHTS

# Batch sizes of the encoder, which are lengths of the study for the head.
SLICES = (1, 3, 8, 21)
TOLERANCE, TOLERANCE_HALF = 1e-4, 2e-3
MOST_BYTES = 50 << 20
_FINAL = "final"


class ParityError(Exception):
    """The ONNX files do not give what Keras gives, or cannot be used."""


def export(runs: Path, target: Path, version: str, decides: bool = False) -> ModelCard:
    """Convert, compare and publish the final run of a model.

    decides : whether its word on any haemorrhage is the study's, before that of models beside it

    Raises
    ------
    ParityError, ProviderError, ModelError, onnx.checker.ValidationError, ValueError
        if the files must not be published; `target` is then as it was
    """
    config = json.loads((runs / _FINAL / CONFIG_FILE).read_text())
    metrics = json.loads((runs / METRICS_FILE).read_text())
    metrics["evidence"] = _evidence(runs)
    encoder, head = _functions(runs, config, metrics)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as folder:
        built = Path(folder) / target.name
        half = _convert(encoder, head, built)
        _keep_unchanged(target / ENCODER_FILE, built / ENCODER_FILE)
        parity = check_parity(encoder, head, built, half)
        card = _card(config, metrics, built, version, parity, file_sha256(encoder_weights(runs, config)))
        card = replace(_share_encoder(card, target, built), decides=decides)
        card.write(built)
        (built / "README.md").write_text(readme(card), encoding="utf-8")
        if target.exists():
            shutil.rmtree(target)
        built.rename(target)
    return card


def _evidence(runs: Path) -> dict[str, Any]:
    """What `training.evidence` found, if it was asked."""
    path = runs / EVIDENCE_FILE
    return json.loads(path.read_text()) if path.is_file() else {}


def encoder_weights(runs: Path, config: dict[str, Any]) -> Path:
    """Where the weights of the encoder are, which a model may share with another."""
    shared = config["options"]["encoder"]
    return (runs if shared == "None" else Path(shared)) / _FINAL / ENCODER_WEIGHTS


def _functions(runs: Path, config: dict[str, Any], metrics: dict[str, Any]) -> tuple[Any, Any]:
    encoder = models.slice_encoder(config["backbone"], config["encoder_labels"])
    encoder.load_weights(encoder_weights(runs, config))
    encoder = models.showing(encoder, config["encoder_labels"], config["labels"])
    width = encoder.output["features"].shape[-1]
    head = models.head_for(config, width)
    head.load_weights(runs / _FINAL / HEAD_WEIGHTS)
    return onnx_files.encoder_function(encoder), onnx_files.head_function(head, metrics["calibration"])


def _convert(encoder: Any, head: Any, folder: Path) -> bool:
    """Write both files; tell whether the encoder's weights had to be stored in half precision to stay small."""
    onnx_files.convert(encoder, folder / ENCODER_FILE)
    half = (folder / ENCODER_FILE).stat().st_size > MOST_BYTES
    if half:
        onnx_files.convert(encoder, folder / ENCODER_FILE, half=True)
    onnx_files.convert(head, folder / HEAD_FILE)
    for name in (ENCODER_FILE, HEAD_FILE):
        if (size := (folder / name).stat().st_size) > MOST_BYTES:
            raise ParityError(f"{name}: expected at most {MOST_BYTES} bytes, found {size}")
    return half


def _keep_unchanged(published: Path, new: Path) -> None:
    """Keep the published file of an encoder that the new one equals in every bit that it computes.

    Conversion may order a graph another way; the files are large, and a history keeps each of them for good.
    """
    if not published.is_file():
        return
    try:
        equal = _equal(published, new)
    except providers.ProviderError:  # one is no model: parity will tell of the new one
        return
    if equal:
        shutil.copyfile(published, new)


def _equal(published: Path, new: Path, columns: Sequence[int] | None = None) -> bool:
    """Whether two encoders compute the same in every bit; of the first one's evidence, these columns."""
    hu, names, cpu = _heads(max(SLICES)), ["features", "evidence"], providers.choose("cpu")
    before, after = (providers.session(path, cpu).run(names, {"hu": hu}) for path in (published, new))
    evidence = before[1] if columns is None else before[1][..., columns]
    return np.array_equal(before[0], after[0]) and np.array_equal(evidence, after[1])


def _share_encoder(card: ModelCard, target: Path, built: Path) -> ModelCard:
    """Leave the encoder to a published model beside this one that has the same: files are large, one serves both."""
    for folder in sorted(path.parent for path in target.parent.glob(f"*/{CARD_FILE}")):
        if folder.name == target.name:
            continue
        other = ModelCard.read(folder)
        if other.encoder_of or not shares_encoder_with(other, card):
            continue
        if _equal(folder / ENCODER_FILE, built / ENCODER_FILE, [other.labels.index(label) for label in card.labels]):
            (built / ENCODER_FILE).unlink()
            hashes = card.sha256 | {ENCODER_FILE: other.sha256[ENCODER_FILE]}
            return replace(card, encoder_of=folder.name, sha256=hashes)
    return card


def check_parity(encoder: Any, head: Any, folder: Path, half: bool) -> Parity:
    """Compare Keras with ONNX Runtime (CPU, fp32) on synthetic heads of several lengths.

    Returns
    -------
    The largest differences of probabilities found, by output

    Raises
    ------
    ParityError
        if one exceeds `tolerance`, or is not a number
    """
    tolerance = TOLERANCE_HALF if half else TOLERANCE
    cpu = providers.choose("cpu")
    encoder_session = providers.session(folder / ENCODER_FILE, cpu)
    head_session = providers.session(folder / HEAD_FILE, cpu)
    worst: dict[str, float] = {}
    for slices in SLICES:
        hu = _heads(slices)
        expected = onnx_files.keras_outputs(encoder, hu)
        expected |= onnx_files.keras_outputs(head, expected["features"])
        features, evidence = encoder_session.run(["features", "evidence"], {"hu": hu})
        outputs = {"evidence": evidence}
        names = ["slice_probability", "study_probability"]
        outputs |= dict(zip(names, head_session.run(names, {"features": features}), strict=True))
        for name, value in outputs.items():
            if value.shape != expected[name].shape:
                raise ParityError(f"{name}: expected shape {expected[name].shape}, found {value.shape}")
            # np.maximum, because max(0.0, nan) is 0.0.
            worst[name] = float(np.maximum(worst.get(name, 0.0), np.abs(value - expected[name]).max()))
    for name, difference in worst.items():
        if not difference <= tolerance:
            raise ParityError(f"{name}: expected to differ from Keras by at most {tolerance}, found {difference}")
    return Parity(tolerance, SLICES, worst, "fp16" if half else "fp32")


def _heads(slices: int) -> NDArray[np.int16]:
    """(slices, 224, 224) int16 HU of a synthetic head with a bleed."""
    made = phantom.make(SUBTYPES[slices % len(SUBTYPES)], seed=slices, slices=slices, size=INPUT_SIZE)
    return model_input(made.hu)[0]


def _card(
    config: dict[str, Any],
    metrics: dict[str, Any],
    folder: Path,
    version: str,
    parity: Parity,
    encoder_hash: str,
) -> ModelCard:
    name, points = config["model"], metrics["operating_points"]
    packages = ("keras", "tensorflow", "tf2onnx", "onnx", "onnxruntime-gpu", "numpy")
    evidence = dict(metrics["evidence"])
    failures = evidence.pop("failures", [])
    return ModelCard(
        name=name,
        version=version,
        description=description(config),
        labels=tuple(config["labels"]),
        input_size=INPUT_SIZE,
        thresholds=points["thresholds"]["study"],
        operating_points=tuple(CardOperatingPoint(**point) for point in points["points"]),
        default_point=points["default"],
        sha256={file: file_sha256(folder / file) for file in (ENCODER_FILE, HEAD_FILE)},
        training_data=tuple(from_plain(TrainingSource, source) for source in config["training_data"]),
        metrics=replace(
            from_plain(Metrics, metrics["measured"]),
            folds=metrics["folds"],
            ablations=metrics["ablations"],
            chosen_on={key: points[key] for key in ("prevalence", "patients")},
            found_by_kind=metrics["found_by_kind"],
            evidence=evidence,
            unknown_hospitals=metrics.get("unknown_hospitals") or None,
            sources_told_apart=metrics.get("sources_told_apart") or None,
        ),
        parity=parity,
        software={package: importlib.metadata.version(package) for package in packages},
        limits=limits(config["training_data"], points["patients"]),
        default_reason=points["reason"],
        slice_thresholds=points["thresholds"]["slice"],
        failures=tuple(from_plain(Failure, failure) for failure in failures),
        encoder_weights=encoder_hash,
    )


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and export; 0 if published."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="the runs of a model, such as runs/cranioscan")
    parser.add_argument("--models", type=Path, default=Path("models"), help="where model folders are")
    parser.add_argument("--version", required=True, help="version of the model, for its card")
    parser.add_argument("--decides", action="store_true", help="its word is the study's; others are second opinions")
    options = parser.parse_args(arguments)
    final = options.runs / _FINAL
    for path in (final / CONFIG_FILE, final / HEAD_WEIGHTS, options.runs / METRICS_FILE):
        if not path.is_file():
            parser.error(f"{path}: expected a finished and measured run, found no such file")
    config = json.loads((final / CONFIG_FILE).read_text())
    if not (path := encoder_weights(options.runs, config)).is_file():
        parser.error(f"{path}: expected a finished and measured run, found no such file")
    target = options.models / config["model"]
    try:
        card = export(options.runs, target, options.version, options.decides)
    except (ParityError, providers.ProviderError, ModelError, onnx.checker.ValidationError, ValueError) as error:
        print(f"not published: {error}", file=sys.stderr)
        return 1
    print(f"{target}: {card.name} {card.version}, parity {card.parity and card.parity.largest_difference}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
