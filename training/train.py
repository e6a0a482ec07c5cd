"""Train CranioScan or CerebroScan, from public collections to a folder below `runs/<model>/`.

    python -m training.train cerebroscan --backbone-weights ../shared/weights/mobilenet_v2_imagenet_notop.weights.h5
    python -m training.train cranioscan --backbone-weights none --fold 0

First the slice encoder learns to find blood on augmented single slices, mostly synthetic bleeds in real heads with
their masks. Then the head over the slices of a study learns on the encoder's features, and the run's answers on
patients that it has not seen are written down: of one fold with `--fold`, else only of other collections. A run that
was stopped goes on where it was. training/README.md has the time it takes and what comes out.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from ichscope.atomic import replacing
from ichscope.imaging.preprocess import INPUT_SIZE
from ichscope.labels import LABELS
from training import augment, models, predictions
from training.batches import SliceBatches, masked_loss
from training.data import ADAPTERS, DEFAULT_CACHE, TrainingStudy
from training.embedded import EmbeddedStudy, restore, save
from training.fused import fold, unfold, use_fused_layers
from training.material import TooLittleDataError, check, has_parts, learnable, left_out, many_labelled_alone
from training.out_of_fold import CONFIG_FILE
from training.sequences import LENGTHS, embed, excerpt, fit_head
from training.splits import FOLDS, TRAINING_SOURCES, Split, cache_of, for_training, present, provenance, split

ENCODER_FILE, HEAD_FILE = "encoder.weights.h5", "head.weights.h5"
# What a fold's encoder sees in the patients held back from it, for the heads of the others.
_HELD_OUT = "held-out"
_LEARNING_FILE = f"features-{_HELD_OUT}.npz"
# What a run can do without, to learn what it is worth; it can do without each collection or hospital, too.
ABLATIONS = ("implants", "augmentation", "evidence", "slice-labels", "sequence")
_HOSPITALS = ("rsna",)
# Batch norm's own 0.99 would keep much of its first, random statistics over the few hundred steps made here.
_MOMENTUM = 0.9
# What a rehearsal does of everything.
_REHEARSED_BATCH, _REHEARSED_HEAD_STEPS = 2, 10
# Whole slices at once, where parts cannot be had.
_WHOLE_BATCH = 16
# The head needs to see fewer implants than the encoder: encoding them would take longer than all else.
_THINNED = 3


@dataclass(frozen=True)
class Phase:
    """A stretch of the encoder's training, in epochs of `steps` batches.

    crop : side of the part of the slice that is trained on; backbone : whether its weights move;
    stem : whether those of its first layers do; fine_only : train what the finest map needs, without the coarse
    stages; coarse_only : only these, on the rest as it is; settled : batch norm no longer learns
    """

    epochs: int
    learning_rate: float
    crop: int = INPUT_SIZE
    batch: int = 16
    steps: int = 40
    backbone: bool = True
    stem: bool = True
    fine_only: bool = False
    coarse_only: bool = False
    settled: bool = False


@dataclass(frozen=True)
class Recipe:
    """How one model is trained.

    head_view : what the head looks at, one of models.VIEWS; copies : how often a real study is augmented for the head
    head_steps, head_rate : batches and learning rate of the head; on few patients, longer or faster made it worse
    """

    phases: tuple[Phase, ...]
    head_view: str = "evidence"
    head_steps: int = 600
    head_rate: float = 5e-4
    copies: int = 2


# From random weights: the fine stages on small parts of slices, first in large batches, then in many small ones; the
# coarse stages last, on what the fine ones know.
FROM_SCRATCH = Recipe(
    (
        Phase(6, 1e-3, crop=96, batch=64, fine_only=True),
        Phase(20, 8e-4, crop=96, batch=32, steps=60, fine_only=True),
        Phase(4, 1e-3, crop=128, batch=32, coarse_only=True),
    )
)
# Hundreds of slices of many scanners with labels and no outlines, beside the others: the fine stages go on with whole
# slices, where blood lies known or not; then the coarse ones join, first on what the fine ones know, then all together.
MANY_SCANNERS = Recipe(
    (
        *FROM_SCRATCH.phases[:2],
        Phase(10, 6e-4, batch=32, steps=60, fine_only=True),
        Phase(3, 1e-3, batch=32, coarse_only=True),
        Phase(5, 3e-4, batch=32),
    ),
    head_view="verdicts",
)
# A pre-trained backbone is kept while the new layers learn, then moves too. Its batch norm may be in the weights.
PRETRAINED = Recipe(
    (
        Phase(3, 1e-3, crop=96, batch=64, backbone=False, settled=True),
        Phase(6, 5e-4, crop=96, batch=64, settled=True),
        Phase(1, 1e-4, steps=20, settled=True),
    )
)
# The same with hundreds of bleeding slices that nobody outlined: whole slices from the beginning. What pictures of the
# world have taught suits whole heads, and goes further on other scanners than all that random weights learned of parts;
# what they have taught of edges stays, at half of the cost.
PRETRAINED_MANY_SCANNERS = Recipe(
    (
        Phase(3, 1e-3, batch=32, steps=60, backbone=False, settled=True),
        Phase(20, 4e-4, batch=32, steps=60, stem=False, settled=True),
    ),
    head_view="verdicts",
)
# Hundreds of thousands of slices with labels and no outlines: where blood is first, then whole slices for long.
LARGE = Recipe(
    (
        *FROM_SCRATCH.phases,
        Phase(30, 3e-4, batch=64, steps=1500),
        Phase(2, 3e-5, batch=64, steps=1500, settled=True),
    ),
    head_view="features",
    head_steps=20_000,
    head_rate=1e-3,
    copies=1,
)
RECIPES = {
    "scratch": FROM_SCRATCH,
    "many-scanners": MANY_SCANNERS,
    "pretrained": PRETRAINED,
    "pretrained-many-scanners": PRETRAINED_MANY_SCANNERS,
    "large": LARGE,
}


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line, train, and leave the run folder behind."""
    options = _parse(arguments)
    use_fused_layers()
    _distribute()
    keras.utils.set_random_seed(options.seed)
    run = options.run or default_run(options.model, options.fold, options.without)
    data = _read(options)
    config = _config(options, data, run)
    _start(run, config)
    for line in left_out(data, models.ARCHITECTURES[options.model].labels, options.without):
        print(f"left out: {line}")
    if options.stage in ("encoder", "all") and options.encoder is None:
        keras.config.set_dtype_policy({"bf16": "mixed_bfloat16", "fp32": "float32"}[options.precision])
        train_encoder(run, config, data, options)
    keras.config.set_dtype_policy("float32")  # what is exported
    if options.stage in ("features", "all") and options.encoder is None and options.fold is not None:
        cache = cache_of(options.cache, options.rehearse)
        studies = [for_training(study, cache) for study in data.held_out]
        _features(run, config, _HELD_OUT, studies, data.held_out_implants)
    if options.stage in ("head", "all"):
        train_head(run, config, data, _encoder_run(options, run))


