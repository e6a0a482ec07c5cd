"""Publish a training run as a model folder, only if ONNX Runtime and Keras agree.

    python -m export.to_onnx runs/cranioscan

writes models/cranioscan/ with encoder.onnx, head.onnx, card.json and README.md. Nothing is written, and the exit code
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
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from export.model_card import CARDS, readme
from ichscope import phantom, providers
from ichscope.card import ModelCard, OperatingPoint, file_sha256
from ichscope.inference import ENCODER_FILE, HEAD_FILE
from ichscope.labels import SUBTYPES
from ichscope.preprocess import INPUT_SIZE, model_input
from training import models, onnx_files
from training.train import CONFIG_FILE, METRICS_FILE
from training.train import ENCODER_FILE as ENCODER_WEIGHTS
from training.train import HEAD_FILE as HEAD_WEIGHTS

# Batch sizes of the encoder, which are lengths of the study for the head.
SLICES = (1, 3, 8, 21)
TOLERANCE, TOLERANCE_HALF = 1e-4, 2e-3
MOST_BYTES = 50 << 20
_DEFAULT_POINT = "sensitivity 0.90"


class ParityError(Exception):
    """The ONNX files do not give what Keras gives, or cannot be used."""


def export(run: Path, target: Path, version: str) -> ModelCard:
    """Convert, compare and publish one run.

    Raises
    ------
    ParityError, ProviderError, onnx.checker.ValidationError, ValueError
        if the files must not be published; `target` is then as it was
    """
    config = json.loads((run / CONFIG_FILE).read_text())
    metrics = json.loads((run / METRICS_FILE).read_text())
    encoder, head = _functions(run, config, metrics)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".export-") as folder:
        built = Path(folder) / target.name
        half = _convert(encoder, head, built)
        parity = check_parity(encoder, head, built, TOLERANCE_HALF if half else TOLERANCE)
        card = _card(config, metrics, built, version, {**parity, "weights_stored_as": "fp16" if half else "fp32"})
        card.write(built)
        (built / "README.md").write_text(readme(card), encoding="utf-8")
        if target.exists():
            shutil.rmtree(target)
        built.rename(target)
    return card


def _functions(run: Path, config: dict[str, Any], metrics: dict[str, Any]) -> tuple[Any, Any]:
    encoder = models.slice_encoder(config["backbone"], config["labels"])
    encoder.load_weights(run / ENCODER_WEIGHTS)
    head = models.sequence_head(config["head"], encoder.output["features"].shape[-1], config["labels"])
    head.load_weights(run / HEAD_WEIGHTS)
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


def check_parity(encoder: Any, head: Any, folder: Path, tolerance: float) -> dict[str, Any]:
    """Compare Keras with ONNX Runtime (CPU, fp32) on synthetic heads of several lengths.

    Returns
    -------
    The largest differences of probabilities found, by output

    Raises
    ------
    ParityError
        if one exceeds `tolerance`, or is not a number
    """
    cpu = providers.choose("cpu")
    encoder_session = providers.session(folder / ENCODER_FILE, cpu)
    head_session = providers.session(folder / HEAD_FILE, cpu)
    worst: dict[str, float] = {}
    for slices in SLICES:
        hu = _heads(slices)
        expected = onnx_files.keras_outputs(encoder, hu)
        expected |= onnx_files.keras_outputs(head, expected["features"])
        features, evidence = encoder_session.run(["features", "evidence"], {"hu": hu})
        found = {"evidence": evidence}
        names = ["slice_probability", "study_probability"]
        found |= dict(zip(names, head_session.run(names, {"features": features}), strict=True))
        for name, value in found.items():
            if value.shape != expected[name].shape:
                raise ParityError(f"{name}: expected shape {expected[name].shape}, found {value.shape}")
            # np.maximum, because max(0.0, nan) is 0.0.
            worst[name] = float(np.maximum(worst.get(name, 0.0), np.abs(value - expected[name]).max()))
    for name, difference in worst.items():
        if not difference <= tolerance:
            raise ParityError(f"{name}: expected to differ from Keras by at most {tolerance}, found {difference}")
    return {"tolerance": tolerance, "slices": list(SLICES), "largest_difference": worst}


def _heads(slices: int) -> NDArray[np.int16]:
    """(slices, 224, 224) int16 HU of a synthetic head with a bleed."""
    made = phantom.make(SUBTYPES[slices % len(SUBTYPES)], seed=slices, slices=slices, size=INPUT_SIZE)
    return model_input(made.hu)[0]


def _card(
    config: dict[str, Any], metrics: dict[str, Any], folder: Path, version: str, parity: dict[str, Any]
) -> ModelCard:
    name = config["model"]
    points = tuple(OperatingPoint(**point) for point in metrics["operating_points"]["points"])
    chosen = next(point for point in points if point.name == _DEFAULT_POINT)
    packages = ("keras", "tensorflow", "tf2onnx", "onnx", "onnxruntime-gpu", "numpy")
    return ModelCard(
        name=name,
        version=version,
        description=CARDS[name],
        labels=tuple(config["labels"]),
        input_size=INPUT_SIZE,
        thresholds={**metrics["operating_points"]["thresholds"], "any": chosen.threshold},
        operating_points=points,
        default_point=chosen.name,
        sha256={file: file_sha256(folder / file) for file in (ENCODER_FILE, HEAD_FILE)},
        training_data=metrics["training_data"],
        metrics=metrics["measured"],
        parity=parity,
        software={package: importlib.metadata.version(package) for package in packages},
    )


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and export; 0 if published."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a folder that training wrote, such as runs/cranioscan")
    parser.add_argument("--models", type=Path, default=Path("models"), help="where model folders are")
    parser.add_argument("--version", default="0.1.0", help="version of the model, for its card")
    options = parser.parse_args(arguments)
    for name in (CONFIG_FILE, METRICS_FILE, ENCODER_WEIGHTS, HEAD_WEIGHTS):
        if not (options.run / name).is_file():
            parser.error(f"{options.run / name}: expected a finished training run, found no such file")
    model = json.loads((options.run / CONFIG_FILE).read_text())["model"]
    try:
        card = export(options.run, options.models / model, options.version)
    except (ParityError, providers.ProviderError, onnx.checker.ValidationError, ValueError) as error:
        print(f"not published: {error}", file=sys.stderr)
        return 1
    print(f"{options.models / model}: {card.name} {card.version}, parity {card.parity['largest_difference']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
