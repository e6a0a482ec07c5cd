"""Train CranioScan or CerebroScan, from public collections to `runs/<name>/`.

    python -m training.train cerebroscan --backbone-weights ../shared/weights/mobilenet_v2_imagenet_notop.weights.h5
    python -m training.train cranioscan --backbone-weights none

First the slice encoder learns to find blood on augmented single slices, mostly synthetic bleeds in real heads with
their masks. Then the head over the slices of a study learns on the encoder's features, is calibrated on validation
patients and measured on test patients. A run that was stopped goes on where it was. training/README.md has the
time it takes and what comes out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from ichscope.labels import LABELS
from training import models
from training.batches import SliceBatches, masked_loss
from training.evaluate import calibrate, measure, operating_points, slice_auc, summary
from training.fused import use_fused_batch_norm
from training.sequences import embed, fit_head
from training.splits import Split, provenance, split

ENCODER_FILE, HEAD_FILE, CONFIG_FILE, METRICS_FILE = (
    "encoder.weights.h5",
    "head.weights.h5",
    "config.json",
    "metrics.json",
)


@dataclass(frozen=True)
class Phase:
    """A stretch of the encoder's training.

    crop : side of the part of the slice that is trained on; backbone : whether its weights move;
    fine_only : train what the finest map needs, without the coarse stages
    """

    epochs: int
    learning_rate: float
    crop: int = 224
    batch: int = 16
    steps: int = 100
    backbone: bool = True
    fine_only: bool = False


@dataclass(frozen=True)
class Recipe:
    """How one model is trained.

    copies : how often a real study is augmented for the head
    folded : the backbone has its batch norm in the weights, where it must not run again
    """

    phases: tuple[Phase, ...]
    head_steps: int = 1500
    copies: int = 4
    folded: bool = False


RECIPES = {
    # The pre-trained backbone is kept while the new layers learn, then moves a little.
    "cerebroscan": Recipe((Phase(7, 1e-3, backbone=False), Phase(3, 1e-4)), folded=True),
    # No pre-trained weights: small parts and the fine stages first, whole slices last, so that batch norm knows them.
    "cranioscan": Recipe(
        (
            Phase(8, 1e-3, crop=96, batch=32, steps=60, fine_only=True),
            Phase(1, 4e-4, crop=128, batch=16, steps=60),
            Phase(1, 1e-4, batch=8, steps=30),
        ),
        copies=2,
    ),
}


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line, train, and leave the run folder behind."""
    options = _parse(arguments)
    use_fused_batch_norm()
    keras.utils.set_random_seed(options.seed)
    keras.config.set_dtype_policy({"bf16": "mixed_bfloat16", "fp32": "float32"}[options.precision])
    run = options.run or Path("runs") / options.model
    run.mkdir(parents=True, exist_ok=True)
    data = split(options.data, options.cache, options.implants)
    architecture = models.ARCHITECTURES[options.model]
    config = {"model": options.model, **asdict(architecture), "recipe": asdict(RECIPES[options.model])}
    config |= {"backbone": options.backbone or architecture.backbone, "options": _plain(vars(options))}
    (run / CONFIG_FILE).write_text(json.dumps(config, indent=2))
    if options.stage in ("encoder", "all"):
        train_encoder(run, config, data, options)
    if options.stage in ("head", "all"):
        train_head(run, config, data)


def train_encoder(run: Path, config: dict[str, Any], data: Split, options: argparse.Namespace) -> None:
    """Fit the slice encoder, phase by phase, to runs/<name>/encoder.weights.h5."""
    recipe, labels = RECIPES[config["model"]], config["labels"]
    studies = [*data.training, *data.training_implants]
    weights = None if options.backbone_weights == "none" else options.backbone_weights
    encoder = models.slice_encoder(config["backbone"], labels, weights, size=None if weights is None else 224)
    trained = _with_slice_logits(encoder, len(labels))
    for number, phase in enumerate(recipe.phases):
        done = run / f"phase-{number}.weights.h5"
        if not done.is_file():
            batches = SliceBatches(studies, labels, phase.batch, phase.steps, number, phase.crop, **_parallel(options))
            _freeze(encoder.get_layer(config["backbone"]), phase, recipe.folded)
            part = models.fine_part(encoder, config["backbone"]) if phase.fine_only else trained
            _fit(part, phase, batches, data, run, number)
            _save(trained, done)
        trained.load_weights(done)
    _save(encoder, run / ENCODER_FILE)


def _with_slice_logits(encoder: keras.Model, labels: int) -> keras.Model:
    """Add a slice classifier that only training uses: it makes the pooled features tell slices apart."""
    features = layers.Dropout(0.3)(layers.LayerNormalization(dtype="float32")(encoder.output["features"]))
    logits = layers.Dense(labels, dtype="float32", name="slice")(features)
    return keras.Model(encoder.input, {"evidence": encoder.output["evidence"], "slice": logits})


def _freeze(backbone: keras.Model, phase: Phase, folded: bool) -> None:
    backbone.trainable = phase.backbone
    if phase.backbone and folded:
        for layer in backbone.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.trainable = False