def _read(options: argparse.Namespace) -> Split:
    """Read and split the collections that are there, or say what is missing."""
    options.sources = options.sources or present(options.data)
    if not options.sources:
        sys.exit(f"{options.data}: found none of the collections {', '.join(TRAINING_SOURCES)}; see training/README.md")
    if options.rehearse:
        options.implants = min(options.implants, 1)
    wanted = options.fold, options.implants, options.without, options.sources, options.rehearse
    try:
        data = split(options.data, options.cache, *wanted)
        check(data, models.ARCHITECTURES[options.model].labels, options.fold)
    except (FileNotFoundError, TooLittleDataError) as error:
        sys.exit(str(error))
    return data


def _encoder_run(options: argparse.Namespace, run: Path) -> Path:
    """Tell whose encoder a run uses: its own, or that of another model's run with the same patients held back."""
    return run if options.encoder is None else Path(options.encoder) / default_run(options.model, options.fold).name


def default_run(model: str, fold: int | None, without: str = "") -> Path:
    """Name the folder of a run: runs/<model>/[without-<what>/]fold-<n> or .../final."""
    folder = Path("runs") / model / (f"without-{without}" if without else "")
    return folder / ("final" if fold is None else f"fold-{fold}")


def _config(options: argparse.Namespace, data: Split, run: Path) -> dict[str, Any]:
    architecture = models.ARCHITECTURES[options.model]
    own = {
        "model": options.model,
        **asdict(architecture),
        "labels": learnable(data, architecture.labels),
        "without": options.without,
        **{name: getattr(options, name) for name in ("fold", "sources", "rehearse")},
        "options": {name: str(value) for name, value in vars(options).items()},
    }
    if options.encoder:
        theirs = json.loads((_encoder_run(options, run) / CONFIG_FILE).read_text())
        return own | {key: theirs[key] for key in ("backbone", "encoder_labels", "recipe", "training_data")}
    training = [*data.training, *data.training_implants]
    recipe = RECIPES[options.recipe or _suitable(training, options.backbone_weights != "none")]
    phases = tuple(replace(phase, epochs=max(1, round(phase.epochs * options.effort))) for phase in recipe.phases)
    if training and not has_parts(training):
        phases = tuple(_whole(phase) for phase in phases)
    if options.rehearse:
        phases = tuple(replace(phase, epochs=1, steps=1, batch=_REHEARSED_BATCH) for phase in phases)
        recipe = replace(recipe, head_steps=_REHEARSED_HEAD_STEPS, copies=1)
    return own | {
        "backbone": options.backbone or architecture.backbone,
        # What kind of bleed it is teaches where one is, also where the head only says whether there is any.
        "encoder_labels": learnable(data, LABELS),
        "recipe": asdict(replace(recipe, phases=phases)),
        "training_data": provenance(data, pretrained=options.backbone_weights != "none"),
    }


