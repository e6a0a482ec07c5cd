"""Both models as functions of layers. Pure Keras 3: any backend trains them, and they export to ONNX.

Each model is a slice encoder, HU in, `features` and `evidence` out, followed by a head over the slices of a study.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from ichscope.imaging.preprocess import INPUT_SIZE
from ichscope.labels import LABELS

# Level and width in HU: brain, subdural, soft tissue (FIELD: the windows radiologists read ICH in).
WINDOWS: Final = ((40, 80), (80, 200), (40, 380))
CHANNELS: Final = 128
# Cells of 8 x 8 mm of the evidence: a small bleed fills so many.
STRONGEST_CELLS: Final = 4


@dataclass(frozen=True)
class Backbone:
    """A CNN from keras.applications: its layers at strides 8, 16 and 32, and the range its weights expect.

    stem : the last layer of its first ones, which see edges; half of the work of training is in them
    missing : cells by which each stage is smaller than its share of the input, as the CNN does not pad
    """

    build: Any
    stages: tuple[str, str, str]
    stem: str
    input_range: float
    missing: tuple[int, int, int] = (0, 0, 0)


BACKBONES: Final = {
    "resnet50": Backbone(
        keras.applications.ResNet50,
        ("conv3_block4_out", "conv4_block6_out", "conv5_block3_out"),
        "pool1_pool",
        127.5,
    ),
    "mobilenetv2": Backbone(
        keras.applications.MobileNetV2,
        ("block_6_expand_relu", "block_13_expand_relu", "out_relu"),
        "block_1_project_BN",
        1.0,
    ),
    "inceptionv3": Backbone(keras.applications.InceptionV3, ("mixed2", "mixed7", "mixed10"), "mixed0", 1.0, (3, 2, 2)),
}


@dataclass(frozen=True)
class Architecture:
    """What makes the one model and the other."""

    backbone: str
    head: str
    labels: tuple[str, ...]


ARCHITECTURES: Final = {
    "cranioscan": Architecture("resnet50", "transformer", LABELS),
    "cerebroscan": Architecture("mobilenetv2", "lstm", ("any",)),
}


def slice_encoder(
    backbone: str,
    labels: Sequence[str],
    weights: str | None = None,
    size: int | None = INPUT_SIZE,
) -> keras.Model:
    """Encode slices one by one (TimeDistributed, with slices as the batch).

    Parameters
    ----------
    backbone : one of BACKBONES
    weights : "imagenet" (downloads), a path to no-top weights, or None for random ones
    size : side of the input in pixels; None lets training use crops

    Returns
    -------
    Model of `hu` (n, size, size) int16 HU to
    `features` (n, d) float32: average and maximum of every stage, fused map and evidence; the last are logits by label
    of a classifier on all of these, and the maxima of the evidence; and
    `evidence` (n, size/8, size/8, labels) float32 logits: where the slice looks like each label
    """
    kind = BACKBONES[backbone]
    hu = keras.Input((size, size), dtype="int16", name="hu")
    cnn = kind.build(
        include_top=False, input_shape=(size, size, 3), weights="imagenet" if weights == "imagenet" else None
    )
    if weights not in (None, "imagenet"):
        cnn.load_weights(weights)
    stages = keras.Model(cnn.input, [cnn.get_layer(name).output for name in kind.stages], name=backbone)
    fine, middle, coarse = stages(windowed(hu, kind.input_range))
    # Zeros: the coarse stages join what the fine one already knows without disturbing it (see fine_part).
    starts = ("glorot_uniform", *(("zeros", "zeros") if weights is None else ("glorot_uniform", "glorot_uniform")))
    maps = [
        layers.Conv2D(CHANNELS, 1, kernel_initializer=start, name=f"lateral_{i}")(stage)
        for i, (stage, start) in enumerate(zip((fine, middle, coarse), starts, strict=True))
    ]
    fine, middle, coarse = (_rimmed(stage, missing) for stage, missing in zip(maps, kind.missing, strict=True))
    fused = layers.Activation("relu")(middle + layers.UpSampling2D(2)(coarse))
    fused = layers.Activation("relu")(fine + layers.UpSampling2D(2)(fused))
    fused = layers.Conv2D(CHANNELS, 3, padding="same", activation="relu", name="fuse")(fused)
    evidence = layers.Conv2D(len(labels), 1, dtype="float32", name="evidence", bias_initializer=_rare())(fused)
    pooled = [pool(field) for field in (*maps, fused, evidence) for pool in (_average, _maximum)]
    # The classifier sees the slice as a whole; training it also makes the pooled features tell slices apart.
    seen = layers.LayerNormalization(dtype="float32")(layers.Concatenate(dtype="float32")(pooled))
    verdict = layers.Dense(len(labels), dtype="float32", name="slice")(layers.Dropout(0.3)(seen))
    *others, strongest_evidence = pooled
    features = layers.Concatenate(dtype="float32", name="features")([*others, verdict, strongest_evidence])
    return keras.Model(hu, {"features": features, "evidence": evidence}, name=f"{backbone}_encoder")


def stem(stages: keras.Model, backbone: str) -> list[keras.Layer]:
    """The first layers of a backbone, up to the end of its stem."""
    last = stages.layers.index(stages.get_layer(BACKBONES[backbone].stem))
    return list(stages.layers[: last + 1])


def showing(encoder: keras.Model, trained: Sequence[str], labels: Sequence[str]) -> keras.Model:
    """Leave out the evidence of labels that a model does not give; its features stay as they are."""
    if list(trained) == list(labels):
        return encoder
    columns = [list(trained).index(label) for label in labels]
    evidence = ops.take(encoder.output["evidence"], columns, axis=-1)
    return keras.Model(encoder.input, {**encoder.output, "evidence": evidence}, name=encoder.name)


def fine_part(encoder: keras.Model, backbone: str) -> keras.Model:
    """Cut an encoder to what the finest map needs, sharing its layers; for training from random weights.

    At stride 8 a ResNet50 sees 11 cm of a head and has half of its work and a fifteenth of its weights, so this is
    where blood is learned fastest; with zeros in the coarse laterals the whole encoder starts from just this function.

    Returns
    -------
    Model of `hu` (n, h, w) to `evidence` (n, h/8, w/8, labels), its maximum, `slice`, and the mean of
    its `strongest` cells, both (n, labels), float32 logits
    """
    hu = keras.Input(encoder.input_shape[1:], dtype="int16", name="hu")
    stages = encoder.get_layer(backbone)
    kind = BACKBONES[backbone]
    fine = keras.Model(stages.input, stages.outputs[0])(windowed(hu, kind.input_range))
    fine = _rimmed(encoder.get_layer("lateral_0")(fine), kind.missing[0])
    fused = encoder.get_layer("fuse")(layers.Activation("relu")(fine))
    evidence = encoder.get_layer("evidence")(fused)
    return keras.Model(hu, {"evidence": evidence, "slice": _maximum(evidence), "strongest": strongest(evidence)})


def strongest(evidence: Any) -> Any:
    """(n, h, w, labels) evidence to the mean of its highest few cells, (n, labels).

    A slice that is known to bleed, nobody outlined where, teaches through these cells alone: they should be high, while
    of a slice without a bleed they should be low, and so all others (top-k multiple-instance learning).
    """
    cells = ops.moveaxis(layers.Reshape((-1, evidence.shape[-1]))(evidence), 1, 2)
    return ops.mean(ops.top_k(cells, STRONGEST_CELLS, sorted=False)[0], axis=-1)


def windowed(hu: Any, input_range: float) -> Any:
    """(n, h, w) int16 HU to (n, h, w, 3): the windows, each from -input_range to input_range."""
    level, width = np.array(WINDOWS, np.float32).T
    value = ops.expand_dims(ops.cast(hu, "float32"), -1)
    # All at once: a layer for each window, and one that joins them, cost the runtimes a tenth of their time.
    return ops.clip((value - level) / (width / 2), -1.0, 1.0) * input_range


def _rimmed(x: Any, cells: int) -> Any:
    """Put zeros around a map that is some cells too small."""
    return layers.ZeroPadding2D([(cells // 2, cells - cells // 2)] * 2)(x) if cells else x


def _average(x: Any) -> Any:
    return layers.GlobalAveragePooling2D(dtype="float32")(x)


def _maximum(x: Any) -> Any:
    return layers.GlobalMaxPooling2D(dtype="float32")(x)


def _rare() -> keras.initializers.Initializer:
    # Blood fills about a hundredth of a slice; starting there spares the first epochs the way down.
    return keras.initializers.Constant(-4.0)


@dataclass(frozen=True)
class View:
    """What a head looks at, and how large it is for that.

    last : so many of a slice's last features for each label, or all of them
    """

    width: int
    blocks: int
    dropout: float
    last: int | None = None


# Few patients are enough to learn how the evidence of neighbours goes together, not what their features look like.
VIEWS: Final = {"evidence": View(32, 1, 0.1, 1), "verdicts": View(32, 1, 0.1, 2), "features": View(128, 2, 0.3)}


def sequence_head(
    kind: str, features: int, labels: Sequence[str], encoder_labels: Sequence[str] | None = None, view: str = "evidence"
) -> keras.Model:
    """Look at a slice among its neighbours, and at the study as a whole.

    It starts from what the encoder's evidence says of a slice by itself, and learns what to add to that.

    Parameters
    ----------
    kind : "transformer" or "lstm"
    features : d, the length of a slice's features, of which the last are the maxima of the evidence
    encoder_labels : labels of that evidence, if they are others than the head's own
    view : one of VIEWS: the evidence of all the encoder's labels alone, its verdicts on the slice too, or all features

    Returns
    -------
    Model of `features` (n, slices, d) float32, any number of slices, to
    `slice` (n, slices, labels) and `study` (n, labels) float32 logits
    """
    inputs = keras.Input((None, features), name="features")
    given, size = list(encoder_labels or labels), VIEWS[view]
    columns = [features - len(given) + given.index(label) for label in labels]
    evidence = ops.take(inputs, columns, axis=-1)
    # Fixed to the statistics of the training features by `normalise_features`. A Normalization layer would do the
    # same, but tf2onnx leaves its numbers outside the graph.
    x = inputs if size.last is None else inputs[..., features - size.last * len(given) :]
    x = layers.BatchNormalization(center=False, scale=False, epsilon=1e-5, trainable=False, name="normalise")(x)
    x = layers.Dropout(size.dropout)(x)
    x = layers.Dense(size.width, name="project")(x)
    x = _BODIES[kind](x, size)
    alone = evidence + layers.Dense(len(labels), name="slice_logits", kernel_initializer="zeros")(x)
    study = evidence + layers.Dense(len(labels), name="study_logits", kernel_initializer="zeros")(x)
    # A study is as suspicious as its most suspicious slices: a smooth maximum, which one slice passes unchanged.
    study = ops.logsumexp(study, axis=1)
    return keras.Model(inputs, {"slice": alone, "study": study}, name=f"{kind}_head")


def head_for(config: Mapping[str, Any], features: int) -> keras.Model:
    """Build the head that the config of a run describes, for features of a length."""
    view = config["recipe"]["head_view"]
    return sequence_head(config["head"], features, config["labels"], config["encoder_labels"], view)


def normalise_features(head: keras.Model, features: NDArray[np.float32]) -> None:
    """Set the head's input statistics from features (slices, d), of which it may look at the last ones only."""
    norm = head.get_layer("normalise")
    seen = features[:, -norm.input.shape[-1] :]
    norm.set_weights([seen.mean(axis=0), seen.var(axis=0)])