def _fit(model: keras.Model, phase: Phase, batches: SliceBatches, data: Split, run: Path, number: int) -> None:
    steps = phase.epochs * phase.steps
    rate = keras.optimizers.schedules.CosineDecay(
        phase.learning_rate / 20, steps, 0.02, warmup_target=phase.learning_rate, warmup_steps=min(200, steps // 10)
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=1e-4, clipnorm=1.0, use_ema=True, ema_momentum=0.99)
    model.compile(
        optimizer,
        {"evidence": masked_loss(3.0), "slice": masked_loss()},
        loss_weights={"evidence": 4.0, "slice": 1.0},
        jit_compile=False,
    )
    callbacks = [
        keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
        _ValidationAuc([study for study in data.validation if not study.pictures]),
        keras.callbacks.BackupAndRestore(run / f"backup-{number}"),
        keras.callbacks.CSVLogger(str(run / f"encoder-{number}.csv"), append=True),
        keras.callbacks.TerminateOnNaN(),
    ]
    model.fit(batches, epochs=phase.epochs, callbacks=callbacks, verbose=2)


class _ValidationAuc(keras.callbacks.Callback):
    """Log the slice AUC of `any` on every third slice of real validation patients, by classifier and by evidence."""

    def __init__(self, studies: list[Any], every: int = 4) -> None:
        super().__init__()
        self._hu = np.concatenate([study.hu[::3] for study in studies])
        self._truth = np.concatenate([study.labels[::3, 0] for study in studies])
        self._every = every

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Predict and log; nan in the epochs between."""
        logs = logs if logs is not None else {}
        last = epoch + 1 == self.params["epochs"]
        logs["auc_slice"] = logs["auc_evidence"] = float("nan")
        if last or (epoch + 1) % self._every == 0:
            found = self.model.predict(self._hu, batch_size=16, verbose=0)
            logs["auc_slice"] = slice_auc(self._truth, found["slice"][:, 0])
            logs["auc_evidence"] = slice_auc(self._truth, found["evidence"][..., 0].max(axis=(1, 2)))


def train_head(run: Path, config: dict[str, Any], data: Split) -> None:
    """Fit, calibrate and measure the head on the encoder's features, to runs/<name>/. Needs TensorFlow, for ONNX."""
    labels = config["labels"]
    encoder = models.slice_encoder(config["backbone"], labels)
    encoder.load_weights(run / ENCODER_FILE)
    rng = np.random.default_rng(0)
    embedded = {
        "training": embed(encoder, run, [s for s in data.training if not s.pictures], rng, config["recipe"]["copies"])
        + embed(encoder, run, [s for s in data.training if s.pictures], rng)
        + embed(encoder, run, data.training_implants, rng),
        "validation": embed(encoder, run, data.validation),
        "validation_implants": embed(encoder, run, data.validation_implants),
        "test": embed(encoder, run, data.test),
        "elsewhere": embed(encoder, run, data.elsewhere),
    }
    columns = [LABELS.index(label) for label in labels]
    head = fit_head(config["head"], labels, columns, embedded["training"], config["recipe"]["head_steps"], run)
    _save(head, run / HEAD_FILE)
    calibration = calibrate(head, embedded["validation"], embedded["validation_implants"], columns)
    metrics = {
        "training_data": provenance(data, pretrained=config["options"]["backbone_weights"] != "none"),
        "calibration": calibration,
        "operating_points": operating_points(
            head, calibration, embedded["validation"], embedded["validation_implants"], labels, columns
        ),
        "measured": {
            part: measure(head, calibration, embedded[part], labels, columns)
            for part in ("validation", "test", "elsewhere")
        },
    }
    (run / METRICS_FILE).write_text(json.dumps(metrics, indent=2))
    for part, figures in metrics["measured"].items():
        print(f"{part}\n{summary(figures)}")


def _save(model: keras.Model, path: Path) -> None:
    part = path.with_name(f"part-{path.name}")
    model.save_weights(part)
    part.replace(path)


def _parallel(options: argparse.Namespace) -> dict[str, Any]:
    return {"workers": options.workers, "use_multiprocessing": False, "max_queue_size": 8}


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=sorted(RECIPES))
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("ICHSCOPE_DATA", "../shared/data")), help="the collections"
    )
    parser.add_argument("--cache", type=Path, default=Path(".cache/training"), help="for prepared arrays")
    parser.add_argument("--run", type=Path, help="folder to write (runs/<model>)")
    parser.add_argument("--backbone", choices=sorted(models.BACKBONES), help="another CNN than the model's own")
    parser.add_argument("--backbone-weights", default="imagenet", metavar="imagenet|PATH|none")
    parser.add_argument("--stage", choices=("encoder", "head", "all"), default="all")
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="fp32")
    parser.add_argument("--implants", type=int, default=3, help="synthetic bleeds a kind and normal study")
    parser.add_argument("--workers", type=int, default=1, help="threads that prepare batches")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