def _suitable(training: Sequence[TrainingStudy], pretrained: bool) -> str:
    """Name the recipe that suits the backbone's weights and the slices."""
    name = "pretrained" if pretrained else "scratch"
    if many_labelled_alone(training):
        name = "pretrained-many-scanners" if pretrained else "many-scanners"
    return name


def _whole(phase: Phase) -> Phase:
    """The phase on whole slices, all of the encoder at once."""
    batch = min(phase.batch, _WHOLE_BATCH)
    return replace(phase, crop=INPUT_SIZE, batch=batch, fine_only=False, coarse_only=False)


def _start(run: Path, config: dict[str, Any]) -> None:
    """Make the folder; refuse to go on with a run that was begun another way."""
    run.mkdir(parents=True, exist_ok=True)
    path = run / CONFIG_FILE
    if path.is_file():
        begun = json.loads(path.read_text())
        for key in ("backbone", "without", "recipe", "training_data"):
            if begun.get(key) != json.loads(json.dumps(config[key])):
                sys.exit(f"{run}: was begun with another {key}; choose another --run, or remove this one")
    path.write_text(json.dumps(config, indent=2))


def _distribute() -> None:
    """Share every batch among the GPUs, if there are several; Keras does this on JAX."""
    if keras.backend.backend() == "jax" and len(keras.distribution.list_devices("gpu")) > 1:
        keras.distribution.set_distribution(keras.distribution.DataParallel())


# --- encoder -------------------------------------------------------------------------------------------


def train_encoder(run: Path, config: dict[str, Any], data: Split, options: argparse.Namespace) -> None:
    """Fit the slice encoder, phase by phase, to encoder.weights.h5."""
    labels = config["encoder_labels"]
    studies = [*data.training, *data.training_implants]
    strength = augment.NONE if config["without"] == "augmentation" else augment.DEFAULT
    weights = None if options.backbone_weights == "none" else options.backbone_weights
    encoder = models.slice_encoder(config["backbone"], labels, weights, size=None)
    trained = _for_training(encoder)
    if options.start_from:
        trained.load_weights(options.start_from)
    phases = [Phase(**values) for values in config["recipe"]["phases"]]
    for number, phase in enumerate(phases[: options.stop_after]):
        done = run / f"phase-{number}.weights.h5"
        if not done.is_file():
            parallel = {"workers": options.workers, "use_multiprocessing": False, "max_queue_size": 8}
            batches = SliceBatches(
                studies, labels, phase.batch, phase.steps, number, phase.crop, strength=strength, **parallel
            )
            _freeze(encoder, config["backbone"], phase)
            part = models.fine_part(encoder, config["backbone"]) if phase.fine_only else trained
            _fit(part, phase, batches, run, number, options)
            _save(trained, done)
        trained.load_weights(done)
    if options.stop_after is None or options.stop_after >= len(phases):
        _save(encoder, run / ENCODER_FILE)


