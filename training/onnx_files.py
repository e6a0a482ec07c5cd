"""Keras models as ONNX files with the names that ichscope.models.detector expects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import tensorflow as tf
import tf2onnx
from keras import ops
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from ichscope.imaging.preprocess import INPUT_SIZE

OPSET = 18
# Smaller tensors (biases, batch norm) stay in fp32: nothing is gained by rounding them.
_HALF_FROM_VALUES = 4096


def encoder_function(encoder: keras.Model) -> Any:
    """Wrap the encoder: `hu` (n, 224, 224) int16 to `features` and `evidence`, as probabilities."""

    def run(hu: Any) -> dict[str, Any]:
        out = encoder(hu, training=False)
        return {"features": out["features"], "evidence": ops.sigmoid(out["evidence"])}

    return tf.function(run, input_signature=[tf.TensorSpec((None, INPUT_SIZE, INPUT_SIZE), tf.int16, name="hu")])


def head_function(head: keras.Model, calibration: Mapping[str, Sequence[Sequence[float]]]) -> Any:
    """Wrap the head: `features` (slices, d) to calibrated `slice_probability` and `study_probability`.

    calibration : for "slice" and "study", a slope and an intercept a label: logit -> slope * logit + intercept
    """
    numbers = {level: np.asarray(rows, np.float32).T for level, rows in calibration.items()}
    width = head.input_shape[-1]

    def run(features: Any) -> dict[str, Any]:
        out = head(features[None], training=False)
        probability = {
            level: ops.sigmoid(out[level][0] * slope + intercept) for level, (slope, intercept) in numbers.items()
        }
        return {"slice_probability": probability["slice"], "study_probability": probability["study"]}

    return tf.function(run, input_signature=[tf.TensorSpec((None, width), tf.float32, name="features")])


def convert(function: Any, path: Path, half: bool = False) -> None:
    """Write a wrapped model as ONNX, checked; `half` stores large weights as fp16 (they compute in fp32)."""
    model, _ = tf2onnx.convert.from_function(function, input_signature=function.input_signature, opset=OPSET)
    _check_names(model, function)
    pad_while_pooling(model)
    fold_into_convolutions(model)
    if half:
        _store_half(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _check_names(model: onnx.ModelProto, function: Any) -> None:
    """Refuse what tf2onnx is known to do at times: outputs renamed, weights left as inputs."""
    actual = [value.name for value in model.graph.input], {value.name for value in model.graph.output}
    inputs = [spec.name for spec in function.input_signature]
    expected = inputs, set(function.get_concrete_function().structured_outputs)
    if actual != expected:
        raise ValueError(f"expected a graph with inputs and outputs {expected}, found {actual}")


def fold_into_convolutions(model: onnx.ModelProto) -> int:
    """Put what is multiplied with and added to the channels of a convolution into its weights.

    tf2onnx leaves batch norm behind a convolution as Mul and Add, which the runtimes compute over every map.

    Returns
    -------
    How many convolutions took something in
    """
    graph = model.graph
    values = {weight.name: weight for weight in graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    outputs, folded = {value.name for value in graph.output}, 0
    for conv in [node for node in graph.node if node.op_type == "Conv" and node.input[1] in values]:
        # Rounded once, at the end.
        weight = numpy_helper.to_array(values[conv.input[1]]).astype(np.float64)
        bias = numpy_helper.to_array(values[conv.input[2]]) if len(conv.input) > 2 else np.zeros(len(weight))
        end = conv.output[0]
        taken: list[onnx.NodeProto] = []
        while end not in outputs and len(readers[end]) == 1:
            node = readers[end][0]
            factor = _by_channel(node, end, values, len(weight))
            if factor is None:
                break
            if node.op_type == "Mul":
                weight, bias = weight * factor[:, None, None, None], bias * factor
            else:
                bias = bias + factor
            end, taken = node.output[0], [*taken, node]
        if taken:
            numbers = {f"{end}_weight": weight, f"{end}_bias": bias}
            graph.initializer.extend(
                numpy_helper.from_array(value.astype(np.float32), name) for name, value in numbers.items()
            )
            conv.input[:] = [conv.input[0], *numbers]
            conv.output[:] = [end]
            for node in taken:
                graph.node.remove(node)
            folded += 1
    used = {name for node in graph.node for name in node.input}
    kept = [weight for weight in graph.initializer if weight.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return folded


def _by_channel(
    node: onnx.NodeProto, value: str, values: Mapping[str, onnx.TensorProto], channels: int
) -> NDArray[np.float64] | None:
    """Give the constant (channels,) that a Mul or Add puts to the channels of (n, channels, h, w), if it does that."""
    others = [name for name in node.input if name != value]
    if node.op_type not in ("Mul", "Add") or len(others) != 1 or others[0] not in values:
        return None
    constant = numpy_helper.to_array(values[others[0]]).astype(np.float64)
    if (1,) * (4 - constant.ndim) + constant.shape not in ((1, channels, 1, 1), (1, 1, 1, 1)):
        return None
    return np.broadcast_to(constant.reshape(-1), (channels,))


def pad_while_pooling(model: onnx.ModelProto) -> int:
    """Leave out the zeros that Keras puts around a map before a maximum is taken, which the pool can do itself.

    What comes out of a Relu is at least zero, so whatever the pool takes for its own rim changes no maximum.

    Returns
    -------
    How many layers of zeros were left out
    """
    graph = model.graph
    constants = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
    made_by = {name: node for node in graph.node for name in node.output}
    left_out = []
    for pool in [node for node in graph.node if node.op_type == "MaxPool"]:
        pad = made_by.get(pool.input[0])
        has_rim = any(attribute.name == "pads" and any(attribute.ints) for attribute in pool.attribute)
        if pad is None or has_rim or not _is_zeros_around(pad, made_by, constants):
            continue
        rim = constants[pad.input[1]][[2, 3, 6, 7]].tolist()
        kept = [attribute for attribute in pool.attribute if attribute.name not in ("pads", "auto_pad")]
        del pool.attribute[:]
        pool.attribute.extend([*kept, onnx.helper.make_attribute("pads", rim)])
        pool.input[0] = pad.input[0]
        left_out.append(pad)
    read = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    for pad in left_out:
        if pad.output[0] not in read:
            graph.node.remove(pad)
    return len(left_out)


def _is_zeros_around(
    node: onnx.NodeProto, made_by: Mapping[str, onnx.NodeProto], constants: Mapping[str, NDArray[Any]]
) -> bool:
    """Tell whether a node puts zeros around the rows and columns of what a Relu gives."""
    before = made_by.get(node.input[0])
    if node.op_type != "Pad" or before is None or before.op_type != "Relu" or len(node.input) > 3:
        return False
    pads, *value = (constants.get(name) for name in node.input[1:])
    if pads is None or len(pads) != 8 or pads[[0, 1, 4, 5]].any() or any(fill is None or fill.any() for fill in value):
        return False
    return all(attribute.s == b"constant" for attribute in node.attribute if attribute.name == "mode")


def _store_half(model: onnx.ModelProto) -> None:
    """Replace large fp32 weights by fp16 ones and a Cast, which the runtime folds away when it loads the file."""
    casts = []
    for weight in model.graph.initializer:
        if weight.data_type != TensorProto.FLOAT or np.prod(weight.dims) < _HALF_FROM_VALUES:
            continue
        name, value = weight.name, numpy_helper.to_array(weight).astype(np.float16)
        weight.CopyFrom(numpy_helper.from_array(value, f"{name}_half"))
        casts.append(onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def keras_outputs(function: Any, value: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
    """Run the wrapped Keras model itself, for comparison."""
    return {name: np.asarray(out) for name, out in function(value).items()}