def _transformer(x: Any, size: View, heads: int = 4) -> Any:
    """Pre-norm Transformer encoder; a convolution over three slices tells who is whose neighbour."""
    width = size.width
    x = x + layers.Conv1D(width, 3, padding="same", name="neighbours")(x)
    for i in range(size.blocks):
        y = layers.LayerNormalization(name=f"norm_{i}a")(x)
        y = layers.MultiHeadAttention(heads, width // heads, dropout=0.1, name=f"attend_{i}")(y, y)
        x = x + y
        y = layers.LayerNormalization(name=f"norm_{i}b")(x)
        y = layers.Dense(2 * width, name=f"expand_{i}")(y)
        y = layers.Dropout(0.1)(ops.gelu(y, approximate=True))  # exact GELU has no ONNX Runtime kernel
        x = x + layers.Dense(width, name=f"contract_{i}")(y)
    return layers.LayerNormalization(name="norm_out")(x)


def _lstm(x: Any, size: View) -> Any:
    """One bidirectional LSTM; the slice itself passes beside it."""
    y = layers.Bidirectional(layers.LSTM(size.width // 2, return_sequences=True), name="lstm")(x)
    return layers.LayerNormalization(name="norm_out")(x + y)


_BODIES: Final = {"transformer": _transformer, "lstm": _lstm}