def _for_training(encoder: keras.Model) -> keras.Model:
    """The encoder with what its training looks at: evidence, the slice's verdict, and the strongest evidence."""
    evidence, verdict = encoder.output["evidence"], encoder.get_layer("slice").output
    return keras.Model(encoder.input, {"evidence": evidence, "slice": verdict, "strongest": models.strongest(evidence)})


def _freeze(encoder: keras.Model, backbone: str, phase: Phase) -> None:
    stages = encoder.get_layer(backbone)
    for layer in [*encoder.layers, *stages.layers]:  # one by one: a model passes on only what is new to itself
        layer.trainable = True
    unfold(_norms(stages.layers))
    stages.trainable = phase.backbone
    if phase.backbone and not phase.stem:
        for layer in models.stem(stages, backbone):
            layer.trainable = False
    for layer in _norms(stages.layers):
        layer.momentum = _MOMENTUM
        if phase.backbone and phase.settled:
            layer.trainable = False
    if not phase.backbone or phase.settled:
        fold(_norms(stages.layers))
    if phase.coarse_only:
        for layer in models.fine_part(encoder, backbone).layers:
            layer.trainable = False


def _norms(some: Sequence[keras.Layer]) -> list[keras.Layer]:
    return [layer for layer in some if isinstance(layer, layers.BatchNormalization)]


def _fit(
    model: keras.Model,
    phase: Phase,
    batches: SliceBatches,
    run: Path,
    number: int,
    options: argparse.Namespace,
) -> None:
    steps = phase.epochs * phase.steps
    rate = keras.optimizers.schedules.CosineDecay(
        phase.learning_rate / 20, steps, 0.02, warmup_target=phase.learning_rate, warmup_steps=min(200, steps // 10)
    )
    optimizer = keras.optimizers.AdamW(rate, weight_decay=1e-4, clipnorm=1.0, use_ema=True, ema_momentum=0.99)
    model.compile(
        optimizer,
        {"evidence": masked_loss(3.0), "slice": masked_loss(), "strongest": masked_loss()},
        loss_weights={
            "evidence": 0.0 if options.without == "evidence" else 4.0,
            "slice": 1.0,
            "strongest": 0.0 if options.without in ("evidence", "slice-labels") else 1.0,
        },
        jit_compile=False,
        run_eagerly=options.rehearse,
    )
    callbacks = [
        keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
        keras.callbacks.BackupAndRestore(run / f"backup-{number}"),
        keras.callbacks.CSVLogger(str(run / f"encoder-{number}.csv"), append=True),
        keras.callbacks.TerminateOnNaN(),
    ]
    if options.tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(run / f"tensorboard-{number}", update_freq=10))
    model.fit(batches, epochs=phase.epochs, callbacks=callbacks, verbose=2)


# --- head ----------------------------------------------------------------------------------------------


def train_head(run: Path, config: dict[str, Any], data: Split, encoder_run: Path) -> None:
    """Fit the head, and write what the run says of unseen patients, if there are any.

    An encoder is surer of the patients that it was trained on than of others, so a head that learned on them would
    have nothing to add. It learns on what the encoders of the other folds see in the patients held back from them
    (stacking); without other folds, on the run's own training patients.

    Needs TensorFlow, for the encoder's ONNX file.
    """
    labels = config["labels"]
    columns = [LABELS.index(label) for label in labels]
    training = [study for other in _other_folds(encoder_run) for study in restore(other / _LEARNING_FILE)]
    if not training:
        print("found no features of other folds: the head learns on the run's own training patients")
        training = _features(encoder_run, config, "training", data.training, data.training_implants[::_THINNED])
    alone = config["without"] == "sequence"
    head, recipe = models.head_for(config, training[0].features.shape[1]), config["recipe"]
    lengths = (1,) if alone else LENGTHS
    fit_head(
        head, columns, training, recipe["head_steps"], recipe["head_rate"], run, lengths, eagerly=config["rehearse"]
    )
    _save(head, run / HEAD_FILE)
    rng = np.random.default_rng(0)
    unseen = [*data.held_out, *(excerpt(study, rng) for study in data.held_out_implants), *data.elsewhere]
    if unseen:
        embedded = _kept(encoder_run, config, "unseen", lambda encoder: embed(encoder, encoder_run, unseen))
        predictions.write(predictions.predict(head, embedded, labels, columns, alone), run)


