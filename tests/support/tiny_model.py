"""A real, tiny ONNX model folder: it calls the share of pixels at 50 to 80 HU a bleed. For tests of the plumbing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ichscope.labels import LABELS
from ichscope.models.card import ModelCard, file_sha256
from ichscope.models.card_parts import CardOperatingPoint

GRID = 14
_LABELS = {"cranioscan": LABELS, "cerebroscan": ("any",)}


def build(folder: Path, name: str = "cranioscan", encoder_weights: str = "") -> Path:
    """Write `folder`/`name` with encoder.onnx, head.onnx and card.json; gives that folder."""
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    labels = _LABELS[name]
    _save(_encoder(len(labels)), target / "encoder.onnx")
    _save(_head(len(labels)), target / "head.onnx")
    card = ModelCard(
        name=name,
        version="0.0.1-test",
        description="Share of pixels at 50 to 80 HU; a test of the plumbing, not a model.",
        labels=labels,
        input_size=224,
        thresholds=dict.fromkeys(labels, 0.5),
        operating_points=(CardOperatingPoint("Youden", 0.5, 0.9, 0.9),),
        default_point="Youden",
        sha256={file: file_sha256(target / file) for file in ("encoder.onnx", "head.onnx")},
        encoder_weights=encoder_weights,
    )
    card.write(target)
    return target


def share(folder: Path, owner: str) -> Path:
    """Let a built model run the encoder of the one beside it; gives its folder."""
    (folder / "encoder.onnx").unlink()
    hashes = ModelCard.read(folder).sha256 | {"encoder.onnx": file_sha256(folder.parent / owner / "encoder.onnx")}
    replace(ModelCard.read(folder), encoder_of=owner, sha256=hashes).write(folder)
    return folder


def _encoder(labels: int) -> onnx.GraphProto:
    """features (n, 1): the largest share of bright pixels in a 16x16 cell; evidence: that share a cell."""
    constants = {"low": np.float32(50), "high": np.float32(80), "one": np.array([1], np.int64)}
    nodes = [
        helper.make_node("Cast", ["hu"], ["x"], to=TensorProto.FLOAT),
        helper.make_node("GreaterOrEqual", ["x", "low"], ["above"]),
        helper.make_node("LessOrEqual", ["x", "high"], ["below"]),
        helper.make_node("And", ["above", "below"], ["bright"]),
        helper.make_node("Cast", ["bright"], ["share"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["share", "one"], ["nchw"]),
        helper.make_node("AveragePool", ["nchw"], ["cells"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("GlobalMaxPool", ["cells"], ["most"]),
        helper.make_node("Flatten", ["most"], ["features"]),
        helper.make_node("Concat", ["cells"] * labels, ["stack"], axis=1),
        helper.make_node("Transpose", ["stack"], ["evidence"], perm=[0, 2, 3, 1]),
    ]
    return helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("hu", TensorProto.INT16, ["n", 224, 224])],
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 1]),
            helper.make_tensor_value_info("evidence", TensorProto.FLOAT, ["n", GRID, GRID, labels]),
        ],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()],
    )


def _head(labels: int) -> onnx.GraphProto:
    """Study probability: the largest of the slices'."""
    constants = {
        "ones": np.ones((1, labels), np.float32),
        "axes": np.array([0], np.int64),
    }
    nodes = [
        helper.make_node("MatMul", ["features", "ones"], ["slice_probability"]),
        helper.make_node("ReduceMax", ["slice_probability", "axes"], ["study_probability"], keepdims=0),
    ]
    return helper.make_graph(
        nodes,
        "head",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["slices", 1])],
        [
            helper.make_tensor_value_info("slice_probability", TensorProto.FLOAT, ["slices", labels]),
            helper.make_tensor_value_info("study_probability", TensorProto.FLOAT, [labels]),
        ],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )


def _save(graph: onnx.GraphProto, path: Path) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, path)