def _other_folds(encoder_run: Path) -> list[Path]:
    """Find runs that held other patients back and have features of them; beside a run without something, the whole."""
    beside = encoder_run.parent.parent if encoder_run.parent.name.startswith("without-") else encoder_run.parent
    return [
        run
        for run in sorted(beside.glob("fold-*"))
        if run.name != encoder_run.name and (run / _LEARNING_FILE).is_file()
    ]


def _kept(
    run: Path, config: Mapping[str, Any], name: str, make: Callable[[keras.Model], list[EmbeddedStudy]]
) -> list[EmbeddedStudy]:
    """Encode once for all heads on an encoder."""
    kept, weights = run / f"features-{name}.npz", run / ENCODER_FILE
    if not kept.is_file() or kept.stat().st_mtime < weights.stat().st_mtime:
        encoder = models.slice_encoder(config["backbone"], config["encoder_labels"])
        encoder.load_weights(weights)
        save(make(encoder), kept)
    return restore(kept)


def _features(
    run: Path,
    config: Mapping[str, Any],
    name: str,
    studies: Sequence[TrainingStudy],
    implants: Sequence[TrainingStudy],
) -> list[EmbeddedStudy]:
    """Whole heads of CT, of which there are few, several times; parts of all else. Augmented, as studies will vary."""

    def make(encoder: keras.Model) -> list[EmbeddedStudy]:
        rng = np.random.default_rng(0)
        whole = [study for study in studies if not study.pictures]
        pictures = [study for study in studies if study.pictures]
        parts = [excerpt(study, rng) for study in [*pictures, *implants]]
        return embed(encoder, run, whole, rng, config["recipe"]["copies"]) + embed(encoder, run, parts, rng)

    return _kept(run, config, name, make)


def _save(model: keras.Model, path: Path) -> None:
    with replacing(path) as part:
        model.save_weights(part)


# --- command line --------------------------------------------------------------------------------------


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=sorted(models.ARCHITECTURES))
    parser.add_argument("--fold", type=int, choices=range(FOLDS), help="patients to hold back; none by default")
    parser.add_argument(
        "--without",
        choices=(*ABLATIONS, *_HOSPITALS, *sorted(ADAPTERS)),
        default="",
        metavar="WHAT",
        help=f"leave something out, to learn its worth: {', '.join(ABLATIONS)}, a collection, or all of RSNA's (rsna)",
    )
    parser.add_argument("--recipe", choices=RECIPES, help="by default as the backbone's weights need it")
    parser.add_argument("--effort", type=float, default=1.0, help="multiple of the recipe's epochs for the encoder")
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("ICHSCOPE_DATA", "../shared/data")), help="the collections"
    )
    parser.add_argument(
        "--sources",
        nargs="+",
        choices=sorted(ADAPTERS),
        help=f"by default what is there of {', '.join(TRAINING_SOURCES)}",
    )
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="for prepared arrays")
    parser.add_argument("--run", type=Path, help="folder to write (runs/<model>/fold-N or runs/<model>/final)")
    parser.add_argument("--backbone", choices=sorted(models.BACKBONES), help="another CNN than the model's own")
    parser.add_argument("--backbone-weights", default="imagenet", metavar="imagenet|PATH|none")
    parser.add_argument("--encoder", type=Path, metavar="RUNS/MODEL", help="use another model's trained encoders")
    parser.add_argument("--stage", choices=("encoder", "features", "head", "all"), default="all")
    parser.add_argument(
        "--rehearse", action="store_true", help="a few steps of everything, on a few patients: does it all run here?"
    )
    parser.add_argument(
        "--start-from", type=Path, metavar="FILE", help="phase-N.weights.h5 of another run to begin with"
    )
    parser.add_argument("--stop-after", type=int, metavar="N", help="stop after N phases of the encoder, go on later")
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="fp32")
    parser.add_argument("--implants", type=int, default=3, help="synthetic bleeds a kind and normal study")
    parser.add_argument("--workers", type=int, default=1, help="threads that prepare batches")
    parser.add_argument("--tensorboard", action="store_true", help="logs for TensorBoard too")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
